//! Two database users that take turns, on the real servers: name and password in every copy together, the same rights, and no login that fails.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    estate::Estate,
    lab::{
        ministack::Call,
        postgres::{Postgres, connect},
    },
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::{
    Place,
    kills::{FEW, Kills},
    recovery::{Lifecycle, decoded},
    text,
};

/// A user's name and password.
type Login = (String, String);

/// A place whose policy lets the role of the estate take turns with another.
pub(crate) fn place(estate: &Estate, mut place: Place) -> Result<Place> {
    let config = std::fs::read_to_string(&place.config)?;
    let policy = "[policies.turns]\nmatch = \"db/role/app*\"\nstrategy = \"alternating\"\n";
    place.config = estate.directory().join("turns.toml");
    std::fs::write(&place.config, format!("{config}\n{policy}"))?;
    Ok(place)
}

/// What each of three copies holds, each read at once.
async fn held(estate: &Estate) -> Result<Vec<(&'static str, Login)>> {
    let get = async |path: &str| estate.kubernetes.request(Method::GET, path, None).await;
    let secret = get("/api/v1/namespaces/payments/secrets/db").await?.body;
    let password = decoded(&secret["data"]["password"])?.trim_end_matches('\n').to_owned();
    let map = get("/api/v1/namespaces/payments/configmaps/app").await?.body;
    let url = text(&map["data"], "database-url").to_owned();
    let kv = estate.openbao.request(Method::GET, "kv/data/payments/db", None).await?.body;
    let kv = &kv["data"]["data"];
    Ok(vec![
        ("Secret", (decoded(&secret["data"]["username"])?, password)),
        ("ConfigMap", of_url(&url)?),
        ("KV", (text(kv, "username").to_owned(), text(kv, "password").to_owned())),
    ])
}

/// The same with the fourth, which takes a second to be asked for.
async fn copies(estate: &Estate) -> Result<Vec<(&'static str, Login)>> {
    let mut held = held(estate).await?;
    let get = Call {
        service: "secretsmanager",
        operation: "get_secret_value",
        parameters: json!({"SecretId": "payments/db"}),
    };
    let document: Value = serde_json::from_str(text(&estate.ministack.calls(&[get])?[0], "SecretString"))?;
    ensure!(document["host"] == "127.0.0.1", "a field beside the pair was changed");
    let login = (text(&document, "username").to_owned(), text(&document, "password").to_owned());
    held.push(("Secrets Manager", login));
    Ok(held)
}

fn of_url(url: &str) -> Result<Login> {
    let parsed: tokio_postgres::Config = url.parse().ok().context("a URL")?;
    let password = String::from_utf8(parsed.get_password().context("a password")?.to_vec())?;
    Ok((parsed.get_user().context("a user")?.to_owned(), password))
}

/// All copies hold one login, which is given.
async fn in_step(estate: &Estate) -> Result<Login> {
    let held = copies(estate).await?;
    let login = held[0].1.clone();
    for (place, other) in held {
        ensure!(
            other == login,
            "{place} holds a login of `{}`, and the Secret one of `{}`",
            other.0,
            login.0
        );
    }
    Ok(login)
}

async fn session(server: &Postgres, login: &Login, database: &str) -> Result<Client> {
    let mut configuration = server.configuration(database);
    configuration.user(&login.0).password(&login.1);
    connect(&configuration).await
}

async fn one(client: &Client, sql: &str) -> Result<String> {
    Ok(client.query_one(sql, &[]).await.with_context(|| sql.to_owned())?.get(0))
}

/// May it log in, and has it a password?
async fn state(client: &Client, role: &str) -> Result<(bool, bool)> {
    let sql = "SELECT rolcanlogin, rolpassword IS NOT NULL FROM pg_authid WHERE rolname = $1";
    let row = client.query_opt(sql, &[&role]).await?;
    Ok(row.map_or((false, false), |row| (row.get(0), row.get(1))))
}

/// Reads each copy without a pause, and logs in with it: a torn pair would be seen.
async fn read_on(estate: Arc<Estate>, stop: Arc<AtomicBool>) -> Result<(u32, Vec<String>)> {
    let (mut logins, mut failed) = (0, Vec::new());
    while !stop.load(Ordering::SeqCst) {
        for (place, login) in held(&estate).await? {
            logins += 1;
            if !estate.postgres.accepts(&login.0, &login.1).await.unwrap_or(false) {
                // One that was exchanged between the reading and the login was no torn one.
                let now = held(&estate).await?;
                if now.iter().any(|(other, held)| *other == place && *held == login) {
                    failed.push(format!("{place} as `{}`", login.0));
                }
            }
        }
    }
    Ok((logins, failed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_users_take_turns_with_the_same_rights() -> Result<()> {
    let estate = Arc::new(require_lab!(Estate::start().await, Ok(())));
    let place = place(&estate, Place::new(estate.directory(), "turns.db"))?;
    place.run(&["scan"], None)?.expect(3)?;
    let admin = estate.postgres.connect("postgres").await?;
    admin
        .batch_execute("ALTER ROLE app SET search_path = ledger, public; ALTER ROLE app CONNECTION LIMIT 40")
        .await?;
    admin.batch_execute("REVOKE CONNECT ON DATABASE payments FROM PUBLIC").await?;
    let first = in_step(&estate).await?;
    let app = session(&estate.postgres, &first, "payments").await?;
    app.batch_execute("CREATE SCHEMA ledger; CREATE TABLE ledger.entry (id int)").await?;
    drop(app);

    let plan = ["rotate", "db/role/app*", "--leave-stale", "--dry-run", "-o", "json"];
    let plan = place.run(&plan, None)?.json()?;
    let subjects = plan["subjects"].as_array().context("subjects")?;
    let planned = subjects.iter().find(|subject| subject["ref"] == "db/role/app").context("a plan")?;
    ensure!(planned["strategy"] == "alternating", "{plan:#}");
    for words in ["pg_hba.conf", "read the user's name from the copies", "is made as a member"] {
        ensure!(planned["notes"].to_string().contains(words), "{words}: {:#}", planned["notes"]);
    }
    ensure!(state(&admin, "app_alt").await? == (false, false), "a dry run changes nothing");

    let stop = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(read_on(Arc::clone(&estate), Arc::clone(&stop)));
    let mut held = first.clone();
    for (turn, from, to) in [(1, "app", "app_alt"), (2, "app_alt", "app"), (3, "app", "app_alt")] {
        let subject = format!("db/role/{from}");
        let arguments = ["rotate", &subject, "--leave-stale", "--yes", "-o", "json"];
        let done = tokio::task::block_in_place(|| place.run(&arguments, None))?.expect(0)?.json()?;
        let rotation = &done["rotations"][0];
        ensure!(
            rotation["state"] == "done" && rotation["old"]["verdict"] == "proven",
            "turn {turn}: {rotation:#}"
        );
        ensure!(rotation["new"]["ref"] == format!("db/role/{to}"), "turn {turn}: {rotation:#}");
        let steps = rotation["steps"].as_array().context("steps")?;
        let quiet = steps.iter().find(|step| step["step"] == "await-no-sessions").context("the samples")?;
        ensure!(text(quiet, "detail").contains("samples"), "{quiet:#}");

        // The servers, asked without claviger.
        let login = in_step(&estate).await?;
        ensure!(login.0 == to && login.1 != held.1, "turn {turn}: the copies hold a login of `{}`", login.0);
        ensure!(state(&admin, from).await? == (false, false), "turn {turn}: `{from}` does not rest");
        ensure!(!estate.postgres.accepts(from, &held.1).await?, "turn {turn}: the old password is accepted");
        let consumer = session(&estate.postgres, &login, "payments").await?;
        ensure!(
            one(&consumer, "SELECT current_user::text").await? == "app",
            "turn {turn}: it is somebody else"
        );
        ensure!(
            one(&consumer, "SHOW search_path").await? == "ledger, public",
            "turn {turn}: another search_path"
        );
        consumer
            .batch_execute(&format!("INSERT INTO entry VALUES ({turn}); CREATE TABLE made_{turn} (id int)"))
            .await?;
        let owner = format!("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'made_{turn}'");
        ensure!(one(&consumer, &owner).await? == "app", "turn {turn}: what it makes is not app's");
        let limit = format!("SELECT rolconnlimit::text FROM pg_roles WHERE rolname = '{to}'");
        ensure!(one(&admin, &limit).await? == "40", "turn {turn}: another connection limit");
        drop(consumer);

        // The inventory: the one that works has the copies, the other rests and is not rotated.
        tokio::task::block_in_place(|| place.run(&["scan"], None))?;
        let shown = place.run(&["show", &format!("db/role/{to}"), "-o", "json"], None)?.expect(0)?.json()?;
        let current = shown["copies"].as_array().context("copies")?;
        let current = current.iter().filter(|copy| copy["stage"] == "current").count();
        ensure!(
            shown["credential"]["state"] == "active" && current >= 4,
            "turn {turn}: {current}: {shown:#}"
        );
        let active = place.list("credentials")?;
        let active: Vec<_> =
            active.iter().filter(|item| item["state"] == "active").map(|item| text(item, "ref")).collect();
        ensure!(!active.contains(&subject.as_str()), "turn {turn}: `{from}` is listed as active");
        let refused = place
            .run(&["rotate", &subject, "--leave-stale", "--yes", "-o", "json"], None)?
            .expect(4)?
            .json()?;
        ensure!(refused["refused"][0]["code"] == "not-active", "turn {turn}: {refused:#}");
        held = login;
    }
    stop.store(true, Ordering::SeqCst);
    let (logins, failed) = reader.await??;
    println!(
        "alternating: {logins} logins with what three copies held through three turns, {} failed",
        failed.len()
    );
    ensure!(logins > 50 && failed.is_empty(), "{logins} logins, failed: {failed:?}");
    let consumer = session(&estate.postgres, &held, "payments").await?;
    ensure!(one(&consumer, "SELECT count(*)::text FROM entry").await? == "3", "an entry is lost");
    place.run(&["audit", "verify"], None)?.expect(0)?;

    // What cannot take turns is refused with what to do.
    let config = std::fs::read_to_string(&place.config)?;
    std::fs::write(&place.config, config.replace("db/role/app*", "db/role/*"))?;
    let refused = ["rotate", "db/role/batch_admin", "--leave-stale", "--yes", "-o", "json"];
    let refused = place.run(&refused, None)?.expect(4)?.json()?;
    ensure!(refused["refused"][0]["code"] == "superuser", "{refused:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_role_and_a_copy_without_a_user_are_refused() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, Place::new(estate.directory(), "turns-refused.db"))?;
    let arguments = ["rotate", "db/role/app", "--yes", "-o", "json"];
    let admin = estate.postgres.connect("postgres").await?;
    admin.batch_execute("CREATE ROLE app_alt LOGIN PASSWORD 'somebody-elses'").await?;
    place.run(&["scan"], None)?.expect(3)?;
    let refused = place.run(&arguments, None)?.expect(4)?.json()?;
    ensure!(refused["refused"][0]["code"] == "name-taken", "{refused:#}");
    ensure!(refused["refused"][0]["reason"].to_string().contains("COMMENT ON ROLE"), "{refused:#}");
    ensure!(estate.postgres.accepts("app_alt", "somebody-elses").await?, "it was touched");
    admin.batch_execute("DROP ROLE app_alt").await?;
    let bare = json!({"data": {"username": null}});
    estate.kubernetes.request(Method::PATCH, "/api/v1/namespaces/payments/secrets/db", Some(&bare)).await?;
    place.run(&["scan"], None)?.expect(3)?;
    let stale = ["rotate", "db/role/app", "--dry-run", "-o", "json"];
    let refused = place.run(&stale, None)?.json()?;
    let reason = refused["refused"].to_string();
    ensure!(reason.contains("copy-without-user") || reason.contains("copy-read-only"), "{refused:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_turn_is_taken_up_and_nothing_is_lost() -> Result<()> {
    println!("{}", kill_turns(FEW, Lifecycle::Sqlite).await?);
    Ok(())
}

/// Kills turns so many times.
pub(crate) async fn kill_turns(times: u32, lifecycle: Lifecycle) -> Result<String> {
    let estate = require_lab!(Estate::start().await, Ok(String::new()));
    let mut place = place(&estate, lifecycle.place(&estate, "turns_killed").await?)?;
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place.run(&["scan"], None)?.expect(3)?;
    let admin = estate.postgres.connect("postgres").await?;
    let (mut interrupted, mut kills) = (0, Kills::new(times));
    for _ in kills.turns() {
        let from = in_step(&estate).await?;
        let subject = format!("db/role/{}", from.0);
        let at = kills.strike(&place, &["rotate", &subject, "--leave-stale", "--yes", "-o", "json"]).await?;
        for (place, login) in held(&estate).await? {
            let accepted = estate.postgres.accepts(&login.0, &login.1).await?;
            ensure!(accepted, "{at}: {place} holds a login that is not accepted");
        }
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        let resumed = resumed["rotations"].as_array().context("rotations")?.clone();
        interrupted += resumed.len();
        ensure!(resumed.iter().all(|one| one["state"] == "done"), "{at}: {resumed:#?}");
        let login = in_step(&estate).await?;
        ensure!(estate.postgres.accepts(&login.0, &login.1).await?, "{at}: locked out");
        let other = if login.0 == "app" { "app_alt" } else { "app" };
        let rests = state(&admin, other).await?;
        ensure!(rests == (false, false), "{at}: `{other}` does not rest: {rests:?}");
        place.run(&["audit", "verify"], None)?.expect(0)?;
        place.run(&["scan"], None)?;
    }
    ensure!(interrupted >= times as usize / 3, "only {interrupted} of {times} kills hit a turn");
    Ok(format!(
        "killed {times} times, {interrupted} in the middle; all resumed to done, one of two users rests"
    ))
}

/// Starts a turn and kills it a moment after the world looks like this. `false`: it was done by then.
async fn kill_when<F: AsyncFn() -> Result<bool>>(place: &Place, is: F, moment: u64) -> Result<bool> {
    let arguments = ["rotate", "db/role/app", "--leave-stale", "--yes", "-o", "json"];
    let mut command = place.command(&arguments)?;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    while !is().await? && child.try_wait()?.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(moment)).await;
    let running = child.try_wait()?.is_none();
    child.kill()?;
    child.wait()?;
    Ok(running)
}

/// The same, and then back instead of on: before the first copy is written, and after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_turn_is_taken_back() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let mut place = place(&estate, Place::new(estate.directory(), "turns-back.db"))?;
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place.run(&["scan"], None)?.expect(3)?;
    let admin = estate.postgres.connect("postgres").await?;
    let before = in_step(&estate).await?;
    let (mut by_saga, mut unwound) = (0, 0);
    for (written, moment) in [(false, 0), (true, 0), (true, 60), (true, 150)] {
        let is = async || {
            let woken = state(&admin, "app_alt").await?.0;
            Ok(if written { held(&estate).await?[0].1.0 == "app_alt" } else { woken })
        };
        if !kill_when(&place, is, moment).await? {
            // It was done: its old user rests, and there is nothing to go back to.
            break;
        }
        let rotations = place.list("rotations")?;
        let rest = ["done", "unwound", "rolled-back"];
        let open = rotations.iter().find(|rotation| !rest.contains(&text(rotation, "state")));
        let id = text(open.context("an open rotation")?, "rotation_id");
        let run = place.run(&["rollback", id, "--yes", "-o", "json"], None)?;
        if run.code == 4 && run.stderr.contains("has ended") {
            break;
        }
        let done = run.expect(0)?.json()?;
        match text(&done["rotations"][0], "state") {
            "done" => {
                by_saga += 1;
                ensure!(done["rotations"][0]["old"]["verdict"] == "proven", "{done:#}");
            }
            "unwound" => unwound += 1,
            other => anyhow::bail!("killed {moment} ms after {written}: {other}: {done:#}"),
        }
        ensure!(in_step(&estate).await? == before, "killed {moment} ms after {written}: another login");
        ensure!(
            estate.postgres.accepts(&before.0, &before.1).await?,
            "killed {moment} ms after {written}: locked out"
        );
        let other = state(&admin, "app_alt").await?;
        ensure!(other == (false, false), "killed {moment} ms after {written}: the other user works");
        place.run(&["audit", "verify"], None)?.expect(0)?;
    }
    ensure!(by_saga >= 1, "only {by_saga} kills came after the pivot, {unwound} before it");
    println!("{by_saga} turns taken back after the pivot, {unwound} before it");
    Ok(())
}
