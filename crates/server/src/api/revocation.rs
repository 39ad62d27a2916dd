use axum::{
    Json as Out,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use claviger_core::saga::{Cause, SagaKind};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Context, Problem,
    caller::Caller,
    change::Revoke,
    event,
    gate::Gate,
    input::{Asked, Id, Json, Query, Waiting},
    list as lists,
    page::Listed,
    problem::{Answer, Body},
    rotation, saga,
    work::Begun,
};
use crate::{access::Verb, document::list::Thing};

const KIND: SagaKind = SagaKind::Revocation;

/// What is carried out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Revocation {
    /// The hash of the plan that is meant, whole.
    plan: String,
    /// What was planned.
    how: Revoke,
    /// Why; it goes into the audit log.
    #[schema(pattern = r"\S")]
    reason: String,
}

/// Revocations, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/revocations",
    params(Asked),
    responses(
        (status = 200, description = "A page", body = Listed),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "revocations"
)]
pub(super) async fn list(
    State(context): State<Context>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Answer<Listed> {
    lists::of(&context, &caller, Thing::Revocations, asked).await
}

/// Carries a plan out: records it, answers, and goes on, past failures. 409 if what would be done now is another plan.
#[utoipa::path(
    post,
    path = "/api/v1/revocations",
    request_body = Revocation,
    responses(
        (status = 202, description = "They are recorded and under way; `Location` says where to look", body = Begun),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "revocations"
)]
pub(super) async fn begin(
    State(context): State<Context>,
    caller: Caller,
    Json(revocation): Json<Revocation>,
) -> Answer<Response> {
    context.work.must_run()?;
    let Revocation { plan: given, how, reason } = revocation;
    if reason.trim().is_empty() {
        return Err(Problem::input("`reason` says nothing"));
    }
    let engine = caller.engine(&context);
    let plan = how.plan(&context, &caller, &engine, Verb::Revoke).await?;
    if plan.hash.0 != given {
        return Err(Problem::plan_changed(&given, &plan.hash.0));
    }
    let incident = how.incident(&context, &caller, &engine).await?;
    let gate = Gate::of(&engine, &plan, "revoke", incident).await?;
    gate.stop(&engine, &plan).await?;
    let cause = gate.pass(&engine, &plan, "revoke", &reason).await?;
    let cause = if how.replace { Cause::Incident } else { cause };
    let recorded = engine.record_revocations(&plan.subjects, cause, Some(&reason)).await;
    let begun = saga::begun(&plan.subjects, &recorded);
    let (options, stop) = (context.run, context.stop.clone());
    context.work.begin(async move {
        for answer in engine.drive_revocations(&plan.subjects, recorded, &options, &stop).await {
            if let Err(error) = answer {
                tracing::warn!(%error, "a revocation stands still");
            }
        }
    })?;
    let place = [(header::LOCATION, saga::place(KIND, &begun))];
    Ok((StatusCode::ACCEPTED, place, Out(begun)).into_response())
}

/// One revocation whole.
#[utoipa::path(
    get,
    path = "/api/v1/revocations/{id}",
    params(("id" = String, Path, description = "An id or its beginning")),
    responses(
        (status = 200, description = "Its state, its steps and its receipts", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "revocations"
)]
pub(super) async fn show(State(context): State<Context>, caller: Caller, Id(id): Id) -> Answer<Out<Value>> {
    let found = saga::find(&context, &caller, KIND, &id, Verb::Read).await?;
    Ok(Out(saga::whole(&context, &caller, KIND, found.rotation_id).await?.1))
}

/// Its progress, as server-sent events: `step`, `state`, and `end` with the whole.
#[utoipa::path(
    get,
    path = "/api/v1/revocations/{id}/events",
    params(("id" = String, Path, description = "An id or its beginning")),
    responses(
        (status = 200, description = "Events until nothing more comes by itself", body = String, content_type = "text/event-stream"),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "revocations"
)]
pub(super) async fn events(State(context): State<Context>, caller: Caller, Id(id): Id) -> Answer<Response> {
    let found = saga::find(&context, &caller, KIND, &id, Verb::Read).await?;
    Ok(event::watch(context, caller, KIND, found.rotation_id).into_response())
}

/// Takes up a revocation that is paused, or that a process left.
#[utoipa::path(
    post,
    path = "/api/v1/revocations/{id}/resume",
    params(("id" = String, Path, description = "An id or its beginning"), Waiting),
    responses(
        (status = 200, description = "It was taken up, and waited for: what became of it", body = Value),
        (status = 202, description = "It is under way", body = Begun),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "revocations"
)]
pub(super) async fn resume(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Query(waiting): Query<Waiting>,
) -> Answer<Response> {
    rotation::take_up(&context, &caller, (KIND, Verb::Revoke), &id, waiting).await
}
