//! The contract suite, on a server that refuses inactive keys.

use claviger_backend::contract::{Fixture, Subject, trials};
use claviger_tests::require_lab;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let server = require_lab!(Ministack::shared().await);
    let policy = allow(&["s3:GetObject"], "*");
    let (kept, revoked) =
        (user_with(server, "contract", &policy), user_with(server, "contract-leaver", &policy));
    let document = json!({"id": "contract-half-before", "secret": "contract-other-half-before", "n": 1});
    seed(
        server,
        &[(
            "secretsmanager",
            "create_secret",
            json!({"Name": "contract/pair", "SecretString": document.to_string()}),
        )],
    );
    let subject = |user: &str, (id, secret): &(String, String)| Subject {
        at: at(&format!("iam/user/{user}/access-key/{id}")),
        value: value(secret),
    };
    let fixture = Fixture {
        credential: Some(subject("contract", &kept)),
        mintable: Some(subject("contract", &kept)),
        revocable: Some(subject("contract-leaver", &revoked)),
        absent_credential: Some(at("iam/user/contract/access-key/AKIAAAAAAAAAAAAAAAAA")),
        copy: Some(at("secretsmanager/contract/pair#secret")),
        copy_beside: Some(at("secretsmanager/contract/pair#id")),
        absent_copy: Some(at("secretsmanager/contract/nothing#secret")),
        secrets: vec![value(&kept.1), value(&revoked.1), value("contract-half-before")],
        ..Fixture::default()
    };
    let trials = trials("aws", Arc::new(root(server)), fixture);
    assert!(trials.len() > 20, "{} trials", trials.len());
    let run =
        tokio::task::spawn_blocking(|| libtest_mimic::run(&libtest_mimic::Arguments::default(), trials));
    let conclusion = run.await.expect("the suite ends");
    assert_eq!((conclusion.num_failed, conclusion.num_ignored), (0, 0));
}
