//! Work that goes on after its request was answered.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::{sync::oneshot, task::JoinSet};
use tracing::{Instrument as _, Span};
use utoipa::ToSchema;

use super::problem::Answer;
use crate::{Stage, Stop};
use claviger_engine::fault::{Fault, Kind};

/// What was begun.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Begun {
    /// `claviger.begun/v1`
    schema: String,
    /// Ids of the rotations, revocations or swaps: `GET …/{id}` tells where each is.
    ids: Vec<Value>,
    /// What could not be begun: `ref` and `reason`.
    failed: Vec<Value>,
}

/// The tasks that are under way. When the service stops they come to a boundary, and whoever comes next takes them up.
#[derive(Clone)]
pub(crate) struct Work {
    tasks: Arc<Mutex<JoinSet<()>>>,
    stop: Stop,
}

impl Work {
    pub(crate) fn new(stop: Stop) -> Self {
        Self { tasks: Arc::default(), stop }
    }

    /// Begins one.
    ///
    /// # Errors
    /// The service is about to stop: nothing was begun.
    pub(super) fn begin(&self, task: impl Future<Output = ()> + Send + 'static) -> Answer<()> {
        self.must_run()?;
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are over are let go.
        while tasks.try_join_next().is_some() {}
        // It goes on when the request is over: a trace of its own, which names the request's.
        let span = tracing::info_span!(parent: None, "work");
        span.follows_from(Span::current());
        tasks.spawn(task.instrument(span));
        Ok(())
    }

    /// Begins one and waits for its end. It goes on to that whether anybody waits or not.
    ///
    /// # Errors
    /// The service is about to stop: nothing was begun, or it was cut off.
    pub(super) async fn finish<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Answer<T> {
        let (sender, receiver) = oneshot::channel();
        self.begin(async move {
            let _ = sender.send(task.await);
        })?;
        receiver.await.map_err(|_| stopping().into())
    }

    /// Nothing is begun by a service that is about to stop.
    pub(super) fn must_run(&self) -> Answer<()> {
        if self.stop.stage() >= Stage::Draining {
            return Err(stopping().into());
        }
        Ok(())
    }

    /// Waits until all that was begun is over.
    pub(crate) async fn drain(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }
}

fn stopping() -> Fault {
    Fault::new(639, Kind::Unavailable, "the service is about to stop")
        .hint("ask again: another process answers, or this one after its start")
}
