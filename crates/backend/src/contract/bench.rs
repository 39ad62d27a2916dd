use std::{
    fmt::Display,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use claviger_core::id::{OperationKey, SagaId};
use libtest_mimic::{Failed, Trial};
use tokio::{runtime::Handle, sync::Mutex};

use super::Fixture;
use crate::{Backend, Capability, Issuer, Operation, Runtime, Store};

/// How a trial ends: nothing, or what is wrong.
pub(super) type Outcome = std::result::Result<(), String>;

type Run = Box<dyn FnOnce(Arc<Bench>) -> Pin<Box<dyn Future<Output = Outcome>>> + Send>;

/// The backend under test and what may be touched.
pub(super) struct Bench {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) fixture: Fixture,
    pub(super) capability: Capability,
    operations: AtomicU32,
    one_at_a_time: Mutex<()>,
    runtime: Home,
}

/// Where futures run.
enum Home {
    Given(Handle),
    Own(tokio::runtime::Runtime),
}

impl Bench {
    pub(super) fn new(backend: Arc<dyn Backend>, fixture: Fixture) -> Self {
        let runtime = Handle::try_current().map_or_else(
            |_| {
                let own = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
                Home::Own(own.expect("the system can start threads"))
            },
            Home::Given,
        );
        let capability = backend.capability();
        Self {
            backend,
            fixture,
            capability,
            operations: AtomicU32::new(0),
            one_at_a_time: Mutex::new(()),
            runtime,
        }
    }

    /// A new operation: another key each time.
    pub(super) fn operation(&self) -> Operation {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        // A key must be new to a target that remembers those of earlier runs: the process and the bench's address are.
        let run = format!("{}/{:p}", std::process::id(), self);
        let key = OperationKey::derive(SagaId(uuid::Uuid::NAMESPACE_OID), &run, "contract", number);
        Operation { key, deadline: Duration::from_secs(30) }
    }

    pub(super) fn issuer(&self) -> std::result::Result<&dyn Issuer, String> {
        self.backend
            .issuer()
            .ok_or_else(|| "the capability claims an issuer's method, and `issuer()` gives none".into())
    }

    pub(super) fn store(&self) -> std::result::Result<&dyn Store, String> {
        self.backend
            .store()
            .ok_or_else(|| "the capability claims a store's method, and `store()` gives none".into())
    }

    pub(super) fn runtime(&self) -> std::result::Result<&dyn Runtime, String> {
        self.backend
            .runtime()
            .ok_or_else(|| "the capability claims a runtime's method, and `runtime()` gives none".into())
    }

    fn block_on(&self, future: impl Future<Output = Outcome>) -> Outcome {
        let alone = async {
            let _turn = self.one_at_a_time.lock().await;
            future.await
        };
        match &self.runtime {
            Home::Given(handle) => handle.block_on(alone),
            Home::Own(runtime) => runtime.block_on(alone),
        }
    }
}

/// A trial that has no name of its backend yet.
pub(super) struct Unnamed {
    name: &'static str,
    bench: Arc<Bench>,
    run: Run,
}

impl Unnamed {
    pub(super) fn named(self, backend: &str) -> Trial {
        let Self { name, bench, run } = self;
        Trial::test(format!("{backend}::{name}"), move || {
            let future = run(bench.clone());
            bench.block_on(future).map_err(Failed::from)
        })
    }
}

/// A trial.
pub(super) fn trial<F>(
    bench: &Arc<Bench>,
    name: &'static str,
    run: impl FnOnce(Arc<Bench>) -> F + Send + 'static,
) -> Unnamed
where
    F: Future<Output = Outcome> + 'static,
{
    Unnamed { name, bench: bench.clone(), run: Box::new(move |bench| Box::pin(run(bench))) }
}

/// What the fixture has to name for a claimed capability.
pub(super) fn subject<'a, T>(given: &'a Option<T>, name: &str) -> std::result::Result<&'a T, String> {
    given
        .as_ref()
        .ok_or_else(|| format!("the capability is claimed, and the fixture has no `{name}` to try it on"))
}

/// An unexpected error.
pub(super) fn failed<T>(what: &str, result: crate::Result<T>) -> std::result::Result<T, String> {
    result.map_err(|error| format!("{what}: {error:?}"))
}

/// What must hold.
pub(super) fn must(holds: bool, what: impl Display) -> Outcome {
    if holds { Ok(()) } else { Err(what.to_string()) }
}
