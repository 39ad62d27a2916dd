use axum::{Json, extract::State};
use claviger_core::firing::FiringState;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::{
    Context,
    caller::Caller,
    input::{self, Query},
    problem::{Answer, Body},
};
use crate::document::schedule;

/// Which firings.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Also those that are over.
    #[serde(default)]
    done: bool,
    /// At most so many.
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<u32>,
}

/// What is scheduled, the first to start first, and the pauses that hold.
#[utoipa::path(
    get,
    path = "/api/v1/firings",
    params(Which),
    responses(
        (status = 200, description = "As `schedule list -o json` prints it; the pauses are told to those who see everything", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "schedules"
)]
pub(super) async fn firings(
    State(context): State<Context>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Answer<Json<Value>> {
    let limit = input::limit(which.limit)?.unwrap_or(1_000);
    let mut states = vec![FiringState::Planned, FiringState::Claimed, FiringState::Open];
    states.extend(which.done.then_some(FiringState::Done));
    let (scheduler, sight) = (&context.scheduler(), caller.reads());
    // What is left out is left out before it is counted.
    let most = if sight.is_whole() { u64::from(limit) } else { u64::from(u32::MAX) };
    let planned = schedule::firings(scheduler, &states, most).await?;
    let mut firings = schedule::seen(scheduler, planned.firings, sight).await?;
    firings.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let pauses = match schedule::sees_pauses(sight) {
        true => Some(scheduler.firings.pauses().await?),
        false => None,
    };
    Ok(Json(caller.told(&context, schedule::document(&firings, pauses.as_deref())?)))
}
