//! A rotation whose policy leaves the old value for a while.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    clock::{Clock, SystemClock},
    saga::Cause,
    schedule::{Blackout, Window, zone},
};
use claviger_engine::{plan::RotateOptions, progress::Silent, saga::RunOptions, selector::Selector};
use claviger_testkit::database::Kind;

use crate::world::{RUN, Saga, Trial, World, copy, open, policy};

impl World {
    /// Runs a rotation whose policy leaves the old value for a while, in two processes.
    pub(crate) async fn run_with_grace(&self, grace: chrono::TimeDelta) -> Result<()> {
        let dir = tempfile::tempdir()?;
        copy(self.template.path(), dir.path())?;
        let database = self.database.copy().await?;
        let mut process = open(dir.path(), &database, Trial::default()).await?;
        process.engine.estate.policies.push(policy("kind=token", None, Some(grace))?);
        let selector = Selector::parse(self.subject().as_str())?;
        let plan = process.engine.plan_rotation(&selector, &RotateOptions::default()).await?;
        let plan = plan.subjects.into_iter().next().context("a plan")?;
        let id = process.engine.begin(plan, Cause::Manual, None).await?;
        let hasty = RunOptions { linger: Duration::ZERO, ..RUN };
        let begun = SystemClock.now();
        let outcome = process.engine.drive(id, &hasty, &Silent).await?;
        ensure!(outcome.state == "waiting", "{}: {:?}", outcome.state, outcome.reason);
        let early = process.resume(None, &hasty).await?;
        ensure!(early.iter().all(|outcome| outcome.state == "waiting"), "it went on too early");
        let tokens = self.observer(dir.path()).estate()?.secret_store.tokens;
        ensure!(tokens.values().any(|token| token.value.is(&self.old)), "the old value was ended too early");
        process.store().close().await;
        drop(process);
        let later = open(dir.path(), &database, Trial::default()).await?;
        let outcome = later.resume(None, &RUN).await?;
        ensure!(outcome.len() == 1 && outcome[0].state == "done", "{:?}", outcome[0].reason);
        let estate = self.observer(dir.path()).estate()?;
        let ended = estate.effects.iter().find(|effect| effect.operation == "revoke").context("the end")?;
        ensure!(ended.at - begun >= grace, "the old value was ended after {}", ended.at - begun);
        self.at_rest(&later, &database, dir.path(), true).await?;
        later.store().close().await;
        Ok(())
    }
}

/// A clock that is ahead.
struct Ahead(TimeDelta);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + self.0
    }
}

/// The old value is there until its policy's window opens, and a freeze that was announced meanwhile is over. Gives the steps' names.
async fn ends_within_its_window(saga: Saga) -> Result<Vec<&'static str>> {
    let world = World::prepare(saga, Kind::Sqlite).await?.context("SQLite is built in")?;
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    let database = world.database.copy().await?;
    let mut process = open(dir.path(), &database, Trial::default()).await?;
    let (opens, closes) = (SystemClock.now() + TimeDelta::hours(2), SystemClock.now() + TimeDelta::hours(5));
    let times = format!("{}-{}", opens.format("%H:%M"), closes.format("%H:%M"));
    let mut limits = policy(world.subject().as_str(), None, None)?;
    limits.timing.window = Some(Window::parse(&times, zone("UTC")?)?);
    process.engine.estate.policies.push(limits);
    let selector = Selector::parse(world.subject().as_str())?;
    let plan = process.engine.plan_rotation(&selector, &RotateOptions::default()).await?;
    let at_once = RotateOptions { no_grace: true, ..RotateOptions::default() };
    let hurried = process.engine.plan_rotation(&selector, &at_once).await?;
    let plan = plan.subjects.into_iter().next().context("a plan")?;
    let names: Vec<_> = plan.steps.iter().map(|step| step.action.name()).collect();
    let hurried = &hurried.subjects.first().context("a plan")?.steps;
    ensure!(
        hurried.iter().all(|step| step.action.name() != "await-window"),
        "what is known to others waits for a window"
    );
    let id = process.engine.begin(plan, Cause::Manual, None).await?;
    let hasty = RunOptions { linger: Duration::ZERO, ..RUN };
    let outcome = process.engine.drive(id, &hasty, &Silent).await?;
    ensure!(outcome.state == "waiting", "{}: {:?}", outcome.state, outcome.reason);
    let ends = ["revoke", "disable"];
    let ended = |world: &World| -> Result<bool> {
        let effects = world.observer(dir.path()).effects()?;
        Ok(effects.iter().any(|effect| ends.contains(&effect.operation.as_str())))
    };
    ensure!(!ended(&world)?, "the old value was ended before its window");
    process.engine.clock = Arc::new(Ahead(TimeDelta::hours(3)));
    let freeze = Blackout {
        name: "release".to_owned(),
        from: SystemClock.now(),
        to: SystemClock.now() + TimeDelta::hours(4),
    };
    process.engine.estate.blackouts.push(freeze);
    let frozen = process.engine.drive(id, &hasty, &Silent).await?;
    ensure!(frozen.state == "waiting" && !ended(&world)?, "it was ended in a freeze: {}", frozen.state);
    process.engine.clock = Arc::new(Ahead(TimeDelta::hours(4) + TimeDelta::minutes(1)));
    let done = process.engine.drive(id, &RUN, &Silent).await?;
    ensure!(done.state == "done" && ended(&world)?, "{}: {:?}", done.state, done.reason);
    process.store().close().await;
    Ok(names)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_value_ends_within_its_policy_s_window() -> Result<()> {
    let place = |names: &[&str], name: &str| names.iter().position(|one| *one == name).context("a step");
    let dual = ends_within_its_window(Saga::Dual).await?;
    ensure!(place(&dual, "await-window")? + 1 == place(&dual, "revoke")?, "{dual:?}");
    let minted = ends_within_its_window(Saga::Minted).await?;
    ensure!(place(&minted, "await-window")? + 1 == place(&minted, "await-quiet")?, "{minted:?}");
    Ok(())
}
