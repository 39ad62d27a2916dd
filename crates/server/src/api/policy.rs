use axum::{Json, extract::State};
use serde_json::Value;

use super::{
    Context,
    caller::Caller,
    input::{self, Id, Paged, Query},
    page::{self, Listed},
    problem::{self, Answer, Body},
};
use crate::document::{policy, show};

/// All policies, in the order in which they are tried.
#[utoipa::path(
    get,
    path = "/api/v1/policies",
    params(Paged),
    responses(
        (status = 200, description = "A page", body = Listed),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "policies"
)]
pub(super) async fn list(
    State(context): State<Context>,
    caller: Caller,
    Query(paged): Query<Paged>,
) -> Answer<Listed> {
    let limit = input::limit(paged.limit)?;
    let items = policy::items(&context.scheduler().engine, caller.reads()).await?;
    page::cut("policies", items, &["name"], limit, paged.cursor.as_deref())
}

/// Which policy holds for a credential, when it is due, and why.
#[utoipa::path(
    get,
    path = "/api/v1/credentials/{id}/policy",
    params(("id" = String, Path, description = "An id, its beginning, or a ref")),
    responses(
        (status = 200, description = "As `policy test -o json` prints it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "policies"
)]
pub(super) async fn of_credential(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
) -> Answer<Json<Value>> {
    let engine = &context.scheduler().engine;
    let credential =
        show::one(engine, &id, caller.reads()).await.map_err(|fault| problem::of_one(fault, &id))?;
    let verdict = policy::verdict(engine, &credential)?;
    Ok(Json(caller.told(&context, policy::document(engine, &credential, &verdict))))
}
