//! The contract suite, on a real Gitea.

use std::sync::atomic::{AtomicU64, Ordering};

use claviger_backend::contract::{Fixture, Subject, trials};
use claviger_core::{random::SeededRandom, ssh_key};
use claviger_tests::require_lab;
use reqwest::Method;
use serde_json::json;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let server = require_lab!(Gitea::shared().await);
    server.user("contract").await.expect("a user");
    server.repository("contract", "shop").await.expect("a repository");
    let scopes = ["read:user", "write:repository"];
    let (kept, kept_value) = server.token_for("contract", "kept", &scopes).await.expect("a token");
    let (ended, ended_value) = server.token_for("contract", "ended", &scopes).await.expect("a token");
    server
        .secret("repos/contract/shop", "DB_PASSWORD", "before-1234", "used by deploy")
        .await
        .expect("a secret");
    let pair = server.key_pair("contract-deploy").expect("a key");
    let key = server.deploy_key("contract/shop", "deploys", &pair).await.expect("a deploy key");
    let drawn = AtomicU64::new(u64::from(std::process::id()) << 16);
    let path = "repos/contract/shop/actions/variables/REGION";
    let made =
        server.request(Method::POST, path, Some(&json!({"value": "eu-central-1"}))).await.expect("an answer");
    assert!((200..300).contains(&made.status), "a variable: HTTP {}", made.status);

    let token = |id: u64| at(&format!("forge/users/contract/tokens/{id}"));
    let subject = |id: u64, text: &str| Some(Subject { at: token(id), value: value(text) });
    let fixture = Fixture {
        credential: subject(kept, &kept_value),
        marked: subject(kept, &kept_value),
        addable: Some(Subject {
            at: at(&format!("forge/contract/shop/deploy-keys/{key}")),
            value: value(&pair.private),
        }),
        new_beside: Some(Box::new(move || {
            ssh_key::ed25519(&SeededRandom::new(drawn.fetch_add(1, Ordering::SeqCst)))
        })),
        revocable: subject(ended, &ended_value),
        absent_credential: Some(token(999_999)),
        copy: Some(at("forge/contract/shop/actions/variables/REGION")),
        absent_copy: Some(at("forge/contract/shop/actions/variables/NOTHING")),
        posted: Some(at("forge/contract/shop/actions/secrets/DB_PASSWORD")),
        absent_posted: Some(at("forge/contract/shop/actions/secrets/NOTHING")),
        secrets: vec![
            value(server.token()),
            value(server.password()),
            value(&kept_value),
            value(&pair.private),
            value("before-1234"),
        ],
        ..Fixture::default()
    };
    let backend = backend(config(server, &["contract"]));
    let trials = trials("gitea", Arc::new(backend), fixture);
    assert!(trials.len() > 20, "{} trials", trials.len());
    let run =
        tokio::task::spawn_blocking(|| libtest_mimic::run(&libtest_mimic::Arguments::default(), trials));
    let conclusion = run.await.expect("the suite ends");
    assert_eq!((conclusion.num_failed, conclusion.num_ignored), (0, 0));
    let descriptions = server.descriptions("repos/contract/shop").await.expect("a list");
    assert!(descriptions[0].1.starts_with("used by deploy [claviger "), "{descriptions:?}");
}
