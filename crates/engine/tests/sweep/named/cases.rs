//! What only the rotation of a token Secret can meet.

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend_simulated::{
    Estate, EstateFile,
    estate::{EnvSource, ObjectKind, ObjectName, Secret, SecretType},
};
use claviger_core::{
    clock::{Clock as _, ManualClock, SystemClock},
    id::OperationKey,
    model::{CopyStage, CredentialState},
    reference::Ref,
    saga::{Cause, Evidence, SagaPlan},
};
use claviger_engine::{
    plan::{Plan, RotateOptions},
    progress::Silent,
    saga::RunOptions,
    scan::ScanOptions,
    selector::Selector,
};
use claviger_testkit::database::Kind;

use super::{FOREIGN, NAMESPACE, OLD, SUBJECT, WORKLOADS, at_rest, secrets, tokens_work, unwound};
use crate::world::{Process, RUN, Saga, Trial, World, copy, open, policy};

async fn world() -> World {
    let world = World::prepare(Saga::Named, Kind::Sqlite).await.expect("the world can be made");
    world.expect("SQLite is built in")
}

/// A copy of the world's estate, changed, and its database, for one process after the other.
struct Place {
    world: World,
    dir: tempfile::TempDir,
}

impl Place {
    async fn with(change: impl FnOnce(&mut Estate)) -> Result<Self> {
        let (world, dir) = (world().await, tempfile::tempdir()?);
        copy(world.template.path(), dir.path())?;
        let place = Self { world, dir };
        place.file().edit(change)?;
        Ok(place)
    }

    fn file(&self) -> EstateFile {
        EstateFile::new(self.dir.path().join("estate.json"))
    }

    async fn open(&self) -> Result<Process> {
        open(self.dir.path(), &self.world.database, Trial::default()).await
    }

    async fn done(&self, process: &Process) -> Result<()> {
        at_rest(&self.world, process, &self.world.database, self.dir.path(), true).await
    }
}

fn used(estate: &mut Estate, at: DateTime<Utc>) {
    let held = estate.cluster.namespaces.get_mut(NAMESPACE);
    if let Some(secret) = held.and_then(|held| held.secrets.get_mut(OLD))
        && let SecretType::ServiceAccountToken { last_used, .. } = &mut secret.kind
    {
        *last_used = Some(at);
    }
}

async fn planned(process: &Process, options: RotateOptions) -> Result<Plan> {
    Ok(process.engine.plan_rotation(&Selector::parse(SUBJECT)?, &options).await?)
}

/// Its issuer tells the day of the last use. Of the day on which the last consumer moved that says nothing: the end of the old token waits for
/// the next one, in whatever process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_used_today_is_ended_when_a_day_without_its_use_can_be_seen() -> Result<()> {
    let place = Place::with(|estate| used(estate, SystemClock.now())).await?;
    let process = place.open().await?;
    let id = process.engine.begin(place.world.plan().clone(), Cause::Manual, None).await?;
    let hasty = RunOptions { linger: std::time::Duration::from_secs(5), ..RUN };
    let begun = SystemClock.now();
    let outcome = process.engine.drive(id, &hasty, &Silent).await?;
    ensure!(outcome.state == "waiting", "{}: {:?}", outcome.state, outcome.reason);
    let midnight = (begun + TimeDelta::days(1)).date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let until = midnight + TimeDelta::hours(1);
    let expected = format!("until {}", until.format("%Y-%m-%dT%H:%M:%SZ"));
    ensure!(outcome.reason.as_deref() == Some(expected.as_str()), "{:?} and not {expected}", outcome.reason);
    tokens_work(&place.world, &process, place.dir.path()).await?;
    ensure!(secrets(&place.world, place.dir.path())?.len() == 2, "the old one was ended too early");
    process.store().close().await;
    drop(process);

    let mut later = place.open().await?;
    later.engine.clock = std::sync::Arc::new(ManualClock::new(until - TimeDelta::minutes(10)));
    let early = later.resume(None, &hasty).await?;
    ensure!(early[0].state == "waiting", "it went on too early: {}", early[0].state);
    later.engine.clock = std::sync::Arc::new(ManualClock::new(until + TimeDelta::seconds(1)));
    let outcome = later.resume(None, &RUN).await?;
    ensure!(outcome[0].state == "done", "{}: {:?}", outcome[0].state, outcome[0].reason);
    let quiet = outcome[0].steps.iter().find(|step| step.step == "await-quiet").context("the step")?;
    ensure!(quiet.detail.contains("not used since"), "{}", quiet.detail);
    place.done(&later).await
}

/// A policy that takes blind evidence does not wait; and what is blind is called so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_takes_blind_evidence_does_not_wait_for_the_next_day() -> Result<()> {
    let place = Place::with(|estate| used(estate, SystemClock.now())).await?;
    let mut process = place.open().await?;
    let mut blind = policy("kind=service-account-token", None, None)?;
    blind.evidence = Some(Evidence::Blind);
    process.engine.estate.policies.push(blind);
    let plan = planned(&process, RotateOptions::default()).await?;
    let plan = plan.subjects.into_iter().next().context("a plan")?;
    ensure!(plan.notes.iter().any(|note| note.contains("(blind)")), "{:?}", plan.notes);
    let outcome = process.attempt(plan).await.context("it did not crash")??;
    ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
    let quiet = outcome.steps.iter().find(|step| step.step == "await-quiet").context("the step")?;
    ensure!(quiet.detail.contains("not seen (blind)"), "{}", quiet.detail);
    place.done(&process).await
}

/// What is seen is no matter of grades: a use after the last consumer moved is somebody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_somebody_unknown_uses_is_not_suspended() -> Result<()> {
    let place = Place::with(|estate| used(estate, SystemClock.now() + TimeDelta::days(1))).await?;
    let process = place.open().await?;
    let outcome = process.attempt(place.world.plan().clone()).await.context("it did not crash")??;
    let reason = outcome.reason.unwrap_or_default();
    ensure!(outcome.state == "paused" && reason.contains("somebody unknown"), "{}: {reason}", outcome.state);
    ensure!(secrets(&place.world, place.dir.path())?.len() == 2, "it is suspended");
    place.file().edit(|estate| used(estate, SystemClock.now()))?;
    // An operator found out who it was.
    let resumed = process.resume(Some(outcome.rotation_id), &RUN).await?;
    ensure!(resumed[0].state == "done", "{}: {:?}", resumed[0].state, resumed[0].reason);
    place.done(&process).await
}

/// The name is taken: what has it is somebody else's, and stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_taken_is_left_to_whoever_has_it() -> Result<()> {
    let place = Place::with(|_| ()).await?;
    let process = place.open().await?;
    let id = process.engine.begin(place.world.plan().clone(), Cause::Manual, None).await?;
    let step = format!("mint-by-name:{SUBJECT}");
    let key = OperationKey::derive(id, &step, SUBJECT, 0).to_string();
    let digits: String = key.chars().filter(|digit| *digit != '-').take(10).collect();
    let taken = format!("{OLD}-{digits}");
    place.file().edit(|estate| {
        let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("the namespace");
        let theirs = Secret { kind: SecretType::Opaque, ..held.secrets["cluster-access"].clone() };
        held.secrets.insert(taken.clone(), theirs);
    })?;
    let outcome = process.engine.drive(id, &RUN, &Silent).await?;
    let reason = outcome.reason.unwrap_or_default();
    ensure!(outcome.state == "unwound" && reason.contains("not made by this operation"), "{reason}");
    let estate = place.file().load()?;
    ensure!(estate.cluster.namespaces[NAMESPACE].secrets.contains_key(&taken), "what has the name is gone");
    unwound(&place.world, &process, place.dir.path()).await
}

/// A workload that somebody makes read something else while the rotation runs is left as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_somebody_turned_away_stays_where_it_is() -> Result<()> {
    let place = Place::with(|_| ()).await?;
    let process = place.open().await?;
    let id = process.engine.begin(place.world.plan().clone(), Cause::Manual, None).await?;
    let turned = |estate: &Estate| match &estate.cluster.namespaces[NAMESPACE].deployments["agent"].containers
        [0]
    .env["TOKEN"]
    {
        EnvSource::Field { object, .. } => object.name.clone(),
        EnvSource::Literal(_) => String::new(),
    };
    place.file().edit(|estate| {
        let tokens = estate.legacy_tokens(NAMESPACE);
        let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("the namespace");
        let agent = held.deployments.get_mut("agent").expect("the workload");
        let object = ObjectName { kind: ObjectKind::Secret, name: FOREIGN.to_owned() };
        let source = EnvSource::Field { object, key: "token".to_owned() };
        agent.containers[0].env.insert("TOKEN".to_owned(), source);
        held.start("agent", SystemClock.now(), &tokens).expect("what it reads is there");
    })?;
    let outcome = process.engine.drive(id, &RUN, &Silent).await?;
    ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
    ensure!(turned(&place.file().load()?) == FOREIGN, "it was turned back");
    tokens_work(&place.world, &process, place.dir.path()).await
}

/// What a scan and a plan say of a changed estate.
async fn plan_of(change: impl FnOnce(&mut Estate), options: RotateOptions) -> Result<Plan> {
    let place = Place::with(change).await?;
    let process = place.open().await?;
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    planned(&process, options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_carried_out_is_refused_when_it_is_planned() -> Result<()> {
    let managed = |estate: &mut Estate| {
        let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("the namespace");
        held.secrets.get_mut(OLD).expect("the token").managed_by = Some("helm/ci".to_owned());
    };
    let gitops = |estate: &mut Estate| {
        let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("the namespace");
        let agent = held.deployments.get_mut("agent").expect("the workload");
        agent.labels.insert("managed-by".to_owned(), "argocd/ci".to_owned());
    };
    let lonely = |estate: &mut Estate| {
        let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("the namespace");
        WORKLOADS.iter().for_each(|name| drop(held.deployments.remove(*name)));
        held.secrets.remove("cluster-access");
        estate.secret_store.paths.remove("ci/kubeconfig");
    };
    type Change = fn(&mut Estate);
    let cases: [(Change, &str, &str); 3] = [
        (managed, "managed-elsewhere", "change it at its source"),
        (gitops, "consumer-fixed", "sim/k8s/ci/Deployment/agent"),
        (lonely, "no-consumer", "revoke this one"),
    ];
    for (change, code, says) in cases {
        let plan = plan_of(change, RotateOptions::default()).await?;
        let refusal = plan.refused.first().with_context(|| format!("{code}: it is planned"))?;
        ensure!(
            refusal.code == code && refusal.reason.contains(says),
            "{}: {}",
            refusal.code,
            refusal.reason
        );
    }
    // Who wants it all the same is told what breaks.
    let plan = plan_of(gitops, RotateOptions { leave_stale: true, ..RotateOptions::default() }).await?;
    let plan: &SagaPlan = plan.subjects.first().context("a plan")?;
    ensure!(plan.breaks == [Ref::from_text("sim/k8s/ci/Deployment/agent")], "{:?}", plan.breaks);
    ensure!(plan.notes.iter().any(|note| note.contains("argocd/ci")), "{:?}", plan.notes);
    ensure!(!plan.steps.iter().any(|step| step.target == plan.breaks[0]), "it is touched");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_that_cannot_be_had_is_refused_when_it_is_planned() -> Result<()> {
    let place = Place::with(|_| ()).await?;
    let mut process = place.open().await?;
    let mut measured = policy("kind=service-account-token", None, None)?;
    measured.evidence = Some(Evidence::Measured);
    process.engine.estate.policies.push(measured);
    let plan = planned(&process, RotateOptions::default()).await?;
    let refusal = plan.refused.first().context("it is planned")?;
    ensure!(refusal.code == "evidence", "{}: {}", refusal.code, refusal.reason);
    Ok(())
}

/// After the next scan the old one is shown as dead, and the new one with its copies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_scan_shows_the_old_one_dead_and_the_new_one_with_its_copies() -> Result<()> {
    use claviger_store::Inventory as _;
    let place = Place::with(|_| ()).await?;
    let process = place.open().await?;
    let outcome = process.attempt(place.world.plan().clone()).await.context("it did not crash")??;
    ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    let now = SystemClock.now();
    let inventory = process.store();
    let old = inventory.credential(now, place.world.plan().credential).await?.context("the old one")?;
    ensure!(old.credential.state == CredentialState::RevokedProven, "{:?}", old.credential.state);
    let current = |copies: &[claviger_core::view::CopyView]| {
        copies
            .iter()
            .filter(|copy| copy.stage == CopyStage::Current)
            .map(|copy| copy.at.clone())
            .collect::<Vec<_>>()
    };
    ensure!(current(&old.copies).is_empty(), "{:?}", current(&old.copies));
    let at = outcome.new["ref"].as_str().context("its ref")?.to_owned();
    let new = process.engine.by_ref(&Ref::from_text(at)).await?.context("the new one")?;
    ensure!(new.state == CredentialState::Active && new.consumers >= 3, "{new:?}");
    let new = inventory.credential(now, new.id).await?.context("the new one")?;
    ensure!(current(&new.copies).len() == 3, "{:?}", current(&new.copies));
    Ok(())
}
