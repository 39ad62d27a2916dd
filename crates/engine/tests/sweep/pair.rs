//! Two crashes: the second within the recovery from the first.

use anyhow::{Context as _, Result, ensure};
use claviger_store::Journal as _;

use crate::world::{Trial, World, copy, open};

impl World {
    /// A crash, and another one during the recovery from it; then everything is taken up and checked. `false` where the second was not reached.
    pub(crate) async fn run_pair(&self, first: Trial, second: Trial) -> Result<bool> {
        let dir = tempfile::tempdir()?;
        copy(self.template.path(), dir.path())?;
        let database = self.database.copy().await?;
        let process = open(dir.path(), &database, first).await?;
        ensure!(self.attempt(&process).await.is_none(), "the first crash did not come");
        process.store().close().await;
        drop(process);

        let process = open(dir.path(), &database, second).await?;
        let mut backend_died = process.backend.crash_signal();
        let mut journal_died = process.journal.died();
        let died = tokio::select! {
            biased;
            () = backend_died.crashed() => true,
            _ = journal_died.wait_for(|dead| *dead) => true,
            recovered = self.recover(&process) => { recovered.context("the recovery")?; false }
        };
        process.store().close().await;
        drop(process);

        let last = open(dir.path(), &database, Trial::default()).await?;
        self.nothing_lost(&last, dir.path()).await.context("right after the second crash")?;
        let outcome = self.recover(&last).await?;
        if let Some(outcome) = &outcome {
            ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
        }
        let began = !last.store().list(self.kind(), None).await?.is_empty();
        self.at_rest(&last, &database, dir.path(), began).await?;
        last.store().close().await;
        database.remove().await?;
        Ok(died)
    }
}
