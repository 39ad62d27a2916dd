//! Rotations that are stopped at each point and taken back.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use claviger_core::id::SagaId;
use claviger_engine::{Error, plan::TakeBack, progress::Silent, saga::SagaOutcome};
use claviger_store::Journal as _;
use claviger_testkit::database::TestDatabase;
use futures::{StreamExt as _, stream};

use crate::{
    invariants,
    journal::CommitFault,
    world::{Process, RUN, Trial, World, copy, open},
};

impl World {
    /// Stops the rotation after each of its commits and takes it back. Gives how often by a saga of its own, by its own undo, and not at all
    /// because the old value had ended.
    pub(crate) async fn take_back_everywhere(&self) -> Result<[u64; 3]> {
        let clean = self.run(Trial::default()).await?;
        let outcomes: Vec<Result<Option<usize>>> = stream::iter(0..clean.commits)
            .map(|index| async move {
                let way = self.stop_and_take_back(index).await;
                way.with_context(|| format!("stopped after commit {index}"))
            })
            .buffer_unordered(12)
            .collect()
            .await;
        let mut ways = [0; 3];
        for way in outcomes.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten() {
            ways[way] += 1;
        }
        Ok(ways)
    }

    /// `None`: it was stopped before it was recorded, or after its end.
    /// Kills the rollback of a password's rotation in the middle and takes that back too: the new value is in force again, everywhere.
    pub(crate) async fn change_ones_mind(&self, index: u64) -> Result<()> {
        let dir = tempfile::tempdir()?;
        copy(self.template.path(), dir.path())?;
        let database = self.database.copy().await?;
        let trial = Trial { estate: None, commit: Some((index, CommitFault::CrashAfter)) };
        let process = open(dir.path(), &database, trial).await?;
        ensure!(self.attempt(&process).await.is_none(), "the crash did not come");
        process.store().close().await;
        drop(process);
        let later = open(dir.path(), &database, Trial::default()).await?;
        let open = later.store().unfinished().await?;
        let outcome = later.roll_back(*open.first().context("the rollback")?).await?;
        ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
        invariants::rotation(self, &later, &database, dir.path(), true).await?;
        later.store().close().await;
        Ok(())
    }

    async fn stop_and_take_back(&self, index: u64) -> Result<Option<usize>> {
        let dir = tempfile::tempdir()?;
        copy(self.template.path(), dir.path())?;
        let database = self.database.copy().await?;
        let trial = Trial { estate: None, commit: Some((index, CommitFault::CrashAfter)) };
        let process = open(dir.path(), &database, trial).await?;
        ensure!(process.attempt(self.plan.clone()).await.is_none(), "the crash did not come");
        process.store().close().await;
        drop(process);
        let later = open(dir.path(), &database, Trial::default()).await?;
        let way = match later.store().unfinished().await?.first() {
            Some(id) => Some(self.take_back(&later, &database, dir.path(), *id).await?),
            None => None,
        };
        later.store().close().await;
        database.remove().await?;
        Ok(way)
    }

    async fn take_back(
        &self,
        process: &Process,
        database: &TestDatabase,
        dir: &Path,
        id: SagaId,
    ) -> Result<usize> {
        let made = invariants::sealed(process).await?;
        let engine = &process.engine;
        let planned = match engine.plan_rollback(id, &RUN, &Silent).await {
            // The old value had ended: only forward.
            Err(Error::Refused { code: "retired", .. }) => {
                let resumed = process.resume(None, &RUN).await?;
                ensure!(resumed[0].state == "done", "{:?}", resumed[0].reason);
                self.at_rest(process, database, dir, true).await?;
                return Ok(2);
            }
            // Its last step was the last: finding out whether it happened has ended it.
            Err(Error::Refused { code: "at-rest", .. }) => return Ok(2),
            other => other?,
        };
        let outcome = engine.roll_back(&planned, None, &RUN, &Silent).await?;
        let expected = match planned.how {
            TakeBack::Saga => "done",
            TakeBack::Unwind => "unwound",
        };
        ensure!(outcome.state == expected, "{:?}: {} {:?}", planned.how, outcome.state, outcome.reason);
        if planned.how == TakeBack::Saga {
            let old = process.store().load(id).await?.context("the rotation")?;
            ensure!(old.progress.state.word() == "rolled-back", "{:?}", old.progress.state);
        }
        invariants::back(self, process, database, dir, &made).await?;
        Ok(usize::from(planned.how == TakeBack::Unwind))
    }
}

impl Process {
    /// `None` when the process died.
    pub(crate) async fn attempt_rollback(&self, id: SagaId) -> Option<claviger_engine::Result<SagaOutcome>> {
        let mut backend_died = self.backend.crash_signal();
        let mut journal_died = self.journal.died();
        tokio::select! {
            biased;
            () = backend_died.crashed() => None,
            _ = journal_died.wait_for(|dead| *dead) => None,
            outcome = self.roll_back(id) => Some(outcome),
        }
    }

    pub(crate) async fn roll_back(&self, id: SagaId) -> claviger_engine::Result<SagaOutcome> {
        let planned = self.engine.plan_rollback(id, &RUN, &Silent).await?;
        self.engine.roll_back(&planned, None, &RUN, &Silent).await
    }
}
