//! Variables: one key for several scopes, shown or hidden.

use claviger_backend::{ErrorKind, Expect, Letterbox, Store, StoreState};

use super::*;

fn planted(server: &Gitlab) {
    let mut state = server.state();
    state.home("acme/shop", true);
    state.variable("acme/shop", "DB", "for-production-1").scope = "production".to_owned();
    state.variable("acme/shop", "DB", "for-reviews-123").scope = "review/*".to_owned();
    state.variable("acme", "DB", "of-the-group-12");
    state.variable("-", "DB", "of-the-instance");
    let hidden = state.variable("acme/shop", "KEY", "hidden-before-1");
    hidden.hidden = true;
    state.variable("acme/shop", "MASKED", "masked-before-1").masked = true;
}

#[tokio::test]
async fn one_key_is_read_and_written_by_scope_and_by_owner() {
    let server = Gitlab::start().await.expect("a fake");
    planted(&server);
    let backend = backend(&server);
    for (place, owner, scope, expected) in [
        ("forge/acme/shop/variables/DB@production", "acme/shop", "production", "for-production-1"),
        ("forge/acme/shop/variables/DB@review/*", "acme/shop", "review/*", "for-reviews-123"),
        ("forge/acme/variables/DB@*", "acme", "*", "of-the-group-12"),
        ("forge/-/variables/DB@*", "-", "*", "of-the-instance"),
    ] {
        let place = at(place);
        let stored = backend.read(&place).await.expect("an answer").expect("it is there");
        assert_eq!(stored.value.expose_text(), Some(expected), "{place}");
        assert!(!stored.version.contains(expected), "the version tells the value");
        assert_eq!(backend.writable(&place).await.expect("an answer"), StoreState::Writable);
        let new = format!("written-at-{owner}");
        let expect = Expect::Version(stored.version);
        backend.write(&operation(owner), &place, &value(&new), &expect).await.expect("written");
        assert_eq!(server.state().holds(owner, "DB", scope).expect("it is there").value, new);
    }
    let absent = backend.read(&at("forge/acme/shop/variables/DB@staging")).await.expect("an answer");
    assert!(absent.is_none(), "another scope's was read");
}

/// The version is a keyed digest: somebody else's write is seen, also where they put our marker's words there.
#[tokio::test]
async fn a_write_of_somebody_else_is_seen_before_ours() {
    let server = Gitlab::start().await.expect("a fake");
    planted(&server);
    let backend = backend(&server);
    let place = at("forge/acme/shop/variables/DB@production");
    let stored = backend.read(&place).await.expect("an answer").expect("it is there");
    let expect = Expect::Version(stored.version);
    {
        let mut state = server.state();
        let one = state.variables.iter_mut().find(|one| one.scope == "production").expect("it");
        one.value = "by-hand-12345678".to_owned();
    }
    let error = backend.write(&operation("late"), &place, &value("ours-12345678"), &expect).await;
    assert_eq!(error.err().map(|error| error.kind()), Some(ErrorKind::Conflict));
    assert_eq!(server.state().holds("acme/shop", "DB", "production").expect("it").value, "by-hand-12345678");
}

#[tokio::test]
async fn what_a_job_would_not_get_as_it_is_is_not_written() {
    let server = Gitlab::start().await.expect("a fake");
    planted(&server);
    let backend = backend(&server);
    let before = server.state().changes;
    for (place, text) in [
        ("forge/acme/shop/variables/DB@production", "pa$$word-123456"),
        ("forge/acme/shop/variables/MASKED@*", "short"),
        ("forge/acme/shop/variables/MASKED@*", "with a space in it"),
    ] {
        let place = at(place);
        let version = backend.read(&place).await.expect("an answer").expect("it is there").version;
        let written = backend.write(&operation(text), &place, &value(text), &Expect::Version(version)).await;
        let error = written.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{place}");
        assert!(!format!("{error:?} {error}").contains(text), "the value is in the error");
    }
    let hidden = at("forge/acme/shop/hidden-variables/KEY@*");
    let found = backend.marked(&hidden).await.expect("an answer").expect("it is there");
    let (op, expect) = (operation("x"), Expect::Version(found.version));
    let posted = backend.post(&op, &hidden, &value("pa$$word-123456"), &expect).await;
    assert_eq!(posted.err().map(|error| error.kind()), Some(ErrorKind::Invalid));
    assert_eq!(server.state().changes, before, "something was changed");
}

#[tokio::test]
async fn a_hidden_one_is_no_store_and_a_shown_one_no_letterbox() {
    let server = Gitlab::start().await.expect("a fake");
    planted(&server);
    let backend = backend(&server);
    let (shown, hidden) =
        (at("forge/acme/shop/variables/MASKED@*"), at("forge/acme/shop/hidden-variables/KEY@*"));
    assert!(backend.takes(&hidden) && !backend.takes(&shown));
    let error = backend.read(&hidden).await.err().expect("nobody reads it");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    // Somebody made it again the other way: the ref is another place then.
    {
        let mut state = server.state();
        for one in &mut state.variables {
            one.hidden = one.key == "MASKED";
        }
    }
    assert!(backend.marked(&hidden).await.expect("an answer").is_none());
    assert!(matches!(backend.open(&hidden).await.expect("an answer"), StoreState::Refused(_)));
    assert_eq!(backend.read(&shown).await.err().map(|error| error.kind()), Some(ErrorKind::Unsupported));
    assert!(matches!(backend.writable(&shown).await.expect("an answer"), StoreState::Refused(_)));
}

#[tokio::test]
async fn a_token_that_only_reads_is_told_apart_before_anything_is_written() {
    let server = Gitlab::start().await.expect("a fake");
    planted(&server);
    let reader = {
        let mut state = server.state();
        let dana = state.user("dana", false);
        state.members.insert((dana, "acme/shop".to_owned()), 40);
        let id = state.personal(dana, "reader", &["read_api"]);
        state.by_number(id).expect("a token").value.clone()
    };
    let backend = backend_as(&server, &reader);
    for state in [
        backend.writable(&at("forge/acme/shop/variables/DB@production")).await.expect("an answer"),
        backend.open(&at("forge/acme/shop/hidden-variables/KEY@*")).await.expect("an answer"),
    ] {
        assert!(matches!(&state, StoreState::Refused(why) if why.contains("read_api")), "{state:?}");
    }
}
