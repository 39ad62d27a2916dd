//! The contract suite, on the fake.

use claviger_backend::contract::{Fixture, trials};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let server = Arc::new(Jenkins::start().await.expect("a fake"));
    {
        let mut state = server.state();
        state.folders.insert("team".to_owned());
        state.text("team", "db-password", "before-1234", "used by deploy");
    }
    let changes = Arc::clone(&server);
    let fixture = Fixture {
        posted: Some(at("ci/job/team/_/db-password#secret")),
        absent_posted: Some(at("ci/job/team/_/nothing#secret")),
        changes: Some(Box::new(move || changes.state().changes)),
        secrets: vec![value(&server.token(USER)), value("before-1234")],
        ..Fixture::default()
    };
    let trials = trials("jenkins", Arc::new(backend(&server)), fixture);
    assert!(trials.len() > 12, "{} trials", trials.len());
    let run =
        tokio::task::spawn_blocking(|| libtest_mimic::run(&libtest_mimic::Arguments::default(), trials));
    let conclusion = run.await.expect("the suite ends");
    assert_eq!((conclusion.num_failed, conclusion.num_ignored), (0, 0));
    let said = server.state().holds("team", "db-password", "description").unwrap_or_default();
    assert!(said.starts_with("used by deploy [claviger "), "{said}");
    assert_eq!(server.state().crumbless, 0, "a change was sent without a crumb of its session");
}
