//! Deploy keys of projects at the fake, whose SSH server is a real Gitea's.

use claviger_backend::{ErrorKind, Issuer as _, PermissionStatus, Verdict};
use claviger_core::{
    model::{CredentialKind, HandleScheme},
    random::SeededRandom,
    ssh_key,
};
use claviger_tests::require_lab;

use super::*;

fn key(seed: u64) -> SecretValue {
    ssh_key::ed25519(&SeededRandom::new(seed))
}

fn line(key: &SecretValue) -> String {
    ssh_key::public_line(key).expect("a public half")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_listed_and_followed_by_one_with_the_same_right_and_lifetime() {
    let ssh = require_lab!(Gitea::shared().await);
    let server = Gitlab::start().await.expect("a fake");
    server.state().home("keysmith/tools", true);
    server.lets_in_at(ssh, "keysmith/tools").await.expect("an SSH server");
    let forge = with_ssh(&server, ssh);
    for (seed, can_push) in [(611, true), (612, false)] {
        let old = key(seed);
        let plant = || {
            let mut state = server.state();
            let id = state.deploy_key("keysmith/tools", "deploys", &format!("{} a@b", line(&old)), can_push);
            let one = state.listed.iter_mut().find(|one| one.id == id).expect("it is there");
            one.shown["created_at"] = serde_json::json!("2026-01-01T00:00:00.000Z");
            one.shown["expires_at"] = serde_json::json!("2199-01-01T00:00:00.000Z");
            id
        };
        let id = tokio::task::block_in_place(plant);
        let subject = at(&format!("forge/keysmith/tools/deploy-keys/{id}"));
        let seen = Everything::of(&forge).await;
        assert_eq!(seen.end("keysmith/tools", "deploy-keys"), ScopeStatus::Complete);
        let listed = seen.credential(subject.as_str());
        let handle = listed.handle.as_ref().expect("a fingerprint");
        assert_eq!((listed.kind, handle.scheme), (CredentialKind::SshKey, HandleScheme::SshFingerprint));
        assert_eq!(Some(&handle.value), ssh_key::fingerprint(&old).as_ref());
        assert_eq!(listed.attributes["read_only"], !can_push);

        let (op, new) = (operation(&format!("keys {seed}")), key(seed + 100));
        server.state().lose = Some(("POST".to_owned(), 1));
        forge.issue(&op, &subject, Some(&new)).await.err().expect("no answer");
        let found = forge.added(&subject, &new).await.expect("an answer").expect("it is there");
        let again = forge.issue(&op, &subject, Some(&new)).await.expect("the one that is there");
        assert_eq!(found.at, again.at);
        let made: Vec<_> = {
            let all = server.state().deploy_keys("keysmith/tools");
            all.into_iter().filter(|one| one["key"] == line(&new).as_str()).collect()
        };
        assert_eq!(made.len(), 1, "{made:#?}");
        assert_eq!(made[0]["can_push"], can_push);
        assert_eq!(made[0]["title"], format!("deploys (claviger {})", op.key));
        let ends = made[0]["expires_at"].as_str().expect("an end");
        assert!(ends.starts_with("219") || ends.starts_with("22"), "it ends at {ends}");
        assert_eq!(forge.verify(&again.at, &new).await.expect("a probe").verdict, Verdict::Accepted);
        assert_eq!(forge.verify(&subject, &old).await.expect("a probe").verdict, Verdict::Accepted);
        forge.revoke(&operation("end"), &subject, None).await.expect("an end");
        let probe = forge.verify(&subject, &old).await.expect("a probe");
        assert!(matches!(probe.verdict, Verdict::Refused(_)), "{probe:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_project_is_a_conflict_and_without_a_known_server_none_is_made() {
    let ssh = require_lab!(Gitea::shared().await);
    let server = Gitlab::start().await.expect("a fake");
    let (id, subject) = {
        let mut state = server.state();
        state.home("acme/shop", true);
        state.home("acme/web", true);
        state.deploy_key("acme/web", "other", &line(&key(651)), true);
        let id = state.deploy_key("acme/shop", "deploys", &line(&key(652)), false);
        (id, at(&format!("forge/acme/shop/deploy-keys/{id}")))
    };
    let forge = with_ssh(&server, ssh);
    let error = forge.issue(&operation("taken"), &subject, Some(&key(651))).await.err().expect("a conflict");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(server.state().deploy_keys("acme/shop").len(), 1, "beside {id}");
    let blind = backend(&server);
    let prospect = blind.prospect(&subject).await.expect("an answer");
    assert_eq!(prospect.refused.map(|(code, _)| code), Some("no-known-hosts"));
    let lacks = |held: &claviger_backend::Permission| matches!(held.status, PermissionStatus::Missing(_));
    let permissions = blind.check().await.expect("an answer");
    assert!(permissions.iter().any(|held| held.name == "log in by SSH" && lacks(held)), "{permissions:?}");
    for (path, why) in [("deploy-tokens", "user name"), ("triggers", "starts a pipeline")] {
        let prospect = forge.prospect(&at(&format!("forge/acme/shop/{path}/1"))).await.expect("an answer");
        let (code, reason) = prospect.refused.expect("a refusal");
        assert!(code == "no-issue" && reason.contains(why), "{reason}");
    }
}
