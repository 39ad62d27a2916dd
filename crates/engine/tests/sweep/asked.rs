//! The rotation of a database password by the static role of an engine, which makes, sets and shows it.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use claviger_backend_simulated::{Estate, Fault, estate::StaticRole};
use claviger_core::clock::{Clock as _, SystemClock};
use claviger_engine::{
    Error,
    plan::{Plan, RotateOptions},
    progress::Silent,
    selector::Selector,
};
use claviger_testkit::database::Kind;

use crate::{
    invariants::{self, current, sealed},
    world::{COPIES, Process, ROLE, RUN, Saga, Trial, World, copy, open},
};

/// The static role.
pub(crate) const SUBJECT: &str = "sim/database/static-roles/payments";

/// The engine holds the password that the copies hold.
pub(crate) fn plant(estate: &mut Estate) {
    let entry = estate.secret_store.paths.get("payments/db").and_then(|entry| entry.current());
    let Some(value) = entry.and_then(|version| version.fields.get("password").cloned()) else { return };
    let role = StaticRole { role: ROLE.to_owned(), value, rotated_at: SystemClock.now(), rotations: 0 };
    estate.secret_store.static_roles.insert("payments".to_owned(), role);
}

pub(crate) async fn plan(process: &Process, subject: &str) -> Result<Plan> {
    let selector = Selector::parse(subject)?;
    Ok(process.engine.plan_rotation(&selector, &RotateOptions::default()).await?)
}

/// L: some durably held value authenticates, and the engine's own word is durable: it holds what the database accepts.
pub(crate) async fn nothing_lost(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let observer = world.observer(dir);
    let held = observer.estate()?.secret_store.static_roles["payments"].value.clone();
    ensure!(observer.accepts(ROLE, held.expose(), &SystemClock)?, "the engine holds what is not accepted");
    let mut known = sealed(process).await?;
    known.extend([world.old.clone(), held.expose().to_vec()]);
    for place in [COPIES[0], COPIES[1]] {
        ensure!(known.contains(&current(process, place).await?), "{place} holds a value that nobody knows");
    }
    Ok(())
}

async fn world() -> World {
    let world = World::prepare(Saga::Asked, Kind::Sqlite).await.expect("the world can be made");
    world.expect("SQLite is built in")
}

/// One value under two names has one issuer, and the way back is said to be none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_of_a_static_role_is_not_rotated_behind_the_engine() -> Result<()> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    let process = open(dir.path(), &world.database, Trial::default()).await?;
    let direct = plan(&process, &format!("sim/db/role/{ROLE}")).await?;
    ensure!(direct.subjects.is_empty(), "it is planned");
    let refused = direct.refused.first().context("a refusal")?;
    ensure!(refused.code == "engine-owned" && refused.reason.contains(SUBJECT), "{refused:?}");

    let plan = plan(&process, SUBJECT).await?;
    let plan = plan.subjects.first().context("a plan")?;
    ensure!(plan.definition == "replace-asked/1" && plan.strategy == "replace", "{}", plan.definition);
    ensure!(plan.reversible_until == "ask-issuer", "{}", plan.reversible_until);
    ensure!(plan.notes.iter().any(|note| note.contains("cannot be taken back")), "{:?}", plan.notes);
    let writes = |at: &str| plan.steps.iter().any(|step| step.id == format!("write-copy:{at}"));
    ensure!(COPIES.iter().all(|at| writes(at)), "a copy is left out: {:?}", plan.steps);
    ensure!(!plan.steps.iter().any(|step| step.id.contains("static-creds")), "{:?}", plan.steps);
    Ok(())
}

/// Before the engine was asked it unwinds; after that there is no way back, and it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_engine_has_changed_is_not_taken_back() -> Result<()> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    // The first copy is refused for good.
    let denied = Trial { estate: Some((1, Fault::Deny)), commit: None };
    let process = open(dir.path(), &world.database, denied).await?;
    let paused = process.attempt(world.plan().clone()).await.context("it did not crash")??;
    ensure!(paused.state == "paused", "{}: {:?}", paused.state, paused.reason);
    let refused = process.engine.plan_rollback(paused.rotation_id, &RUN, &Silent).await;
    ensure!(
        matches!(&refused, Err(Error::Refused { code: "no-rollback", reason, .. }) if reason.contains("takes none")),
        "{refused:?}"
    );
    let done = process.resume(Some(paused.rotation_id), &RUN).await?;
    ensure!(done[0].state == "done", "{:?}", done[0].reason);
    invariants::rotation(&world, &process, &world.database, dir.path(), true).await
}

/// What the copies hold is not what the engine holds: nobody knows which of them is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_out_of_step_with_the_engine_changes_nothing() -> Result<()> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    let process = open(dir.path(), &world.database, Trial::default()).await?;
    let file = claviger_backend_simulated::EstateFile::new(dir.path().join("estate.json"));
    file.edit(|estate| {
        if let Some(role) = estate.secret_store.static_roles.get_mut("payments") {
            role.value = claviger_backend_simulated::estate::Planted::text("another-0123456789");
        }
    })?;
    let outcome = process.attempt(world.plan().clone()).await.context("it did not crash")??;
    let reason = outcome.reason.unwrap_or_default();
    ensure!(
        outcome.state == "unwound" && reason.contains("does not hold the value"),
        "{}: {reason}",
        outcome.state
    );
    ensure!(world.observer(dir.path()).effects()?.is_empty(), "something was changed");
    Ok(())
}
