//! What is answered over HTTP/1.1.

mod probes;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use claviger_engine::firing::Scheduler;
use tokio::{net::TcpListener, time::Instant};

use crate::{Health, Metrics, Stage, Stop};

/// Longest body that is read, in bytes.
const BODY: usize = 1 << 20;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) scheduler: Scheduler,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Answers until it is told to stop; requests that are under way then have a moment to end.
pub(crate) async fn run(
    listener: TcpListener,
    scheduler: Scheduler,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    stop: Stop,
) {
    let shared = Shared { scheduler, health, metrics };
    let stopped = stop.clone();
    let serving = axum::serve(listener, router(shared)).with_graceful_shutdown(async move {
        stopped.reached(Stage::Draining).await;
    });
    tokio::select! {
        served = serving.into_future() => if let Err(error) = served {
            tracing::error!(%error, "the listener ended");
        },
        // A request that does not end keeps nobody.
        () = async {
            stop.reached(Stage::Draining).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        } => {}
    }
}

/// Everything that is answered.
pub(crate) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/healthz", get(probes::alive))
        .route("/readyz", get(probes::ready))
        .route("/metrics", get(probes::metrics))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(shared.clone(), counted))
        .with_state(shared)
}

async fn counted(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    // The route, never the path: who asks must not be able to make series.
    let route = request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map_or("none", |path| path.as_str())
        .to_owned();
    let answer = next.run(request).await;
    shared.metrics.answered(&route, answer.status().as_u16(), begun.elapsed());
    answer
}
