//! Tokens: looked up, tried, and ended by their value.

use claviger_backend::{ErrorKind, Issuer as _, Presence, Verdict};
use claviger_backend_forge::Application;
use claviger_tests::require_lab;
use serde_json::json;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_ended_everywhere_by_its_value_and_refused_after() {
    let server = require_lab!(Github::start());
    server.organisation("acme", true);
    let owner = server.token("root", &["acme"], ALL);
    let classic = server.token("dana", &["acme"], ALL);
    let fine = server.token_like("github_pat_", 82, "dana", &["acme"], ALL);
    let other = server.token("dana", &["acme"], ALL);
    let id = server.authorize("acme", "dana", &classic, &["repo"]);
    server.authorize("acme", "dana", &other, &["repo"]);
    let grant = server.grant("acme", "dana", &fine, &json!({"repository": {"contents": "write"}}));
    let forge = backend(config(&server, &owner));
    let by_last_eight = at(&format!("forge/orgs/acme/credential-authorizations/{id}"));
    let found = forge.identify(&value(&classic)).await.expect("an answer").map(|found| found.at);
    assert_eq!(found, Some(by_last_eight.clone()));
    assert_eq!(
        forge.identify(&value(&fine)).await.expect("an answer"),
        None,
        "nothing of its value is shown"
    );
    let probe = forge.verify(&by_last_eight, &value(&other)).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Inconclusive(why) if why.contains("another token")),
        "{probe:?}"
    );

    let control = forge.verify(&by_last_eight, &value(&classic)).await.expect("a probe");
    assert_eq!(control.verdict, Verdict::Accepted);
    let Presence::Present(token) = forge.presence(&by_last_eight).await.expect("an answer") else {
        panic!("absent")
    };
    forge
        .revoke_held(&operation("classic"), &by_last_eight, &value(&classic), Some(&token))
        .await
        .expect("an end");
    assert!(!server.lets_in(&classic) && server.lets_in(&fine) && server.lets_in(&other));
    let probe = forge.verify(&by_last_eight, &value(&classic)).await.expect("a probe");
    assert!(matches!(&probe.verdict, Verdict::Refused(why) if why.contains("401")), "{probe:?}");
    assert_eq!(probe.path, control.path);
    assert_eq!(forge.presence(&by_last_eight).await.expect("an answer"), Presence::Absent);

    // Fine-grained ones are listed to Apps alone; by the value they end all the same.
    let listed = at(&format!("forge/orgs/acme/personal-access-tokens/{grant}"));
    let denied = forge.presence(&listed).await.expect_err("no App");
    assert_eq!(denied.kind(), ErrorKind::Denied);
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_value_it_is_shut_out_and_lives_on() {
    let server = require_lab!(Github::start());
    server.organisation("acme", true);
    let owner = server.token("root", &["acme"], ALL);
    let classic = server.token("dana", &["acme"], ALL);
    let id = server.authorize("acme", "dana", &classic, &["repo"]);
    let forge = backend(config(&server, &owner));
    let token = at(&format!("forge/orgs/acme/credential-authorizations/{id}"));
    forge.revoke(&operation("out"), &token, None).await.expect("an end");
    assert_eq!(forge.presence(&token).await.expect("an answer"), Presence::Absent);
    // The proof would say so: a login still succeeds.
    assert_eq!(forge.verify(&token, &value(&classic)).await.expect("a probe").verdict, Verdict::Accepted);
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applications_token_is_ended_with_its_secret() {
    let server = require_lab!(Github::start());
    server.organisation("acme", true);
    server.application("Iv1", "app-secret");
    let owner = server.token("root", &["acme"], ALL);
    let of_app = server.token_like("gho_", 36, "dana", &["acme"], ALL);
    let id = server.authorize("acme", "dana", &of_app, &["repo"]);
    let application = Some(Application { client: "Iv1".to_owned(), secret: value("app-secret") });
    let forge = backend(GithubConfig { application, ..config(&server, &owner) });
    let token = at(&format!("forge/orgs/acme/credential-authorizations/{id}"));
    forge.revoke_held(&operation("app"), &token, &value(&of_app), None).await.expect("an end");
    assert!(!server.lets_in(&of_app));
    assert!(server.requests().contains(&"DELETE /applications/Iv1/token".to_owned()));
    assert!(
        !server.requests().contains(&"POST /credentials/revoke".to_owned()),
        "nobody has to be told of it"
    );
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_everybody_refuses_nobody() {
    let server = require_lab!(Github::start());
    server.organisation("acme", true);
    let owner = server.token("root", &["acme"], ALL);
    let token = at("forge/orgs/acme/credential-authorizations/1");
    let forge = backend(config(&server, &owner));
    // The token's 401, then our own.
    for _ in 0..2 {
        server.refuse("GET", "user", (401, "Bad credentials"), &[]);
    }
    let probe = forge.verify(&token, &value("ghp_x")).await.expect("a probe");
    assert!(matches!(probe.verdict, Verdict::Inconclusive(_)), "{probe:?}");
    // Too many requests and a policy are no word about the token.
    server.refuse("GET", "user", (403, "secondary rate limit"), &[("retry-after", "9")]);
    let limited = forge.verify(&token, &value("ghp_x")).await.expect_err("a limit");
    assert_eq!(limited.kind(), ErrorKind::RateLimited);
    server.refuse("GET", "user", (403, "Resource protected by organization SAML enforcement"), &[]);
    let probe = forge.verify(&token, &value(&owner)).await.expect("a probe");
    assert!(matches!(probe.verdict, Verdict::Inconclusive(_)), "{probe:?}");
    as_described(&server);
}
