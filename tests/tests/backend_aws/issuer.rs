//! Trying keys and revoking them.

use claviger_backend::{Effect, ErrorKind, Presence, ValueOrigin, Verdict};
use claviger_tests::require_lab;

use super::*;

fn key(user: &str, id: &str) -> Ref {
    at(&format!("iam/user/{user}/access-key/{id}"))
}

#[tokio::test]
async fn only_a_refused_key_is_called_refused() {
    let server = require_lab!(Ministack::shared().await);
    let (id, secret) = user_with(server, "prober", &allow(&["s3:GetObject"], "*"));
    let backend = root(server);
    let verdict = async |id: &str, secret: &str| {
        issuer(&backend).verify(&key("prober", id), &value(secret)).await.expect("a probe").verdict
    };
    assert_eq!(verdict(&id, &secret).await, Verdict::Accepted, "no permission is needed");
    let refused = |verdict: Verdict, word: &str| match verdict {
        Verdict::Refused(text) => assert!(text.contains(word), "{text}"),
        other => panic!("{other:?} instead of refused with {word}"),
    };
    refused(verdict(&id, &"x".repeat(40)).await, "SignatureDoesNotMatch");
    refused(verdict("AKIAAAAAAAAAAAAAAAAA", &secret).await, "InvalidClientTokenId");
    assert!(matches!(verdict(&id, "").await, Verdict::Inconclusive(_)));
    let probe = issuer(&backend).verify(&key("prober", &id), &value(&secret)).await.expect("a probe");
    assert!(probe.path.contains(server.endpoint()) && !probe.path.contains(&secret));

    seed(
        server,
        &[(
            "iam",
            "update_access_key",
            json!({"UserName": "prober", "AccessKeyId": id, "Status": "Inactive"}),
        )],
    );
    refused(verdict(&id, &secret).await, "InvalidClientTokenId");
    let away = AwsConfig {
        region: Some(REGION.to_owned()),
        endpoint: Some("http://127.0.0.1:9".to_owned()),
        access_key_id: Some(value("test")),
        secret_access_key: Some(value("test")),
        ..AwsConfig::default()
    };
    let away = AwsBackend::new("aws", away, Arc::new(SystemClock)).expect("a backend");
    let probe = issuer(&away).verify(&key("prober", &id), &value(&secret)).await.expect("a probe");
    assert!(matches!(probe.verdict, Verdict::Inconclusive(_)), "{:?}", probe.verdict);
}

#[tokio::test]
async fn a_revoked_key_is_gone_and_refused() {
    let server = require_lab!(Ministack::shared().await);
    let (id, secret) = user_with(server, "leaver", &allow(&["s3:GetObject"], "*"));
    let backend = root(server);
    let issuer = issuer(&backend);
    let subject = key("leaver", &id);
    let op = operation("revoke");
    let Presence::Present(token) = issuer.presence(&subject).await.expect("an answer") else {
        panic!("present")
    };
    assert!(token.starts_with("made:"));
    let stale = issuer.revoke(&op, &subject, Some("made:another")).await.expect_err("not as looked at");
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    assert_eq!(issuer.verify(&subject, &value(&secret)).await.expect("a probe").verdict, Verdict::Accepted);
    issuer.revoke(&op, &subject, Some(&token)).await.expect("revoked");
    assert_eq!(issuer.presence(&subject).await.expect("an answer"), Presence::Absent);
    assert!(matches!(
        issuer.verify(&subject, &value(&secret)).await.expect("a probe").verdict,
        Verdict::Refused(_)
    ));
    issuer.revoke(&op, &subject, Some(&token)).await.expect("a repeat finds nothing to do");
    issuer.revoke(&op, &key("nobody", "AKIAAAAAAAAAAAAAAAAA"), None).await.expect("no user, no key");
    assert_eq!(issuer.last_used(&subject).await.ok().flatten(), None);
}

#[tokio::test]
async fn our_own_key_is_not_revoked() {
    let server = require_lab!(Ministack::shared().await);
    let (id, secret) = user_with(server, "itself", &allow(&["iam:*"], "*"));
    let backend = backend_with(server, &id, &secret);
    let error =
        issuer(&backend).revoke(&operation("own"), &key("itself", &id), None).await.expect_err("refused");
    assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::Unsupported, true));
    assert!(backend.check().await.is_ok(), "it still works");
    let seen = scan(&backend).await.expect("a scan");
    assert_eq!(seen.credentials[&key("itself", &id).to_string()].attributes["own"], true);
}

#[tokio::test]
async fn a_minted_key_is_told_once_and_listed() {
    let server = require_lab!(Ministack::shared().await);
    let (id, secret) = user_with(server, "minter", &allow(&["s3:GetObject"], "*"));
    let backend = root(server);
    let issuer = issuer(&backend);
    let subject = key("minter", &id);
    let offer = issuer.offer(&subject).expect("an offer");
    assert_eq!((offer.origin, offer.slots, offer.settles_within), (ValueOrigin::Minted, Some(2), 0));
    assert!(issuer.offer(&at("iam/root/access-key/1")).is_none(), "the root's keys are not made by an API");
    let brought = issuer.issue(&operation("mint"), &subject, Some(&value("x"))).await.err().expect("refused");
    assert_eq!((brought.kind(), brought.effect()), (ErrorKind::Invalid, Effect::NotApplied));
    let nobody = issuer.issue(&operation("mint"), &key("nobody", &id), None).await.err().expect("no user");
    assert_eq!((nobody.kind(), nobody.effect()), (ErrorKind::NotFound, Effect::NotApplied));

    let issued = issuer.issue(&operation("mint"), &subject, None).await.expect("made");
    let (minted, half) = (issued.minted.expect("a secret"), issued.public_half.expect("an id"));
    assert_eq!(issued.at, key("minter", &half));
    assert_eq!(issuer.verify(&issued.at, &minted).await.expect("a probe").verdict, Verdict::Accepted);
    assert_eq!(issuer.verify(&subject, &value(&secret)).await.expect("a probe").verdict, Verdict::Accepted);
    let siblings = issuer.siblings(&subject).await.expect("a list");
    let mut ids: Vec<_> = siblings.iter().map(|sibling| sibling.public_half.clone()).collect();
    ids.sort();
    let mut expected = vec![id.clone(), half.clone()];
    expected.sort();
    assert_eq!(ids, expected);
    assert!(siblings.iter().all(|sibling| sibling.active && sibling.created_at.is_some()), "{siblings:?}");
    assert_eq!(issuer.siblings(&key("nobody", &id)).await.expect("no user, no keys"), []);

    // It stays the same key while it is suspended, so that a plan made before can still end it.
    let before = issuer.presence(&subject).await.expect("an answer");
    issuer.disable(&operation("off"), &subject).await.expect("suspended");
    assert_eq!(issuer.presence(&subject).await.expect("an answer"), before);
    let verdict = issuer.verify(&subject, &value(&secret)).await.expect("a probe").verdict;
    assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
    issuer.enable(&operation("on"), &subject).await.expect("enabled");
    assert_eq!(issuer.verify(&subject, &value(&secret)).await.expect("a probe").verdict, Verdict::Accepted);
    issuer.revoke(&operation("end"), &issued.at, None).await.expect("revoked");
}

#[tokio::test]
async fn our_own_key_is_not_suspended_and_a_missing_right_is_named() {
    let server = require_lab!(Ministack::shared().await);
    let (id, secret) = user_with(server, "suspender", &allow(&["iam:UpdateAccessKey"], "*"));
    let backend = backend_with(server, &id, &secret);
    let own = issuer(&backend).disable(&operation("own"), &key("suspender", &id)).await.expect_err("refused");
    assert_eq!((own.kind(), own.hint().is_some()), (ErrorKind::Unsupported, true));
    let denied = issuer(&backend).issue(&operation("mint"), &key("suspender", &id), None).await;
    let denied = denied.err().expect("not allowed");
    assert_eq!((denied.kind(), denied.effect()), (ErrorKind::Denied, Effect::NotApplied));
    assert!(denied.hint().is_some_and(|hint| hint.contains("iam:CreateAccessKey")), "{denied:?}");
}
