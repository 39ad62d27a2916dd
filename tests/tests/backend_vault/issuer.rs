//! Tokens and secret-ids: whose, accepted, revoked, refused.

use claviger_backend::{Backend, ErrorKind, Issuer, Overlap, Presence, ValueForm, Verdict};
use claviger_tests::{lab::openbao::OpenBao, require_lab};
use reqwest::Method;
use serde_json::json;

use super::{VaultBackend, at, backend, config, operation, root, token_with, value};

const RULES: &str = r#"path "secret/data/x" { capabilities = ["read"] }"#;

fn issuer(backend: &VaultBackend) -> &dyn Issuer {
    backend.issuer().expect("an issuer")
}

#[tokio::test]
async fn a_token_is_recognised_tried_revoked_and_refused() {
    let server = require_lab!(OpenBao::shared().await);
    let (token, accessor) = token_with(server, "leaked", RULES, json!({})).await;
    let backend = root(server, &[]);
    let issuer = issuer(&backend);
    let subject = at(&format!("vault/auth/token/accessor/{accessor}"));
    assert_eq!(
        issuer.identify(&value(&token)).await.expect("an answer").map(|found| found.at),
        Some(subject.clone())
    );
    assert_eq!(issuer.verify(&subject, &value(&token)).await.expect("a probe").verdict, Verdict::Accepted);
    let Presence::Present(before) = issuer.presence(&subject).await.expect("an answer") else {
        panic!("it is there")
    };

    let refused =
        issuer.revoke(&operation("revoke"), &subject, Some("another")).await.expect_err("another token");
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(
        issuer.verify(&subject, &value(&token)).await.expect("a probe").verdict,
        Verdict::Accepted,
        "nothing was revoked"
    );

    issuer.revoke(&operation("revoke"), &subject, Some(&before)).await.expect("revoked");
    let probe = issuer.verify(&subject, &value(&token)).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Refused(evidence) if evidence.contains("403")),
        "{:?}",
        probe.verdict
    );
    assert!(probe.path.contains("/v1/auth/token/lookup-self"));
    assert_eq!(issuer.presence(&subject).await.expect("an answer"), Presence::Absent);
    issuer.revoke(&operation("revoke"), &subject, Some(&before)).await.expect("a repeat succeeds");
    assert!(issuer.identify(&value(&token)).await.expect("an answer").is_none());
}

#[tokio::test]
async fn a_token_that_may_not_look_itself_up_is_not_called_refused() {
    let server = require_lab!(OpenBao::shared().await);
    let more = json!({ "no_default_policy": true });
    let (token, accessor) = token_with(server, "mute", RULES, more).await;
    let backend = root(server, &[]);
    let subject = at(&format!("vault/auth/token/accessor/{accessor}"));
    let probe = issuer(&backend).verify(&subject, &value(&token)).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Inconclusive(why) if why.contains("knows the token")),
        "{:?}",
        probe.verdict
    );
}

#[tokio::test]
async fn a_token_with_limited_uses_is_never_spent() {
    let server = require_lab!(OpenBao::shared().await);
    let (token, accessor) = token_with(server, "once", RULES, json!({ "num_uses": 2 })).await;
    let backend = root(server, &[]);
    let subject = at(&format!("vault/auth/token/accessor/{accessor}"));
    for _ in 0..3 {
        let probe = issuer(&backend).verify(&subject, &value(&token)).await.expect("a probe");
        assert!(
            matches!(&probe.verdict, Verdict::Inconclusive(why) if why.contains("uses")),
            "{:?}",
            probe.verdict
        );
        issuer(&backend).identify(&value(&token)).await.expect("an answer");
    }
    let left =
        server.write("auth/token/lookup-accessor", &json!({ "accessor": accessor })).await.expect("a token");
    assert_eq!(left["data"]["num_uses"], 2);
}

#[tokio::test]
async fn another_token_is_not_taken_for_the_subject() {
    let server = require_lab!(OpenBao::shared().await);
    let (_, accessor) = token_with(server, "pair", RULES, json!({})).await;
    let (other, _) = token_with(server, "pair", RULES, json!({})).await;
    let backend = root(server, &[]);
    let probe = issuer(&backend)
        .verify(&at(&format!("vault/auth/token/accessor/{accessor}")), &value(&other))
        .await
        .expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Inconclusive(why) if why.contains("another token")),
        "{:?}",
        probe.verdict
    );
}

#[tokio::test]
async fn our_own_token_is_not_revoked() {
    let server = require_lab!(OpenBao::shared().await);
    let (token, accessor) = token_with(
        server,
        "self-made",
        "path \"*\" { capabilities = [\"sudo\", \"read\", \"update\", \"list\"] }",
        json!({}),
    )
    .await;
    let backend = backend(config(server.address(), &token));
    let subject = at(&format!("vault/auth/token/accessor/{accessor}"));
    let refused = issuer(&backend).revoke(&operation("revoke"), &subject, None).await.expect_err("our own");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let alive =
        server.request_as(&token, Method::GET, "auth/token/lookup-self", None).await.expect("an answer");
    assert_eq!(alive.status, 200);
}

#[tokio::test]
async fn a_secret_id_is_recognised_tried_destroyed_and_refused() {
    let server = require_lab!(OpenBao::shared().await);
    server.write("sys/auth/deploy/approle", &json!({ "type": "approle" })).await.expect("a mount");
    let mount = "auth/deploy/approle";
    for role in ["web", "job"] {
        server
            .write(&format!("{mount}/role/{role}"), &json!({ "token_policies": "default" }))
            .await
            .expect("a role");
    }
    let made = server.write(&format!("{mount}/role/job/secret-id"), &json!({})).await.expect("a secret-id");
    let text = |key: &str| made["data"][key].as_str().expect("a text").to_owned();
    let (secret_id, accessor) = (text("secret_id"), text("secret_id_accessor"));
    let backend = root(server, &[]);
    let issuer = issuer(&backend);
    let subject = at(&format!("vault/{mount}/role/job/secret-id/{accessor}"));
    assert_eq!(
        issuer.identify(&value(&secret_id)).await.expect("an answer").map(|found| found.at),
        Some(subject.clone())
    );
    assert!(
        issuer.identify(&value("82eb7f8a-5ab8-cd3a-91df-d14e46ba2b71")).await.expect("an answer").is_none()
    );

    let tokens = async || {
        let listed = server
            .request(Method::GET, "sys/leases/lookup/auth/deploy/approle/login?list=true", None)
            .await
            .expect("an answer");
        listed.body["data"]["keys"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(
        issuer.verify(&subject, &value(&secret_id)).await.expect("a probe").verdict,
        Verdict::Accepted
    );
    assert_eq!(tokens().await, 0, "the token of the trial login is revoked");

    let limited = server
        .write(&format!("{mount}/role/web/secret-id"), &json!({ "num_uses": 1 }))
        .await
        .expect("a secret-id");
    let of = |key: &str| limited["data"][key].as_str().expect("a text").to_owned();
    let limited_at = at(&format!("vault/{mount}/role/web/secret-id/{}", of("secret_id_accessor")));
    let probe = issuer.verify(&limited_at, &value(&of("secret_id"))).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Inconclusive(why) if why.contains("uses")),
        "{:?}",
        probe.verdict
    );
    assert!(
        matches!(issuer.presence(&limited_at).await.expect("an answer"), Presence::Present(_)),
        "it was not spent"
    );

    issuer.revoke(&operation("revoke"), &subject, None).await.expect("destroyed");
    let probe = issuer.verify(&subject, &value(&secret_id)).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Refused(evidence) if evidence.contains("400")),
        "{:?}",
        probe.verdict
    );
    assert_eq!(issuer.presence(&subject).await.expect("an answer"), Presence::Absent);
    issuer.revoke(&operation("revoke"), &subject, None).await.expect("a repeat succeeds");
    let gone_role = at(&format!("vault/{mount}/role/none/secret-id/{accessor}"));
    issuer.revoke(&operation("revoke"), &gone_role, None).await.expect("an absent one too");
}

#[tokio::test]
async fn a_sealed_server_proves_nothing() {
    let server = require_lab!(OpenBao::start().await);
    let (token, accessor) = token_with(&server, "sealed", RULES, json!({})).await;
    let backend = root(&server, &[]);
    let subject = at(&format!("vault/auth/token/accessor/{accessor}"));
    assert_eq!(
        issuer(&backend).verify(&subject, &value(&token)).await.expect("a probe").verdict,
        Verdict::Accepted
    );
    server.request(Method::PUT, "sys/seal", None).await.expect("an answer").good("seal").expect("sealed");
    let probe = issuer(&backend).verify(&subject, &value(&token)).await.expect("a probe");
    assert!(matches!(&probe.verdict, Verdict::Inconclusive(_)), "{:?}", probe.verdict);
    let error = issuer(&backend).presence(&subject).await.expect_err("sealed");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("sealed"), "{error}");
    let error = issuer(&backend).revoke(&operation("revoke"), &subject, None).await.expect_err("sealed");
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Unavailable, claviger_backend::Effect::NotApplied)
    );
}

#[tokio::test]
async fn without_a_control_a_refusal_proves_nothing() {
    let server = require_lab!(OpenBao::shared().await);
    let (leaked, accessor) = token_with(server, "leaked-twice", RULES, json!({})).await;
    let (own, own_accessor) =
        token_with(server, "prober", "path \"auth/token/*\" { capabilities = [\"update\"] }", json!({}))
            .await;
    let backend = backend(config(server.address(), &own));
    let subject = at(&format!("vault/auth/token/accessor/{accessor}"));
    for dead in [&accessor, &own_accessor] {
        server.write("auth/token/revoke-accessor", &json!({ "accessor": dead })).await.expect("revoked");
    }
    let probe = issuer(&backend).verify(&subject, &value(&leaked)).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Inconclusive(why) if why.contains("our own token")),
        "{:?}",
        probe.verdict
    );
}

#[tokio::test]
async fn a_secret_id_is_followed_by_one_that_may_do_the_same() {
    let server = require_lab!(OpenBao::shared().await);
    server.write("sys/auth/roles-followed", &json!({ "type": "approle" })).await.expect("a mount");
    server
        .write("auth/roles-followed/role/web", &json!({ "token_policies": "default" }))
        .await
        .expect("a role");
    let limits = json!({ "metadata": "{\"owner\":\"dana\"}", "cidr_list": ["127.0.0.0/8"], "ttl": "2h" });
    let made = server.write("auth/roles-followed/role/web/secret-id", &limits).await.expect("a secret-id");
    let first = made["data"]["secret_id_accessor"].as_str().expect("an accessor");
    let backend = root(server, &["auth/roles-followed"]);
    let issuer = issuer(&backend);
    let subject = at(&format!("vault/auth/roles-followed/role/web/secret-id/{first}"));
    assert_eq!(
        issuer.offer(&subject).map(|offer| (offer.overlap, offer.form)),
        Some((Overlap::Dual, ValueForm::Uuid))
    );
    assert_eq!(issuer.offer(&at("vault/secret/app")), None);

    let new = value("5b1d2f9c-0a53-4d0f-9d7c-2f6a3f0d1c11");
    let issued = issuer.issue(&operation("issue"), &subject, Some(&new)).await.expect("issued");
    assert_ne!(issued.at, subject);
    assert!(issued.minted.is_none(), "the value is ours");
    let again = issuer.issue(&operation("issue"), &subject, Some(&new)).await.expect("a repeat succeeds");
    assert_eq!(again.at, issued.at);
    let identified = issuer.identify(&new).await.expect("an answer").map(|found| found.at);
    assert_eq!(identified, Some(issued.at.clone()));
    assert_eq!(issuer.verify(&issued.at, &new).await.expect("a probe").verdict, Verdict::Accepted);

    let look = async |accessor: &str| {
        let body = json!({ "secret_id_accessor": accessor });
        server
            .write("auth/roles-followed/role/web/secret-id-accessor/lookup", &body)
            .await
            .expect("an answer")["data"]
            .clone()
    };
    let accessor = issued.at.as_str().rsplit('/').next().expect("an accessor").to_owned();
    let (before, after) = (look(first).await, look(&accessor).await);
    // The mark is what tells the tokens that it will give from those of the one before.
    assert_eq!(after["metadata"]["owner"], before["metadata"]["owner"]);
    assert_eq!(after["metadata"]["claviger-operation"], operation("issue").key.to_string());
    for field in ["cidr_list", "token_bound_cidrs", "secret_id_ttl", "secret_id_num_uses"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    let gone = at("vault/auth/roles-followed/role/web/secret-id/11111111-2222-3333-4444-555555555555");
    let other = value("7b1d2f9c-0a53-4d0f-9d7c-2f6a3f0d1c12");
    let refused = issuer.issue(&operation("issue"), &gone, Some(&other)).await.err().expect("absent");
    assert_eq!(refused.kind(), ErrorKind::NotFound);
}
