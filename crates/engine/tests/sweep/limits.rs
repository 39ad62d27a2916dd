//! A target that refuses values.

use anyhow::{Context as _, Result};
use claviger_backend_simulated::EstateFile;
use claviger_core::saga::Event;
use claviger_store::Journal as _;

use crate::world::{Trial, World, copy, open};

impl World {
    /// Runs a rotation against a target that refuses values with one of these characters. Gives the state, and how many values were refused.
    pub(crate) async fn run_refusing(&self, characters: &str) -> Result<(String, usize)> {
        let dir = tempfile::tempdir()?;
        copy(self.template.path(), dir.path())?;
        EstateFile::new(dir.path().join("estate.json"))
            .edit(|estate| characters.clone_into(&mut estate.settings.refused_characters))?;
        let database = self.database.copy().await?;
        let process = open(dir.path(), &database, Trial::default()).await?;
        let outcome = process.attempt(self.plan.clone()).await.context("it did not crash")??;
        let record = process.store().load(outcome.rotation_id).await?.context("the saga")?;
        let refused = record.events.iter().filter(
            |(_, event)| matches!(event, Event::Failed { step, .. } if step.starts_with("set-at-issuer")),
        );
        let refused = refused.count();
        self.at_rest(&process, &database, dir.path(), outcome.state == "done").await?;
        process.store().close().await;
        Ok((outcome.state, refused))
    }
}
