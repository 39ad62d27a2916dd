//! How we call: pages, links to elsewhere, too many requests, and an App's tokens.

use chrono::TimeDelta;
use claviger_backend::{Effect, ErrorKind, Expect, Letterbox as _, Store as _};
use claviger_backend_forge::App;
use claviger_core::clock::Clock;
use claviger_tests::require_lab;
use rcgen::{KeyPair, PKCS_RSA_SHA256};

use super::*;

const PLACE: &str = "repos/acme/shop/actions";

fn shop(server: &Github) -> String {
    server.organisation("acme", false);
    server.repository("acme/shop");
    server.token("root", &["acme"], ALL)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_read_and_no_more() {
    let server = require_lab!(Github::start());
    let token = shop(&server);
    for number in 0..7 {
        server.put_secret(PLACE, &format!("S{number}"), "x-1234");
    }
    server.page_of(3);
    let seen = Everything::of(&backend(config(&server, &token))).await;
    let names: Vec<_> =
        seen.copies.iter().filter(|copy| copy.at.as_str().contains("shop/actions/secrets")).collect();
    assert_eq!(names.len(), 7);
    let asked = server.requests().iter().filter(|one| *one == "GET /repos/acme/shop/actions/secrets").count();
    assert_eq!(asked, 3);
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_at_another_origin_is_not_followed_and_nobody_there_gets_the_token() {
    let server = require_lab!(Github::start());
    let token = shop(&server);
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", other.local_addr().expect("an address"));
    server.lead_elsewhere("repos/acme/shop/keys", &origin);
    let forge = backend(config(&server, &token));
    let seen = Everything::of(&forge).await;
    let end = seen
        .ends
        .iter()
        .find(|(scope, ..)| *scope == Scope::new("acme/shop", "deploy-keys"))
        .expect("an end");
    assert_eq!(end.1, ScopeStatus::Denied);
    let why = end.2.as_deref().unwrap_or_default();
    assert!(why.contains(&origin) && why.contains("not followed"), "{why}");
    assert_eq!(seen.end("acme/shop", "hooks"), ScopeStatus::Complete, "the others are read");
    let followed = tokio::time::timeout(Duration::from_millis(200), other.accept()).await;
    assert!(followed.is_err(), "the link was followed");
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let server = require_lab!(Github::start());
    let token = shop(&server);
    server.variable(PLACE, "REGION", "eu");
    let variable = at("forge/acme/shop/actions/variables/REGION");
    let secondary =
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
    for (status, message, headers, seconds) in [
        (403, secondary, &[("retry-after", "37")][..], Some(37)),
        (429, secondary, &[("retry-after", "41")][..], Some(41)),
        (403, secondary, &[][..], Some(60)),
    ] {
        server.refuse("GET", "variables", (status, message), headers);
        let forge = backend(config(&server, &token));
        let error = forge.read(&variable).await.err().expect("a refusal");
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{error:?}");
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), seconds, "{error:?}");
        assert_eq!(error.effect(), Effect::NotApplied);
        // Whoever goes on asking is shut out for longer.
        let asked = server.requests().len();
        let again = forge.read(&variable).await.err().expect("no answer");
        assert!(again.kind() == ErrorKind::RateLimited && again.retry_after().is_some(), "{again:?}");
        assert_eq!(server.requests().len(), asked, "it was asked all the same");
    }
    server.refuse("GET", "variables", (429, secondary), &[("retry-after", "1")]);
    let forge = backend(config(&server, &token));
    assert!(forge.read(&variable).await.is_err());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(forge.read(&variable).await.expect("an answer").is_some(), "the rest is over");
    // A plain refusal is none of our pace.
    server.refuse(
        "GET",
        "variables",
        (403, "Resource not accessible by integration"),
        &[("x-ratelimit-remaining", "9")],
    );
    let error = forge.read(&variable).await.err().expect("a refusal");
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Denied, None));

    // The primary limit: until the new hour, by the server's clock.
    server.budget(1, 90);
    assert!(forge.read(&variable).await.expect("the last one").is_some());
    let error = forge.read(&variable).await.err().expect("a refusal");
    let wait = error.retry_after().expect("a time").as_secs();
    assert!(error.kind() == ErrorKind::RateLimited && (80..=90).contains(&wait), "{wait} s: {error:?}");
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_costs_nothing_and_what_has_is_seen() {
    let server = require_lab!(Github::start());
    let token = shop(&server);
    server.put_secret(PLACE, "X", "x-1234");
    let forge = backend(config(&server, &token));
    let first = Everything::of(&forge).await;
    let before = server.unchanged();
    server.put_secret(PLACE, "Y", "y-1234");
    server.variable(PLACE, "REGION", "eu");
    let second = Everything::of(&forge).await;
    assert!(server.unchanged() - before > 10, "{} answers still held", server.unchanged() - before);
    assert_eq!(first.copies.len() + 2, second.copies.len());
    second.copy("forge/acme/shop/actions/secrets/X");
    second.copy("forge/acme/shop/actions/secrets/Y");
    assert_eq!(first.ends.len(), second.ends.len(), "{:?}", second.ends);
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_throttled_has_no_effect() {
    let server = require_lab!(Github::start());
    let token = shop(&server);
    server.put_secret(PLACE, "X", "before-1234");
    let forge = backend(config(&server, &token));
    let secret = at("forge/acme/shop/actions/secrets/X");
    let before = forge.marked(&secret).await.expect("an answer").expect("it is there");
    server.refuse("PUT", "secrets/X", (403, "secondary rate limit"), &[("retry-after", "5")]);
    let error = forge
        .post(&operation("limited"), &secret, &value("after-1234"), &Expect::Version(before.version))
        .await;
    let error = error.expect_err("a refusal");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::RateLimited, Effect::NotApplied));
    assert_eq!(server.secret(PLACE, "X").as_deref(), Some("before-1234"));
    as_described(&server);
}

/// A clock that is wrong by this much.
#[derive(Debug)]
struct Off(TimeDelta);

impl Clock for Off {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        SystemClock.now() + self.0
    }
}

fn as_app(server: &Github, key: &KeyPair, clock: Arc<dyn Clock>) -> GithubBackend {
    let app = App { id: "Iv23".to_owned(), key: value(&key.serialize_pem()), installation: None };
    let config = GithubConfig { token: None, app: Some(app), ..config(server, "") };
    GithubBackend::new("forge", config, clock, Arc::new(OsRandom)).expect("a usable configuration")
}

fn tokens_made(server: &Github) -> usize {
    server.requests().iter().filter(|one| one.starts_with("POST /app/installations/")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_works_as_its_installation_and_renews_its_token_before_it_ends() {
    let server = require_lab!(Github::start());
    shop(&server);
    server.variable(PLACE, "REGION", "eu");
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    let rights = [("secrets", "read"), ("actions_variables", "read"), ("contents", "read")];
    // Three seconds more than the time before its end at which it is renewed.
    server.app("Iv23", &key.public_key_pem(), "acme", &rights, 303);
    let forge = as_app(&server, &key, Arc::new(SystemClock));
    let variable = at("forge/acme/shop/actions/variables/REGION");
    for _ in 0..3 {
        assert!(forge.read(&variable).await.expect("an answer").is_some());
    }
    assert_eq!(tokens_made(&server), 1, "one token does for all");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(forge.read(&variable).await.expect("an answer").is_some());
    assert_eq!(tokens_made(&server), 2, "it is renewed while it still works");

    // What it was not given is said to be unread, and the rest is read.
    let seen = Everything::of(&forge).await;
    assert_eq!(seen.end("acme/shop", "secrets"), ScopeStatus::Complete);
    assert_eq!(seen.end("acme/shop", "deploy-keys"), ScopeStatus::Denied);
    assert_eq!(seen.end("orgs/acme", "tokens"), ScopeStatus::Denied);
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_by_hours_does_not_matter() {
    let server = require_lab!(Github::start());
    shop(&server);
    server.variable(PLACE, "REGION", "eu");
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    server.app("Iv23", &key.public_key_pem(), "acme", &[("actions_variables", "read")], 3600);
    let variable = at("forge/acme/shop/actions/variables/REGION");
    for hours in [-2, 3] {
        let forge = as_app(&server, &key, Arc::new(Off(TimeDelta::hours(hours))));
        assert!(forge.read(&variable).await.expect("an answer").is_some(), "{hours} h");
    }
    let other = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    let error =
        as_app(&server, &other, Arc::new(SystemClock)).read(&variable).await.err().expect("a refusal");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_credentials_is_refused_before_anything_is_sent() {
    let server = require_lab!(Github::start());
    let key = value("no key");
    let app = App { id: "1".to_owned(), key, installation: None };
    for config in [
        GithubConfig { app: Some(app), token: None, ..config(&server, "") },
        GithubConfig { token: None, ..config(&server, "") },
        GithubConfig { url: "ftp://x".to_owned(), ..config(&server, "x") },
    ] {
        let built = GithubBackend::new("forge", config, Arc::new(SystemClock), Arc::new(OsRandom));
        assert_eq!(built.err().expect("a refusal").kind(), ErrorKind::Config);
    }
    assert!(server.requests().is_empty());
}
