use axum::{
    Json as Out,
    extract::State,
    response::{IntoResponse as _, Response},
};
use claviger_core::saga::{Cause, SagaKind};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Context, Problem,
    caller::Caller,
    change::Swap,
    event,
    gate::Gate,
    input::{Asked, Id, Json, Query, Waiting},
    list as lists,
    page::Listed,
    problem::{Answer, Body},
    rotation::{self, Back},
    saga,
    work::Begun,
};
use crate::{access::Verb, document::list::Thing};

const KIND: SagaKind = SagaKind::Swap;

/// What is carried out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Swapping {
    /// The hash of the plan that is meant, whole.
    plan: String,
    /// What was planned.
    how: Swap,
    /// Why; it goes into the audit log.
    reason: Option<String>,
}

/// Swaps to short-lived workload identity, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/swaps",
    params(Asked),
    responses(
        (status = 200, description = "A page", body = Listed),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "swaps"
)]
pub(super) async fn list(
    State(context): State<Context>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Answer<Listed> {
    lists::of(&context, &caller, Thing::Swaps, asked).await
}

/// Carries a plan out: records it, answers, and goes on. 409 if what would be done now is another plan.
#[utoipa::path(
    post,
    path = "/api/v1/swaps",
    request_body = Swapping,
    responses(
        (status = 202, description = "They are recorded and under way; `Location` says where to look", body = Begun),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "swaps"
)]
pub(super) async fn begin(
    State(context): State<Context>,
    caller: Caller,
    Json(swapping): Json<Swapping>,
) -> Answer<Response> {
    context.work.must_run()?;
    let engine = caller.engine(&context);
    let plan = swapping.how.plan(&context, &caller, &engine, Verb::Rotate).await?.plan;
    if plan.hash.0 != swapping.plan {
        return Err(Problem::plan_changed(&swapping.plan, &plan.hash.0));
    }
    let gate = Gate::of(&engine, &plan, "swap", None).await?;
    gate.stop(&engine, &plan).await?;
    rotation::record(&context, engine, (KIND, Cause::Manual), &plan, swapping.reason).await
}

/// One swap whole.
#[utoipa::path(
    get,
    path = "/api/v1/swaps/{id}",
    params(("id" = String, Path, description = "An id or its beginning")),
    responses(
        (status = 200, description = "Its state, its steps and its receipts", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "swaps"
)]
pub(super) async fn show(State(context): State<Context>, caller: Caller, Id(id): Id) -> Answer<Out<Value>> {
    let found = saga::find(&context, &caller, KIND, &id, Verb::Read).await?;
    Ok(Out(saga::whole(&context, &caller, KIND, found.rotation_id).await?.1))
}

/// Its progress, as server-sent events: `step`, `state`, and `end` with the whole.
#[utoipa::path(
    get,
    path = "/api/v1/swaps/{id}/events",
    params(("id" = String, Path, description = "An id or its beginning")),
    responses(
        (status = 200, description = "Events until nothing more comes by itself", body = String, content_type = "text/event-stream"),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "swaps"
)]
pub(super) async fn events(State(context): State<Context>, caller: Caller, Id(id): Id) -> Answer<Response> {
    let found = saga::find(&context, &caller, KIND, &id, Verb::Read).await?;
    Ok(event::watch(context, caller, KIND, found.rotation_id).into_response())
}

/// Plans to take a swap back.
#[utoipa::path(
    post,
    path = "/api/v1/swaps/{id}/rollback-plan",
    params(("id" = String, Path, description = "An id or its beginning")),
    responses(
        (status = 200, description = "As `rollback --dry-run -o json` prints it; its hash is given back to carry it out", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "swaps"
)]
pub(super) async fn rollback_plan(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
) -> Answer<Out<Value>> {
    rotation::plan_back(&context, &caller, KIND, &id).await
}

/// Takes a swap back as planned: every workload reads the static credential again, and nothing that was made for the identities is left.
#[utoipa::path(
    post,
    path = "/api/v1/swaps/{id}/rollback",
    params(("id" = String, Path, description = "An id or its beginning")),
    request_body = Back,
    responses(
        (status = 200, description = "It was taken back, and waited for: what became of it", body = Value),
        (status = 202, description = "It is under way", body = Begun),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "swaps"
)]
pub(super) async fn rollback(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Json(back): Json<Back>,
) -> Answer<Response> {
    rotation::take_back(&context, &caller, KIND, &id, back).await
}

/// Takes up a swap that is paused, or that a process left.
#[utoipa::path(
    post,
    path = "/api/v1/swaps/{id}/resume",
    params(("id" = String, Path, description = "An id or its beginning"), Waiting),
    responses(
        (status = 200, description = "It was taken up, and waited for: what became of it", body = Value),
        (status = 202, description = "It is under way", body = Begun),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "swaps"
)]
pub(super) async fn resume(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Query(waiting): Query<Waiting>,
) -> Answer<Response> {
    rotation::take_up(&context, &caller, (KIND, Verb::Rotate), &id, waiting).await
}
