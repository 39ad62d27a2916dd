//! Is it alive, is it ready, how does it do.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::Shared;

/// How long the database may take to count firings before they are left out.
const COUNT: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process answers. Never a reason to ask the database: one that is down is not mended by a restart.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: can something be started; 503 says what is missing.
pub(super) async fn ready(State(shared): State<Shared>) -> Response {
    let report = shared.health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

/// `GET /metrics`: OpenMetrics text. What cannot be counted now is left as it was.
pub(super) async fn metrics(State(shared): State<Shared>) -> Response {
    let now = shared.scheduler.engine.clock.now();
    if let Ok(Ok(counts)) = tokio::time::timeout(COUNT, shared.scheduler.firings.firing_counts(now)).await {
        shared.metrics.firings(&counts, now);
    }
    let notifications = &shared.scheduler.engine.ports.notifications;
    if let Ok(Ok(counts)) = tokio::time::timeout(COUNT, notifications.notification_counts()).await {
        shared.metrics.notifications(&counts);
    }
    let kind = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    (kind, shared.metrics.text()).into_response()
}
