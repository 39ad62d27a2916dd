//! Secrets: sealed, written, not read back, and known by the time of their last write.

use claviger_backend::{Effect, ErrorKind, Expect, Letterbox as _, StoreState};
use claviger_tests::require_lab;

use super::*;

const PLACE: &str = "repos/acme/shop/actions";
const SECRET: &str = "forge/acme/shop/actions/secrets/DB_PASSWORD";

async fn post(
    forge: &GithubBackend,
    name: &str,
    at_: &str,
    text: &str,
) -> claviger_backend::Result<claviger_backend::Marked> {
    let secret = at(at_);
    let before = forge.marked(&secret).await?.expect("it is there");
    forge.post(&operation(name), &secret, &value(text), &Expect::Version(before.version)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_box_holds_is_what_was_meant_wherever_the_secret_is() {
    let server = require_lab!(Github::start());
    server.organisation("acme", false);
    let shop = server.repository("acme/shop");
    server.repository("acme/other");
    server.environment("acme/shop", "live/eu");
    let forge = backend(config(&server, &server.token("root", &["acme"], ALL)));
    for (place, at_) in [
        ("repos/acme/shop/actions", "acme/shop/actions/secrets/DB_PASSWORD"),
        ("repos/acme/shop/dependabot", "acme/shop/dependabot/secrets/DB_PASSWORD"),
        ("repos/acme/shop/codespaces", "acme/shop/codespaces/secrets/DB_PASSWORD"),
        ("repos/acme/shop/environments/live/eu", "acme/shop/environments/live%2Feu/secrets/DB_PASSWORD"),
        ("orgs/acme/actions", "orgs/acme/actions/secrets/DB_PASSWORD"),
        ("orgs/acme/dependabot", "orgs/acme/dependabot/secrets/DB_PASSWORD"),
        ("orgs/acme/codespaces", "orgs/acme/codespaces/secrets/DB_PASSWORD"),
    ] {
        server.put_secret(place, "DB_PASSWORD", "before-1234");
        if place == "orgs/acme/actions" {
            server.select(place, "DB_PASSWORD", &[shop]);
        }
        let readers = server.readers(place, "DB_PASSWORD");
        let at_ = format!("forge/{at_}");
        let marked = post(&forge, place, &at_, "after-\"quoted\"-\\-ü")
            .await
            .unwrap_or_else(|error| panic!("{at_}: {error:?}"));
        assert_eq!(server.secret(place, "DB_PASSWORD").as_deref(), Some("after-\"quoted\"-\\-ü"), "{at_}");
        assert_eq!((marked.written_by, marked.written_at.is_some()), (None, true), "{at_}");
        assert_eq!(server.readers(place, "DB_PASSWORD"), readers, "{at_}: who reads it is another one");
    }
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_replaced_meanwhile_is_asked_for_again() {
    let server = require_lab!(Github::start());
    server.organisation("acme", false);
    server.repository("acme/shop");
    server.put_secret(PLACE, "DB_PASSWORD", "before-1234");
    let forge = backend(config(&server, &server.token("root", &["acme"], ALL)));
    // The key is another one each time, and once it is replaced between the look and the write.
    post(&forge, "one", SECRET, "one-1234").await.expect("a write");
    server.turn_keys();
    post(&forge, "two", SECRET, "two-1234").await.expect("a write");
    assert_eq!(server.secret(PLACE, "DB_PASSWORD").as_deref(), Some("two-1234"));
    server.turn_keys_after("GET", "actions/secrets/public-key");
    post(&forge, "three", SECRET, "three-1234").await.expect("a write");
    assert_eq!(server.secret(PLACE, "DB_PASSWORD").as_deref(), Some("three-1234"));
    let puts = server.requests().iter().filter(|one| one.starts_with("PUT ")).count();
    assert_eq!(puts, 4, "one of the three was refused for its key");
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_somebody_else_is_noticed_and_one_whose_answer_was_lost_is_unknown() {
    let server = require_lab!(Github::start());
    server.organisation("acme", false);
    server.repository("acme/shop");
    server.put_secret(PLACE, "DB_PASSWORD", "before-1234");
    let forge = backend(config(&server, &server.token("root", &["acme"], ALL)));
    let ours = post(&forge, "ours", SECRET, "ours-1234").await.expect("a write");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    server.put_secret(PLACE, "DB_PASSWORD", "by-hand-1234");
    let secret = at(SECRET);
    let now = forge.marked(&secret).await.expect("an answer").expect("it is there");
    assert_ne!(now.version, ours.version);
    let late =
        forge.post(&operation("late"), &secret, &value("late-1234"), &Expect::Version(ours.version)).await;
    assert_eq!(late.expect_err("a conflict").kind(), ErrorKind::Conflict);
    assert_eq!(server.secret(PLACE, "DB_PASSWORD").as_deref(), Some("by-hand-1234"));

    server.cut("PUT", "secrets/DB_PASSWORD");
    let lost = post(&forge, "lost", SECRET, "lost-1234").await.expect_err("no answer");
    assert_eq!((lost.kind(), lost.effect()), (ErrorKind::Unavailable, Effect::Unknown), "{lost:?}");
    assert_eq!(server.secret(PLACE, "DB_PASSWORD").as_deref(), Some("lost-1234"));
    let after = forge.marked(&secret).await.expect("an answer").expect("it is there");
    assert_eq!(after.written_by, None, "nobody can say whose write it was");
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_is_told_before_anything_is_written() {
    let server = require_lab!(Github::start());
    server.organisation("acme", false);
    server.repository("acme/shop");
    server.put_secret(PLACE, "DB_PASSWORD", "before-1234");
    for (sees, rights, writable) in [
        (&["acme"][..], &[("secrets", "read")][..], false),
        (&["acme"], &[("secrets", "write")], true),
        (&["other"], &[("secrets", "write")], false),
    ] {
        let forge = backend(config(&server, &server.token("dana", sees, rights)));
        let state = forge.open(&at(SECRET)).await.expect("an answer");
        assert_eq!(state == StoreState::Writable, writable, "{rights:?}: {state:?}");
    }
    assert_eq!(server.secret(PLACE, "GITHUB_CLAVIGER_PERMISSION_CHECK"), None, "asking made nothing");
    as_described(&server);
}
