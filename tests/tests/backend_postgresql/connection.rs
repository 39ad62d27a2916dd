//! Being away, being refused, TLS.

use super::*;

#[tokio::test]
async fn a_server_that_is_away_is_unavailable_and_proves_nothing() {
    let server = require_lab!(Postgres::start().await);
    let backend = superuser(&server);
    assert!(backend.check().await.is_ok());
    let port = server.port();
    drop(server);
    let error = backend.check().await.expect_err("away");
    assert_eq!(
        (error.kind(), error.retry(), error.effect()),
        (ErrorKind::Unavailable, Retry::Temporary, Effect::NotApplied)
    );
    assert!(error.message().contains(&format!("127.0.0.1:{port}")), "{error}");
    let probe = issuer(&backend).verify(&role("postgres"), &value("x")).await.expect("a probe");
    assert!(matches!(probe.verdict, Verdict::Inconclusive(_)), "{:?}", probe.verdict);
    let error = issuer(&backend)
        .issue(&operation("away"), &role("app"), Some(&value("x")))
        .await
        .err()
        .expect("away");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::NotApplied));
    assert!(scan(&backend).await.is_err());
}

#[tokio::test]
async fn our_own_login_fails_with_advice() {
    let server = require_lab!(Postgres::shared().await);
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port());
    let wrong = backend_as(server, "postgres", "Canary-wrong-password");
    let error = wrong.check().await.expect_err("refused");
    assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::Unauthenticated, true));
    assert!(!format!("{error} {error:?}").contains("Canary"));
    let none = backend_at(PostgresqlConfig::new(&url, None));
    let error = none.check().await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint().expect("a hint").contains("password ="));
    let host = backend_at(PostgresqlConfig::new("postgres://postgres@no-such-host.invalid/postgres", None));
    let error = host.check().await.expect_err("no such host");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("resolved"), "{error}");
    let strict =
        backend_at(PostgresqlConfig::new(format!("{url}?sslmode=require"), Some(value(server.password()))));
    let error = strict.check().await.expect_err("no TLS there");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("no TLS"), "{error}");
}

#[tokio::test]
async fn tls_is_as_strict_as_the_url_says() {
    let server = require_lab!(Postgres::start_with(Options { tls: true, ..Options::default() }).await);
    admin(&server, "CREATE ROLE app LOGIN PASSWORD 'app-password'").await;
    let ca = server.ca().expect("an authority").to_path_buf();
    let stranger = server
        .directory()
        .write("other.pem", claviger_tests::lab::tls::issued(&["x"]).expect("a certificate").0)
        .expect("a file");
    let at = |host: &str, mode: &str, ca: Option<&std::path::Path>| {
        let url = format!("postgres://postgres@{host}:{}/postgres{mode}", server.port());
        let mut config = PostgresqlConfig::new(url, Some(value(server.password())));
        config.ca = ca.map(std::path::Path::to_path_buf);
        backend_at(config)
    };
    let encrypted = async |backend: &PostgresqlBackend| {
        backend.check().await.expect("a check");
        let client = server.connect("postgres").await.expect("a login");
        let sql = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'claviger'";
        client.query_one(sql, &[]).await.expect("one session").get::<_, bool>(0)
    };
    for (mode, ca, expected) in [
        ("?sslmode=disable", None, false),
        ("", None, true),
        ("?sslmode=prefer", None, true),
        ("?sslmode=require", None, true),
        ("?sslmode=require", Some(ca.as_path()), true),
        ("?sslmode=verify-ca", Some(ca.as_path()), true),
        ("?sslmode=verify-full", Some(ca.as_path()), true),
        ("", Some(ca.as_path()), true),
        ("?sslmode=verify-ca&hostaddr=127.0.0.1", Some(ca.as_path()), true),
    ] {
        // verify-ca takes the certificate for another name.
        let backend = at(if mode.contains("hostaddr") { "db.internal" } else { "127.0.0.1" }, mode, ca);
        assert_eq!(encrypted(&backend).await, expected, "{mode} {ca:?}");
        let probe = issuer(&backend).verify(&role("app"), &value("app-password")).await.expect("a probe");
        assert_eq!(probe.verdict, Verdict::Accepted);
        drop(backend);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (host, mode, ca, word) in [
        ("db.internal", "?sslmode=verify-full&hostaddr=127.0.0.1", ca.as_path(), "another name"),
        ("127.0.0.1", "?sslmode=verify-full", stranger.as_path(), "unknown authority"),
        ("127.0.0.1", "?sslmode=verify-ca", stranger.as_path(), "unknown authority"),
        ("127.0.0.1", "?sslmode=require", stranger.as_path(), "unknown authority"),
    ] {
        let error = at(host, mode, Some(ca)).check().await.expect_err("not trusted");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Permanent), "{error}");
        assert!(error.message().contains(word) && error.hint().is_some(), "{mode}: {error}");
    }
}
