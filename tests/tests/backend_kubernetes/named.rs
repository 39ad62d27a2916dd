//! Token Secrets that are made under an operation's name.

use claviger_backend::{Effect, ErrorKind, Issuer as _, Verdict};
use claviger_tests::require_lab;

use super::*;

const LEGACY: &str = "kubernetes.io/service-account-token";

fn token(ns: &str, name: &str) -> Value {
    let mut token = secret(ns, name, LEGACY, &[]);
    token["metadata"]["annotations"] = json!({
        "kubernetes.io/service-account.name": "robot", "owner": "dana",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    });
    token["metadata"]["labels"] = json!({"team": "ci", "kubernetes.io/legacy-token-last-used": "2020-01-01"});
    token
}

async fn planted(cluster: &Kubernetes, ns: &str) -> String {
    namespace(cluster, ns, json!({}));
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": ns}});
    cluster.create(&[account, token(ns, "robot-token")]).expect("an account and its token");
    issuer::filled(cluster, ns, "robot-token").await
}

async fn object(cluster: &Kubernetes, ns: &str, name: &str) -> Value {
    let path = format!("/api/v1/namespaces/{ns}/secrets/{name}");
    cluster.request(reqwest::Method::GET, &path, None).await.expect("an answer").body
}

fn name(at: &Ref) -> &str {
    at.as_str().rsplit('/').next().unwrap_or_default()
}

#[tokio::test]
async fn a_second_token_has_what_people_wrote_on_the_first() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "named-issue";
    let old = planted(cluster, ns).await;
    let backend = admin(cluster, &[]).await;
    let subject = at(&format!("prod/{ns}/Secret/robot-token"));

    let issued = backend.issue(&operation(60), &subject, None).await.expect("another token");
    let new = issued.minted.as_ref().and_then(SecretValue::expose_text).expect("its value").to_owned();
    assert!(new != old && name(&issued.at).starts_with("robot-token-"), "{}", issued.at);
    assert_eq!(issued.public_half.as_deref(), Some(name(&issued.at)));
    let made = object(cluster, ns, name(&issued.at)).await;
    assert_eq!(made["metadata"]["labels"]["team"], "ci");
    let annotations = &made["metadata"]["annotations"];
    assert_eq!(annotations["owner"], "dana");
    assert_eq!(annotations["kubernetes.io/service-account.name"], "robot");
    assert_eq!(annotations["claviger.dev/issued-for"], operation(60).key.to_string());
    assert_eq!(annotations["claviger.dev/follows"], "robot-token");
    assert!(annotations["kubectl.kubernetes.io/last-applied-configuration"].is_null(), "{annotations}");
    let label = &made["metadata"]["labels"]["kubernetes.io/legacy-token-last-used"];
    assert!(label != "2020-01-01", "the old one's use is copied: {label}");

    let listed = backend.siblings(&subject).await.expect("a list");
    let mut names: Vec<_> =
        listed.iter().map(|sibling| (name(&sibling.at).to_owned(), sibling.active)).collect();
    names.sort();
    assert_eq!(names, [("robot-token".to_owned(), true), (name(&issued.at).to_owned(), true)]);

    // A name that does not grow, for whoever follows the follower.
    let third = backend.issue(&operation(61), &issued.at, None).await.expect("a third one");
    assert_eq!(name(&third.at).len(), name(&issued.at).len());
    assert!(third.at != issued.at);
}

#[tokio::test]
async fn what_has_the_name_and_is_not_ours_stays() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "named-clash";
    planted(cluster, ns).await;
    let backend = admin(cluster, &[]).await;
    let subject = at(&format!("prod/{ns}/Secret/robot-token"));
    let issued = backend.issue(&operation(62), &subject, None).await.expect("another token");
    backend.revoke(&operation(63), &issued.at, None).await.expect("taken away");
    cluster.create(&[secret(ns, name(&issued.at), "Opaque", &[("k", b"v")])]).expect("somebody else's");

    let error = backend.issue(&operation(62), &subject, None).await.err().expect("the name is taken");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::NotApplied), "{error:?}");
    assert!(backend.issued(&operation(62), &subject).await.expect("an answer").is_none());
    assert_eq!(object(cluster, ns, name(&issued.at)).await["type"], "Opaque");
}

#[tokio::test]
async fn no_second_token_of_what_is_none_or_belongs_to_another_system() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "named-refused";
    planted(cluster, ns).await;
    let mut helm = token(ns, "helm-token");
    helm["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm".into();
    cluster.create(&[helm, secret(ns, "db", "Opaque", &[("k", b"v")])]).expect("Secrets");
    let backend = admin(cluster, &[]).await;
    let subject = |name: &str| at(&format!("prod/{ns}/Secret/{name}"));
    for (name, kind, says) in [
        ("helm-token", ErrorKind::Invalid, "managed by helm"),
        ("db", ErrorKind::Invalid, "of type Opaque"),
        ("nothing", ErrorKind::NotFound, "nothing"),
    ] {
        let error = backend.issue(&operation(64), &subject(name), None).await.err().expect(name);
        assert!(error.kind() == kind && error.message().contains(says), "{name}: {error:?}");
        assert_eq!(error.effect(), Effect::NotApplied, "{name}");
    }
    assert!(backend.offer(&at("prod/kube-system/Secret/bootstrap-token-abcdef")).is_none());
    assert!(backend.offer(&at(&format!("prod/{ns}/Secret/robot-token#token"))).is_none());
    assert!(backend.offer(&subject("robot-token")).is_some());
}

/// The label that the cluster's own cleaner sets: refused after the cache, and accepted again as soon as it is off.
#[tokio::test]
async fn a_suspended_token_comes_back_with_its_label_taken_off() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "named-suspended";
    let token = planted(cluster, ns).await;
    let backend = admin(cluster, &[]).await;
    let subject = at(&format!("prod/{ns}/Secret/robot-token"));
    let verdict = async || backend.verify(&subject, &value(&token)).await.expect("a probe").verdict;
    assert_eq!(verdict().await, Verdict::Accepted);

    backend.disable(&operation(65), &subject).await.expect("suspended");
    assert!(!backend.siblings(&subject).await.expect("a list")[0].active);
    tokio::time::sleep(Duration::from_secs(backend.capability().revoke_cache_seconds.into())).await;
    assert!(matches!(verdict().await, Verdict::Refused(_)));
    let label = "kubernetes.io/legacy-token-invalid-since";
    let day = object(cluster, ns, "robot-token").await["metadata"]["labels"][label].clone();
    assert_eq!(day.as_str().map(str::len), Some("2026-01-01".len()), "{day}");

    backend.enable(&operation(66), &subject).await.expect("enabled");
    assert_eq!(verdict().await, Verdict::Accepted);
    assert!(object(cluster, ns, "robot-token").await["metadata"]["labels"][label].is_null());
}
