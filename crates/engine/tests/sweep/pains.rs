//! What has hurt users of other rotators, each as a test under the number of its report: wedged rotations, lost values, outages.
//!
//! Reports whose system or situation cannot occur here have none: tokens that renew themselves (gitlab#418238), replication between two stores
//! (rustfs#6793), pauses and windows of a schedule (vault#27165). Of two users that take turns (vault#18738) see
//! `two_roles_take_turns_and_the_inventory_follows`. What needs a real server is tested there: staged versions of Secrets Manager
//! (`tests/tests/estate/pending.rs`), password rules (`a_refused_value_is_replaced_twice_and_never_tried_for_ever`, of vault#28989).

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend_simulated::{
    Estate, EstateFile, Fault,
    estate::{Effect, Password, Planted},
};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    model::CopyStage,
    saga::{Cause, Decision},
};
use claviger_engine::{
    Error, plan::RotateOptions, policy, progress::Silent, saga::SagaOutcome, scan::ScanOptions,
    selector::Selector,
};
use claviger_store::{Error as StoreError, Inventory as _, Journal as _};
use claviger_testkit::database::{Kind, TestDatabase};
use tempfile::TempDir;

use crate::{
    invariants::current,
    journal::CommitFault,
    minted,
    world::{COPIES, Process, ROLE, RUN, Saga, Trial, World, copy, open, policy as with_policy},
};

async fn world(saga: Saga) -> Result<World> {
    World::prepare(saga, Kind::Sqlite).await?.context("SQLite is built in")
}

/// A copy of a world in which things are done by hand.
struct Scene {
    world: World,
    dir: TempDir,
    database: TestDatabase,
}

impl Scene {
    async fn of(saga: Saga) -> Result<Self> {
        let world = world(saga).await?;
        let dir = tempfile::tempdir()?;
        copy(world.template.path(), dir.path())?;
        let database = world.database.copy().await?;
        Ok(Self { world, dir, database })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    async fn process(&self, trial: Trial) -> Result<Process> {
        open(self.path(), &self.database, trial).await
    }

    /// The saga in a process that dies at this mutation of the estate.
    async fn killed(&self, index: u64, fault: Fault) -> Result<Process> {
        let process = self.process(Trial { estate: Some((index, fault)), commit: None }).await?;
        ensure!(process.attempt(self.world.plan.clone()).await.is_none(), "it did not die");
        process.store().close().await;
        self.process(Trial::default()).await
    }

    async fn finished(&self, process: &Process) -> Result<SagaOutcome> {
        let outcome = process.attempt(self.world.plan.clone()).await.context("it did not crash")??;
        ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
        Ok(outcome)
    }

    fn edit(&self, change: impl FnOnce(&mut Estate)) -> Result<()> {
        Ok(EstateFile::new(self.path().join("estate.json")).edit(change)?)
    }

    fn effects(&self) -> Result<Vec<Effect>> {
        Ok(self.world.observer(self.path()).effects()?)
    }
}

/// An operator ends it as it is.
async fn close(process: &Process, outcome: &SagaOutcome) -> claviger_engine::Result<SagaOutcome> {
    let reason = "enough".to_owned();
    process.engine.resolve(outcome.rotation_id, Decision::Close, reason, &RUN, &Silent).await
}

fn crash(index: u64, fault: Fault) -> Trial {
    Trial { estate: Some((index, fault)), commit: None }
}

/// A root password was changed and the new one never stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_6042_a_password_that_was_changed_is_stored_before_it_is_changed() -> Result<()> {
    // The first mutation sets it. Right after it the value is durable only in the journal, and a login with that works.
    world(Saga::Rotation).await?.run(crash(0, Fault::CrashAfter)).await.map(drop)
}

/// A crash between making a credential and writing its state down locked the agent out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn teleport_13228_a_crash_before_anything_is_written_locks_nobody_out() -> Result<()> {
    let world = world(Saga::Rotation).await?;
    for commit in 0..6 {
        let died = Trial { estate: None, commit: Some((commit, CommitFault::CrashBefore)) };
        world.run(died).await.with_context(|| format!("before commit {commit}"))?;
    }
    Ok(())
}

/// After a failover nobody went on with what the former leader had begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_21935_a_failover_goes_on_with_what_was_begun() -> Result<()> {
    let scene = Scene::of(Saga::Rotation).await?;
    let other = scene.killed(2, Fault::CrashAfter).await?;
    let outcomes = other.resume(None, &RUN).await?;
    ensure!(outcomes.len() == 1 && outcomes[0].state == "done", "{:?}", outcomes[0].reason);
    Ok(())
}

/// Roles were not rotated once their time had come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_7502_what_is_older_than_its_limit_is_due() -> Result<()> {
    let scene = Scene::of(Saga::Rotation).await?;
    let mut process = scene.process(Trial::default()).await?;
    let now = SystemClock.now();
    let credential = process.engine.by_ref(scene.world.subject()).await?.context("the credential")?;
    let since = credential.last_rotated_at.or(credential.created_at).context("an age")?;
    for (limit, due) in
        [(now - since - TimeDelta::hours(1), true), (now - since + TimeDelta::hours(1), false)]
    {
        let mut limited = with_policy("sim/db/*", None, None)?;
        limited.max_age = Some(limit);
        process.engine.estate.policies = vec![limited];
        let mut shown = credential.clone();
        policy::apply(&process.engine.estate, &mut shown, now);
        ensure!(shown.next_due_at.is_some_and(|at| at <= now) == due, "{limit}: {:?}", shown.next_due_at);
    }
    Ok(())
}

/// It worked for a week, and then logins failed: somebody had changed the password behind the rotator's back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_21857_a_password_changed_by_somebody_else_is_told_and_nothing_is_changed() -> Result<()> {
    let scene = Scene::of(Saga::Rotation).await?;
    scene.edit(|estate| {
        if let Some(role) = estate.database.roles.get_mut(ROLE) {
            role.password = Some(Password::scram(b"somebody-else-set-this-one", &[7; 16]));
        }
    })?;
    let process = scene.process(Trial::default()).await?;
    let outcome = process.attempt(scene.world.plan.clone()).await.context("it did not crash")??;
    let reason = outcome.reason.unwrap_or_default();
    ensure!(outcome.state == "unwound" && reason.contains("not the one that is accepted"), "{reason}");
    ensure!(scene.effects()?.is_empty(), "something was changed");
    // A scan no longer calls the copies proven ones of that role.
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    let copies = process.store().copies(&Default::default()).await?;
    let role = process.engine.by_ref(scene.world.subject()).await?.context("the role")?;
    let proven = copies.iter().find(|copy| {
        copy.credential == role.id && copy.at.as_str() == COPIES[0] && copy.evidence == "verifier"
    });
    ensure!(proven.is_none(), "{proven:?}");
    Ok(())
}

/// A restart rotated what it had been told to leave alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_29537_a_restart_rotates_nothing() -> Result<()> {
    let scene = Scene::of(Saga::Rotation).await?;
    for _ in 0..2 {
        let process = scene.process(Trial::default()).await?;
        ensure!(process.resume(None, &RUN).await?.is_empty(), "there was something to resume");
        process.store().close().await;
    }
    ensure!(scene.effects()?.is_empty(), "a restart changed something");
    Ok(())
}

/// One mismatch of generations locked every instance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn teleport_52021_who_was_overtaken_stops_and_nobody_else() -> Result<()> {
    let scene = Scene::of(Saga::Rotation).await?;
    let process = scene.process(Trial::default()).await?;
    let id = process.engine.begin(scene.world.plan.clone(), Cause::Manual, None).await?;
    let mut lost = process.store().claim(id, "lost", Duration::from_millis(300)).await?.context("free")?;
    let outcome = process.engine.drive(id, &RUN, &Silent).await?;
    ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
    let late = process.store().renew(&mut lost, RUN.lease).await;
    ensure!(matches!(late, Err(StoreError::Fenced)), "the overtaken one was not stopped");
    Ok(())
}

/// The answer to a rotation was lost, and with it the only copy of the new token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gitlab_428256_a_lost_answer_leaves_no_key_that_nobody_has() -> Result<()> {
    // The first mutation makes the key; at rest no orphan is left, which the run checks.
    world(Saga::Minted).await?.run(crash(0, Fault::ErrorAfterEffect)).await.map(drop)
}

/// A retry with the old token revoked the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gitlab_524639_a_repeated_end_of_the_old_value_spares_the_new_one() -> Result<()> {
    let world = world(Saga::Dual).await?;
    let clean = world.run(Trial::default()).await?;
    // The last mutation ends the old one.
    for fault in [Fault::Repeat, Fault::ErrorAfterEffect, Fault::CrashAfter] {
        world.run(crash(clean.estate_boundaries - 1, fault)).await.with_context(|| format!("{fault:?}"))?;
    }
    Ok(())
}

/// The password was changed at the target, and then the store refused it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn infisical_5461_a_store_that_refuses_after_the_change_is_waited_for() -> Result<()> {
    let scene = Scene::of(Saga::Rotation).await?;
    scene.killed(0, Fault::CrashAfter).await?.store().close().await;
    // What comes next is the first copy.
    let process = scene.process(crash(0, Fault::Deny)).await?;
    let outcome = process.resume(None, &RUN).await?.into_iter().next().context("the saga")?;
    ensure!(outcome.state == "paused", "{}: {:?}", outcome.state, outcome.reason);
    scene.world.nothing_lost(&process, scene.path()).await?;
    // The journal is the only place that has the value: it is not thrown away, not even by an operator.
    let closed = close(&process, &outcome).await;
    ensure!(
        matches!(&closed, Err(Error::Refused { code: "last-value", .. })),
        "{:?}",
        closed.map(|it| it.state)
    );
    process.store().close().await;
    let later = scene.process(Trial::default()).await?;
    let done = later.resume(Some(outcome.rotation_id), &RUN).await?;
    ensure!(done[0].state == "done", "{:?}", done[0].reason);
    scene.world.at_rest(&later, &scene.database, scene.path(), true).await
}

/// Rotation worked once, when it was set up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn infisical_2402_a_rotated_key_is_rotated_again() -> Result<()> {
    let scene = Scene::of(Saga::Minted).await?;
    let process = scene.process(Trial::default()).await?;
    let mut outcome = scene.finished(&process).await?;
    for round in 2..4 {
        process.engine.scan(&ScanOptions::default(), &Silent).await?;
        let selector = Selector::parse(outcome.new["ref"].as_str().context("the new key's ref")?)?;
        let plan = process.engine.plan_rotation(&selector, &RotateOptions::default()).await?;
        let plan =
            plan.subjects.into_iter().next().with_context(|| format!("round {round}: {:?}", plan.refused))?;
        outcome = process.attempt(plan).await.context("it did not crash")??;
        ensure!(outcome.state == "done", "round {round}: {:?}", outcome.reason);
        minted::pairs_work(&scene.world, &process, scene.path()).await?;
    }
    Ok(())
}

/// Taking a credential over rotated it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conjur_742_and_vault_30610_taking_stock_changes_nothing() -> Result<()> {
    let scene = Scene::of(Saga::Rotation).await?;
    let process = scene.process(Trial::default()).await?;
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    process.engine.plan_rotation(&Selector::parse("sim/*")?, &RotateOptions::default()).await?;
    ensure!(scene.effects()?.is_empty(), "scanning or planning changed something");
    Ok(())
}

/// The former access key stayed, a second key for a whole further interval.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_27477_the_former_access_key_does_not_stay() -> Result<()> {
    // At rest one key is left besides the foreign one, which the run checks.
    world(Saga::Minted).await?.run(Trial::default()).await.map(drop)
}

/// Jobs that had begun with the old key died midway; others asked for an overlap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloud_key_rotator_10_and_terraform_google_11626_the_old_value_is_left_for_the_grace() -> Result<()> {
    world(Saga::Dual).await?.run_with_grace(TimeDelta::seconds(3)).await
}

/// The last version was dropped with the change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eso_6911_a_store_that_keeps_versions_keeps_the_former_one() -> Result<()> {
    let scene = Scene::of(Saga::Rotation).await?;
    let process = scene.process(Trial::default()).await?;
    scene.finished(&process).await?;
    let found = scene.world.observer(scene.path()).copies_of(&scene.world.old)?;
    let kept = found.iter().any(|copy| copy.stage == CopyStage::Former && copy.at.as_str() == COPIES[0]);
    ensure!(kept, "{found:?}");
    Ok(())
}

/// A new key was used before every server of its issuer knew it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eso_3114_a_new_key_is_not_written_before_its_issuer_knows_it_everywhere() -> Result<()> {
    let scene = Scene::of(Saga::Minted).await?;
    let process = scene.process(Trial::default()).await?;
    scene.finished(&process).await?;
    let settles = TimeDelta::seconds(i64::from(
        scene.world.observer(scene.path()).estate()?.settings.key_settle_seconds,
    ));
    let effects = scene.effects()?;
    let at = |operation: &str| -> Result<DateTime<Utc>> {
        let effect = effects.iter().find(|effect| effect.operation == operation);
        Ok(effect.with_context(|| format!("no {operation}"))?.at)
    };
    ensure!(
        settles > TimeDelta::zero() && at("write")? >= at("issue")? + settles,
        "it was written too early"
    );
    Ok(())
}

/// A store that was in step was written again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eso_6098_what_is_in_step_is_not_written() -> Result<()> {
    let scene = Scene::of(Saga::Rotation).await?;
    let process = scene.process(Trial::default()).await?;
    let outcome = scene.finished(&process).await?;
    let effects = scene.effects()?.len();
    for _ in 0..2 {
        ensure!(process.resume(None, &RUN).await?.is_empty(), "there was something to resume");
        process.engine.drive(outcome.rotation_id, &RUN, &Silent).await?;
        process.engine.scan(&ScanOptions::default(), &Silent).await?;
    }
    ensure!(scene.effects()?.len() == effects, "something was written again");
    Ok(())
}

/// A generator wrote over a value that somebody had set by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eso_5782_a_value_that_somebody_else_wrote_is_not_written_over() -> Result<()> {
    let scene = Scene::of(Saga::Rotation).await?;
    let process = scene.killed(0, Fault::CrashAfter).await?;
    const FOREIGN: &[u8] = b"somebody-wrote-this-by-hand-meanwhile";
    scene.edit(|estate| {
        if let Some(entry) = estate.secret_store.paths.get_mut("payments/db") {
            let mut fields = entry.current().map(|version| version.fields.clone()).unwrap_or_default();
            fields
                .insert("password".to_owned(), Planted::text(String::from_utf8_lossy(FOREIGN).into_owned()));
            entry.push(fields, SystemClock.now(), None);
        }
    })?;
    let outcome = process.resume(None, &RUN).await?.into_iter().next().context("the saga")?;
    let reason = outcome.reason.clone().unwrap_or_default();
    ensure!(
        outcome.state == "paused" && reason.contains("changed by somebody else"),
        "{}: {reason}",
        outcome.state
    );
    ensure!(current(&process, COPIES[0]).await? == FOREIGN, "it was written over");
    scene.world.nothing_lost(&process, scene.path()).await?;
    // The other copies hold what works, so an operator may end it as it is: the foreign value stays.
    let closed = close(&process, &outcome).await?;
    ensure!(closed.state == "closed", "{}: {:?}", closed.state, closed.reason);
    ensure!(current(&process, COPIES[0]).await? == FOREIGN, "it was written over");
    ensure!(process.store().sealed(outcome.rotation_id, "new:0").await?.is_none(), "a value is still sealed");
    Ok(())
}

/// A bad value reached the pods that still ran on the good one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wire_server_deploy_143_a_value_that_was_not_seen_to_work_reaches_no_copy() -> Result<()> {
    let scene = Scene::of(Saga::Dual).await?;
    // The token is added, and expired before anybody could try it.
    let process = scene.killed(0, Fault::CrashAfter).await?;
    let old = scene.world.old.clone();
    scene.edit(|estate| {
        for token in estate.secret_store.tokens.values_mut().filter(|token| !token.value.is(&old)) {
            token.expires_at = Some(SystemClock.now() - TimeDelta::days(1));
        }
    })?;
    let outcome = process.resume(None, &RUN).await?.into_iter().next().context("the saga")?;
    ensure!(outcome.state == "unwound", "{}: {:?}", outcome.state, outcome.reason);
    ensure!(scene.effects()?.iter().all(|effect| effect.operation != "write"), "a copy was written");
    Ok(())
}
