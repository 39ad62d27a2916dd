use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_backend::{
    Anchors, Authority, Backend, BackendInfo, Capability, Decoys, Effect as Outcome, Eraser, Error,
    ErrorKind, Federation, Issuer, Letterbox, Offspring, Operation, Permission, PermissionStatus, Phase,
    Result, Retry, Runtime, ScanSink, Store, Trusting, Turns, Workloads,
};
use claviger_core::{clock::Clock, model::Scope, reference::Ref};

use crate::{
    estate::{CloudUser, Effect, Estate, EstateError, EstateFile},
    fault::{Crash, CrashSignal, Fault, FaultPlan, NoFaults},
    inventory,
    target::Target,
};

/// Where the estate is.
#[derive(Debug, Clone)]
pub struct SimulatedConfig {
    /// The estate's file.
    pub path: PathBuf,
}

/// A simulated estate as a backend. Several instances, also of several processes, can work on one file.
pub struct SimulatedBackend {
    pub(crate) info: BackendInfo,
    pub(crate) clock: Arc<dyn Clock>,
    file: EstateFile,
    capability: Capability,
    /// Slots for keys of a cloud user, and how long a new one settles, in seconds.
    pub(crate) keys: (u32, u32),
    /// Does the secret store make the values of tokens itself?
    pub(crate) tells: bool,
    faults: Arc<dyn FaultPlan>,
    boundaries: AtomicU64,
    crash: Crash,
}

/// What a mutation came to.
pub(crate) struct Change<T> {
    /// What the caller gets.
    pub(crate) answer: T,
    /// Did the estate change?
    pub(crate) effective: bool,
}

impl<T> Change<T> {
    pub(crate) fn made(answer: T) -> Self {
        Self { answer, effective: true }
    }

    pub(crate) fn nothing(answer: T) -> Self {
        Self { answer, effective: false }
    }
}

enum End<T> {
    Answer(Result<T>),
    Dead,
}

impl SimulatedBackend {
    /// Opens the estate in the configured file, which must be there.
    ///
    /// # Errors
    /// `Config` if the file is absent or not an estate.
    pub fn open(name: &str, config: SimulatedConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let file = EstateFile::new(config.path);
        let estate = file.load().map_err(|error| {
            let absent = error.is_absent();
            let error = Error::new(ErrorKind::Config, "open", error.to_string());
            if absent { error.with_hint("`claviger demo` makes an estate") } else { error }
        })?;
        let capability = Capability {
            inventory: true,
            issue: true,
            issue_mints: true,
            issue_by_name: true,
            issue_marks: estate.settings.tokens_are_told,
            issue_adds: true,
            issue_asked: true,
            issue_hidden: true,
            siblings: true,
            disable: true,
            verify: true,
            identify: true,
            restore: true,
            revoke: true,
            alternate: true,
            revoke_cache_seconds: estate.settings.revoke_cache_seconds,
            read: true,
            write: true,
            write_with_expect: true,
            write_together: true,
            pending: false,
            write_keeps_former: true,
            post: true,
            post_unmarked: false,
            refresh: true,
            adopted: true,
            repoint: true,
            federate: true,
            bind: true,
            vouch: true,
        };
        let slots = estate.settings.key_slots.unwrap_or(CloudUser::SLOTS);
        let endpoint = file.path().display().to_string();
        Ok(Self {
            info: BackendInfo { name: name.to_owned(), kind: "simulated", endpoint },
            clock,
            file,
            capability,
            keys: (slots, estate.settings.key_settle_seconds),
            tells: estate.settings.tokens_are_told,
            faults: Arc::new(NoFaults),
            boundaries: AtomicU64::new(0),
            crash: Crash::new(),
        })
    }

    /// The same with faults.
    #[must_use]
    pub fn with_faults(mut self, faults: Arc<dyn FaultPlan>) -> Self {
        self.faults = faults;
        self
    }

    /// How many boundaries this instance has reached.
    pub fn boundaries(&self) -> u64 {
        self.boundaries.load(Ordering::SeqCst)
    }

    /// Tells when the fault plan let this instance's process die.
    pub fn crash_signal(&self) -> CrashSignal {
        self.crash.signal()
    }

    /// The estate's file.
    pub fn file(&self) -> &EstateFile {
        &self.file
    }

    pub(crate) fn at<I>(&self, segments: I) -> Ref
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Ref::new(&self.info.name, segments)
    }

    /// Parses a ref and looks at the estate.
    pub(crate) async fn look<T>(
        &self,
        operation: &'static str,
        at: &Ref,
        look: impl FnOnce(&Estate, Target, DateTime<Utc>) -> Result<T>,
    ) -> Result<T> {
        self.crash.stop_if_dead().await;
        let target = Target::parse(operation, at)?;
        let estate = self.read(operation)?;
        answers(&estate, operation, target.part())?;
        look(&estate, target, self.clock.now())
    }

    /// Looks at the whole estate.
    pub(crate) async fn survey(&self, operation: &'static str) -> Result<Estate> {
        self.crash.stop_if_dead().await;
        self.read(operation)
    }

    fn read(&self, operation: &'static str) -> Result<Estate> {
        if self.faults.refuses(operation) {
            return Err(Error::new(ErrorKind::Denied, operation, "permission to look withdrawn"));
        }
        self.load(operation)
    }

    fn load(&self, operation: &'static str) -> Result<Estate> {
        self.file.load().map_err(|error| unusable(operation, &error))
    }

    /// Changes the estate: `apply` says whether it did; only then there is a boundary, a fault and an entry in the list of effects.
    pub(crate) async fn mutate<T>(
        &self,
        operation: &'static str,
        op: &Operation,
        at: &Ref,
        apply: impl Fn(&mut Estate, &Target, DateTime<Utc>) -> Result<Change<T>> + Send,
    ) -> Result<T> {
        self.crash.stop_if_dead().await;
        match self.mutate_under_lock(operation, op, at, apply) {
            End::Answer(result) => result,
            End::Dead => {
                self.crash.raise();
                std::future::pending().await
            }
        }
    }

    fn mutate_under_lock<T>(
        &self,
        operation: &'static str,
        op: &Operation,
        at: &Ref,
        apply: impl Fn(&mut Estate, &Target, DateTime<Utc>) -> Result<Change<T>>,
    ) -> End<T> {
        let prepared = || {
            let target = Target::parse(operation, at)?;
            let lock = self.file.lock().map_err(|error| unusable(operation, &error))?;
            let mut estate = self.load(operation)?;
            answers(&estate, operation, target.part())?;
            let now = self.clock.now();
            let change = apply(&mut estate, &target, now)?;
            Ok((target, lock, estate, now, change))
        };
        let (target, _lock, mut estate, now, change) = match prepared() {
            Ok(prepared) => prepared,
            Err(error) => return End::Answer(Err(error)),
        };
        if !change.effective {
            return End::Answer(Ok(change.answer));
        }
        let index = self.boundaries.fetch_add(1, Ordering::SeqCst);
        let fault = self.faults.before(index, operation, at);
        let lost = |message: &str| {
            Error::new(ErrorKind::Unavailable, operation, format!("{at}: {message}"))
                .with_effect(Outcome::Unknown)
        };
        match fault {
            Fault::CrashBefore => return End::Dead,
            Fault::ErrorBefore => {
                let error =
                    Error::new(ErrorKind::Unavailable, operation, format!("{at}: fault before the effect"));
                return End::Answer(Err(error.with_retry(Retry::Temporary)));
            }
            Fault::Deny => {
                return End::Answer(Err(Error::new(
                    ErrorKind::Denied,
                    operation,
                    format!("{at}: permission withdrawn"),
                )));
            }
            Fault::Throttle => {
                let error = Error::new(ErrorKind::RateLimited, operation, format!("{at}: too many requests"));
                return End::Answer(Err(error));
            }
            Fault::Missing => {
                return End::Answer(Err(Error::new(
                    ErrorKind::NotFound,
                    operation,
                    format!("{at} does not exist, it says"),
                )));
            }
            Fault::LostRequest => return End::Answer(Err(lost("no answer: the request was lost"))),
            Fault::None | Fault::ErrorAfterEffect | Fault::CrashAfter | Fault::Repeat => {}
        }
        let record = |estate: &mut Estate| {
            let seq = estate.effects.last().map_or(0, |effect| effect.seq) + 1;
            estate.effects.push(Effect {
                seq,
                at: now,
                operation: operation.to_owned(),
                target: at.clone(),
                key: op.key.to_string(),
            });
            self.file.replace(estate).map_err(|error| unusable(operation, &error))
        };
        if let Err(error) = record(&mut estate) {
            return End::Answer(Err(error));
        }
        match fault {
            Fault::CrashAfter => End::Dead,
            Fault::ErrorAfterEffect => End::Answer(Err(lost("no answer: the acknowledgement was lost"))),
            Fault::Repeat => {
                // The second delivery may fail, e.g. because its expectation no longer holds: nobody sees its answer.
                if apply(&mut estate, &target, now).is_ok_and(|change| change.effective)
                    && let Err(error) = record(&mut estate)
                {
                    return End::Answer(Err(error));
                }
                End::Answer(Ok(change.answer))
            }
            _ => End::Answer(Ok(change.answer)),
        }
    }
}

fn answers(estate: &Estate, operation: &'static str, part: &str) -> Result<()> {
    if estate.settings.unavailable.contains(part) {
        return Err(Error::new(
            ErrorKind::Unavailable,
            operation,
            format!("`{part}` of the estate does not answer"),
        ));
    }
    Ok(())
}

fn unusable(operation: &'static str, error: &EstateError) -> Error {
    Error::new(ErrorKind::Config, operation, error.to_string())
}

#[async_trait]
impl Backend for SimulatedBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn capability(&self) -> Capability {
        self.capability
    }

    fn may_hide(&self, unread: &Scope, missing: &Scope) -> bool {
        unread.area == missing.area
    }

    async fn check(&self) -> Result<Vec<Permission>> {
        let estate = self.survey("check").await?;
        let mut permissions = Vec::new();
        let mut add = |flow: &'static str, name: String, status: PermissionStatus| {
            permissions.push(Permission { flow, name, status });
        };
        for (name, namespace) in &estate.cluster.namespaces {
            let status = if namespace.denied {
                PermissionStatus::Missing(format!("set `denied` of namespace `{name}` to false"))
            } else {
                PermissionStatus::Present
            };
            add("scan", format!("read namespace {name}"), status);
        }
        for (path, _) in estate.secret_store.paths.iter().filter(|(_, entry)| entry.denied) {
            add(
                "scan",
                format!("read path {path}"),
                PermissionStatus::Missing("set `denied` to false".into()),
            );
        }
        for flow in ["rotate", "revoke"] {
            for part in ["db", "kv", "k8s", "iam", "auth", "forge"] {
                let status = if estate.settings.unavailable.contains(part) {
                    PermissionStatus::Unknown(format!("`{part}` does not answer"))
                } else {
                    PermissionStatus::Present
                };
                add(flow, format!("change {part}"), status);
            }
        }
        Ok(permissions)
    }

    async fn inventory(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        let estate = self.survey("inventory").await?;
        match phase {
            Phase::Issuers => inventory::issuers(self, &estate, sink).await,
            Phase::Stores => inventory::stores(self, &estate, sink).await,
        }
    }

    fn issuer(&self) -> Option<&dyn Issuer> {
        Some(self)
    }

    fn turns(&self) -> Option<&dyn Turns> {
        Some(self)
    }

    fn offspring(&self) -> Option<&dyn Offspring> {
        Some(self)
    }

    fn decoys(&self) -> Option<&dyn Decoys> {
        Some(self)
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }

    fn letterbox(&self) -> Option<&dyn Letterbox> {
        Some(self)
    }

    fn eraser(&self) -> Option<&dyn Eraser> {
        Some(self)
    }

    fn trusting(&self) -> Option<&dyn Trusting> {
        Some(self)
    }

    fn runtime(&self) -> Option<&dyn Runtime> {
        Some(self)
    }

    fn anchors(&self) -> Option<&dyn Anchors> {
        Some(self)
    }

    fn authority(&self) -> Option<&dyn Authority> {
        Some(self)
    }

    fn federation(&self) -> Option<&dyn Federation> {
        Some(self)
    }

    fn workloads(&self) -> Option<&dyn Workloads> {
        Some(self)
    }
}
