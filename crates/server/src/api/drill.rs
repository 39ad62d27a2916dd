use axum::{
    Json as Out,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use claviger_engine::fault::{Fault, Kind};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Context, Problem,
    caller::Caller,
    input::{Asked, Json, Query},
    list as lists,
    page::Listed,
    problem::{Answer, Body},
    work::Begun,
};
use crate::{
    access::{Subject, Verb},
    document::{self, list::Thing},
};

/// Where a drill is held.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Drill {
    /// The backend.
    backend: String,
    /// Answer when it is over, with what it measured.
    #[serde(default)]
    wait: bool,
}

/// Drills, with what they measured.
#[utoipa::path(
    get,
    path = "/api/v1/drills",
    params(Asked),
    responses(
        (status = 200, description = "A page", body = Listed),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "drills"
)]
pub(super) async fn list(
    State(context): State<Context>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Answer<Listed> {
    lists::of(&context, &caller, Thing::Drills, asked).await
}

/// Plants a decoy, pretends that it leaked, revokes it, and measures. The answer comes at once; the newest of the drills tells what came of it.
#[utoipa::path(
    post,
    path = "/api/v1/drills",
    request_body = Drill,
    responses(
        (status = 200, description = "It was held, and waited for: as `drill -o json` prints it", body = Value),
        (status = 202, description = "It is held", body = Begun),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "drills"
)]
pub(super) async fn hold(
    State(context): State<Context>,
    caller: Caller,
    Json(drill): Json<Drill>,
) -> Answer<Response> {
    caller.must(Verb::Drill, &Subject::Backend(&drill.backend))?;
    let engine = caller.engine(&context);
    engine.estate.member(&drill.backend).map_err(|_| Problem::absent("backend", &drill.backend))?;
    if !engine.drillable().contains(&drill.backend) {
        let message = format!("no decoys can be made in `{}`", drill.backend);
        let fault = Fault::new(431, Kind::Refused, message)
            .hint("PostgreSQL can: a role that may log in and do nothing");
        return Err(Problem::new(StatusCode::FORBIDDEN, fault));
    }
    let (options, stop) = (context.run, context.stop.clone());
    if drill.wait {
        let held = context.work.finish(async move { engine.drill(&drill.backend, &options, &stop).await });
        let mut document = document::value(&held.await??)?;
        document::stamp(&mut document, "drill");
        return Ok(Out(document).into_response());
    }
    context.work.begin(async move {
        if let Err(error) = engine.drill(&drill.backend, &options, &stop).await {
            tracing::warn!(%error, backend = drill.backend, "a drill failed");
        }
    })?;
    let place = [(header::LOCATION, "/api/v1/drills")];
    let document = json!({ "schema": "claviger.begun/v1", "ids": [], "failed": [] });
    Ok((StatusCode::ACCEPTED, place, Out(document)).into_response())
}
