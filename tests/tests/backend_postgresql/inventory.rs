//! What a scan shows.

use super::*;

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
