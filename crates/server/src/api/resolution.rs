//! What stands still or was left is taken up again, as somebody decides.

use axum::{Json as Out, extract::State};
use claviger_core::{
    id::SagaId,
    saga::{Decision, SagaKind},
};
use claviger_engine::fault::Fault;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Context, Problem,
    caller::Caller,
    input::{Id, Json},
    problem::{Answer, Body},
    saga,
};
use crate::{
    access::{Subject, Verb},
    document,
};

/// What is decided about one that is paused or stuck.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resolution {
    decision: Decided,
    /// Why; it goes into the audit log.
    #[schema(pattern = r"\S")]
    reason: String,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Decided {
    /// Try again what failed: a stuck undo, or the step of a paused one.
    Retry,
    /// Leave everything as it is and end it; refused while its sealed values may be the last ones.
    Close,
}

/// Decides about a rotation that is paused or stuck, and carries that out. The answer comes when it rests again.
#[utoipa::path(
    post,
    path = "/api/v1/rotations/{id}/resolve",
    params(("id" = String, Path, description = "An id or its beginning")),
    request_body = Resolution,
    responses(
        (status = 200, description = "What became of it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "rotations"
)]
pub(super) async fn rotation(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Json(resolution): Json<Resolution>,
) -> Answer<Out<Value>> {
    resolve(&context, &caller, (SagaKind::Rotation, Verb::Rotate), &id, resolution).await
}

/// Decides about a revocation that is paused or stuck, and carries that out. The answer comes when it rests again.
#[utoipa::path(
    post,
    path = "/api/v1/revocations/{id}/resolve",
    params(("id" = String, Path, description = "An id or its beginning")),
    request_body = Resolution,
    responses(
        (status = 200, description = "What became of it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "revocations"
)]
pub(super) async fn revocation(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Json(resolution): Json<Resolution>,
) -> Answer<Out<Value>> {
    resolve(&context, &caller, (SagaKind::Revocation, Verb::Revoke), &id, resolution).await
}

/// Decides about a swap that is paused or stuck, and carries that out. The answer comes when it rests again.
#[utoipa::path(
    post,
    path = "/api/v1/swaps/{id}/resolve",
    params(("id" = String, Path, description = "An id or its beginning")),
    request_body = Resolution,
    responses(
        (status = 200, description = "What became of it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "swaps"
)]
pub(super) async fn swap(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Json(resolution): Json<Resolution>,
) -> Answer<Out<Value>> {
    resolve(&context, &caller, (SagaKind::Swap, Verb::Rotate), &id, resolution).await
}

async fn resolve(
    context: &Context,
    caller: &Caller,
    (kind, verb): (SagaKind, Verb),
    id: &str,
    resolution: Resolution,
) -> Answer<Out<Value>> {
    if resolution.reason.trim().is_empty() {
        return Err(Problem::input("`reason` says nothing"));
    }
    let found = saga::find(context, caller, kind, id, verb).await?;
    let (engine, options, stop) = (caller.engine(context), context.run, context.stop.clone());
    let decision = match resolution.decision {
        Decided::Retry => Decision::Retry,
        Decided::Close => Decision::Close,
    };
    let resolved = context.work.finish(async move {
        engine.resolve(found.rotation_id, decision, resolution.reason, &options, &stop).await
    });
    let outcome = resolved.await??;
    outcomes(context, caller, &[(kind, outcome.rotation_id)], Vec::new()).await
}

/// Takes up everything that is unfinished and that no operator has to decide about: what a process left, and what waited for a time that has come. The answer
/// comes when all of it rests, or waits for longer.
#[utoipa::path(
    post,
    path = "/api/v1/resumptions",
    request_body = All,
    responses(
        (status = 200, description = "What became of each", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "rotations"
)]
pub(super) async fn resume(
    State(context): State<Context>,
    caller: Caller,
    Json(All {}): Json<All>,
) -> Answer<Out<Value>> {
    for verb in [Verb::Rotate, Verb::Revoke] {
        caller.must(verb, &Subject::Estate)?;
    }
    take_up(&context, &caller, None).await
}

/// Nothing has to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct All {}

/// Takes up one, or all, and tells what became of each.
pub(super) async fn take_up(context: &Context, caller: &Caller, only: Option<SagaId>) -> Answer<Out<Value>> {
    let (engine, options, stop) = (caller.engine(context), context.run, context.stop.clone());
    let resumed = context.work.finish(async move { engine.resume(only, &options, &stop).await });
    let (mut ids, mut failed) = (Vec::new(), Vec::new());
    for answer in resumed.await?? {
        match answer {
            Ok(outcome) => ids.push(outcome.rotation_id),
            Err(error) => failed.push(error),
        }
    }
    // Where nothing was done, the first reason is the answer: as at the database.
    if ids.is_empty() && !failed.is_empty() {
        return Err(failed.remove(0).into());
    }
    let journal = &context.scheduler().engine.ports.journal;
    let mut kinds = Vec::new();
    for id in ids {
        let record = journal.load(id).await?;
        kinds.push((record.map_or(SagaKind::Rotation, |record| record.plan.kind), id));
    }
    outcomes(context, caller, &kinds, failed.into_iter().map(Fault::from).collect()).await
}

/// What became of these.
pub(super) async fn outcomes(
    context: &Context,
    caller: &Caller,
    ids: &[(SagaKind, SagaId)],
    failed: Vec<Fault>,
) -> Answer<Out<Value>> {
    let mut outcomes = Vec::new();
    for (kind, id) in ids {
        outcomes.push(saga::whole(context, caller, *kind, *id).await?.1);
    }
    let failed: Vec<_> =
        failed.into_iter().map(|fault| json!({ "code": fault.word(), "reason": fault.message })).collect();
    let mut document = json!({ "outcomes": outcomes, "failed": failed });
    document::stamp(&mut document, "outcomes");
    Ok(Out(document))
}
