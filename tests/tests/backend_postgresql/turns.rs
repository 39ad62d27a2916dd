//! Two roles that take turns: with the least rights, and what the server really makes of a session of the other role.

use std::sync::atomic::{AtomicU64, Ordering};

use claviger_backend::{
    Likeness, Pairing, Turn, Turns,
    contract::{Fixture, Subject, trials},
};

use super::*;

/// A server of one's own, with a role that may make roles and see verifiers, and the pair's first role, of that role's to administer.
async fn server(first: &str) -> Option<(Postgres, Client, PostgresqlBackend)> {
    let server = claviger_tests::lab::require(Postgres::start().await)?;
    let client = admin(
        &server,
        &format!(
            "CREATE ROLE claviger LOGIN CREATEROLE PASSWORD 'claviger-password';
             GRANT SELECT (rolname, rolpassword) ON pg_authid TO claviger; {first}"
        ),
    )
    .await;
    let version: i32 = client
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .await
        .expect("a version")
        .get(0);
    if version >= 160_000 {
        client
            .batch_execute(
                "DO $$ DECLARE r text; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname IN ('app', 'leaver')
                 LOOP EXECUTE format('GRANT %I TO claviger WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', r); END LOOP; END $$",
            )
            .await
            .expect("it administers");
    }
    let backend = backend_as(&server, "claviger", "claviger-password");
    Some((server, client, backend))
}

fn turns(backend: &PostgresqlBackend) -> &dyn Turns {
    backend.turns().expect("turns")
}

async fn pairing(backend: &PostgresqlBackend, name: &str) -> Pairing {
    match turns(backend).pair(&role(name)).await.expect("an answer") {
        Turn::To(pairing) => pairing,
        Turn::Refused(code, why) => panic!("{code}: {why}"),
    }
}

async fn refusal(backend: &PostgresqlBackend, name: &str) -> (&'static str, String) {
    match turns(backend).pair(&role(name)).await.expect("an answer") {
        Turn::To(pairing) => panic!("{pairing:?}"),
        Turn::Refused(code, why) => (code, why),
    }
}

async fn login(server: &Postgres, user: &str, password: &str, database: &str) -> Client {
    let mut configuration = server.configuration(database);
    configuration.user(user).password(password);
    connect(&configuration).await.expect("a login")
}

async fn shown(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.expect("a row").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let Some((server, client, backend)) = server(
        "CREATE ROLE app LOGIN PASSWORD 'app-password-1'; CREATE ROLE leaver LOGIN PASSWORD 'leaver-password-1'",
    )
    .await
    else {
        return;
    };
    let drawn = AtomicU64::new(0);
    let subject = || Subject { at: role("app"), value: value("app-password-1") };
    let fixture = Fixture {
        credential: Some(subject()),
        alternating: Some(subject()),
        revocable: Some(Subject { at: role("leaver"), value: value("leaver-password-1") }),
        absent_credential: Some(role("nobody_here")),
        new_value: Some(Box::new(move || {
            value(&format!("new-{}-0123456789abcdef", drawn.fetch_add(1, Ordering::SeqCst)))
        })),
        secrets: vec![value("claviger-password"), value("app-password-1")],
        ..Fixture::default()
    };
    let trials = trials("postgresql", Arc::new(backend), fixture);
    assert!(trials.len() > 12, "{} trials", trials.len());
    let run =
        tokio::task::spawn_blocking(|| libtest_mimic::run(&libtest_mimic::Arguments::default(), trials));
    let conclusion = run.await.expect("the suite ends");
    assert_eq!((conclusion.num_failed, conclusion.num_ignored), (0, 0));
    assert!(server.accepts("app", "app-password-1").await.expect("an answer"));
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_other_role_is_the_first_one() {
    let seed = "CREATE ROLE readers NOLOGIN; CREATE ROLE app LOGIN CREATEDB CONNECTION LIMIT 20 PASSWORD 'one';
        GRANT readers TO app; ALTER ROLE app SET search_path = \"$user\", shop, \"A, b\"; ALTER ROLE app SET application_name = 'it''s \\x';
        ALTER ROLE app SET work_mem = '5MB'";
    let Some((server, client, backend)) = server(seed).await else { return };
    client.batch_execute("CREATE DATABASE shop OWNER app").await.expect("a database");
    client.batch_execute("REVOKE CONNECT ON DATABASE shop FROM PUBLIC; ALTER ROLE app IN DATABASE shop SET statement_timeout = '7s'").await.expect("rights");
    let app = login(&server, "app", "one", "shop").await;
    app.batch_execute("CREATE SCHEMA shop; CREATE TABLE shop.orders (id int)").await.expect("a table");

    let found = pairing(&backend, "app").await;
    assert_eq!((found.name.as_str(), found.exists), ("app_alt", false));
    let (first, other) = (role("app"), role("app_alt"));
    let op = operation("first turn");
    turns(&backend).wake(&op, &first, &other, &value("two")).await.expect("woken");
    let before = written(&client, "app_alt").await;
    turns(&backend).wake(&op, &first, &other, &value("two")).await.expect("woken again");
    assert_eq!(written(&client, "app_alt").await, before, "a repeat wrote");
    let likeness = turns(&backend).compare(&first, &other, &value("two")).await.expect("an answer");
    assert!(matches!(&likeness, Likeness::Same(why) if why.contains("`app`")), "{likeness:?}");

    // What a session of the other one is, may and makes.
    let alt = login(&server, "app_alt", "two", "shop").await;
    for (sql, app_says) in [
        ("SELECT current_user::text", "app"),
        ("SELECT current_setting('search_path')", "\"$user\", shop, \"A, b\""),
        ("SELECT current_setting('work_mem')", "5MB"),
        ("SELECT current_setting('statement_timeout')", "7s"),
        ("SELECT setting FROM pg_settings WHERE name = 'application_name'", "it's \\x"),
        ("SELECT session_user::text", "app_alt"),
    ] {
        assert_eq!(shown(&alt, sql).await, app_says, "{sql}");
        if !sql.contains("session_user") {
            assert_eq!(shown(&app, sql).await, app_says, "{sql}");
        }
    }
    alt.batch_execute("INSERT INTO shop.orders VALUES (1); CREATE TABLE shop.bills (id int)")
        .await
        .expect("writes");
    let owner = "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'bills'";
    assert_eq!(shown(&app, owner).await, "app");

    // The first one rests: what the other one may does not hang on its LOGIN.
    issuer(&backend).disable(&op, &first).await.expect("suspended");
    let Presence::Present(token) = issuer(&backend).presence(&first).await.expect("an answer") else {
        panic!("gone")
    };
    let probe = issuer(&backend).verify(&first, &value("one")).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Inconclusive(why) if why.contains("28000")),
        "{:?}",
        probe.verdict
    );
    issuer(&backend).revoke(&op, &first, Some(&token)).await.expect("ended");
    let probe = issuer(&backend).verify(&first, &value("one")).await.expect("a probe");
    assert!(matches!(&probe.verdict, Verdict::Refused(why) if why.contains("28P01")), "{:?}", probe.verdict);
    alt.batch_execute("INSERT INTO shop.orders VALUES (2)").await.expect("it goes on");
    // A session that was there is not ended, and is seen.
    let sessions = turns(&backend).sessions(&first).await.expect("an answer").expect("seen");
    assert_eq!(
        (sessions.live, sessions.newest),
        (1, None),
        "{sessions:?}: its beginning takes pg_read_all_stats"
    );
    client.batch_execute("GRANT pg_read_all_stats TO claviger").await.expect("granted");
    let sessions = turns(&backend).sessions(&first).await.expect("an answer").expect("seen");
    assert!(sessions.newest.is_some() && sessions.from[0].contains("127.0.0.1"), "{sessions:?}");
    drop(app);

    // What a person did meanwhile is told, and on the next turn brought in step.
    client.batch_execute("ALTER ROLE app CONNECTION LIMIT 30; ALTER ROLE app RESET work_mem; CREATE ROLE staff; GRANT staff TO app_alt").await.expect("changes");
    let shop = server.connect("shop").await.expect("a login");
    shop.batch_execute("GRANT SELECT ON shop.orders TO app_alt").await.expect("a grant");
    let back = pairing(&backend, "app_alt").await;
    assert!(back.exists && back.name == "app", "{back:?}");
    for words in ["other attributes or settings", "was granted rights on 1 objects", "member of `staff`"] {
        assert!(back.notes.iter().any(|note| note.contains(words)), "{words}: {:?}", back.notes);
    }
    turns(&backend).wake(&operation("second turn"), &other, &first, &value("three")).await.expect("woken");
    let likeness = turns(&backend).compare(&other, &first, &value("three")).await.expect("an answer");
    assert!(matches!(likeness, Likeness::Same(_)), "{likeness:?}");
    issuer(&backend).disable(&op, &other).await.expect("suspended");
    issuer(&backend).revoke(&op, &other, None).await.expect("ended");
    turns(&backend).wake(&operation("third turn"), &first, &other, &value("four")).await.expect("woken");
    let limit = "SELECT rolconnlimit::text FROM pg_roles WHERE rolname = 'app_alt'";
    assert_eq!(shown(&client, limit).await, "30");
    let settings = "SELECT array_to_string(rolconfig, ' ') FROM pg_roles WHERE rolname = 'app_alt'";
    assert!(!shown(&client, settings).await.contains("work_mem"));
    let kept = "SELECT has_table_privilege('app_alt', 'shop.orders', 'SELECT')::text";
    assert_eq!(shown(&shop, kept).await, "true", "what a person granted is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_operation_made_is_taken_away_and_nothing_else() {
    let seed = "CREATE ROLE app LOGIN PASSWORD 'one'";
    let Some((server, client, backend)) = server(seed).await else { return };
    let (first, other) = (role("app"), role("app_alt"));
    let exists = "SELECT count(*)::text FROM pg_roles WHERE rolname = 'app_alt'";
    let op = operation("undone");
    turns(&backend).wake(&op, &first, &other, &value("two")).await.expect("woken");
    let said =
        turns(&backend).unwake(&operation("undo"), &other, &value("two"), op.key).await.expect("undone");
    assert!(said.contains("dropped"), "{said}");
    assert_eq!(shown(&client, exists).await, "0");

    // Another operation's role, and one with something of its own, rest.
    turns(&backend).wake(&op, &first, &other, &value("two")).await.expect("woken");
    let elses = operation("somebody else's").key;
    turns(&backend).unwake(&operation("undo"), &other, &value("two"), elses).await.expect("undone");
    assert_eq!((shown(&client, exists).await.as_str(), stored(&client, "app_alt").await), ("1", None));
    turns(&backend).wake(&op, &first, &other, &value("two")).await.expect("woken");
    client
        .batch_execute("CREATE TABLE theirs (id int); ALTER TABLE theirs OWNER TO app_alt")
        .await
        .expect("a table");
    let said =
        turns(&backend).unwake(&operation("undo"), &other, &value("two"), op.key).await.expect("undone");
    assert!(said.contains("rests"), "{said}");
    assert_eq!(shown(&client, exists).await, "1");

    // A password that somebody has set is nobody's to take away.
    client.batch_execute("ALTER ROLE app_alt LOGIN PASSWORD 'theirs'").await.expect("a password");
    let error = turns(&backend).wake(&op, &first, &other, &value("two")).await.expect_err("a conflict");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::NotApplied));
    turns(&backend).unwake(&operation("undo"), &other, &value("two"), op.key).await.expect("an answer");
    assert!(server.accepts("app_alt", "theirs").await.expect("an answer"));
    assert!(server.accepts("app", "one").await.expect("an answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_take_turns_is_said_with_what_to_do() {
    let long = "a".repeat(60);
    let seed = format!(
        "CREATE ROLE app LOGIN PASSWORD 'one'; CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'one';
         CREATE ROLE late LOGIN PASSWORD 'one' VALID UNTIL '2099-01-01'; CREATE ROLE taken LOGIN PASSWORD 'one';
         CREATE ROLE taken_alt LOGIN PASSWORD 'one'; CREATE ROLE {long} LOGIN PASSWORD 'one';
         CREATE ROLE watcher LOGIN BYPASSRLS PASSWORD 'one'; CREATE ROLE idle NOLOGIN PASSWORD 'one'"
    );
    let Some((server, client, backend)) = server(&seed).await else { return };
    for (name, code, words) in [
        ("boss", "superuser", "replace"),
        ("late", "valid-until", "VALID UNTIL 'infinity'"),
        ("taken", "name-taken", "COMMENT ON ROLE \"taken_alt\" IS 'claviger: takes turns with \"taken\"'"),
        (long.as_str(), "name-too-long", "63"),
        ("watcher", "missing-right", "BYPASSRLS"),
        ("idle", "not-active", "rests"),
        ("nobody_here", "already-gone", "scan again"),
    ] {
        let (found, why) = refusal(&backend, name).await;
        assert_eq!(found, code, "{name}: {why}");
        assert!(why.contains(words), "{name}: {why}");
    }
    // A role of the other's name is adopted by the comment that the refusal tells, once it rests.
    client
        .batch_execute("COMMENT ON ROLE taken_alt IS 'claviger: takes turns with \"taken\"'")
        .await
        .expect("a comment");
    let (code, why) = refusal(&backend, "taken").await;
    assert!(code == "standby-works" && why.contains("NOLOGIN PASSWORD NULL"), "{code}: {why}");
    client.batch_execute("ALTER ROLE taken_alt NOLOGIN PASSWORD NULL").await.expect("it rests");
    let found = pairing(&backend, "taken").await;
    assert!(found.exists && found.notes.iter().any(|note| note.contains("again")), "{found:?}");
    let plain = backend_as(&server, "app", "one");
    assert_eq!(refusal(&plain, "taken").await.0, "verifiers");
    client.batch_execute("GRANT SELECT (rolname, rolpassword) ON pg_authid TO app").await.expect("granted");
    let (code, why) = refusal(&plain, "taken").await;
    assert!(code == "missing-right" && why.contains("ALTER ROLE \"app\" CREATEROLE"), "{code}: {why}");
}
