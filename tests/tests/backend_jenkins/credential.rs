//! Credentials: redacted, written whole, known by their marker.

use claviger_backend::{Effect, ErrorKind, Expect, Letterbox, StoreState};
use claviger_core::{model::ScopeStatus, observation::Content};
use claviger_tests::lab::jenkins::READER;

use super::*;

fn planted(server: &Jenkins) {
    let mut state = server.state();
    state.folders.extend(["team".to_owned(), "team/web".to_owned()]);
    state.text("system", "token", "system-text-0123", "");
    state.login("team/web", "db", "app", "login-password-0123");
    state.key("team", "ssh", "key-0123456789", "phrase-0123456789");
}

#[tokio::test]
async fn a_scan_shows_where_values_lie_and_takes_no_redaction_for_one() {
    let server = Jenkins::start().await.expect("a fake");
    planted(&server);
    let seen = Everything::of(&backend(&server)).await;
    let mut places: Vec<&str> = seen.copies.iter().map(|copy| copy.at.as_str()).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [
            "ci/job/team/_/ssh#passphrase",
            "ci/job/team/_/ssh#privateKeySource/privateKey",
            "ci/job/team/job/web/_/db#password",
            "ci/system/_/token#secret",
        ]
    );
    assert!(
        seen.copies.iter().all(|copy| matches!(copy.content, Content::Unreadable(_))),
        "a redaction is a value"
    );
    let login = seen.copies.iter().find(|copy| copy.at.as_str().ends_with("db#password")).expect("it");
    assert_eq!(login.bundle.user.as_deref(), Some("app"));
    assert_eq!(seen.end("job/team/job/web", "credentials/_"), ScopeStatus::Complete);
    assert_eq!(seen.end("job/team/job/web", "values/_"), ScopeStatus::Unreadable);
    assert_eq!(seen.end("instance", "api-tokens"), ScopeStatus::Unreadable);
}

#[tokio::test]
async fn a_value_is_written_and_all_else_stays() {
    let server = Jenkins::start().await.expect("a fake");
    planted(&server);
    let backend = backend(&server);
    let place = at("ci/job/team/job/web/_/db#password");
    let before = backend.marked(&place).await.expect("an answer").expect("it is there");
    assert!(before.written_by.is_none());
    assert_eq!(backend.open(&place).await.expect("an answer"), StoreState::Writable);
    assert_eq!(server.state().changes, 0, "asking changed something");
    let (op, new) = (operation("write"), "new <&> \"value\"");
    let after =
        backend.post(&op, &place, &value(new), &Expect::Version(before.version)).await.expect("written");
    assert_eq!(after.written_by, Some(op.key.to_string()));
    let state = server.state();
    assert_eq!(state.holds("team/web", "db", "password").as_deref(), Some(new));
    assert_eq!(state.holds("team/web", "db", "username").as_deref(), Some("app"));
    assert_eq!(state.holds("team/web", "db", "id").as_deref(), Some("db"));
    assert_eq!(state.crumbless, 0);
}

/// What Jenkins redacts cannot be written back: the other secret would be lost.
#[tokio::test]
async fn a_credential_with_two_secrets_takes_no_value() {
    let server = Jenkins::start().await.expect("a fake");
    planted(&server);
    let backend = backend(&server);
    let place = at("ci/job/team/_/ssh#privateKeySource/privateKey");
    let state = backend.open(&place).await.expect("an answer");
    assert!(matches!(&state, StoreState::Refused(why) if why.contains("2 secrets")), "{state:?}");
    let version = backend.marked(&place).await.expect("an answer").expect("it is there").version;
    let posted = backend.post(&operation("x"), &place, &value("new-key"), &Expect::Version(version)).await;
    assert_eq!(posted.err().map(|error| error.kind()), Some(ErrorKind::Invalid));
    assert_eq!(server.state().holds("team", "ssh", "passphrase").as_deref(), Some("phrase-0123456789"));
    assert_eq!(server.state().changes, 0);
}

/// The answer is lost after the effect: the marker tells that it happened.
#[tokio::test]
async fn a_write_whose_answer_was_lost_is_known_by_its_marker() {
    let server = Jenkins::start().await.expect("a fake");
    planted(&server);
    let backend = backend(&server);
    let (place, op) = (at("ci/system/_/token#secret"), operation("lost"));
    let version = backend.marked(&place).await.expect("an answer").expect("it is there").version;
    server.state().lose = 1;
    let lost = backend.post(&op, &place, &value("new-text"), &Expect::Version(version.clone())).await;
    let error = lost.expect_err("no answer");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    let after = backend.marked(&place).await.expect("an answer").expect("it is there");
    assert_eq!(after.written_by, Some(op.key.to_string()));
    assert_eq!(server.state().holds("system", "token", "secret").as_deref(), Some("new-text"));
    // Somebody else, who expects what was there before, does not overwrite it.
    let late = backend.post(&operation("late"), &place, &value("other"), &Expect::Version(version)).await;
    assert_eq!(late.err().map(|error| error.kind()), Some(ErrorKind::Conflict));
}

#[tokio::test]
async fn who_may_not_change_it_is_told_before_anything_is_tried() {
    let server = Jenkins::start().await.expect("a fake");
    planted(&server);
    let backend = backend_as(&server, READER);
    let state = backend.open(&at("ci/system/_/token#secret")).await.expect("an answer");
    assert!(matches!(&state, StoreState::Refused(why) if why.contains("Credentials/Update")), "{state:?}");
    server.state().users.insert(READER.to_owned(), "another".to_owned());
    let error = backend.check().await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}
