//! Logging in, and telling whose password it is.

use super::*;

#[tokio::test]
async fn only_a_refused_password_is_called_refused() {
    let server = require_lab!(Postgres::start().await);
    let client = admin(
        &server,
        "CREATE ROLE plain LOGIN PASSWORD 'right'; CREATE ROLE locked NOLOGIN PASSWORD 'right';
         CREATE ROLE full LOGIN PASSWORD 'right' CONNECTION LIMIT 0;
         CREATE ROLE late LOGIN PASSWORD 'right' VALID UNTIL '2020-01-01'; CREATE ROLE empty LOGIN;
         CREATE ROLE apart LOGIN PASSWORD 'right'",
    )
    .await;
    // `apart` may connect to one database only, and it is not the configured one.
    client.batch_execute("CREATE DATABASE island").await.expect("a database");
    client.batch_execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC; GRANT CONNECT ON DATABASE postgres TO plain, locked, full, late, empty; REVOKE CONNECT ON DATABASE template1 FROM PUBLIC").await.expect("rights");
    let backend = superuser(&server);
    let verdict = async |name: &str, text: &str| {
        issuer(&backend).verify(&role(name), &value(text)).await.expect("a probe").verdict
    };
    let inconclusive = |verdict: Verdict, word: &str| match verdict {
        Verdict::Inconclusive(text) => assert!(text.contains(word), "{text} says `{word}`"),
        other => panic!("{other:?} instead of inconclusive with `{word}`"),
    };
    assert_eq!(verdict("plain", "right").await, Verdict::Accepted);
    assert!(matches!(verdict("plain", "wrong").await, Verdict::Refused(text) if text.contains("28P01")));
    assert!(matches!(verdict("empty", "right").await, Verdict::Refused(_)), "no password: no value opens it");
    inconclusive(verdict("locked", "right").await, "28000");
    inconclusive(verdict("locked", "wrong").await, "NOLOGIN");
    inconclusive(verdict("full", "right").await, "53300");
    inconclusive(verdict("late", "right").await, "VALID UNTIL");
    inconclusive(verdict("nobody_here", "right").await, "does not exist");
    assert_eq!(verdict("apart", "right").await, Verdict::Accepted, "a database that takes the role is found");
    let probe = issuer(&backend).verify(&role("apart"), &value("right")).await.expect("a probe");
    assert!(probe.path.contains("/island"), "{}", probe.path);
    assert!(probe.path.contains(&format!("127.0.0.1:{}", server.port())));

    // A configured database that does not exist: our own connection is refused, so a login's answer is all there is.
    let url = format!("postgres://postgres@127.0.0.1:{}/missing", server.port());
    let missing = backend_at(PostgresqlConfig::new(url, Some(value(server.password()))));
    let probe = issuer(&missing).verify(&role("plain"), &value("right")).await.expect("a probe");
    inconclusive(probe.verdict, "3D000");
    let error = scan(&missing).await.err().expect("no scan");
    assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::Config, true));

    // A server that asks for no password accepts anything: that is no proof.
    let hba = server.directory().path().join("server/data/pg_hba.conf");
    let before = std::fs::read_to_string(&hba).expect("pg_hba.conf");
    std::fs::write(
        &hba,
        format!(
            "host all plain all trust\nhost all apart all md5\nhost all empty all scram-sha-256\n{before}"
        ),
    )
    .expect("pg_hba.conf");
    client.batch_execute("SELECT pg_reload_conf()").await.expect("reloaded");
    tokio::time::sleep(Duration::from_millis(300)).await;
    inconclusive(verdict("plain", "wrong").await, "without a password");
    assert_eq!(verdict("apart", "right").await, Verdict::Accepted);

    // A password stored as md5 where the server wants SCRAM is refused although it is right.
    client
        .batch_execute("SET password_encryption = 'md5'; ALTER ROLE empty PASSWORD 'right'")
        .await
        .expect("an md5 password");
    inconclusive(verdict("empty", "right").await, "this very password");
    assert!(matches!(verdict("empty", "wrong").await, Verdict::Refused(_)));
}

#[tokio::test]
async fn a_value_is_traced_to_its_role() {
    let server = require_lab!(Postgres::shared().await);
    admin(
        server,
        "CREATE ROLE traced LOGIN PASSWORD 'traced-password-1';
         SET password_encryption = 'md5'; CREATE ROLE traced_md5 LOGIN PASSWORD 'traced-password-2'",
    )
    .await;
    let backend = superuser(server);
    let identify =
        async |text: &str| issuer(&backend).identify(&value(text)).await.expect("an answer").map(|it| it.at);
    assert_eq!(identify("traced-password-1").await, Some(role("traced")));
    assert_eq!(identify("traced-password-2").await, Some(role("traced_md5")));
    assert_eq!(identify("nobody's password").await, None);
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port());
    let mut config = PostgresqlConfig::new(url, Some(value(server.password())));
    config.identify_budget = 1;
    let error =
        issuer(&backend_at(config)).identify(&value("nobody's password")).await.expect_err("the budget");
    assert!(error.message().contains("budget"), "unfinished is not `none of ours`: {error}");
}
