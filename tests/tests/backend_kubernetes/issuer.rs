//! The API server as the issuer of token Secrets.

use claviger_backend::{ErrorKind, Issuer as _, Presence, Verdict};
use claviger_tests::{lab::daemon::eventually, require_lab};

use super::*;

/// Waits until the token controller has filled a token Secret; gives the token.
pub(super) async fn filled(cluster: &Kubernetes, ns: &str, name: &str) -> String {
    let path = format!("/api/v1/namespaces/{ns}/secrets/{name}");
    eventually(&format!("{name} to be filled"), || async {
        let answer = cluster.request(reqwest::Method::GET, &path, None).await.ok()?;
        let token = STANDARD.decode(answer.body["data"]["token"].as_str()?).ok()?;
        String::from_utf8(token).ok()
    })
    .await
    .expect("a token")
}

async fn token_of(cluster: &Kubernetes, ns: &str) -> String {
    namespace(cluster, ns, json!({}));
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": ns}});
    cluster.create(&[account, token_secret(ns)]).expect("an account and its token");
    filled(cluster, ns, "robot-token").await
}

fn token_secret(ns: &str) -> Value {
    let mut token = secret(ns, "robot-token", "kubernetes.io/service-account-token", &[]);
    token["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "robot"});
    token
}

#[tokio::test]
async fn a_deleted_token_is_refused_when_the_cache_has_run_out() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let token = token_of(cluster, "issuer-revoke").await;
    let backend = admin(cluster, &[]).await;
    let subject = at("prod/issuer-revoke/Secret/robot-token");

    let probe = backend.verify(&subject, &value(&format!("{token}\n"))).await.expect("a probe");
    assert_eq!(probe.verdict, Verdict::Accepted, "{}", probe.path);
    assert!(probe.path.contains(cluster.url()) && !probe.path.contains(&token));
    let identified = backend.identify(&value(&token)).await.expect("an answer").expect("one of ours");
    assert_eq!(identified.at, subject);
    let Presence::Present(uid) = backend.presence(&subject).await.expect("an answer") else {
        panic!("it is there")
    };

    let stale = backend
        .revoke(&operation(1), &subject, Some("another-uid"))
        .await
        .expect_err("another Secret was meant");
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    assert!(matches!(backend.presence(&subject).await, Ok(Presence::Present(_))), "nothing was deleted");

    backend.revoke(&operation(1), &subject, Some(&uid)).await.expect("revoked");
    assert_eq!(backend.presence(&subject).await.expect("an answer"), Presence::Absent);
    backend.revoke(&operation(1), &subject, Some(&uid)).await.expect("revoking again is fine");
    tokio::time::sleep(Duration::from_secs(backend.capability().revoke_cache_seconds.into())).await;
    let probe = backend.verify(&subject, &value(&token)).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Refused(evidence) if evidence.contains("401") && !evidence.contains(&token)),
        "{:?}",
        probe.verdict
    );
    assert!(backend.identify(&value(&token)).await.expect("an answer").is_none(), "its Secret is gone");

    // The name brings the same token back: what design.md calls the fact that costs dearly.
    cluster.create(&[token_secret("issuer-revoke")]).expect("re-created");
    assert_eq!(filled(cluster, "issuer-revoke", "robot-token").await, token);
    let probe = backend.verify(&subject, &value(&token)).await.expect("a probe");
    assert_eq!(probe.verdict, Verdict::Accepted);
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_neither_deleted_nor_recognised() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let token = token_of(cluster, "issuer-other").await;
    cluster.create(&[secret("issuer-other", "db", "Opaque", &[("password", b"x")])]).expect("a Secret");
    let backend = admin(cluster, &[]).await;

    let error = backend
        .revoke(&operation(2), &at("prod/issuer-other/Secret/db"), None)
        .await
        .expect_err("not a token");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(matches!(backend.presence(&at("prod/issuer-other/Secret/db")).await, Ok(Presence::Present(_))));
    for (text, kind) in
        [("prod/issuer-other/ServiceAccount/robot", ErrorKind::Unsupported), ("prod/x", ErrorKind::Invalid)]
    {
        assert_eq!(backend.revoke(&operation(2), &at(text), None).await.expect_err("refused").kind(), kind);
    }

    let subject = at("prod/issuer-other/Secret/robot-token");
    // The right claims and a wrong signature: not the value that the Secret holds.
    let forged = format!("{}.AAAA", token.rsplit_once('.').expect("a JWT").0);
    assert!(backend.identify(&value(&forged)).await.expect("an answer").is_none());
    let bound = cluster.service_account_token("issuer-other", "robot", 600).await.expect("a bound token");
    for (text, name) in [(forged.as_str(), "forged"), ("no-token-at-all", "plain")] {
        let probe = backend.verify(&subject, &value(text)).await.expect("a probe");
        assert!(matches!(probe.verdict, Verdict::Refused(_)), "{name}: {:?}", probe.verdict);
        assert!(backend.identify(&value(text)).await.expect("an answer").is_none());
    }
    assert!(backend.identify(&value(&bound)).await.expect("an answer").is_none());
    // What no header can carry is not refused: nobody was asked.
    for odd in [SecretValue::new(vec![0xff, 0xfe]), value("a\r\nb"), value("")] {
        let probe = backend.verify(&subject, &odd).await.expect("a probe");
        assert!(matches!(probe.verdict, Verdict::Inconclusive(_)), "{:?}", probe.verdict);
    }
    // The label quarantines a token: an account that may do nothing is accepted all the same, a suspended one is not.
    let probe = backend.verify(&subject, &value(&token)).await.expect("a probe");
    assert_eq!(probe.verdict, Verdict::Accepted);
    let last_used = backend.last_used(&subject).await.expect("an answer");
    assert!(last_used.is_some_and(|at| at.timestamp() % 86_400 == 0), "{last_used:?}");
}
