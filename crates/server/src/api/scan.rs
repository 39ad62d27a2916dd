use std::time::Duration;

use axum::{
    Json as Out,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use claviger_core::view::ScanView;
use claviger_engine::{
    fault::{Fault, Kind},
    scan::ScanOptions,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Context, Problem,
    caller::Caller,
    input::Json,
    problem::{Answer, Body},
    work::Begun,
};
use crate::{
    access::{Subject, Verb},
    document,
};

/// One scan at a time, whoever begins it: the loop of the service takes the same duty.
const DUTY: &str = "scanning";
const LEASE: Duration = Duration::from_secs(60);

/// What is scanned.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Scan {
    /// Only these backends.
    #[serde(default)]
    backends: Vec<String>,
    /// Answer when it is over, with what came of it.
    #[serde(default)]
    wait: bool,
}

/// Takes the inventory. The answer comes at once; the newest scan tells what came of it.
#[utoipa::path(
    post,
    path = "/api/v1/scans",
    request_body = Scan,
    responses(
        (status = 200, description = "It was taken, and waited for: as `scan -o json` prints it", body = Value),
        (status = 202, description = "It is taken", body = Begun),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "scans"
)]
pub(super) async fn begin(
    State(context): State<Context>,
    caller: Caller,
    Json(scan): Json<Scan>,
) -> Answer<Response> {
    let engine = caller.engine(&context);
    if scan.backends.is_empty() {
        caller.must(Verb::Scan, &Subject::Estate)?;
    }
    for name in &scan.backends {
        caller.must(Verb::Scan, &Subject::Backend(name))?;
        if !engine.estate.broken.iter().any(|(broken, ..)| broken == name) {
            engine.estate.member(name).map_err(|_| Problem::absent("backend", name))?;
        }
    }
    let scheduler = context.scheduler();
    // Each has a name of its own: two that are asked of one process are two.
    let owner = format!(
        "{}/{}",
        scheduler.owner,
        claviger_core::id::new_id(engine.clock.as_ref(), engine.random.as_ref())
    );
    if !scheduler.firings.take_duty(DUTY, &owner, LEASE).await? {
        let fault = Fault::new(640, Kind::Conflict, "a scan is under way")
            .hint("`GET /api/v1/scans/newest` tells when it is over");
        return Err(Problem::new(StatusCode::CONFLICT, fault));
    }
    let stop = context.stop.clone();
    let scanning = async move {
        let options = ScanOptions { backends: scan.backends };
        let keep = async {
            loop {
                tokio::time::sleep(LEASE / 3).await;
                let _ = scheduler.firings.take_duty(DUTY, &owner, LEASE).await;
            }
        };
        let scanned = tokio::select! {
            scanned = engine.scan(&options, &stop) => scanned,
            () = keep => return None,
        };
        let _ = scheduler.firings.leave_duty(DUTY, &owner).await;
        if let Err(error) = &scanned {
            tracing::warn!(%error, "a scan failed");
        }
        Some(scanned)
    };
    if scan.wait {
        let scanned = context.work.finish(scanning).await?;
        let view = scanned.ok_or_else(Problem::lost)??;
        return Ok(Out(shown(&caller, view)?).into_response());
    }
    context.work.begin(async move {
        scanning.await;
    })?;
    let place = [(header::LOCATION, "/api/v1/scans/newest")];
    let document = json!({ "schema": "claviger.begun/v1", "ids": [], "failed": [] });
    Ok((StatusCode::ACCEPTED, place, Out(document)).into_response())
}

/// The newest scan that is over, of the backends that you see.
#[utoipa::path(
    get,
    path = "/api/v1/scans/newest",
    responses(
        (status = 200, description = "As `scan -o json` prints it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "scans"
)]
pub(super) async fn newest(State(context): State<Context>, caller: Caller) -> Answer<Out<Value>> {
    let newest = context.scheduler().engine.ports.inventory.last_scan().await?;
    let scan = newest.ok_or_else(|| Problem::absent("scan", "newest"))?;
    Ok(Out(shown(&caller, scan)?))
}

/// A scan, of the backends that they see. Who sees a part of a backend sees how it was read.
fn shown(caller: &Caller, mut scan: ScanView) -> Answer<Value> {
    let sight = caller.reads();
    let hidden = caller.0.hidden(scan.backends.iter().map(|backend| backend.name.as_str()));
    scan.backends.retain(|backend| !hidden.contains(&backend.name));
    if !sight.is_whole() {
        scan.complete = scan.backends.iter().all(|backend| backend.status == "complete");
    }
    let mut document = document::value(&scan)?;
    document::stamp(&mut document, "scan");
    Ok(document)
}
