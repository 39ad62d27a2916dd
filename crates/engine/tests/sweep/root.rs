//! The rotation of the root credential of a database engine, which the engine alone knows afterwards.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use claviger_backend_simulated::{
    Estate, EstateFile, Fault,
    estate::{Connection, KvEntry, KvVersion, Password, Planted},
};
use claviger_core::clock::{Clock as _, SystemClock};
use claviger_engine::{
    Error,
    plan::{Plan, RotateOptions},
    progress::Silent,
    selector::Selector,
};
use claviger_store::Journal as _;
use claviger_testkit::database::{Kind, TestDatabase};

use crate::{
    invariants,
    world::{Process, ROLE, RUN, Saga, Trial, World, copy, open},
};

/// The connection.
pub(crate) const SUBJECT: &str = "sim/database/config/payments-pg";
const ACCOUNT: &str = "engine_root";
/// Its password before.
pub(crate) const OLD: &str = "root-of-the-engine-0123456789";
const COPY: &str = "sim/kv/ops/engine#password";

/// The engine, its account, and perhaps what somebody wrote down when the engine was set up.
pub(crate) fn plant(estate: &mut Estate, copied: bool) {
    let now = SystemClock.now();
    let mut role = estate.database.roles[ROLE].clone();
    role.password = Some(Password::scram(OLD.as_bytes(), &[5; 16]));
    estate.database.roles.insert(ACCOUNT.to_owned(), role);
    let connection = Connection { role: ACCOUNT.to_owned(), value: Planted::text(OLD) };
    estate.secret_store.connections.insert("payments-pg".to_owned(), connection);
    if copied {
        let fields = [("username", ACCOUNT), ("password", OLD)];
        let fields = fields.map(|(key, value)| (key.to_owned(), Planted::text(value))).into();
        let version =
            KvVersion { number: 1, created_at: now - TimeDelta::days(90), written_by: None, fields };
        let entry = KvEntry { versions: vec![version], labels: Default::default(), denied: false };
        estate.secret_store.paths.insert("ops/engine".to_owned(), entry);
    }
}

pub(crate) async fn plan(process: &Process, leave_stale: bool) -> Result<Plan> {
    let selector = Selector::parse(SUBJECT)?;
    Ok(process
        .engine
        .plan_rotation(&selector, &RotateOptions { leave_stale, ..RotateOptions::default() })
        .await?)
}

/// L: the engine's word is durable, and it holds what the database accepts.
pub(crate) fn engine_works(world: &World, dir: &Path) -> Result<Vec<u8>> {
    let observer = world.observer(dir);
    let held = observer.estate()?.secret_store.connections["payments-pg"].value.clone();
    ensure!(observer.accepts(ACCOUNT, held.expose(), &SystemClock)?, "the engine holds what is not accepted");
    Ok(held.expose().to_vec())
}

/// Nothing was asked of the engine.
pub(crate) fn as_before(world: &World, dir: &Path) -> Result<()> {
    let held = engine_works(world, dir)?;
    ensure!(held == OLD.as_bytes(), "the engine has another value");
    Ok(())
}

/// After it came to rest: the old value is refused, and as much is said of that as was seen.
pub(crate) async fn at_rest(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    let held = engine_works(world, dir)?;
    let accepted = world.observer(dir).accepts(ACCOUNT, OLD.as_bytes(), &SystemClock)?;
    ensure!(accepted != began, "began: {began}, accepted: {accepted}");
    let expected = if world.first() == Saga::RootCopied { "proven" } else { "attested" };
    let receipts = process.store().receipts(None).await?;
    ensure!(
        receipts.len() == usize::from(began) && receipts.iter().all(|receipt| receipt.verdict == expected),
        "{receipts:?}"
    );
    invariants::settled(world, process, database, dir, &[OLD.as_bytes(), &held]).await
}

async fn started(saga: Saga) -> Result<(World, tempfile::TempDir)> {
    let world = World::prepare(saga, Kind::Sqlite).await?.context("SQLite is built in")?;
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    Ok((world, dir))
}

/// Whoever else has the password is named first, and what follows is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_that_others_have_too_is_not_rotated_without_being_told_to() -> Result<()> {
    let (world, dir) = started(Saga::RootCopied).await?;
    let process = open(dir.path(), &world.database, Trial::default()).await?;
    let direct = plan(&process, false).await?;
    ensure!(direct.subjects.is_empty(), "it is planned");
    let refused = direct.refused.first().context("a refusal")?;
    ensure!(refused.code == "shared-root" && refused.reason.contains(COPY), "{refused:?}");
    let plan = world.plan();
    ensure!(plan.definition == "replace-root/1" && plan.strategy == "replace", "{}", plan.definition);
    ensure!(plan.reversible_until == "rotate-root", "{}", plan.reversible_until);
    for says in ["only the engine", "cannot be taken back", "dead value"] {
        ensure!(plan.notes.iter().any(|note| note.contains(says)), "{says}: {:?}", plan.notes);
    }
    Ok(())
}

/// Changed at the database alone, its password would be one that the engine does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_by_which_an_engine_logs_in_is_not_rotated_behind_its_back() -> Result<()> {
    let (world, dir) = started(Saga::RootCopied).await?;
    let process = open(dir.path(), &world.database, Trial::default()).await?;
    let engine = &process.engine;
    let planned = |subject: String| async move {
        let selector = Selector::parse(&subject)?;
        anyhow::Ok(engine.plan_rotation(&selector, &RotateOptions::default()).await?)
    };
    let account = planned(format!("sim/db/role/{ACCOUNT}")).await?;
    let refused = account.refused.first().context("a refusal")?;
    ensure!(refused.code == "engine-root" && refused.reason.contains(SUBJECT), "{refused:?}");
    let other = planned(format!("sim/db/role/{ROLE}")).await?;
    ensure!(other.refused.is_empty() && other.subjects.len() == 1, "{:?}", other.refused);
    Ok(())
}

/// Before the engine was asked it unwinds; after that there is no way back, and it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_engine_knows_is_not_taken_back() -> Result<()> {
    let (world, dir) = started(Saga::Root).await?;
    let process = open(dir.path(), &world.database, Trial::default()).await?;
    // The engine is let in no more right after it has changed it.
    let later = Trial { estate: Some((0, Fault::CrashAfter)), commit: None };
    let dying = open(dir.path(), &world.database, later).await?;
    ensure!(dying.attempt(world.plan().clone()).await.is_none(), "it did not crash");
    EstateFile::new(dir.path().join("estate.json")).edit(|estate| {
        if let Some(role) = estate.database.roles.get_mut(ACCOUNT) {
            role.nologin = true;
        }
    })?;
    let paused = process.resume(None, &RUN).await?;
    ensure!(paused[0].state == "paused", "{}: {:?}", paused[0].state, paused[0].reason);
    let refused = process.engine.plan_rollback(paused[0].rotation_id, &RUN, &Silent).await;
    ensure!(
        matches!(&refused, Err(Error::Refused { code: "no-rollback", reason, .. }) if reason.contains("only its engine")),
        "{refused:?}"
    );
    EstateFile::new(dir.path().join("estate.json")).edit(|estate| {
        if let Some(role) = estate.database.roles.get_mut(ACCOUNT) {
            role.nologin = false;
        }
    })?;
    let done = process.resume(Some(paused[0].rotation_id), &RUN).await?;
    ensure!(done[0].state == "done", "{:?}", done[0].reason);
    at_rest(&world, &process, &world.database, dir.path(), true).await
}

/// The copy that was seen is another one meanwhile: nothing is known of the old value, and nothing is changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_not_accepted_changes_nothing() -> Result<()> {
    let (world, dir) = started(Saga::RootCopied).await?;
    let process = open(dir.path(), &world.database, Trial::default()).await?;
    EstateFile::new(dir.path().join("estate.json")).edit(|estate| {
        if let Some(entry) = estate.secret_store.paths.get_mut("ops/engine")
            && let Some(version) = entry.versions.last_mut()
        {
            version.fields.insert("password".to_owned(), Planted::text("another-0123456789abcdef"));
        }
    })?;
    let outcome = process.attempt(world.plan().clone()).await.context("it did not crash")??;
    let reason = outcome.reason.unwrap_or_default();
    ensure!(outcome.state == "unwound" && reason.contains("not accepted"), "{}: {reason}", outcome.state);
    ensure!(world.observer(dir.path()).effects()?.is_empty(), "something was changed");
    Ok(())
}
