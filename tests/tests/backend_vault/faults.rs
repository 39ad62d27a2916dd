//! Wrong addresses, tokens and certificates; logins.

use std::{path::Path, sync::Arc};

use claviger_backend::{Backend, Error, ErrorKind, Phase};
use claviger_backend_vault::{VaultAuth, VaultBackend, VaultConfig};
use claviger_core::{clock::SystemClock, model::ScopeStatus};
use claviger_tests::{
    lab::{openbao::OpenBao, ports, tls},
    require_lab,
};
use reqwest::Method;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use super::{backend, config, root, scan, token_with, value};

async fn failure(config: VaultConfig) -> Error {
    let canary = "hvs.canary-that-must-not-be-shown";
    let error = backend(config).check().await.expect_err("it must fail");
    let shown = format!("{error} {error:?} {:?}", error.hint());
    assert!(!shown.contains(canary) && !shown.contains("lab-"), "a token is shown: {shown}");
    error
}

#[tokio::test]
async fn a_wrong_token_says_so() {
    let server = require_lab!(OpenBao::shared().await);
    let error = failure(config(server.address(), "hvs.canary-that-must-not-be-shown")).await;
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint().is_some() && error.message().contains(server.address()), "{error:?}");
    let scanned = scan(&backend(config(server.address(), "s.wrong")), Phase::Issuers)
        .await
        .err()
        .expect("it must fail");
    assert_eq!(scanned.kind(), ErrorKind::Unauthenticated);
    let error = failure(config(server.address(), "two\nlines")).await;
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn certificates_are_checked_and_the_trouble_is_named() {
    let server = require_lab!(OpenBao::start_with_tls().await);
    let ca = std::fs::read(server.ca().expect("an authority")).expect("its certificate");
    let with = |address: &str, ca: Option<Vec<u8>>| VaultConfig { ca, ..config(address, server.token()) };
    backend(with(server.address(), Some(ca.clone()))).check().await.expect("the right authority");

    let (other, _) = tls::issued(&["127.0.0.1"]).expect("an authority");
    let error = failure(with(server.address(), Some(other.into_bytes()))).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.message().contains("unknown authority") && error.hint().is_some_and(|hint| hint.contains("ca")),
        "{error:?}"
    );
    let error = failure(with(server.address(), None)).await;
    assert!(error.message().contains("unknown authority"), "{error:?}");

    let plain = server.address().replace("https://", "http://");
    let error = failure(with(&plain, None)).await;
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Invalid), "{error:?}");
    for bad in ["", "not PEM", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
        let config = with(server.address(), Some(bad.as_bytes().to_vec()));
        let error = VaultBackend::new("vault", config, Arc::new(SystemClock)).err().expect("unusable");
        assert_eq!(error.kind(), ErrorKind::Config, "{bad:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_named_as_such() {
    let (ca, server) = tls::issued(&["vault.internal"]).expect("certificates");
    let chain = rustls::pki_types::CertificateDer::from_pem_slice(server.certificate.as_bytes())
        .expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(server.key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let serving = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("a server");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("https://{}", listener.local_addr().expect("its address"));
    // It shakes hands as often as it is asked, and says nothing more; it ends with the test process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            if let Ok(mut connection) = rustls::ServerConnection::new(Arc::new(serving.clone())) {
                let _ = connection.complete_io(&mut stream);
            }
        }
    });
    let error = failure(VaultConfig { ca: Some(ca.into_bytes()), ..config(&address, "t") }).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("for another name") && error.hint().is_some(), "{error:?}");
}

#[tokio::test]
async fn an_address_with_nobody_behind_it_says_so() {
    let port = ports::free().expect("a port");
    let error = failure(config(&format!("http://127.0.0.1:{port}"), "t")).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("connection refused"), "{error:?}");
    let error = failure(config("http://no-such-host.invalid", "t")).await;
    assert!(error.message().contains("host name is not known"), "{error:?}");
}

#[tokio::test]
async fn a_sealed_server_is_unavailable_and_says_why() {
    let server = require_lab!(OpenBao::start().await);
    server.request(Method::PUT, "sys/seal", None).await.expect("an answer").good("seal").expect("sealed");
    let error = failure(config(server.address(), server.token())).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("sealed") && error.hint().is_some(), "{error:?}");
    assert!(
        scan(&root(&server, &[]), Phase::Stores).await.is_err(),
        "nothing could be read, so the whole fails"
    );
}

#[tokio::test]
async fn an_approle_login_works_and_a_wrong_one_says_so() {
    let server = require_lab!(OpenBao::shared().await);
    server.write("sys/auth/own-login", &json!({ "type": "approle" })).await.expect("a mount");
    token_with(server, "own-login", "path \"secret/metadata/*\" { capabilities = [\"list\"] }", json!({}))
        .await;
    let role = json!({ "token_policies": "own-login", "token_ttl": "10m" });
    server.write("auth/own-login/role/claviger", &role).await.expect("a role");
    let role_id = server
        .request(Method::GET, "auth/own-login/role/claviger/role-id", None)
        .await
        .expect("an answer")
        .body;
    let role_id = role_id["data"]["role_id"].as_str().expect("a role-id").to_owned();
    let made = server.write("auth/own-login/role/claviger/secret-id", &json!({})).await.expect("a secret-id");
    let secret_id = made["data"]["secret_id"].as_str().expect("a secret-id");
    let with = |secret_id: &str| {
        let auth = VaultAuth::AppRole {
            mount: "own-login".into(),
            role_id: role_id.clone(),
            secret_id: value(secret_id),
        };
        VaultConfig { auth, include: vec!["secret".into()], ..config(server.address(), "unused") }
    };
    let seen = scan(&backend(with(secret_id)), Phase::Issuers).await.expect("a scan");
    assert_eq!(
        seen.status("sys", "mounts"),
        Some(ScopeStatus::Complete),
        "logged in, and the mount is visible to the role"
    );
    let error = failure(with("82eb7f8a-5ab8-cd3a-91df-d14e46ba2b71")).await;
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");

    let jwt = Path::new("/nonexistent/token").to_path_buf();
    let auth = VaultAuth::Kubernetes { mount: "kubernetes".into(), role: "claviger".into(), jwt };
    let error = failure(VaultConfig { auth, ..config(server.address(), "unused") }).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("/nonexistent/token"), "{error:?}");
}
