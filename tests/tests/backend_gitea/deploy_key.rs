//! Deploy keys that are made beside others: the same right, found by the public half, and no key twice.

use claviger_backend::{ErrorKind, Issuer as _, Verdict};
use claviger_core::{random::SeededRandom, ssh_key};
use claviger_tests::require_lab;
use reqwest::Method;
use serde_json::{Value, json};

use super::*;

fn key(seed: u64) -> SecretValue {
    ssh_key::ed25519(&SeededRandom::new(seed))
}

async fn registered(server: &Gitea, repository: &str) -> Vec<Value> {
    let path = format!("repos/{repository}/keys");
    let listed = server.request(Method::GET, &path, None).await.expect("an answer").good(&path);
    listed.expect("a list").as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_may_do_what_the_old_one_may_and_no_more() {
    let server = require_lab!(Gitea::shared().await);
    server.user("rights").await.expect("a user");
    server.repository("rights", "app").await.expect("a repository");
    let forge = backend(config(server, &["rights"]));
    for (seed, read_only) in [(101, true), (102, false)] {
        let old = key(seed);
        let line = ssh_key::public_line(&old).expect("a public half");
        let body = json!({"title": format!("deploys {read_only}"), "key": line, "read_only": read_only});
        let id = server.make("repos/rights/app/keys", &body).await.expect("a key")["id"].clone();
        let subject = at(&format!("forge/rights/app/deploy-keys/{id}"));
        let prospect = forge.prospect(&subject).await.expect("an answer");
        let says = if read_only { "may only read rights/app" } else { "may read and write rights/app" };
        assert!(prospect.refused.is_none() && prospect.notes[0].contains(says), "{prospect:?}");

        let (op, new) = (operation(&format!("rights {read_only}")), key(seed + 100));
        let issued = forge.issue(&op, &subject, Some(&new)).await.expect("another one");
        let all = registered(server, "rights/app").await;
        let id = issued.at.as_str().rsplit('/').next().expect("a number");
        let made =
            all.iter().find(|one| id.parse().is_ok_and(|id: u64| one["id"] == id)).expect("it is listed");
        assert_eq!(made["read_only"], read_only, "{made:#}");
        let title = made["title"].as_str().expect("a title");
        assert_eq!(title, format!("deploys {read_only} (claviger {})", op.key));
        assert_eq!(forge.verify(&issued.at, &new).await.expect("a probe").verdict, Verdict::Accepted);

        // Whoever renames it does not hide it.
        let found = forge.added(&subject, &new).await.expect("an answer").expect("it is there");
        assert_eq!(found.at, issued.at);
        assert!(forge.added(&subject, &key(seed + 200)).await.expect("an answer").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_forge_has_elsewhere_is_a_conflict_and_one_that_is_gone_is_not_there() {
    let server = require_lab!(Gitea::shared().await);
    server.user("twice").await.expect("a user");
    server.repository("twice", "app").await.expect("a repository");
    let forge = backend(config(server, &["twice"]));
    let pair = server.key_pair("twice-deploy").expect("a key");
    let id = server.deploy_key("twice/app", "deploys", &pair).await.expect("a deploy key");
    let subject = at(&format!("forge/twice/app/deploy-keys/{id}"));
    // A person's own key: the forge takes it for no repository.
    let taken = key(301);
    let body = json!({"title": "laptop", "key": ssh_key::public_line(&taken).expect("a half")});
    server.make("admin/users/twice/keys", &body).await.expect("a user's key");
    let error = forge.issue(&operation("taken"), &subject, Some(&taken)).await.err().expect("a conflict");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(error.message().contains("takes none twice") && error.hint().is_some(), "{error:?}");
    assert_eq!(registered(server, "twice/app").await.len(), 1);

    let absent = at("forge/twice/app/deploy-keys/999999");
    let error = forge.issue(&operation("absent"), &absent, Some(&key(302))).await.err().expect("an error");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    assert_eq!(registered(server, "twice/app").await.len(), 1);
    let prospect = forge.prospect(&absent).await.expect("an answer");
    assert_eq!(prospect.refused.map(|(code, _)| code), Some("already-gone"));
    let blind = backend(GiteaConfig { known_hosts: None, ..config(server, &["twice"]) });
    let prospect = blind.prospect(&subject).await.expect("an answer");
    assert_eq!(prospect.refused.map(|(code, _)| code), Some("no-known-hosts"));
}
