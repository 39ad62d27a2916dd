//! Secrets and ConfigMaps as stores.

use claviger_backend::{Effect, ErrorKind, Expect, Store as _, StoreState};
use claviger_tests::require_lab;

use super::*;

#[tokio::test]
async fn a_write_needs_the_version_it_was_planned_on() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "store-cas";
    namespace(cluster, ns, json!({}));
    cluster
        .create(&[secret(ns, "db", "Opaque", &[("password.txt", b"old"), ("user", b"app")])])
        .expect("a Secret");
    let backend = admin(cluster, &[]).await;
    let field = at("prod/store-cas/Secret/db#password.txt/inner/pointer");

    let stored = backend.read(&field).await.expect("an answer").expect("a value");
    assert_eq!((stored.value.expose_text(), stored.written_by.as_deref()), (Some("old"), None));
    assert_eq!(backend.writable(&field).await.expect("an answer"), StoreState::Writable);
    let version = Expect::Version(stored.version.clone());
    let written = backend.write(&operation(3), &field, &value("new"), &version).await.expect("written");
    assert_ne!(written, stored.version);

    // The same write again: somebody wrote in between, and it was ourselves.
    let conflict =
        backend.write(&operation(3), &field, &value("new"), &version).await.expect_err("an old version");
    assert_eq!((conflict.kind(), conflict.effect()), (ErrorKind::Conflict, Effect::NotApplied));
    let stored = backend.read(&field).await.expect("an answer").expect("a value");
    assert_eq!((stored.value.expose_text(), &stored.version), (Some("new"), &written));
    assert_eq!(stored.written_by, Some(operation(3).key.to_string()));
    let sibling =
        backend.read(&at("prod/store-cas/Secret/db#user")).await.expect("an answer").expect("a value");
    assert_eq!((sibling.value.expose_text(), sibling.written_by), (Some("app"), None));

    // Two who write at once on the same version: one wins.
    let version = Expect::Version(written);
    let (first, second) = (operation(4), operation(5));
    let (first_value, second_value) = (value("a"), value("b"));
    let (left, right) = tokio::join!(
        backend.write(&first, &field, &first_value, &version),
        backend.write(&second, &field, &second_value, &version)
    );
    assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
    let lost = left.and(right).expect_err("one of them");
    assert_eq!(lost.kind(), ErrorKind::Conflict);

    // A Secret that was re-created is another one, whatever its version says.
    let stored = backend.read(&field).await.expect("an answer").expect("a value");
    cluster.kubectl(&["-n", ns, "delete", "secret", "db"], None).expect("deleted");
    assert!(backend.read(&field).await.expect("an answer").is_none());
    let gone = backend
        .write(&operation(6), &field, &value("x"), &Expect::Version(stored.version.clone()))
        .await
        .expect_err("gone");
    assert_eq!(gone.kind(), ErrorKind::Conflict);
    cluster.create(&[secret(ns, "db", "Opaque", &[("password.txt", b"old")])]).expect("re-created");
    let other = backend
        .write(&operation(6), &field, &value("x"), &Expect::Version(stored.version))
        .await
        .expect_err("another one");
    assert_eq!(other.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn absence_is_an_expectation_too() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "store-absent";
    namespace(cluster, ns, json!({}));
    let backend = admin(cluster, &[]).await;
    let field = at("prod/store-absent/Secret/new#token");
    assert!(backend.read(&field).await.expect("an answer").is_none());
    assert_eq!(backend.writable(&field).await.expect("an answer"), StoreState::Writable);
    let version = backend
        .write(&operation(7), &field, &SecretValue::new(vec![0xff, 0]), &Expect::Absent)
        .await
        .expect("created");
    let stored = backend.read(&field).await.expect("an answer").expect("a value");
    assert_eq!((stored.value.expose(), stored.version), (&[0xff, 0][..], version));
    let again =
        backend.write(&operation(7), &field, &value("y"), &Expect::Absent).await.expect_err("there is one");
    assert_eq!(again.kind(), ErrorKind::Conflict);
    backend
        .write(&operation(8), &at("prod/store-absent/Secret/new#second"), &value("z"), &Expect::Absent)
        .await
        .expect("a second key");
    let first = backend.read(&field).await.expect("an answer").expect("a value");
    assert_eq!(first.written_by, Some(operation(7).key.to_string()), "each key remembers its own operation");
}

#[tokio::test]
async fn config_maps_hold_text_and_bytes() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "store-maps";
    namespace(cluster, ns, json!({}));
    cluster
        .create(&[
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app", "namespace": ns},
            "data": {"url": "postgres://a:old@h/d"}, "binaryData": {"blob": "/w=="}}),
        ])
        .expect("a ConfigMap");
    let backend = admin(cluster, &[]).await;
    for (key, new) in
        [("url", value("postgres://a:\"n\\ew\"@h/d")), ("blob", SecretValue::new(vec![0xfe, 0xff]))]
    {
        let field = at(&format!("prod/store-maps/ConfigMap/app#{key}"));
        let stored = backend.read(&field).await.expect("an answer").expect("a value");
        backend.write(&operation(9), &field, &new, &Expect::Version(stored.version)).await.expect("written");
        let stored = backend.read(&field).await.expect("an answer").expect("a value");
        assert_eq!(stored.value.expose(), new.expose(), "{key}");
    }
    let field = at("prod/store-maps/ConfigMap/app#url");
    let version = backend.read(&field).await.expect("an answer").expect("a value").version;
    let error =
        backend.write(&operation(9), &field, &SecretValue::new(vec![0xff]), &Expect::Version(version)).await;
    assert_eq!(error.expect_err("not text").kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn what_should_not_be_written_says_so_beforehand() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "store-refused";
    namespace(cluster, ns, json!({}));
    let mut fixed = secret(ns, "fixed", "Opaque", &[("k", b"v")]);
    fixed["immutable"] = true.into();
    let mut managed = secret(ns, "managed", "Opaque", &[("k", b"v")]);
    managed["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
    managed["metadata"]["annotations"] = json!({"meta.helm.sh/release-name": "web"});
    cluster.create(&[fixed, managed, secret(ns, "plain", "Opaque", &[("k", b"v")])]).expect("Secrets");
    let backend = admin(cluster, &[]).await;
    let state = async |name: &str| backend.writable(&at(&format!("prod/store-refused/{name}"))).await;
    assert!(matches!(state("Secret/fixed#k").await, Ok(StoreState::Refused(_))));
    assert_eq!(
        state("Secret/managed#k").await.expect("an answer"),
        StoreState::ManagedElsewhere("helm/web".to_owned())
    );
    assert_eq!(
        state("Deployment/web#containers/a/env/B").await.expect_err("no store").kind(),
        ErrorKind::Unsupported
    );
    assert_eq!(state("Secret/plain").await.expect_err("no key").kind(), ErrorKind::Invalid);

    let version = backend
        .read(&at("prod/store-refused/Secret/fixed#k"))
        .await
        .expect("an answer")
        .expect("a value")
        .version;
    let error = backend
        .write(
            &operation(10),
            &at("prod/store-refused/Secret/fixed#k"),
            &value("n"),
            &Expect::Version(version),
        )
        .await;
    assert_eq!(error.expect_err("immutable").kind(), ErrorKind::Invalid);

    let identity = claviger_tests::lab::kubernetes::Restricted {
        namespace: ns,
        name: "reader",
        cluster_rules: json!([]),
        grants: &[(json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]), &[ns])],
    };
    let kubeconfig = cluster.directory().path().join("reader.kubeconfig");
    cluster.restricted_kubeconfig(&kubeconfig, &identity).await.expect("an identity");
    let reader =
        connect("prod", config(&kubeconfig, &[]), Arc::new(SystemClock)).await.expect("a kubeconfig");
    let plain = at("prod/store-refused/Secret/plain#k");
    assert!(matches!(reader.writable(&plain).await, Ok(StoreState::Refused(why)) if why.contains("patch")));
    let version = reader.read(&plain).await.expect("an answer").expect("a value").version;
    let denied = reader
        .write(&operation(11), &plain, &value("n"), &Expect::Version(version))
        .await
        .expect_err("may not");
    assert_eq!((denied.kind(), denied.effect()), (ErrorKind::Denied, Effect::NotApplied));
}
