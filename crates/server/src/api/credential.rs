use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::{
    Context,
    caller::Caller,
    input::{Id, Query},
    problem::{self, Answer, Body},
};
use crate::document::show;

/// How one is shown.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// Also ask the targets whom a replacement would save and what was obtained with it.
    #[serde(default)]
    ask: bool,
}

/// One credential whole.
#[utoipa::path(
    get,
    path = "/api/v1/credentials/{id}",
    params(("id" = String, Path, description = "An id, its beginning, or a ref"), How),
    responses(
        (status = 200, description = "As `show -o json` prints it; `chain` follows it from build to run, with where each link is known from and what is unknown or left out; `proposals` are places that are probably copies; `withheld` says how much of it lies where you see nothing", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "inventory"
)]
pub(super) async fn show(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Query(how): Query<How>,
) -> Answer<Json<Value>> {
    let shown = show::shown(&context.scheduler().engine, &id, how.ask, caller.reads())
        .await
        .map_err(|fault| problem::of_one(fault, &id))?;
    Ok(Json(caller.told(&context, shown.document()?)))
}
