//! One estate and one database, prepared once by a scan, copied for each trial.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use claviger_backend::layers::{Guarded, LayerConfig};
use claviger_backend_simulated::{
    EstateFile, Fault, FaultPlan, SimulatedBackend, SimulatedConfig, estate, fault::FaultAt,
    observer::Observer,
};
use claviger_core::{
    clock::{Clock, SystemClock},
    fingerprint::FingerprintKey,
    id::SagaId,
    random::{Random, SeededRandom},
    reference::Ref,
    saga::{Cause, SagaKind, SagaPlan},
    seal::SealingKey,
};
use claviger_engine::{
    Engine, Estate, Keys, Member, Ports,
    plan::RotateOptions,
    policy::Policy,
    progress::Silent,
    saga::{RunOptions, SagaOutcome},
    scan::ScanOptions,
    selector::Selector,
};
use claviger_store::{Inventory as _, Journal, SeaStore};
use claviger_testkit::database::{Kind, TestDatabase};
use tempfile::TempDir;

use crate::{
    alternating, asked, bound, certificate, deploy_key, ending, invariants,
    journal::{CommitFault, FaultyJournal, Watch},
    minted, named, posted, root, swap,
};

pub(crate) use crate::case::{Case, Ended, Saga, Stopped};

/// One fault.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trial {
    pub(crate) estate: Option<(u64, Fault)>,
    pub(crate) commit: Option<(u64, CommitFault)>,
}

/// How many boundaries a run reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) estate_boundaries: u64,
    pub(crate) commits: u64,
}

pub(crate) const ROLE: &str = "payments_app";
/// Where the password of that role is kept.
pub(crate) const COPIES: [&str; 3] = [
    "sim/kv/payments/db#password",
    "sim/k8s/payments/Secret/db#password",
    "sim/k8s/payments/ConfigMap/app#database-url",
];
/// Where the key that [`Saga::CopyOnly`] rotates is kept.
pub(crate) const KEYS: [&str; 2] =
    ["sim/k8s/payments/Secret/session#signing-key", "sim/kv/payments/session#signing-key"];
/// Where the token that [`Saga::Dual`] rotates is kept.
pub(crate) const TOKEN: &str = "sim/k8s/ci/Secret/terraform#VAULT_TOKEN";

/// Short, so that a crash is over soon; long enough for a slow machine to renew it.
pub(crate) const RUN: RunOptions = RunOptions {
    lease: Duration::from_millis(1500),
    patience: Duration::from_secs(20),
    linger: Duration::from_secs(60),
};

pub(crate) struct World {
    pub(crate) template: TempDir,
    pub(crate) database: TestDatabase,
    saga: Saga,
    posted: bool,
    /// How many sagas had come to rest before.
    before: usize,
    pub(crate) plan: SagaPlan,
    /// The value before.
    pub(crate) old: Vec<u8>,
    /// Where the saga is a rollback: what was stopped.
    stopped: Option<SagaId>,
}

/// One process: its engine and what can be asked of its faults.
pub(crate) struct Process {
    pub(crate) engine: Engine,
    pub(crate) journal: Arc<FaultyJournal>,
    pub(crate) backend: Arc<SimulatedBackend>,
    store: SeaStore,
}

impl World {
    /// `None` where the database is not installed.
    pub(crate) async fn prepare(case: impl Into<Case>, kind: Kind) -> Result<Option<Self>> {
        let Case { saga, posted } = case.into();
        let made = TestDatabase::new(kind, Arc::new(SystemClock), Arc::new(SeededRandom::new(11))).await?;
        let Some(database) = made else { return Ok(None) };
        let template = tempfile::tempdir()?;
        let random = SeededRandom::new(7);
        let mut estate = estate::demo(&random, SystemClock.now());
        match saga.first() {
            Saga::Minted => minted::plant(&mut estate, &random),
            Saga::Ending(ended) => ending::plant(&mut estate, ended, &random),
            Saga::Asked => asked::plant(&mut estate),
            Saga::DeployKey => deploy_key::plant(&mut estate),
            Saga::Swap | Saga::SwapRole => swap::plant(&mut estate),
            Saga::SwapSeen => {
                swap::plant(&mut estate);
                estate.settings.runs_alone = true;
            }
            Saga::Reissue => certificate::plant(&mut estate),
            Saga::Root | Saga::RootCopied => root::plant(&mut estate, saga == Saga::RootCopied),
            _ => {}
        }
        if saga.first() == Saga::Named {
            named::plant(&mut estate);
        }
        if saga.first() == Saga::Alternating {
            alternating::plant(&mut estate);
        }
        if posted {
            posted::plant(&mut estate, saga.first(), template.path())?;
        }
        estate.settings.tokens_are_told = saga.first() == Saga::Told;
        if saga == Saga::Revocation {
            // Longer than a dead owner's lease, or the takeover alone would wait long enough.
            estate.settings.revoke_cache_seconds = 3;
        }
        EstateFile::new(template.path().join("estate.json")).create(&estate)?;
        let mut process = open(template.path(), &database, Trial::default()).await?;
        process.engine.scan(&ScanOptions::default(), &Silent).await?;
        if posted && saga.first() == Saga::Rotation {
            posted::rotate_once(&process).await?;
        }
        let before = process.store.list(SagaKind::Rotation, None).await?.len();
        let plan = match saga.first() {
            Saga::Rollback(_) => unreachable!("a rollback is planned from a rotation"),
            Saga::Rotation => {
                process
                    .engine
                    .plan_rotation(
                        &Selector::parse(&format!("sim/db/role/{ROLE}"))?,
                        &RotateOptions::default(),
                    )
                    .await?
            }
            Saga::Dual | Saga::Told => {
                let mut found = None;
                for token in process.engine.select(&Selector::parse("kind=token")?).await? {
                    let detail = process.store.credential(SystemClock.now(), token.id).await?;
                    if detail.is_some_and(|detail| detail.copies.iter().any(|copy| copy.at.as_str() == TOKEN))
                    {
                        found = Some(token.at);
                    }
                }
                let token = found.context("the token of the Secret")?;
                process
                    .engine
                    .plan_rotation(&Selector::parse(token.as_str())?, &RotateOptions::default())
                    .await?
            }
            Saga::Asked => asked::plan(&process, asked::SUBJECT).await?,
            Saga::DeployKey => asked::plan(&process, deploy_key::SUBJECT).await?,
            Saga::Swap => swap::plan(&process, swap::TOKEN).await?.plan,
            Saga::SwapRole | Saga::SwapSeen => swap::plan(&process, swap::STORED).await?.plan,
            Saga::Reissue => certificate::plan(&process, certificate::SUBJECT).await?,
            Saga::Root | Saga::RootCopied => root::plan(&process, saga == Saga::RootCopied).await?,
            Saga::Minted => {
                let key = minted::subject(&estate);
                process.engine.plan_rotation(&Selector::parse(&key)?, &RotateOptions::default()).await?
            }
            Saga::Named => {
                let subject = Selector::parse(named::SUBJECT)?;
                process.engine.plan_rotation(&subject, &RotateOptions::default()).await?
            }
            Saga::Alternating => {
                process.engine.estate.policies.push(policy(alternating::BOTH, Some("alternating"), None)?);
                alternating::planned(&process, &format!("sim/db/role/{ROLE}")).await?
            }
            Saga::CopyOnly => {
                process.engine.estate.policies.push(policy(
                    "sim/k8s/payments/Secret/session*",
                    Some("copy-only"),
                    None,
                )?);
                process.engine.plan_rotation(&Selector::parse(KEYS[0])?, &RotateOptions::default()).await?
            }
            Saga::Ending(ended) => ending::plan(&process, ended, &estate).await?,
            Saga::Revocation => {
                let tokens = process.engine.select(&Selector::parse("kind=service-account-token")?).await?;
                let token =
                    tokens.iter().find(|token| token.copies > 0).context("a legacy token with a value")?;
                process.engine.plan_revocation(&Selector::parse(token.at.as_str())?).await?
            }
        };
        ensure!(plan.refused.is_empty(), "refused: {:?}", plan.refused);
        let plan = plan.subjects.into_iter().next().context("a plan")?;
        let old = value(&process, &plan, saga.first()).await?;
        process.store.close().await;
        let mut world =
            Self { template, database, saga: saga.first(), posted, before, plan, old, stopped: None };
        if matches!(saga, Saga::Rollback(_)) {
            // The last effect is refused for good, so that all that can be done behind the pivot has been done.
            let last = world.run(Trial::default()).await?.estate_boundaries - 1;
            let denied = Trial { estate: Some((last, Fault::Deny)), commit: None };
            let process = open(world.template.path(), &world.database, denied).await?;
            let outcome = process.attempt(world.plan.clone()).await.context("it did not crash")??;
            ensure!(outcome.state == "paused", "{}: {:?}", outcome.state, outcome.reason);
            process.store.close().await;
            (world.saga, world.stopped) = (saga, Some(outcome.rotation_id));
        }
        Ok(Some(world))
    }

    /// What is begun: the saga, or the rollback of the one that was stopped.
    pub(crate) async fn attempt(&self, process: &Process) -> Option<claviger_engine::Result<SagaOutcome>> {
        match self.stopped {
            None => process.attempt(self.plan.clone()).await,
            Some(id) => process.attempt_rollback(id).await,
        }
    }

    /// What an operator does after a crash: takes up what was begun, or begins it again.
    pub(crate) async fn recover(&self, process: &Process) -> Result<Option<SagaOutcome>> {
        if let Some(id) = self.stopped {
            let rotation = process.store.load(id).await?.context("the rotation")?;
            if rotation.progress.state.word() != "rolled-back" {
                return Ok(Some(process.roll_back(id).await?));
            }
        }
        Ok(process.resume(None, &RUN).await.context("resume")?.into_iter().next())
    }

    /// Runs the saga under one fault, resumes it, and checks everything.
    pub(crate) async fn run(&self, trial: Trial) -> Result<Count> {
        let dir = tempfile::tempdir()?;
        copy(self.template.path(), dir.path())?;
        let database = self.database.copy().await?;
        let process = open(dir.path(), &database, trial).await?;
        let first = self.attempt(&process).await;
        let count =
            Count { estate_boundaries: process.backend.boundaries(), commits: process.journal.commits() };
        let fired = trial.commit.is_none_or(|_| process.journal.fired())
            && trial.estate.is_none_or(|(at, _)| count.estate_boundaries > at);
        ensure!(fired, "the fault did not fire");
        process.store.close().await;
        drop(process);

        // What holds in the middle: some durable value works.
        let recovered = open(dir.path(), &database, Trial::default()).await?;
        self.nothing_lost(&recovered, dir.path()).await.context("right after the fault")?;
        let outcome = match first {
            Some(Ok(outcome)) if outcome.state == "done" => Some(outcome),
            _ => self.recover(&recovered).await?,
        };
        // The process died before the saga was recorded, or after it was done: both leave nothing to resume.
        if let Some(outcome) = &outcome {
            ensure!(
                outcome.state == "done",
                "a passing fault ended it {}: {:?}; steps {:#?}",
                outcome.state,
                outcome.reason,
                outcome.steps
            );
        }
        let before = if self.kind() == SagaKind::Rotation { self.before } else { 0 };
        let began = recovered.store.list(self.kind(), None).await?.len() > before;
        self.at_rest(&recovered, &database, dir.path(), began).await?;
        recovered.store.close().await;
        database.remove().await?;
        Ok(count)
    }

    pub(crate) async fn nothing_lost(&self, process: &Process, dir: &Path) -> Result<()> {
        if self.posted {
            posted::nothing_lost(self, process, dir).await?;
        }
        match self.saga {
            Saga::Rotation => invariants::nothing_lost(self, process, dir).await,
            Saga::Asked => asked::nothing_lost(self, process, dir).await,
            Saga::Dual | Saga::Told => invariants::token_works(self, process, dir).await,
            Saga::DeployKey | Saga::Rollback(Stopped::DeployKey) => {
                deploy_key::keys_work(self, process, dir).await
            }
            Saga::Minted => minted::pairs_work(self, process, dir).await,
            Saga::Named => named::tokens_work(self, process, dir).await,
            Saga::Alternating | Saga::Rollback(Stopped::Alternating) => {
                alternating::pairs_work(self, process, dir).await
            }
            Saga::CopyOnly => invariants::known_values(self, process).await,
            Saga::Reissue | Saga::Rollback(Stopped::Reissue) => certificate::pairs_work(self, process).await,
            Saga::Root | Saga::RootCopied => root::engine_works(self, dir).map(|_| ()),
            Saga::Revocation | Saga::Ending(_) => Ok(()),
            Saga::Swap | Saga::SwapRole | Saga::SwapSeen => swap::pods_work(self, dir),
            Saga::Rollback(Stopped::Rotation) => invariants::nothing_lost(self, process, dir).await,
            Saga::Rollback(Stopped::Dual | Stopped::Told) => {
                invariants::token_works(self, process, dir).await
            }
            Saga::Rollback(Stopped::Minted) => minted::pairs_work(self, process, dir).await,
            Saga::Rollback(Stopped::Named) => named::tokens_work(self, process, dir).await,
            Saga::Rollback(Stopped::CopyOnly) => invariants::known_values(self, process).await,
        }
    }

    pub(crate) async fn at_rest(
        &self,
        process: &Process,
        database: &TestDatabase,
        dir: &Path,
        began: bool,
    ) -> Result<()> {
        if self.posted {
            posted::at_rest(self, process, dir, began).await?;
        }
        match self.saga {
            Saga::Rotation | Saga::Asked => invariants::rotation(self, process, database, dir, began).await,
            Saga::Dual | Saga::Told => invariants::dual(self, process, database, dir, began).await,
            Saga::DeployKey => deploy_key::at_rest(self, process, database, dir, began).await,
            Saga::Minted => minted::at_rest(self, process, database, dir, began).await,
            Saga::Named => named::at_rest(self, process, database, dir, began).await,
            Saga::Alternating => alternating::at_rest(self, process, database, dir, began).await,
            Saga::CopyOnly => invariants::copy_only(self, process, database, dir, began).await,
            Saga::Reissue => certificate::at_rest(self, process, database, dir, began).await,
            Saga::Root | Saga::RootCopied => root::at_rest(self, process, database, dir, began).await,
            Saga::Revocation => invariants::revocation(self, process, database, dir, began).await,
            Saga::Ending(ended) => ending::at_rest(self, process, database, dir, (ended, began)).await,
            Saga::Swap | Saga::SwapRole | Saga::SwapSeen => {
                swap::at_rest(self, process, database, dir, began).await
            }
            Saga::Rollback(_) => invariants::back(self, process, database, dir, &[]).await,
        }
    }

    /// Runs a rotation in which one mutation is refused for good. Gives the state's word.
    pub(crate) async fn run_denied(&self, index: u64) -> Result<String> {
        let dir = tempfile::tempdir()?;
        copy(self.template.path(), dir.path())?;
        let database = self.database.copy().await?;
        let denied = Trial { estate: Some((index, Fault::Deny)), commit: None };
        let process = open(dir.path(), &database, denied).await?;
        let outcome = process.attempt(self.plan.clone()).await.context("it did not crash")??;
        self.nothing_lost(&process, dir.path()).await?;
        if outcome.state == "paused" {
            process.store.close().await;
            drop(process);
            // The permission is back; an operator lets it go on.
            let later = open(dir.path(), &database, Trial::default()).await?;
            let resumed = later.resume(Some(outcome.rotation_id), &RUN).await?;
            ensure!(resumed[0].state == "done", "after the pause: {:?}", resumed[0].reason);
            self.at_rest(&later, &database, dir.path(), true).await?;
            later.store.close().await;
        } else if outcome.state == "unwound" {
            self.as_before(&process, dir.path()).await?;
        } else {
            // What is only wanted may fail; its test says which effects those are. What has to be has come about without it.
            invariants::dead(self, &process).await?;
        }
        Ok(outcome.state)
    }

    /// After the saga unwound: what it follows is in force, and nothing that it made is left.
    pub(crate) async fn as_before(&self, process: &Process, dir: &Path) -> Result<()> {
        if self.posted {
            posted::as_before(self, process, dir).await?;
        }
        match self.saga {
            Saga::Dual | Saga::Told => invariants::one_token(self, dir, &self.old),
            Saga::DeployKey => deploy_key::as_before(self, process, dir).await,
            Saga::Minted => minted::unwound(self, process, dir).await,
            Saga::Named => named::unwound(self, process, dir).await,
            Saga::Alternating => alternating::as_before(self, process, dir, true).await,
            Saga::CopyOnly => invariants::in_step(process, &self.old).await,
            Saga::Rotation | Saga::Asked => invariants::old_in_force(self, process, dir).await,
            Saga::Reissue => certificate::as_before(self, process, dir).await,
            Saga::Root | Saga::RootCopied => root::as_before(self, dir),
            Saga::Revocation => invariants::still_accepted(self, dir),
            Saga::Ending(ended) => ending::seen(self, dir, ended, false),
            Saga::Swap | Saga::SwapRole | Saga::SwapSeen => swap::unwound(self, process, dir).await,
            Saga::Rollback(_) => anyhow::bail!("a rollback never unwinds"),
        }
    }

    pub(crate) fn observer(&self, dir: &Path) -> Observer {
        Observer::new("sim", EstateFile::new(dir.join("estate.json")))
    }

    pub(crate) fn subject(&self) -> &Ref {
        &self.plan.subject
    }

    /// Which saga's targets are looked at: of a rollback those of what it takes back.
    pub(crate) fn first(&self) -> Saga {
        self.saga.first()
    }

    pub(crate) fn saga(&self) -> Saga {
        self.saga
    }

    pub(crate) fn plan(&self) -> &SagaPlan {
        &self.plan
    }

    pub(crate) fn kind(&self) -> claviger_core::saga::SagaKind {
        self.plan.kind
    }
}

impl Process {
    /// `None` when the process died.
    pub(crate) async fn attempt(&self, plan: SagaPlan) -> Option<claviger_engine::Result<SagaOutcome>> {
        let mut backend_died = self.backend.crash_signal();
        let mut journal_died = self.journal.died();
        let run = async {
            let id = self.engine.begin(plan, Cause::Manual, None).await?;
            self.engine.drive(id, &RUN, &Silent).await
        };
        tokio::select! {
            biased;
            () = backend_died.crashed() => None,
            _ = journal_died.wait_for(|dead| *dead) => None,
            outcome = run => Some(outcome),
        }
    }

    pub(crate) async fn resume(
        &self,
        only: Option<SagaId>,
        options: &RunOptions,
    ) -> Result<Vec<SagaOutcome>> {
        let answers = self.engine.resume(only, options, &Silent).await?;
        Ok(answers.into_iter().collect::<claviger_engine::Result<_>>()?)
    }

    pub(crate) fn store(&self) -> &SeaStore {
        &self.store
    }
}

pub(crate) async fn open(dir: &Path, database: &TestDatabase, trial: Trial) -> Result<Process> {
    let faults: Arc<dyn FaultPlan> = match trial.estate {
        Some((index, fault)) => Arc::new(FaultAt { index, fault }),
        None => Arc::new(claviger_backend_simulated::fault::NoFaults),
    };
    open_with(dir, database, faults, trial.commit, None).await
}

/// A process with faults that are more than one at a place.
pub(crate) async fn open_with(
    dir: &Path,
    database: &TestDatabase,
    faults: Arc<dyn FaultPlan>,
    commit: Option<(u64, CommitFault)>,
    watch: Option<Arc<dyn Watch>>,
) -> Result<Process> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(11));
    let config = SimulatedConfig { path: dir.join("estate.json") };
    let backend = Arc::new(SimulatedBackend::open("sim", config, Arc::clone(&clock))?.with_faults(faults));
    let store = database.open(Arc::clone(&clock), Arc::clone(&random)).await?;
    let inner: Arc<dyn Journal> = Arc::new(store.clone());
    let journal = Arc::new(FaultyJournal::new(inner, commit).watched(watch));
    let mut estate = Estate::default();
    estate.declared = posted::declared(dir);
    let guarded = Guarded::new(backend.clone(), LayerConfig::default());
    estate.add(Member { backend: Arc::new(guarded), labels: Default::default(), link_by_login: false });
    let ports = Ports {
        inventory: Arc::new(store.clone()),
        journal: journal.clone(),
        audit: Arc::new(store.clone()),
        approvals: Arc::new(store.clone()),
        incidents: Arc::new(store.clone()),
        notifications: Arc::new(store.clone()),
    };
    let keys =
        Arc::new(Keys { fingerprint: FingerprintKey::new([1; 32]), sealing: SealingKey::new([2; 32]) });
    let engine = Engine { estate, ports, keys, clock, random, actor: "test".to_owned() };
    Ok(Process { engine, journal, backend, store })
}

pub(crate) fn policy(
    subjects: &str,
    strategy: Option<&str>,
    grace: Option<chrono::TimeDelta>,
) -> Result<Policy> {
    Ok(Policy {
        name: "test".to_owned(),
        selector: Selector::parse(subjects)?,
        max_age: None,
        strategy: strategy.map(str::to_owned),
        approvals: 0,
        retain: false,
        re_revoke: false,
        password: None,
        grace,
        evidence: None,
        consumers_at_once: None,
        timing: claviger_engine::timing::Timing::default(),
    })
}

/// What the first of the copies holds.
pub(crate) async fn value(process: &Process, plan: &SagaPlan, saga: Saga) -> Result<Vec<u8>> {
    let at = match saga.first() {
        Saga::Rotation | Saga::Asked | Saga::Alternating | Saga::Rollback(_) => {
            "sim/kv/payments/db#password".to_owned()
        }
        Saga::Dual | Saga::Told => TOKEN.to_owned(),
        Saga::DeployKey => deploy_key::COPIES[0].to_owned(),
        Saga::Ending(Ended::Role) => "sim/kv/payments/db#password".to_owned(),
        Saga::Ending(Ended::Account) => format!("{}#token", bound::TOKEN),
        // Its tokens lie nowhere, and nobody holds one.
        Saga::Ending(Ended::Pod | Ended::Entity) => return Ok(Vec::new()),
        Saga::Ending(Ended::Certificate) => bound::KUBECONFIG.to_owned(),
        Saga::Minted | Saga::Ending(Ended::Key) => format!("{}#{}", minted::OBJECTS[0], minted::HALVES[1]),
        Saga::CopyOnly | Saga::Ending(Ended::Value) => KEYS[0].to_owned(),
        Saga::Reissue => plan.subject.object().field("tls.key").to_string(),
        // Nobody shows it.
        Saga::Root | Saga::RootCopied => return Ok(root::OLD.as_bytes().to_vec()),
        Saga::SwapRole | Saga::SwapSeen => swap::COPY.to_owned(),
        Saga::Named | Saga::Revocation | Saga::Swap => format!("{}#token", plan.subject),
    };
    let member = process.engine.estate.member("sim")?;
    let store = member.backend.store().context("a store")?;
    let stored = store.read(&Ref::from_text(at)).await?.context("the value")?;
    Ok(stored.value.expose().to_vec())
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let path: PathBuf = entry?.path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().context("a name")?))?;
        }
    }
    Ok(())
}
