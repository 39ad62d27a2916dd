//! Deploy keys at the fake, whose SSH server is a real Gitea's: made beside others, with the same right, and never twice.

use claviger_backend::{Effect, ErrorKind, Issuer as _, Verdict};
use claviger_core::{random::SeededRandom, ssh_key};
use claviger_tests::{lab::gitea::Gitea, require_lab};

use super::*;

/// With an SSH server behind it.
pub(super) fn with_ssh(server: &Github, token: &str, ssh: &Gitea) -> GithubConfig {
    GithubConfig {
        ssh_host: Some(format!("127.0.0.1:{}", ssh.ssh_port())),
        known_hosts: Some(ssh.known_hosts().to_owned()),
        ..config(server, token)
    }
}

fn key(seed: u64) -> SecretValue {
    ssh_key::ed25519(&SeededRandom::new(seed))
}

fn line(key: &SecretValue) -> String {
    ssh_key::public_line(key).expect("a public half")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_has_the_right_of_the_old_one_and_an_answer_that_is_lost_loses_none() {
    let server = require_lab!(Github::start());
    let ssh = require_lab!(Gitea::shared().await);
    server.organisation("keysmith", false);
    server.repository("keysmith/shop");
    server.repository("keysmith/web");
    server.lets_in_at(ssh, "keysmith/shop").await.expect("an SSH server");
    let token = server.token("root", &["keysmith"], ALL);
    let forge = backend(with_ssh(&server, &token, ssh));
    for (seed, read_only) in [(801, true), (802, false)] {
        let (old, new) = (key(seed), key(seed + 100));
        let plant = || server.deploy_key("keysmith/shop", "deploys", &line(&old), read_only);
        let id = tokio::task::block_in_place(plant);
        let subject = at(&format!("forge/keysmith/shop/deploy-keys/{id}"));
        // The request is carried out, and its answer does not come.
        server.cut("POST", "keysmith/shop/keys");
        let op = operation(&format!("keys {read_only}"));
        let error = forge.issue(&op, &subject, Some(&new)).await.err().expect("no answer");
        assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
        let found = forge.added(&subject, &new).await.expect("an answer").expect("it is there");
        let again = forge.issue(&op, &subject, Some(&new)).await.expect("the one that is there");
        assert_eq!(found.at, again.at);
        assert_eq!(
            server.deploy_keys("keysmith/shop", &line(&new)),
            [(format!("deploys (claviger {})", op.key), read_only)]
        );
        assert_eq!(forge.verify(&again.at, &new).await.expect("a probe").verdict, Verdict::Accepted);
        forge.revoke(&operation("end"), &again.at, None).await.expect("an end");
        let probe = forge.verify(&again.at, &new).await.expect("a probe");
        assert!(matches!(probe.verdict, Verdict::Refused(_)), "{probe:?}");
        assert_eq!(forge.verify(&subject, &old).await.expect("a probe").verdict, Verdict::Accepted);
    }
    // GitHub takes a key once, whatever the repository.
    let taken = key(899);
    server.deploy_key("keysmith/web", "other", &line(&taken), true);
    let id = server.deploy_key("keysmith/web", "deploys", &line(&key(898)), true);
    let elsewhere =
        tokio::task::block_in_place(|| server.deploy_key("keysmith/shop", "x", &line(&key(897)), true));
    let subject = at(&format!("forge/keysmith/shop/deploy-keys/{elsewhere}"));
    let error = forge.issue(&operation("taken"), &subject, Some(&taken)).await.err().expect("a conflict");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::NotApplied), "{error:?}");
    let blind = backend(config(&server, &token));
    let prospect =
        blind.prospect(&at(&format!("forge/keysmith/web/deploy-keys/{id}"))).await.expect("an answer");
    assert_eq!(prospect.refused.map(|(code, _)| code), Some("no-known-hosts"));
    assert!(server.violations().is_empty(), "{:#?}", server.violations());
}
