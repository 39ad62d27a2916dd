//! What is answered over HTTP/1.1, in the clear or over TLS.

mod probes;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::HeaderMap,
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use claviger_engine::firing::Scheduler;
use tokio::{net::TcpListener, time::Instant};
use tracing::{Instrument as _, Span, field::Empty};

use crate::{Health, Metrics, Stage, Stop, Tls, api};

/// Longest body that is read, in bytes.
const BODY: usize = 1 << 20;
/// How long requests that are under way have to end, once everything else has.
const LAST: Duration = Duration::from_millis(500);

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) scheduler: Scheduler,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) joins: Option<Joins>,
}

/// Makes a span part of the trace that a request says it belongs to, by its headers.
pub type Joins = Arc<dyn Fn(&HeaderMap, &Span) + Send + Sync>;

/// Answers until it is told to stop; requests that are under way then have a moment to end.
pub(crate) async fn run(
    listener: TcpListener,
    shared: Shared,
    context: Option<api::Context>,
    tls: Option<Tls>,
    stop: Stop,
) {
    let router = router(shared, context);
    let stopped = stop.clone();
    let serving = async {
        let Some(tls) = tls else {
            let stopping = async move { stopped.reached(Stage::Draining).await };
            return axum::serve(listener, router).with_graceful_shutdown(stopping).await;
        };
        let handle = axum_server::Handle::new();
        let server = axum_server::from_tcp_rustls(listener.into_std()?, tls.config.clone())?;
        let serving = server.handle(handle.clone()).serve(router.into_make_service());
        let stopping = async move {
            stopped.reached(Stage::Draining).await;
            handle.graceful_shutdown(Some(LAST));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            served = serving => served,
            () = tls.keep(stop.clone()) => std::future::pending().await,
            () = stopping => Ok(()),
        }
    };
    tokio::select! {
        served = serving => if let Err(error) = served {
            tracing::error!(%error, "the listener ended");
        },
        // A request that does not end keeps nobody.
        () = async {
            stop.reached(Stage::Draining).await;
            tokio::time::sleep(LAST).await;
        } => {}
    }
}

/// Everything that is answered: the API where this process has that role.
pub(crate) fn router(shared: Shared, context: Option<api::Context>) -> Router {
    let router = match context {
        Some(context) => api::router(context),
        None => Router::new(),
    };
    router
        .fallback(api::nowhere)
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
    // What is asked every few seconds, and by nobody in particular, is no part of any trace.
    let answer = if route.starts_with("/api/") {
        let span = tracing::info_span!(
            "request",
            otel.name = route,
            otel.kind = "server",
            http.route = route,
            http.request.method = request.method().as_str(),
            http.response.status_code = Empty,
        );
        if let Some(joins) = &shared.joins {
            joins(request.headers(), &span);
        }
        let answer = next.run(request).instrument(span.clone()).await;
        span.record("http.response.status_code", answer.status().as_u16());
        answer
    } else {
        next.run(request).await
    };
    shared.metrics.answered(&route, answer.status().as_u16(), begun.elapsed());
    answer
}
