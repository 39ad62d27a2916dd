//! The contract suite, on the fake.

use std::sync::atomic::{AtomicU64, Ordering};

use claviger_backend::contract::{Fixture, Subject, trials};
use claviger_core::{random::SeededRandom, ssh_key};
use claviger_tests::{lab::gitea::Gitea, require_lab};

use super::{deploy_key::with_ssh, *};

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let server = require_lab!(Github::start());
    let ssh = require_lab!(Gitea::shared().await);
    server.organisation("acme", true);
    server.repository("acme/shop");
    let owner = server.token("root", &["acme"], ALL);
    let (kept, ended) = (server.token("dana", &["acme"], ALL), server.token("dana", &["acme"], ALL));
    let (kept_id, ended_id) = (
        server.authorize("acme", "dana", &kept, &["repo"]),
        server.authorize("acme", "dana", &ended, &["repo"]),
    );
    server.put_secret("repos/acme/shop/actions", "DB_PASSWORD", "before-1234");
    server.variable("repos/acme/shop/actions", "REGION", "eu-central-1");

    server.lets_in_at(ssh, "acme/shop").await.expect("an SSH server");
    let first = || ssh_key::ed25519(&SeededRandom::new(701));
    let line = ssh_key::public_line(&first()).expect("a public half");
    let key = tokio::task::block_in_place(|| server.deploy_key("acme/shop", "deploys", &line, false));
    let drawn = AtomicU64::new(702);

    let token = |id: u64| at(&format!("forge/orgs/acme/credential-authorizations/{id}"));
    let subject = |id: u64, text: &str| Some(Subject { at: token(id), value: value(text) });
    let fixture = Fixture {
        credential: subject(kept_id, &kept),
        revocable: subject(ended_id, &ended),
        addable: Some(Subject { at: at(&format!("forge/acme/shop/deploy-keys/{key}")), value: first() }),
        new_beside: Some(Box::new(move || {
            ssh_key::ed25519(&SeededRandom::new(drawn.fetch_add(1, Ordering::SeqCst)))
        })),
        absent_credential: Some(token(999_999)),
        copy: Some(at("forge/acme/shop/actions/variables/REGION")),
        absent_copy: Some(at("forge/acme/shop/actions/variables/NOTHING")),
        posted: Some(at("forge/acme/shop/actions/secrets/DB_PASSWORD")),
        absent_posted: Some(at("forge/acme/shop/actions/secrets/NOTHING")),
        secrets: vec![value(&owner), value(&kept), value("before-1234")],
        ..Fixture::default()
    };
    let trials = trials("github", Arc::new(backend(with_ssh(&server, &owner, ssh))), fixture);
    assert!(trials.len() > 15, "{} trials", trials.len());
    let run =
        tokio::task::spawn_blocking(|| libtest_mimic::run(&libtest_mimic::Arguments::default(), trials));
    let conclusion = run.await.expect("the suite ends");
    assert_eq!((conclusion.num_failed, conclusion.num_ignored), (0, 0));
    let held = server.secret("repos/acme/shop/actions", "DB_PASSWORD");
    assert_eq!(
        held.as_deref(),
        Some("claviger-contract-posted"),
        "the box holds another value than was meant"
    );
    as_described(&server);
}
