use axum::{
    Json as Out,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use claviger_core::{
    id::SagaId,
    saga::{Cause, SagaKind},
};
use claviger_engine::{
    Engine,
    plan::{Plan, Rollback},
};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Context, Problem,
    caller::Caller,
    change::Rotate,
    event,
    gate::Gate,
    input::{Asked, Id, Json, Query, Waiting},
    list as lists,
    page::Listed,
    problem::{Answer, Body},
    resolution, saga,
    work::Begun,
};
use crate::{
    access::Verb,
    document::{self, list::Thing, plan as documents},
};

const KIND: SagaKind = SagaKind::Rotation;
/// Driven at the same time. How many calls a backend gets at once its own layer limits.
const AT_ONCE: usize = 16;

/// What is carried out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// The hash of the plan that is meant, whole.
    plan: String,
    /// What was planned.
    how: Rotate,
    /// Why; it goes into the audit log.
    reason: Option<String>,
}

/// What is taken back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Back {
    /// The hash of the plan that is meant, whole.
    plan: String,
    /// Why; it goes into the audit log.
    reason: Option<String>,
    /// Answer when it is over, with what became of it.
    #[serde(default)]
    wait: bool,
}

/// Rotations, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/rotations",
    params(Asked),
    responses(
        (status = 200, description = "A page", body = Listed),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "rotations"
)]
pub(super) async fn list(
    State(context): State<Context>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Answer<Listed> {
    lists::of(&context, &caller, Thing::Rotations, asked).await
}

/// Carries a plan out: records it, answers, and goes on. 409 if what would be done now is another plan.
#[utoipa::path(
    post,
    path = "/api/v1/rotations",
    request_body = Rotation,
    responses(
        (status = 202, description = "They are recorded and under way; `Location` says where to look", body = Begun),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "rotations"
)]
pub(super) async fn begin(
    State(context): State<Context>,
    caller: Caller,
    Json(rotation): Json<Rotation>,
) -> Answer<Response> {
    context.work.must_run()?;
    let engine = caller.engine(&context);
    let plan = rotation.how.plan(&context, &caller, &engine, Verb::Rotate).await?;
    if plan.hash.0 != rotation.plan {
        return Err(Problem::plan_changed(&rotation.plan, &plan.hash.0));
    }
    let gate = Gate::of(&engine, &plan, "rotate", None).await?;
    gate.stop(&engine, &plan).await?;
    let cause = if rotation.how.due { Cause::Policy } else { Cause::Manual };
    record(&context, engine, (KIND, cause), &plan, rotation.reason).await
}

/// Records all of a plan, answers, and goes on.
pub(super) async fn record(
    context: &Context,
    engine: Engine,
    (kind, cause): (SagaKind, Cause),
    plan: &Plan,
    reason: Option<String>,
) -> Answer<Response> {
    let mut recorded = Vec::new();
    for subject in &plan.subjects {
        recorded.push(engine.begin(subject.clone(), cause, reason.clone()).await);
    }
    let begun = saga::begun(&plan.subjects, &recorded);
    let ids: Vec<SagaId> = recorded.into_iter().filter_map(Result::ok).collect();
    let (options, stop) = (context.run, context.stop.clone());
    // What is recorded is taken up by whoever resumes, should this process not come to it.
    context.work.begin(async move {
        let driven = stream::iter(ids).for_each_concurrent(AT_ONCE, async |id| {
            if let Err(error) = engine.drive(id, &options, &stop).await {
                tracing::warn!(saga = %id, kind = kind.word(), %error, "it stands still");
            }
        });
        driven.await;
    })?;
    Ok(accepted(kind, begun))
}

/// One rotation whole.
#[utoipa::path(
    get,
    path = "/api/v1/rotations/{id}",
    params(("id" = String, Path, description = "An id or its beginning")),
    responses(
        (status = 200, description = "Its state, its steps and its receipts", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "rotations"
)]
pub(super) async fn show(State(context): State<Context>, caller: Caller, Id(id): Id) -> Answer<Out<Value>> {
    let found = saga::find(&context, &caller, KIND, &id, Verb::Read).await?;
    Ok(Out(saga::whole(&context, &caller, KIND, found.rotation_id).await?.1))
}

/// Its progress, as server-sent events: `step`, `state`, and `end` with the whole.
#[utoipa::path(
    get,
    path = "/api/v1/rotations/{id}/events",
    params(("id" = String, Path, description = "An id or its beginning")),
    responses(
        (status = 200, description = "Events until nothing more comes by itself", body = String, content_type = "text/event-stream"),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "rotations"
)]
pub(super) async fn events(State(context): State<Context>, caller: Caller, Id(id): Id) -> Answer<Response> {
    let found = saga::find(&context, &caller, KIND, &id, Verb::Read).await?;
    Ok(event::watch(context, caller, KIND, found.rotation_id).into_response())
}

/// Plans to take a rotation back.
#[utoipa::path(
    post,
    path = "/api/v1/rotations/{id}/rollback-plan",
    params(("id" = String, Path, description = "An id or its beginning")),
    responses(
        (status = 200, description = "As `rollback --dry-run -o json` prints it; its hash is given back to carry it out", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "rotations"
)]
pub(super) async fn rollback_plan(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
) -> Answer<Out<Value>> {
    plan_back(&context, &caller, KIND, &id).await
}

/// Plans to take one of these kinds back.
pub(super) async fn plan_back(
    context: &Context,
    caller: &Caller,
    kind: SagaKind,
    id: &str,
) -> Answer<Out<Value>> {
    let (_, plan) = planned(context, caller, kind, id).await?;
    let mut document = documents::document(&plan);
    document::stamp(&mut document, "rollback-plan");
    Ok(Out(caller.told(context, document)))
}

/// Takes a rotation back as planned: everything to its former value, proven.
#[utoipa::path(
    post,
    path = "/api/v1/rotations/{id}/rollback",
    params(
        ("id" = String, Path, description = "An id or its beginning"),
    ),
    request_body = Back,
    responses(
        (status = 200, description = "It was taken back, and waited for: what became of it", body = Value),
        (status = 202, description = "It is under way", body = Begun),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "rotations"
)]
pub(super) async fn rollback(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Json(back): Json<Back>,
) -> Answer<Response> {
    take_back(&context, &caller, KIND, &id, back).await
}

/// Takes one of these kinds back.
pub(super) async fn take_back(
    context: &Context,
    caller: &Caller,
    kind: SagaKind,
    id: &str,
    back: Back,
) -> Answer<Response> {
    let (planned, plan) = planned(context, caller, kind, id).await?;
    if plan.hash.0 != back.plan {
        return Err(Problem::plan_changed(&back.plan, &plan.hash.0));
    }
    let engine = caller.engine(context);
    let begun = saga::begun(&plan.subjects, &[Ok(planned.rotation)]);
    let (options, stop) = (context.run, context.stop.clone());
    if back.wait {
        let back = context
            .work
            .finish(async move { engine.roll_back(&planned, back.reason, &options, &stop).await });
        let outcome = back.await??;
        let told = resolution::outcomes(context, caller, &[(kind, outcome.rotation_id)], Vec::new()).await?;
        return Ok(told.into_response());
    }
    context.work.begin(async move {
        if let Err(error) = engine.roll_back(&planned, back.reason, &options, &stop).await {
            tracing::warn!(saga = %planned.rotation, kind = kind.word(), %error, "it was not taken back");
        }
    })?;
    Ok(accepted(kind, begun))
}

/// Takes up a rotation that is paused, or that a process left.
#[utoipa::path(
    post,
    path = "/api/v1/rotations/{id}/resume",
    params(("id" = String, Path, description = "An id or its beginning"), Waiting),
    responses(
        (status = 200, description = "It was taken up, and waited for: what became of it", body = Value),
        (status = 202, description = "It is under way", body = Begun),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "rotations"
)]
pub(super) async fn resume(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Query(waiting): Query<Waiting>,
) -> Answer<Response> {
    take_up(&context, &caller, (KIND, Verb::Rotate), &id, waiting).await
}

/// Takes one of any kind up.
pub(super) async fn take_up(
    context: &Context,
    caller: &Caller,
    (kind, verb): (SagaKind, Verb),
    id: &str,
    waiting: Waiting,
) -> Answer<Response> {
    let found = saga::find(context, caller, kind, id, verb).await?;
    if waiting.wait {
        return Ok(resolution::take_up(context, caller, Some(found.rotation_id)).await?.into_response());
    }
    let engine = caller.engine(context);
    let (options, stop, saga) = (context.run, context.stop.clone(), found.rotation_id);
    context.work.begin(async move {
        if let Err(error) = engine.resume(Some(saga), &options, &stop).await {
            tracing::warn!(%saga, %error, "it was not taken up");
        }
    })?;
    let ids = [json!({ "rotation_id": found.rotation_id, "credential": found.credential, "ref": found.at })];
    let mut begun = json!({ "ids": ids, "failed": [] });
    document::stamp(&mut begun, "begun");
    let place = [(header::LOCATION, saga::place(kind, &begun))];
    Ok((StatusCode::ACCEPTED, place, Out(begun)).into_response())
}

async fn planned(context: &Context, caller: &Caller, kind: SagaKind, id: &str) -> Answer<(Rollback, Plan)> {
    let found = saga::find(context, caller, kind, id, Verb::RollBack).await?;
    let engine = caller.engine(context);
    let planned = engine.plan_rollback(found.rotation_id, &context.run, &context.stop).await?;
    let plan = Plan {
        hash: planned.hash(),
        subjects: vec![planned.plan.clone()],
        refused: Vec::new(),
        blast: Vec::new(),
    };
    caller.must_all(&engine, Verb::RollBack, &plan).await?;
    Ok((planned, plan))
}

fn accepted(kind: SagaKind, begun: Value) -> Response {
    let place = [(header::LOCATION, saga::place(kind, &begun))];
    (StatusCode::ACCEPTED, place, Out(begun)).into_response()
}
