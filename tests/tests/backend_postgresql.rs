//! The PostgreSQL backend against a real PostgreSQL.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use claviger_backend::{
    Backend, Effect, Error, ErrorKind, Issuer, Message, Operation, PermissionStatus, Phase, Presence, Retry,
    Verdict, channel,
};
use claviger_backend_postgresql::{PostgresqlBackend, PostgresqlConfig};
use claviger_core::{
    clock::SystemClock,
    id::{OperationKey, SagaId},
    model::{CredentialState, PrivilegeLevel, ScopeStatus},
    observation::{Observation, ObservedCredential, ObservedGrant, ObservedIdentity, Verifier},
    reference::Ref,
    secret::SecretValue,
};
use claviger_tests::{
    lab::postgres::{Options, Postgres, connect},
    require_lab,
};
use tokio_postgres::Client;

fn value(text: &str) -> SecretValue {
    SecretValue::from_text(text.to_owned())
}

fn operation(name: &str) -> Operation {
    let saga = SagaId(uuid_of(name));
    Operation { key: OperationKey::derive(saga, "issue", "db/role/x", 0), deadline: Duration::from_secs(20) }
}

fn uuid_of(name: &str) -> uuid::Uuid {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes())
}

fn backend_as(server: &Postgres, user: &str, password: &str) -> PostgresqlBackend {
    let url = format!("postgres://{user}@127.0.0.1:{}/postgres", server.port());
    backend_at(PostgresqlConfig::new(url, Some(value(password))))
}

fn backend_at(config: PostgresqlConfig) -> PostgresqlBackend {
    PostgresqlBackend::new("db", config, Arc::new(SystemClock)).expect("a usable configuration")
}

fn superuser(server: &Postgres) -> PostgresqlBackend {
    backend_as(server, server.user(), server.password())
}

fn role(name: &str) -> Ref {
    Ref::new("db", ["role", name])
}

fn issuer(backend: &PostgresqlBackend) -> &dyn Issuer {
    backend.issuer().expect("an issuer")
}

async fn admin(server: &Postgres, sql: &str) -> Client {
    let client = server.connect("postgres").await.expect("the superuser's login");
    client.batch_execute(sql).await.expect("the seed");
    client
}

async fn stored(client: &Client, name: &str) -> Option<String> {
    client
        .query_one("SELECT rolpassword FROM pg_authid WHERE rolname = $1", &[&name])
        .await
        .expect("a row")
        .get(0)
}

/// The transaction that last wrote the role: the same as long as nothing wrote it.
async fn written(client: &Client, name: &str) -> String {
    client
        .query_one("SELECT xmin::text FROM pg_authid WHERE rolname = $1", &[&name])
        .await
        .expect("a row")
        .get(0)
}

#[derive(Default)]
struct Seen {
    identities: BTreeMap<String, ObservedIdentity>,
    credentials: BTreeMap<String, ObservedCredential>,
    grants: Vec<ObservedGrant>,
    scopes: BTreeMap<String, (ScopeStatus, Option<String>)>,
}

async fn scan(backend: &PostgresqlBackend) -> Result<Seen, Error> {
    let (mut sink, mut messages) = channel(2);
    let reader = async {
        let mut seen = Seen::default();
        while let Some(message) = messages.recv().await {
            match message {
                Message::Page(page) => {
                    for item in page.items {
                        match item {
                            Observation::Identity(it) => drop(seen.identities.insert(it.at.to_string(), it)),
                            Observation::Credential(it) => {
                                drop(seen.credentials.insert(it.at.to_string(), it))
                            }
                            Observation::Grant(it) => seen.grants.push(it),
                            Observation::Copy(_) | Observation::Consumer(_) => {
                                panic!("PostgreSQL has no copies")
                            }
                        }
                    }
                }
                Message::ScopeEnd { scope, status, reason } => {
                    assert!(
                        seen.scopes.insert(scope.to_string(), (status, reason)).is_none(),
                        "{scope} ends twice"
                    );
                }
            }
        }
        seen
    };
    let writer = async move {
        let result = backend.inventory(Phase::Issuers, &mut sink).await;
        drop(sink);
        result
    };
    let (result, seen) = tokio::join!(writer, reader);
    result.map(|()| seen)
}

#[tokio::test]
async fn a_scan_shows_every_kind_of_role() {
    let server = require_lab!(Postgres::start().await);
    let client = admin(
        &server,
        "CREATE ROLE app LOGIN PASSWORD 'app-password-1' CONNECTION LIMIT 7;
         CREATE ROLE readers NOLOGIN; GRANT pg_read_all_data TO readers;
         GRANT readers TO app WITH ADMIN OPTION;
         CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'boss-password';
         CREATE ROLE maker LOGIN CREATEROLE CREATEDB REPLICATION BYPASSRLS;
         CREATE ROLE gone LOGIN PASSWORD 'gone-password' VALID UNTIL '2020-01-02 03:04:05+00';
         CREATE ROLE later LOGIN PASSWORD 'later-password' VALID UNTIL '2099-01-01 00:00:00+00';
         CREATE ROLE forever LOGIN PASSWORD 'forever-password' VALID UNTIL 'infinity';
         CREATE ROLE parked NOLOGIN PASSWORD 'parked-password';
         SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'old-password'; RESET password_encryption;
         CREATE ROLE \"we\"\"ird / näme #1\" LOGIN PASSWORD 'weird-password';
         CREATE TABLE of_app (x int); ALTER TABLE of_app OWNER TO app;",
    )
    .await;
    let mut busy = server.configuration("postgres");
    busy.user("app").password("app-password-1");
    let _busy = connect(&busy).await.expect("a session of app's");

    let seen = scan(&superuser(&server)).await.expect("a scan");
    let names: Vec<&str> = seen.identities.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "db/role/app",
            "db/role/boss",
            "db/role/forever",
            "db/role/gone",
            "db/role/later",
            "db/role/maker",
            "db/role/old",
            "db/role/parked",
            "db/role/postgres",
            "db/role/we\"ird / näme #1",
        ]
    );
    assert!(!seen.credentials.contains_key("db/role/maker"), "a role without a password has no credential");
    assert_eq!(seen.credentials.len(), names.len() - 1);
    assert_eq!(seen.scopes["roles"].0, ScopeStatus::Complete);
    assert_eq!(seen.scopes["roles/verifiers"].0, ScopeStatus::Complete);

    let fact =
        |name: &str, key: &str| seen.identities[&format!("db/role/{name}")].attributes.get(key).cloned();
    let credential = |name: &str| &seen.credentials[&format!("db/role/{name}")];
    assert_eq!(fact("app", "connection_limit"), Some(7.into()));
    assert_eq!(fact("app", "sessions"), Some(1.into()));
    assert_eq!(fact("app", "owns_objects"), Some(true.into()));
    assert_eq!(fact("later", "owns_objects"), Some(false.into()));
    assert_eq!(fact("app", "superuser"), Some(false.into()));
    assert_eq!(fact("app", "password_method"), Some("scram-sha-256".into()));
    assert_eq!(fact("app", "scram_iterations"), Some(4096.into()));
    assert_eq!(fact("maker", "password_method"), Some("none".into()));
    assert_eq!(fact("boss", "bootstrap"), Some(false.into()));
    assert_eq!(
        (fact("postgres", "bootstrap"), fact("postgres", "own")),
        (Some(true.into()), Some(true.into()))
    );
    assert_eq!(fact("app", "own"), Some(false.into()));
    assert_eq!(fact("forever", "valid_until"), Some("infinity".into()));
    assert_eq!(fact("app", "valid_until"), None);

    assert_eq!(credential("app").state, CredentialState::Active);
    assert_eq!(credential("gone").state, CredentialState::Expired);
    assert_eq!(credential("gone").expires_at.expect("an end").to_rfc3339(), "2020-01-02T03:04:05+00:00");
    assert_eq!(credential("later").state, CredentialState::Active);
    assert_eq!(credential("forever").expires_at, None);
    assert_eq!(credential("parked").state, CredentialState::Suspended);
    assert!(seen.identities["db/role/parked"].disabled);
    assert!(credential("app").last_used_at.is_none());

    let Some(Verifier::ScramSha256(text)) = &credential("app").verifier else { panic!("a SCRAM verifier") };
    assert_eq!(Some(text.clone()), stored(&client, "app").await);
    assert!(claviger_core::scram::matches(text, &value("app-password-1")));
    assert!(!claviger_core::scram::matches(text, &value("app-password-2")));
    let Some(Verifier::PostgresMd5(text, user)) = &credential("old").verifier else {
        panic!("an md5 verifier")
    };
    assert_eq!((Some(text.clone()), user.as_str()), (stored(&client, "old").await, "old"));

    let grant = |name: &str, privilege: &str| {
        seen.grants
            .iter()
            .find(|grant| grant.identity == role(name) && grant.privilege == privilege)
            .map(|grant| grant.level)
    };
    assert_eq!(grant("boss", "superuser"), Some(PrivilegeLevel::Admin));
    assert_eq!(grant("maker", "replication"), Some(PrivilegeLevel::Sensitive));
    assert_eq!(grant("maker", "createdb"), Some(PrivilegeLevel::Write));
    assert!(grant("maker", "createrole").is_some());
    assert_eq!(grant("app", "readers"), Some(PrivilegeLevel::Unknown));
    assert_eq!(
        grant("app", "pg_read_all_data"),
        Some(PrivilegeLevel::Sensitive),
        "also through another role"
    );
    assert_eq!(grant("later", "superuser"), None);
    let through = seen.grants.iter().find(|grant| grant.privilege == "pg_read_all_data").expect("a grant");
    assert_eq!(through.attributes["via"], serde_json::json!(["readers"]));
    let direct = seen.grants.iter().find(|grant| grant.privilege == "readers").expect("a grant");
    assert_eq!(direct.attributes["admin_option"], true);
    assert_eq!(direct.source, role("readers"));

    let quiet = scan(&superuser(&server)).await.expect("a second scan");
    assert_eq!(quiet.credentials.keys().collect::<Vec<_>>(), seen.credentials.keys().collect::<Vec<_>>());
    let mut stores = channel(1);
    superuser(&server).inventory(Phase::Stores, &mut stores.0).await.expect("nothing to read");
    assert!(stores.1.try_recv().is_err(), "PostgreSQL is no store");
}

#[tokio::test]
async fn pages_lose_no_role() {
    let server = require_lab!(Postgres::start().await);
    admin(
        &server,
        "DO $$ BEGIN FOR i IN 1..1203 LOOP EXECUTE format('CREATE ROLE many_%s LOGIN', i); END LOOP; END $$",
    )
    .await;
    let seen = scan(&superuser(&server)).await.expect("a scan");
    assert_eq!(seen.identities.len(), 1204);
}

#[tokio::test]
async fn without_pg_authid_the_verifiers_are_a_denied_scope() {
    let server = require_lab!(Postgres::shared().await);
    let client = admin(
        server,
        "CREATE ROLE nosy LOGIN CREATEROLE PASSWORD 'nosy-password'; CREATE ROLE nosy_subject LOGIN PASSWORD 'a-password';
         CREATE ROLE nosy_passwordless LOGIN",
    )
    .await;
    let backend = backend_as(server, "nosy", "nosy-password");
    let seen = scan(&backend).await.expect("a scan");
    assert_eq!(seen.scopes["roles"].0, ScopeStatus::Complete);
    let (status, reason) = &seen.scopes["roles/verifiers"];
    assert_eq!(*status, ScopeStatus::Denied);
    assert!(
        reason
            .as_ref()
            .expect("a reason")
            .contains("GRANT SELECT (rolname, rolpassword) ON pg_authid TO \"nosy\"")
    );
    for name in ["nosy_subject", "nosy_passwordless"] {
        let credential = &seen.credentials[&format!("db/role/{name}")];
        assert!(credential.verifier.is_none());
        assert_eq!(credential.attributes["password_known"], false);
        assert_eq!(credential.attributes["password_method"], "unknown");
    }
    let issuer = backend.issuer().expect("an issuer");
    assert!(issuer.snapshot(&role("nosy_subject")).await.expect("an answer").is_none());
    assert_eq!(issuer.identify(&value("a-password")).await.expect_err("denied").kind(), ErrorKind::Denied);
    let permissions = backend.check().await.expect("a check");
    assert!(permissions.iter().any(|it| it.flow == "scan"
        && matches!(&it.status, PermissionStatus::Missing(text) if text.contains("GRANT"))));

    // It can change the password all the same, twice with one verifier, and prove it (version 16 asks for ADMIN OPTION).
    client.batch_execute("DO $$ BEGIN IF current_setting('server_version_num')::int >= 160000 THEN GRANT nosy_subject TO nosy WITH ADMIN OPTION; END IF; END $$").await.expect("the grant");
    for _ in 0..2 {
        issuer
            .issue(&operation("nosy"), &role("nosy_subject"), Some(&value("b-password")))
            .await
            .expect("set");
    }
    let first = stored(&client, "nosy_subject").await;
    issuer.issue(&operation("nosy"), &role("nosy_subject"), Some(&value("b-password"))).await.expect("set");
    assert_eq!(stored(&client, "nosy_subject").await, first, "a repeat sets the very same verifier");
    assert_eq!(
        issuer.verify(&role("nosy_subject"), &value("b-password")).await.expect("a probe").verdict,
        Verdict::Accepted
    );

    // The two columns are enough.
    client
        .batch_execute("GRANT SELECT (rolname, rolpassword) ON pg_authid TO nosy")
        .await
        .expect("the grant");
    let seen = scan(&backend).await.expect("a scan");
    assert_eq!(seen.scopes["roles/verifiers"].0, ScopeStatus::Complete);
    assert!(seen.credentials["db/role/nosy_subject"].verifier.is_some());
    assert!(!seen.credentials.contains_key("db/role/nosy_passwordless"));
}

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
    let unsupported =
        issuer(backend).revoke(&operation("x"), &role("bystander"), None).await.expect_err("unsupported");
    assert_eq!(unsupported.kind(), ErrorKind::Unsupported);
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
    std::fs::write(&hba, format!("host all plain all trust\nhost all apart all md5\n{before}"))
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
        issuer(&backend_at(config)).identify(&value("nobody's password")).await.err().expect("the budget");
    assert!(error.message().contains("budget"), "unfinished is not `none of ours`: {error}");
}
