//! What is no proof gives none: whatever stands in the way of a login, a receipt never says `proven` for it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use claviger_backend_simulated::{Estate, EstateFile, estate::Password};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    model::{CredentialState, Labels},
    reference::Ref,
    saga::{Cause, SagaPlan},
};
use claviger_engine::{
    plan::RevokeOptions, progress::Silent, saga::SagaOutcome, scan::ScanOptions, selector::Selector,
};
use claviger_store::{Inventory as _, Journal as _};
use claviger_testkit::database::{Kind, TestDatabase};
use tempfile::TempDir;

use crate::world::{Ended, Process, ROLE, RUN, Saga, Trial, World, copy, open, policy};

struct Scene {
    world: World,
    dir: TempDir,
    database: TestDatabase,
}

impl Scene {
    async fn of(saga: Saga) -> Result<Self> {
        let world = World::prepare(saga, Kind::Sqlite).await?.context("SQLite is built in")?;
        let dir = tempfile::tempdir()?;
        copy(world.template.path(), dir.path())?;
        let database = world.database.copy().await?;
        Ok(Self { world, dir, database })
    }

    async fn process(&self) -> Result<Process> {
        open(self.dir.path(), &self.database, Trial::default()).await
    }

    fn edit(&self, change: impl FnOnce(&mut Estate)) -> Result<()> {
        Ok(EstateFile::new(self.dir.path().join("estate.json")).edit(change)?)
    }

    fn effects(&self) -> Result<usize> {
        Ok(self.world.observer(self.dir.path()).effects()?.len())
    }

    async fn planned(&self, process: &Process, options: RevokeOptions) -> Result<SagaPlan> {
        let selector = Selector::parse(self.world.subject().as_str())?;
        let plan = process.engine.plan_revocation_with(&selector, &options).await?;
        plan.subjects.into_iter().next().with_context(|| format!("{:?}", plan.refused))
    }
}

async fn run(process: &Process, plan: SagaPlan) -> Result<SagaOutcome> {
    process.attempt(plan).await.context("it did not crash")?.map_err(Into::into)
}

fn role(estate: &mut Estate) -> &mut claviger_backend_simulated::estate::Role {
    estate.database.roles.get_mut(ROLE).expect("the role")
}

/// Before anything is changed: without a positive control nothing is, and with `--force` nothing is called proven.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_control_nothing_is_changed_and_when_forced_nothing_is_proven() -> Result<()> {
    // (what stands in the way, how it looks, is a login possible to be refused afterwards)
    type Change = fn(&mut Estate);
    let expired: Change = |estate| role(estate).valid_until = Some(SystemClock.now() - TimeDelta::days(1));
    let nologin: Change = |estate| role(estate).nologin = true;
    for (name, change) in [("VALID UNTIL is over", expired), ("NOLOGIN", nologin)] {
        let scene = Scene::of(Saga::Ending(Ended::Role)).await?;
        scene.edit(change)?;
        let process = scene.process().await?;
        let stopped = run(&process, scene.planned(&process, RevokeOptions::default()).await?).await?;
        let reason = stopped.reason.clone().unwrap_or_default();
        ensure!(
            stopped.state == "unwound" && reason.contains("--force"),
            "{name}: {}: {reason}",
            stopped.state
        );
        ensure!(scene.effects()? == 0 && stopped.receipts.is_empty(), "{name}: something was changed");
        let force = RevokeOptions { force: true, ..RevokeOptions::default() };
        let forced = run(&process, scene.planned(&process, force).await?).await?;
        ensure!(forced.state == "done", "{name}: {}: {:?}", forced.state, forced.reason);
        let verdict = &forced.receipts[0].verdict;
        ensure!(verdict == "unprovable", "{name}: {verdict}: {}", forced.receipts[0].detail);
        let estate = scene.world.observer(scene.dir.path()).estate()?;
        ensure!(estate.database.roles[ROLE].password.is_none(), "{name}: it still has its password");
        process.store().close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_was_refused_before_proves_nothing() -> Result<()> {
    let scene = Scene::of(Saga::Ending(Ended::Role)).await?;
    scene.edit(|estate| role(estate).password = Some(Password::scram(b"somebody-set-another", &[5; 16])))?;
    let process = scene.process().await?;
    let done = run(&process, scene.planned(&process, RevokeOptions::default()).await?).await?;
    ensure!(done.receipts.len() == 1 && done.receipts[0].verdict == "unprovable", "{:?}", done.receipts);
    ensure!(done.receipts[0].control.is_none(), "there is a control: {:?}", done.receipts);
    Ok(())
}

/// The target goes away between the end and the proof: nothing is said before it answers again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_does_not_answer_is_no_refusal() -> Result<()> {
    let scene = Scene::of(Saga::Revocation).await?;
    let process = scene.process().await?;
    let id = process.engine.begin(scene.world.plan().clone(), Cause::Manual, None).await?;
    let drive = process.engine.drive(id, &RUN, &Silent);
    let away = async {
        after(&scene, "revoke").await?;
        scene.edit(|estate| {
            estate.settings.unavailable.insert("k8s".to_owned());
        })
    };
    let (outcome, edited) = tokio::join!(drive, away);
    edited?;
    let outcome = outcome?;
    ensure!(
        outcome.state == "paused" && outcome.receipts.is_empty(),
        "{}: {:?}",
        outcome.state,
        outcome.receipts
    );
    scene.edit(|estate| estate.settings.unavailable.clear())?;
    let done = process.resume(Some(id), &RUN).await?;
    ensure!(done[0].receipts.len() == 1 && done[0].receipts[0].verdict == "proven", "{:?}", done[0]);
    Ok(())
}

/// A server whose cache never held the token refuses it at once, and another one may still hold it: what is refused early is asked again when
/// no cache can hold it any more, and only that is the proof.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_refusal_is_not_the_one_that_proves() -> Result<()> {
    let scene = Scene::of(Saga::Revocation).await?;
    let process = scene.process().await?;
    let id = process.engine.begin(scene.world.plan().clone(), Cause::Manual, None).await?;
    let drive = process.engine.drive(id, &RUN, &Silent);
    let early = async {
        after(&scene, "revoke").await?;
        scene.edit(|estate| estate.cluster.tombstones.clear())?;
        let refused =
            !scene.world.observer(scene.dir.path()).accepts_token(&scene.world.old, &SystemClock)?;
        anyhow::Ok((refused, SystemClock.now()))
    };
    let (outcome, early) = tokio::join!(drive, early);
    let (outcome, (refused, at)) = (outcome?, early?);
    ensure!(refused, "it is not refused early");
    let receipt = outcome.receipts.first().context("a receipt")?;
    let ended = outcome.steps.iter().find(|step| step.step == "revoke").and_then(|step| step.finished_at);
    let waited = receipt.observed_at - ended.context("its end")?;
    ensure!(receipt.verdict == "proven" && receipt.observed_at > at, "{receipt:?}");
    ensure!(
        waited >= TimeDelta::seconds(3),
        "the proof came {waited} after the end: within the caches' window"
    );
    Ok(())
}

/// Waits until the estate has seen this operation.
async fn after(scene: &Scene, operation: &str) -> Result<()> {
    for _ in 0..600 {
        let effects = scene.world.observer(scene.dir.path()).effects()?;
        if effects.iter().any(|effect| effect.operation == operation) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("no {operation} was seen")
}

/// The resurrection trap: a Secret of the same name for the same ServiceAccount holds the identical token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_secret_that_is_made_again_is_caught_before_the_receipt_and_after_it() -> Result<()> {
    let scene = Scene::of(Saga::Revocation).await?;
    let process = scene.process().await?;
    let parts: Vec<String> = scene.world.subject().path().split('/').map(str::to_owned).collect();
    let (namespace, name) = (parts[1].clone(), parts[3].clone());
    let held = |estate: &Estate| estate.cluster.namespaces[&namespace].secrets[&name].clone();
    let mut again = held(&scene.world.observer(scene.dir.path()).estate()?);
    let value = scene.world.old.clone();

    // Before the receipt.
    let id = process.engine.begin(scene.world.plan().clone(), Cause::Manual, None).await?;
    let drive = process.engine.drive(id, &RUN, &Silent);
    again.uid = "made-again".to_owned();
    let remade = async {
        after(&scene, "revoke").await?;
        scene.edit(|estate| {
            let held = estate.cluster.namespaces.get_mut(&namespace);
            held.map(|held| held.secrets.insert(name.clone(), again.clone()));
        })
    };
    let (outcome, edited) = tokio::join!(drive, remade);
    edited?;
    let outcome = outcome?;
    let reason = outcome.reason.clone().unwrap_or_default();
    ensure!(outcome.state == "paused" && outcome.receipts.is_empty(), "{}: {reason}", outcome.state);
    ensure!(
        scene.world.observer(scene.dir.path()).accepts_token(&value, &SystemClock)?,
        "it is another token"
    );

    // After it: the inventory knows the value, and a scan sees it.
    scene.edit(|estate| {
        let held = estate.cluster.namespaces.get_mut(&namespace);
        held.map(|held| held.secrets.remove(&name));
    })?;
    let done = process.resume(Some(id), &RUN).await?;
    ensure!(done[0].state == "done" && done[0].receipts[0].verdict == "proven", "{:?}", done[0].reason);
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    let fingerprint = {
        let secret = claviger_core::secret::SecretValue::new(value.clone());
        process.engine.keys.fingerprint.fingerprint(claviger_core::fingerprint::Form::Text, &secret)
    };
    let known = process.store().by_fingerprint(&[fingerprint]).await?;
    ensure!(known.iter().any(|(_, id)| *id == scene.world.plan().credential), "it was forgotten: {known:?}");
    scene.edit(|estate| {
        let held = estate.cluster.namespaces.get_mut(&namespace);
        held.map(|held| held.secrets.insert(name.clone(), again.clone()));
    })?;
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    let copies = process.store().copies(&Default::default()).await?;
    let back = copies.iter().find(|copy| {
        copy.credential == scene.world.plan().credential && copy.fingerprint == Some(fingerprint.to_string())
    });
    ensure!(back.is_some(), "the scan does not see that it is back");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_beats_retain_and_a_legal_hold() -> Result<()> {
    let scene = Scene::of(Saga::Ending(Ended::Role)).await?;
    let mut process = scene.process().await?;
    let mut kept = policy("sim/db/*", None, None)?;
    kept.retain = true;
    process.engine.estate.policies = vec![kept];
    let force = RevokeOptions { force: true, scrub: true, ..RevokeOptions::default() };
    let selector = Selector::parse(scene.world.subject().as_str())?;
    let refused = process.engine.plan_revocation_with(&selector, &force).await?;
    ensure!(refused.subjects.is_empty() && refused.refused[0].code == "retain", "{refused:?}");
    process.engine.estate.policies.clear();
    scene.edit(|estate| {
        if let Some(path) = estate.secret_store.paths.get_mut("payments/db") {
            path.labels = Labels::from([("legal-hold".to_owned(), "case 7".to_owned())]);
        }
    })?;
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    for replace in [false, true] {
        let force = RevokeOptions { replace, ..force };
        let refused = process.engine.plan_revocation_with(&selector, &force).await?;
        ensure!(refused.subjects.is_empty() && refused.refused[0].code == "legal-hold", "{refused:?}");
    }
    ensure!(scene.effects()? == 0, "something was changed");
    Ok(())
}

/// What was left in copies is cleaned later; what is accepted is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_are_cleaned_after_a_revocation_too() -> Result<()> {
    let scene = Scene::of(Saga::Ending(Ended::Role)).await?;
    let process = scene.process().await?;
    let done = run(&process, scene.planned(&process, RevokeOptions::default()).await?).await?;
    ensure!(done.receipts[0].verdict == "proven", "{:?}", done.receipts);
    let observer = scene.world.observer(scene.dir.path());
    ensure!(!observer.copies_of(&scene.world.old)?.is_empty(), "it was cleaned without being asked for");
    let scrub = RevokeOptions { scrub: true, ..RevokeOptions::default() };
    let plan = scene.planned(&process, scrub).await?;
    ensure!(plan.strategy == "scrub", "{}", plan.strategy);
    let cleaned = run(&process, plan).await?;
    ensure!(cleaned.state == "done" && cleaned.left.is_empty(), "{:?}", cleaned);
    let left = observer.copies_of(&scene.world.old)?;
    ensure!(left.is_empty(), "{left:?}");
    let detail = process.store().credential(SystemClock.now(), scene.world.plan().credential).await?;
    let state = detail.context("the credential")?.credential.state;
    ensure!(state == CredentialState::RevokedProven, "the state of the proof is lost: {state:?}");
    Ok(())
}

/// The consumers get another value first, and the old one ends with its sessions and former versions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_keeps_the_consumers_and_ends_the_old_value_with_its_sessions() -> Result<()> {
    let scene = Scene::of(Saga::Ending(Ended::Role)).await?;
    let process = scene.process().await?;
    let replace = RevokeOptions { replace: true, scrub: true, ..RevokeOptions::default() };
    let plan = scene.planned(&process, replace).await?;
    ensure!(plan.definition == "replace/1+incident", "{}", plan.definition);
    let done = run(&process, plan).await?;
    ensure!(done.state == "done", "{}: {:?}", done.state, done.reason);
    ensure!(done.receipts[0].verdict == "proven", "{:?}", done.receipts);
    let observer = scene.world.observer(scene.dir.path());
    let logins = observer.witness_logins(&SystemClock)?;
    let ours = logins.iter().filter(|login| login.role == ROLE);
    ensure!(ours.clone().count() >= 2 && ours.clone().all(|login| login.accepted), "{logins:?}");
    ensure!(!observer.accepts(ROLE, &scene.world.old, &SystemClock)?, "the old one is accepted");
    let now = SystemClock.now();
    let sessions = &observer.estate()?.database.roles[ROLE].sessions;
    ensure!(sessions.iter().all(|session| session.ends_at <= now), "a session of the old one goes on");
    let left = observer.copies_of(&scene.world.old)?;
    ensure!(left.is_empty(), "{left:?}");
    let saga = process.store().list(claviger_core::saga::SagaKind::Rotation, None).await?;
    ensure!(saga.len() == 1, "{saga:?}");
    // Nobody is waited for who may be the one that must not have it.
    for saga in [Saga::Minted, Saga::Named] {
        let scene = Scene::of(saga).await?;
        let mut process = scene.process().await?;
        let mut patient = policy("sim/*", None, Some(TimeDelta::days(1)))?;
        patient.evidence = Some(claviger_core::saga::Evidence::Measured);
        process.engine.estate.policies = vec![patient];
        let plan = scene.planned(&process, replace).await?;
        let waits: Vec<_> = plan.steps.iter().map(|step| step.action.name()).collect();
        let waits = waits.into_iter().filter(|name| ["await-grace", "await-quiet"].contains(name)).count();
        ensure!(waits == 0 && plan.definition.ends_with("+incident"), "{saga:?}: {:?}", plan.steps);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_tells_what_it_takes_with_it() -> Result<()> {
    let scene = Scene::of(Saga::Ending(Ended::Role)).await?;
    let process = scene.process().await?;
    let selector = Selector::parse(scene.world.subject().as_str())?;
    let plan = process.engine.plan_revocation(&selector).await?;
    let blast = &plan.blast[0];
    ensure!(blast.derived.len() == 2 && blast.shares.len() >= 3 && !blast.breaks.is_empty(), "{blast:?}");
    let saved = blast.saved.as_ref().context("whom a replacement saves")?;
    ensure!(!saved.is_empty() && saved.iter().all(|at| blast.breaks.contains(at)), "{blast:?}");
    ensure!(blast.breaks.contains(&Ref::from_text("sim/k8s/payments/Deployment/api")), "{blast:?}");
    Ok(())
}
