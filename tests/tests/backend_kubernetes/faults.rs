//! Bad kubeconfigs, wrong credentials, wrong certificates.

use claviger_backend::{Error, ErrorKind};
use claviger_tests::{lab::tls, require_lab};

use super::*;

fn kubeconfig(server: &str, cluster: Value, user: Value) -> String {
    let mut cluster = cluster;
    cluster["server"] = server.into();
    json!({"apiVersion": "v1", "kind": "Config", "current-context": "lab", "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "u", "user": user}], "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "u"}}]})
    .to_string()
}

/// What a scan with this kubeconfig comes to.
async fn fails(directory: &Path, text: &str) -> Error {
    let path = directory.join("kubeconfig");
    std::fs::write(&path, text).expect("written");
    let backend = match connect("prod", config(&path, &[]), Arc::new(SystemClock)).await {
        Ok(backend) => backend,
        Err(error) => return error,
    };
    let (mut sink, _messages) = channel(64);
    let error = backend.inventory(Phase::Stores, &mut sink).await.expect_err("nothing can be read");
    assert_eq!(backend.check().await.expect_err("nothing can be asked").kind(), error.kind());
    error
}

fn expect(error: &Error, kind: ErrorKind, message: &str, hint: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    let whole = format!("{error:?} {error}");
    assert!(whole.contains(message), "{whole}");
    assert!(error.hint().is_some_and(|text| text.contains(hint)), "{:?}", error.hint());
    assert!(!whole.contains("hunter2") && !error.hint().unwrap_or_default().contains("hunter2"), "{whole}");
}

#[tokio::test]
async fn kubeconfigs_that_cannot_be_used_say_what_to_correct() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = "https://127.0.0.1:1";
    for (text, message, hint) in [
        ("users: [{name: u, user: {token: hunter2", "is not a kubeconfig", "kubectl config view"),
        ("- hunter2", "is not a kubeconfig", "kubectl config view"),
        ("", "", "context"),
        (
            &kubeconfig(server, json!({"certificate-authority-data": "hunter2!"}), json!({})),
            "certificate authority",
            "certificate-authority",
        ),
        (
            &kubeconfig(
                server,
                json!({}),
                json!({"client-certificate-data": STANDARD.encode("hunter2"), "client-key-data": STANDARD.encode("hunter2")}),
            ),
            "malformed",
            "client-key-data",
        ),
        (&kubeconfig("http//:nowhere at all", json!({}), json!({})), "server address", "URL"),
        (&kubeconfig(server, json!({}), json!({"tokenFile": "/nowhere/token"})), "token file", "tokenFile"),
        (
            &kubeconfig(
                server,
                json!({}),
                json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", "echo hunter2; exit 1"], "interactiveMode": "Never"}}),
            ),
            "plugin",
            "kubectl",
        ),
    ] {
        expect(&fails(directory.path(), text).await, ErrorKind::Config, message, hint);
    }
    let mut missing = config(Path::new("/nowhere/kubeconfig"), &[]);
    let error = connect("prod", missing.clone(), Arc::new(SystemClock)).await.err().expect("no such file");
    expect(&error, ErrorKind::Config, "/nowhere/kubeconfig", "kubeconfig");
    let path = directory.path().join("good");
    std::fs::write(&path, kubeconfig(server, json!({}), json!({"token": "hunter2"}))).expect("written");
    missing.kubeconfig = Some(path);
    missing.context = Some("other".to_owned());
    let error = connect("prod", missing, Arc::new(SystemClock)).await.err().expect("no such context");
    expect(&error, ErrorKind::Config, "no context other", "one of: lab");
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_unavailable() {
    let directory = tempfile::tempdir().expect("a directory");
    let user = json!({"token": "hunter2"});
    let port = claviger_tests::lab::ports::free().expect("a port");
    let refused =
        fails(directory.path(), &kubeconfig(&format!("https://127.0.0.1:{port}"), json!({}), user.clone()))
            .await;
    expect(&refused, ErrorKind::Unavailable, "refused", "server address");
    let unknown = fails(directory.path(), &kubeconfig("https://no-such-host.invalid", json!({}), user)).await;
    expect(&unknown, ErrorKind::Unavailable, "https://no-such-host.invalid", "server address");
}

#[tokio::test]
async fn wrong_tokens_and_wrong_certificates_are_told_apart() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let directory = tempfile::tempdir().expect("a directory");
    let ca = STANDARD.encode(std::fs::read(cluster.ca()).expect("the certificate"));
    let trusted = json!({"certificate-authority-data": ca});
    let wrong =
        fails(directory.path(), &kubeconfig(cluster.url(), trusted.clone(), json!({"token": "hunter2"})))
            .await;
    expect(&wrong, ErrorKind::Unauthenticated, cluster.url(), "wrong, expired or revoked");

    // A token that says itself that it is over.
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"iss":"x","exp":1700000000}"#);
    let expired = fails(
        directory.path(),
        &kubeconfig(cluster.url(), trusted.clone(), json!({"token": format!("e30.{claims}.AAAA")})),
    )
    .await;
    expect(&expired, ErrorKind::Unauthenticated, "401", "expired at 2023-11-14T22:13:20Z");

    let other = tls::self_signed(&["127.0.0.1"]).expect("a certificate");
    let foreign = json!({"certificate-authority-data": STANDARD.encode(&other.certificate)});
    let error =
        fails(directory.path(), &kubeconfig(cluster.url(), foreign, json!({"token": "hunter2"}))).await;
    expect(&error, ErrorKind::Unavailable, "certificate is not signed", "certificate-authority");

    let misnamed = json!({"certificate-authority-data": ca, "tls-server-name": "other.example"});
    let error =
        fails(directory.path(), &kubeconfig(cluster.url(), misnamed, json!({"token": "hunter2"}))).await;
    expect(&error, ErrorKind::Unavailable, "does not hold for this name", "tls-server-name");

    let plain = cluster.url().replace("https://", "http://");
    let error = fails(directory.path(), &kubeconfig(&plain, json!({}), json!({"token": "hunter2"}))).await;
    assert!(
        matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unavailable | ErrorKind::Unexpected),
        "{error:?}"
    );
}
