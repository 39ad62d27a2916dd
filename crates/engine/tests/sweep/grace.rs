//! A rotation that leaves its old value for a while.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    saga::Cause,
};
use claviger_engine::{plan::RotateOptions, progress::Silent, saga::RunOptions, selector::Selector};

use crate::world::{RUN, Trial, World, copy, open, policy};

impl World {
    /// Runs a rotation whose policy leaves the old value for a while, in two processes.
    pub(crate) async fn run_with_grace(&self, grace: chrono::TimeDelta) -> Result<()> {
        let dir = tempfile::tempdir()?;
        copy(self.template.path(), dir.path())?;
        let database = self.database.copy().await?;
        let mut process = open(dir.path(), &database, Trial::default()).await?;
        process.engine.estate.policies.push(policy("kind=token", None, Some(grace))?);
        let selector = Selector::parse(self.plan.subject.as_str())?;
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
