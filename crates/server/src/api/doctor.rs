use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::{
    Context, Problem,
    caller::Caller,
    input::Query,
    problem::{Answer, Body},
};
use crate::{
    access::{Subject, Verb},
    document,
};

/// Where is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only this backend.
    backend: Option<String>,
}

/// Asks the backends what the service may do there. Nothing is changed; what is missing is told with how to grant it.
#[utoipa::path(
    get,
    path = "/api/v1/permissions",
    params(Asked),
    responses(
        (status = 200, description = "As `doctor -o json` prints it; `complete` says whether anything is missing", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "scans"
)]
pub(super) async fn check(
    State(context): State<Context>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Answer<Json<Value>> {
    // It asks everywhere, as a scan does.
    caller.must(Verb::Scan, &Subject::Estate)?;
    let engine = caller.engine(&context);
    let backend = asked.backend.as_deref();
    let found = engine.estate.permissions(backend).await;
    let found = found.map_err(|_| Problem::absent("backend", backend.unwrap_or_default()))?;
    let mut found = document::value(&found)?;
    document::stamp(&mut found, "doctor");
    Ok(Json(found))
}
