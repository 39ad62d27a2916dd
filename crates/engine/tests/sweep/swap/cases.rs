//! What only a swap can meet.

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use claviger_backend_simulated::{
    Estate, EstateFile,
    estate::{Binding, EnvSource, ObjectKind, ObjectName, SecretType},
};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    saga::{Cause, StepPhase},
};
use claviger_engine::{
    plan::{SwapOptions, TakeBack},
    progress::Silent,
    saga::RunOptions,
    scan::ScanOptions,
    selector::Selector,
};
use claviger_testkit::database::Kind;

use super::{NAMESPACE, PULLER, STORED, TOKEN, WORKLOADS, pods_work, unwound};
use crate::world::{Process, RUN, Saga, Trial, World, copy, open};

/// A copy of the world's estate, changed, and its database.
struct Place {
    world: World,
    dir: tempfile::TempDir,
}

impl Place {
    async fn with(saga: Saga, change: impl FnOnce(&mut Estate)) -> Result<Self> {
        let world = World::prepare(saga, Kind::Sqlite).await?.context("SQLite is built in")?;
        let dir = tempfile::tempdir()?;
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

    /// Why it is refused, after a scan of what was changed.
    async fn refused(&self, subject: &str, options: &SwapOptions) -> Result<(String, String)> {
        let process = self.open().await?;
        process.engine.scan(&ScanOptions::default(), &Silent).await?;
        let planned = process.engine.plan_swap(&Selector::parse(subject)?, options).await?;
        process.store().close().await;
        let refused = planned.plan.refused.into_iter().next().context("nothing is refused")?;
        Ok((refused.code, refused.reason))
    }
}

fn used(estate: &mut Estate, days: i64) {
    let held = estate.cluster.namespaces.get_mut(NAMESPACE);
    if let Some(secret) = held.and_then(|held| held.secrets.get_mut("runner-token"))
        && let SecretType::ServiceAccountToken { last_used, .. } = &mut secret.kind
    {
        *last_used = Some(SystemClock.now() + TimeDelta::days(days));
    }
}

/// Its end is the pivot, and what comes before can be taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_says_what_is_changed_and_in_which_order() -> Result<()> {
    let place = Place::with(Saga::Swap, |_| {}).await?;
    let plan = place.world.plan();
    let steps: Vec<_> = plan.steps.iter().map(|step| step.action.name()).collect();
    let expected = [
        "seal-old",
        "control-probe",
        "check-holder",
        "check-holder",
        "bind",
        "await-adoption",
        "bind",
        "await-adoption",
        "try-identity",
        "bind",
        "await-adoption",
        "bind",
        "await-adoption",
        "await-quiet",
        "disable",
        "prove-disabled",
        "revoke",
        "prove-refused",
    ];
    ensure!(steps == expected, "{steps:?}");
    let pivots: Vec<_> = plan.steps.iter().filter(|step| step.phase == StepPhase::Pivot).collect();
    ensure!(pivots.len() == 1 && pivots[0].id == plan.reversible_until, "{pivots:?}");
    let process = place.open().await?;
    let planned = super::plan(&process, TOKEN).await?;
    ensure!(planned.plan.subjects[0].hash() == plan.hash(), "the same plan has another hash");
    ensure!(planned.patches.len() == 2 && planned.patches.iter().all(|patch| patch.by_hand.is_none()));
    Ok(())
}

/// A use after the last workload moved is somebody's: it waits for a person, who lets it go on or takes it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_somebody_unknown_uses_is_not_retired() -> Result<()> {
    let place = Place::with(Saga::Swap, |estate| used(estate, 1)).await?;
    let process = place.open().await?;
    let outcome = process.attempt(place.world.plan().clone()).await.context("it did not crash")??;
    let reason = outcome.reason.clone().unwrap_or_default();
    ensure!(outcome.state == "paused" && reason.contains("somebody unknown"), "{}: {reason}", outcome.state);
    pods_work(&place.world, place.dir.path())?;
    let back = process.engine.plan_rollback(outcome.rotation_id, &RUN, &Silent).await?;
    ensure!(back.how == TakeBack::Unwind, "{back:?}");
    let back = process.engine.roll_back(&back, None, &RUN, &Silent).await?;
    ensure!(back.state == "unwound", "{}: {:?}", back.state, back.reason);
    unwound(&place.world, &process, place.dir.path()).await
}

/// Of the day on which the last workload moved its issuer tells nothing: the end waits for the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_used_today_is_not_retired_today() -> Result<()> {
    let place = Place::with(Saga::Swap, |estate| used(estate, 0)).await?;
    let process = place.open().await?;
    let hasty = RunOptions { linger: std::time::Duration::from_secs(5), ..RUN };
    let id = process.engine.begin(place.world.plan().clone(), Cause::Manual, None).await?;
    let outcome = process.engine.drive(id, &hasty, &Silent).await?;
    ensure!(outcome.state == "waiting", "{}: {:?}", outcome.state, outcome.reason);
    pods_work(&place.world, place.dir.path())
}

/// What may do less takes nothing's place, nor does what may do more: it unwinds before any workload takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_with_other_rights_takes_nobody_s_place() -> Result<()> {
    for (saga, lacks) in [(Saga::Swap, "ClusterRole/swept"), (Saga::SwapRole, "pull")] {
        let place = Place::with(saga, |estate| {
            let account = "ci/deployer".to_owned();
            let swept = Binding { account, role: "ClusterRole/swept".to_owned(), reach: "ci".to_owned() };
            estate.cluster.bindings.insert("swept".to_owned(), swept);
            estate.settings.identities_lack.insert(lacks.to_owned());
        })
        .await?;
        let process = place.open().await?;
        let outcome = process.attempt(place.world.plan().clone()).await.context("it did not crash")??;
        let reason = outcome.reason.unwrap_or_default();
        ensure!(outcome.state == "unwound", "{saga:?}: {}: {reason}", outcome.state);
        ensure!(reason.contains("may not do what") && reason.contains(lacks), "{reason}");
        unwound(&place.world, &process, place.dir.path()).await?;
    }
    Ok(())
}

/// A workload that does not come up with the change is brought back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_that_does_not_come_up_is_brought_back() -> Result<()> {
    let place = Place::with(Saga::Swap, |estate| {
        let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("its namespace");
        let agent = held.deployments.get_mut("agent").expect("its workload");
        (agent.broken, agent.breaks) = (Some("no node has room".to_owned()), 1);
    })
    .await?;
    let process = place.open().await?;
    let outcome = process.attempt(place.world.plan().clone()).await.context("it did not crash")??;
    let reason = outcome.reason.unwrap_or_default();
    ensure!(outcome.state == "unwound" && reason.contains("no node has room"), "{}: {reason}", outcome.state);
    unwound(&place.world, &process, place.dir.path()).await
}

/// A role of that name that somebody else made is neither taken nor taken away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_of_somebody_else_is_left_alone() -> Result<()> {
    let foreign = claviger_backend_simulated::estate::KubernetesRole {
        account: "ci/other".to_owned(),
        policies: vec!["pull".to_owned()],
        made_by: "somebody".to_owned(),
    };
    let place = Place::with(Saga::SwapRole, |estate| {
        estate.secret_store.kubernetes_roles.insert(super::ROLE.to_owned(), foreign.clone());
    })
    .await?;
    let process = place.open().await?;
    let outcome = process.attempt(place.world.plan().clone()).await.context("it did not crash")??;
    ensure!(outcome.state == "unwound", "{}: {:?}", outcome.state, outcome.reason);
    let estate = place.world.observer(place.dir.path()).estate()?;
    ensure!(estate.secret_store.kubernetes_roles.get(super::ROLE) == Some(&foreign), "it was touched");
    pods_work(&place.world, place.dir.path())
}

/// Changed by its owner: the saga waits until it sees that, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_of_another_system_is_waited_for() -> Result<()> {
    let place = Place::with(Saga::SwapRole, |estate| {
        let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("its namespace");
        let puller = held.deployments.get_mut(PULLER[0]).expect("its workload");
        puller.labels.insert("managed-by".to_owned(), "argocd".to_owned());
    })
    .await?;
    let process = place.open().await?;
    let planned = super::plan(&process, STORED).await?;
    let patch = planned.patches.first().context("a patch")?;
    ensure!(patch.by_hand.as_deref().is_some_and(|why| why.contains("argocd")), "{patch:?}");
    let plan = planned.plan.subjects.into_iter().next().context("a plan")?;
    ensure!(
        !plan.steps.iter().any(|step| step.action.name() == "bind"),
        "it would change another's manifest"
    );
    let hasty = RunOptions { linger: std::time::Duration::from_millis(10), ..RUN };
    let id = process.engine.begin(plan, Cause::Manual, None).await?;
    let outcome = process.engine.drive(id, &hasty, &Silent).await?;
    ensure!(outcome.state == "waiting", "{}: {:?}", outcome.state, outcome.reason);
    pods_work(&place.world, place.dir.path())?;
    let untouched = place.world.observer(place.dir.path()).estate()?;
    ensure!(untouched.secret_store.tokens.contains_key("puller"), "it was retired too early");
    // The owner applies it.
    place.file().edit(|estate| {
        let tokens = estate.legacy_tokens(NAMESPACE);
        let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("its namespace");
        let puller = held.deployments.get_mut(PULLER[0]).expect("its workload");
        puller.containers[0].mounts.clear();
        puller.projections.push(claviger_backend_simulated::estate::Projection {
            from: "vault-token".to_owned(),
            audience: None,
            lifetime: 3600,
            read: true,
            former: Vec::new(),
        });
        held.start(PULLER[0], SystemClock.now(), &tokens).expect("its pods start");
    })?;
    let outcome = process.resume(None, &RUN).await?;
    ensure!(outcome[0].state == "done", "{}: {:?}", outcome[0].state, outcome[0].reason);
    pods_work(&place.world, place.dir.path())?;
    let estate = place.world.observer(place.dir.path()).estate()?;
    ensure!(!estate.secret_store.tokens.contains_key("puller"), "it goes on");
    ensure!(
        outcome[0].receipts.iter().any(|receipt| receipt.verdict == "proven"),
        "{:?}",
        outcome[0].receipts
    );
    Ok(())
}

/// Each reason why a credential is no candidate has its code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_candidate_says_why() -> Result<()> {
    let by_variable = Place::with(Saga::Swap, |estate| {
        let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("its namespace");
        let runner = held.deployments.get_mut(WORKLOADS[0]).expect("its workload");
        let object = ObjectName { kind: ObjectKind::Secret, name: "runner-token".to_owned() };
        let source = EnvSource::Field { object, key: "token".to_owned() };
        runner.containers[0].env.insert("TOKEN".to_owned(), source);
    })
    .await?;
    let (code, reason) = by_variable.refused(TOKEN, &SwapOptions::default()).await?;
    ensure!(code == "read-once" && reason.contains("variable"), "{code}: {reason}");
    let other = Place::with(Saga::Swap, |estate| {
        let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("its namespace");
        held.deployments.get_mut(WORKLOADS[0]).expect("its workload").service_account = None;
    })
    .await?;
    let (code, reason) = other.refused(TOKEN, &SwapOptions::default()).await?;
    ensure!(code == "other-account", "{code}: {reason}");
    let nobody = Place::with(Saga::Swap, |estate| {
        let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("its namespace");
        held.deployments.retain(|name, _| !WORKLOADS.contains(&name.as_str()));
    })
    .await?;
    let (code, reason) = nobody.refused(TOKEN, &SwapOptions::default()).await?;
    ensure!(code == "no-consumer", "{code}: {reason}");
    // Its value lies in a kubeconfig too, that nobody is known to read.
    let (code, reason) = nobody.refused("sim/k8s/ci/Secret/deployer-token", &SwapOptions::default()).await?;
    ensure!(code == "copy-elsewhere" && reason.contains("--leave-stale"), "{code}: {reason}");
    let (code, reason) = nobody.refused("sim/db/role/payments_app", &SwapOptions::default()).await?;
    ensure!(!code.is_empty() && !reason.is_empty(), "{code}: {reason}");
    Ok(())
}
