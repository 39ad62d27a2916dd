//! A target that refuses values.

use anyhow::{Context as _, Result, ensure};
use claviger_backend_simulated::EstateFile;
use claviger_core::saga::{Event, Evidence};
use claviger_engine::{plan::RotateOptions, selector::Selector};
use claviger_store::Journal as _;

use claviger_testkit::database::Kind;

use crate::world::{Saga, Trial, World, copy, open, policy};

/// Of an old value nothing is assumed: where less can be known of its uses than the policy wants, it is refused when planned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_value_is_not_ended_on_less_evidence_than_its_policy_wants() -> Result<()> {
    use Evidence::{Blind, Measured, Sampled};
    for (saga, best) in [(Saga::Dual, Blind), (Saga::Minted, Measured), (Saga::Rotation, Measured)] {
        let world = World::prepare(saga, Kind::Sqlite).await?.context("SQLite is built in")?;
        let mut process = open(world.template.path(), &world.database, Trial::default()).await?;
        let selector = Selector::parse(world.subject().as_str())?;
        for least in [Blind, Sampled, Measured] {
            let mut demanding = policy("sim/*", None, None)?;
            demanding.evidence = Some(least);
            process.engine.estate.policies = vec![demanding];
            let planned = process.engine.plan_rotation(&selector, &RotateOptions::default()).await?;
            let refused: Vec<_> = planned.refused.iter().map(|refusal| refusal.code.as_str()).collect();
            let expected: &[&str] = if least > best { &["evidence"] } else { &[] };
            ensure!(refused == expected, "{saga:?} with {}: {refused:?}", least.word());
        }
        process.store().close().await;
    }
    Ok(())
}

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
