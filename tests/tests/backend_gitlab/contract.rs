//! The contract suite, on the fake, with one item to a page so that every list has several.

use std::sync::atomic::{AtomicU64, Ordering};

use claviger_backend::contract::{Fixture, Subject, trials};
use claviger_core::{random::SeededRandom, ssh_key};
use claviger_tests::require_lab;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let ssh = require_lab!(Gitea::shared().await);
    let server = Arc::new(Gitlab::start().await.expect("a fake"));
    let (kept, ended, hidden) = {
        let mut state = server.state();
        state.home("acme/shop", true);
        state.page = 1;
        let kept = state.of_home("acme/shop", "kept", &["api"], 30);
        let ended = state.of_home("acme/shop", "ended", &["read_api"], 20);
        state.variable("acme/shop", "DB_PASSWORD", "before-12345678").scope = "production".to_owned();
        state.variable("acme/shop", "DB_PASSWORD", "another-12345678");
        let hidden = state.variable("acme/shop", "HIDDEN", "hidden-12345678");
        hidden.hidden = true;
        hidden.description = Some("used by deploy".to_owned());
        (kept, ended, "hidden-12345678")
    };
    server.lets_in_at(ssh, "acme/shop").await.expect("an SSH server");
    let first = || ssh_key::ed25519(&SeededRandom::new(601));
    let line = ssh_key::public_line(&first()).expect("a public half");
    let plant = || server.state().deploy_key("acme/shop", "deploys", &format!("{line} dana@laptop"), true);
    let key = tokio::task::block_in_place(plant);
    let drawn = AtomicU64::new(602);
    let told = |id: u64| server.state().by_number(id).expect("a token").value.clone();
    let path = |id: u64| at(&format!("forge/acme/shop/access-tokens/{id}"));
    let subject = |id: u64| Some(Subject { at: path(id), value: value(&told(id)) });
    let changes = Arc::clone(&server);
    let fixture = Fixture {
        credential: subject(kept),
        marked: subject(kept),
        addable: Some(Subject { at: at(&format!("forge/acme/shop/deploy-keys/{key}")), value: first() }),
        new_beside: Some(Box::new(move || {
            ssh_key::ed25519(&SeededRandom::new(drawn.fetch_add(1, Ordering::SeqCst)))
        })),
        revocable: subject(ended),
        absent_credential: Some(path(999_999)),
        copy: Some(at("forge/acme/shop/variables/DB_PASSWORD@production")),
        absent_copy: Some(at("forge/acme/shop/variables/NOTHING@*")),
        posted: Some(at("forge/acme/shop/hidden-variables/HIDDEN@*")),
        absent_posted: Some(at("forge/acme/shop/hidden-variables/NOTHING@*")),
        changes: Some(Box::new(move || changes.state().changes)),
        secrets: vec![value(&server.token()), value(&told(kept)), value("before-12345678"), value(hidden)],
        ..Fixture::default()
    };
    let trials = trials("gitlab", Arc::new(with_ssh(&server, ssh)), fixture);
    assert!(trials.len() > 25, "{} trials", trials.len());
    let run =
        tokio::task::spawn_blocking(|| libtest_mimic::run(&libtest_mimic::Arguments::default(), trials));
    let conclusion = run.await.expect("the suite ends");
    assert_eq!((conclusion.num_failed, conclusion.num_ignored), (0, 0));
    let state = server.state();
    let posted = state.holds("acme/shop", "HIDDEN", "*").expect("it is there");
    let said = posted.description.clone().unwrap_or_default();
    assert!(said.starts_with("used by deploy [claviger "), "{said}");
    let other = state.holds("acme/shop", "DB_PASSWORD", "*").expect("it is there");
    assert_eq!(other.value, "another-12345678", "the other scope's was written too");
    assert!(!state.seen.iter().any(|seen| seen.path.ends_with("/rotate")), "a token was rotated");
}
