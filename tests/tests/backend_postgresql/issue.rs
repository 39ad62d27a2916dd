//! Setting passwords and putting them back.

use super::*;

#[tokio::test]
async fn a_repeated_issue_writes_once_and_shows_no_password() {
    let server = require_lab!(Postgres::start().await);
    let weird = "weird \"q'uote\" ☃ #1/2";
    let client = admin(
        &server,
        "CREATE ROLE once LOGIN PASSWORD 'first-password'; CREATE ROLE \"weird \"\"q'uote\"\" ☃ #1/2\" LOGIN",
    )
    .await;
    client.batch_execute("ALTER SYSTEM SET log_statement = 'all'").await.expect("the setting");
    client.batch_execute("SELECT pg_reload_conf()").await.expect("reloaded");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let backend = superuser(&server);
    for name in ["once", weird] {
        let secret = value("Canary-5f2d9c-päss");
        let before = written(&client, name).await;
        let issued =
            issuer(&backend).issue(&operation("once"), &role(name), Some(&secret)).await.expect("set");
        assert_eq!(issued.at, role(name));
        let set = written(&client, name).await;
        assert_ne!(set, before, "the first one writes");
        // Another operation with the same value has nothing to change either.
        for again in ["once", "another"] {
            issuer(&backend).issue(&operation(again), &role(name), Some(&secret)).await.expect("set");
        }
        assert_eq!(written(&client, name).await, set, "the repeats do not");
        let verifier = stored(&client, name).await.expect("a verifier");
        assert!(verifier.starts_with("SCRAM-SHA-256$4096:"), "{verifier}");
        assert!(server.accepts(name, "Canary-5f2d9c-päss").await.expect("an answer"));
        assert_eq!(
            issuer(&backend).verify(&role(name), &secret).await.expect("a probe").verdict,
            Verdict::Accepted
        );
    }
    let log = std::fs::read_to_string(server.directory().path().join("postgres.log")).expect("the log");
    assert!(log.contains("ALTER ROLE \"once\" PASSWORD 'SCRAM-SHA-256$4096:"), "statements are logged");
    assert!(!log.contains("Canary-5f2d9c"), "the password is not");
}

#[tokio::test]
async fn what_cannot_be_issued_is_refused_before_anything_is_sent() {
    let server = require_lab!(Postgres::shared().await);
    let client = admin(
        server,
        "CREATE ROLE helper LOGIN CREATEROLE PASSWORD 'helper-password'; CREATE ROLE above LOGIN SUPERUSER PASSWORD 'above-password';
         CREATE ROLE bystander LOGIN PASSWORD 'bystander-password'",
    )
    .await;
    let backend = superuser(server);
    let kind = |result: Result<claviger_backend::Issued, Error>| {
        let error = result.err().expect("an error");
        assert_eq!(error.effect(), Effect::NotApplied, "{error}");
        (error.kind(), error.hint().is_some())
    };
    let issue = |backend: &'static PostgresqlBackend, name: &'static str, text: &'static str| async move {
        kind(issuer(backend).issue(&operation("refused"), &role(name), Some(&value(text))).await)
    };
    let backend: &'static PostgresqlBackend = Box::leak(Box::new(backend));
    let helper: &'static PostgresqlBackend =
        Box::leak(Box::new(backend_as(server, "helper", "helper-password")));
    assert_eq!(issue(backend, "no_such_role", "x").await.0, ErrorKind::NotFound);
    assert_eq!(issue(backend, "postgres", "x").await, (ErrorKind::Unsupported, true), "our own role");
    assert_eq!(issue(backend, "bystander", "").await.0, ErrorKind::Invalid);
    assert_eq!(issue(backend, "bystander", "a\0b").await.0, ErrorKind::Invalid);
    assert_eq!(issue(helper, "above", "x").await, (ErrorKind::Denied, true), "a superuser's password");
    assert_eq!(
        kind(issuer(backend).issue(&operation("x"), &role("bystander"), None).await).0,
        ErrorKind::Invalid
    );
    let foreign = Ref::new("other", ["role", "bystander"]);
    assert_eq!(
        kind(issuer(backend).issue(&operation("x"), &foreign, Some(&value("x"))).await).0,
        ErrorKind::Invalid
    );
    for own in ["revoke", "disable"] {
        let refused = match own {
            "revoke" => issuer(backend).revoke(&operation("x"), &role("postgres"), None).await,
            _ => issuer(backend).disable(&operation("x"), &role("postgres")).await,
        };
        assert_eq!(refused.expect_err("our own").kind(), ErrorKind::Unsupported, "{own}");
    }
    assert!(server.accepts("bystander", "bystander-password").await.expect("an answer"));
    assert!(stored(&client, "above").await.is_some());
}

#[tokio::test]
async fn a_collision_with_another_session_is_temporary_and_changed_nothing() {
    let server = require_lab!(Postgres::shared().await);
    let other = admin(server, "CREATE ROLE contended LOGIN PASSWORD 'contended-password'").await;
    let backend = superuser(server);
    other
        .batch_execute("BEGIN; ALTER ROLE contended CONNECTION LIMIT 5")
        .await
        .expect("a change in the making");
    let issue = async {
        issuer(&backend)
            .issue(&operation("contended"), &role("contended"), Some(&value("new-password")))
            .await
    };
    let commit = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        other.batch_execute("COMMIT").await.expect("the commit");
    };
    let (result, ()) = tokio::join!(issue, commit);
    let error = result.err().expect("a collision");
    assert_eq!((error.retry(), error.effect()), (Retry::Temporary, Effect::NotApplied), "{error:?}");
    assert!(server.accepts("contended", "contended-password").await.expect("an answer"));
    issuer(&backend)
        .issue(&operation("contended"), &role("contended"), Some(&value("new-password")))
        .await
        .expect("set");
    assert!(server.accepts("contended", "new-password").await.expect("an answer"));
}

#[tokio::test]
async fn a_connection_lost_on_the_way_leaves_the_effect_unknown() {
    let server = require_lab!(Postgres::shared().await);
    let other = admin(server, "CREATE ROLE cut LOGIN PASSWORD 'cut-password'").await;
    let backend = superuser(server);
    other.batch_execute("BEGIN; ALTER ROLE cut CONNECTION LIMIT 5").await.expect("a lock");
    let issue =
        async { issuer(&backend).issue(&operation("cut"), &role("cut"), Some(&value("new-password"))).await };
    let cut = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let ended = other
            .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'ALTER ROLE \"cut\"%'", &[])
            .await
            .expect("an answer");
        assert_eq!(ended.len(), 1);
        other.batch_execute("ROLLBACK").await.expect("the rollback");
    };
    let (result, ()) = tokio::join!(issue, cut);
    let error = result.err().expect("a lost connection");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown), "{error:?}");
    // The backend finds its feet again.
    issuer(&backend).issue(&operation("cut"), &role("cut"), Some(&value("new-password"))).await.expect("set");
    assert!(server.accepts("cut", "new-password").await.expect("an answer"));
    // A deadline that passes says just as little.
    other.batch_execute("BEGIN; ALTER ROLE cut CONNECTION LIMIT 6").await.expect("a lock");
    let brief = Operation { deadline: Duration::from_millis(200), ..operation("late") };
    let error = issuer(&backend)
        .issue(&brief, &role("cut"), Some(&value("late-password")))
        .await
        .err()
        .expect("too late");
    assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
    other.batch_execute("ROLLBACK").await.expect("the rollback");
}

#[tokio::test]
async fn a_restore_brings_the_old_password_back_without_knowing_it() {
    let server = require_lab!(Postgres::shared().await);
    let client = admin(
        server,
        "CREATE ROLE turned LOGIN PASSWORD 'old-password'; CREATE ROLE turned_bare LOGIN;
         SET password_encryption = 'md5'; CREATE ROLE turned_md5 LOGIN PASSWORD 'old-password'",
    )
    .await;
    let backend = superuser(server);
    let issuer = issuer(&backend);
    let Presence::Present(before) = issuer.presence(&role("turned")).await.expect("an answer") else {
        panic!("present")
    };
    for name in ["turned", "turned_bare", "turned_md5"] {
        let original = stored(&client, name).await;
        let saved = issuer.snapshot(&role(name)).await.expect("an answer").expect("a snapshot");
        issuer.issue(&operation("turned"), &role(name), Some(&value("new-password"))).await.expect("set");
        assert!(server.accepts(name, "new-password").await.expect("an answer"));
        if name == "turned" {
            let Presence::Present(after) = issuer.presence(&role(name)).await.expect("an answer") else {
                panic!("present")
            };
            assert_ne!(after, before);
            assert!(!server.accepts(name, "old-password").await.expect("an answer"));
        }
        issuer.restore(&operation("turned"), &role(name), &saved).await.expect("restored");
        let written_once = written(&client, name).await;
        issuer.restore(&operation("turned"), &role(name), &saved).await.expect("restored again");
        assert_eq!(written(&client, name).await, written_once, "the repeat writes nothing");
        assert_eq!(stored(&client, name).await, original);
    }
    assert!(server.accepts("turned", "old-password").await.expect("an answer"));
    assert_eq!(issuer.presence(&role("turned")).await.expect("an answer"), Presence::Present(before));
    assert_eq!(issuer.presence(&role("no_such_role")).await.expect("an answer"), Presence::Absent);
    let junk = claviger_backend::Restore(value("plain text"));
    let error = issuer.restore(&operation("turned"), &role("turned"), &junk).await.expect_err("refused");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::NotApplied));
    assert!(issuer.last_used(&role("turned")).await.expect("an answer").is_none());
}
