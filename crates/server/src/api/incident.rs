use axum::{
    Json as Out,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use claviger_core::incident::Incident;
use claviger_store::Selection;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Context, Problem,
    caller::Caller,
    input::{self, Id, Json, Paged, Query},
    page::{self, Listed},
    problem::{Answer, Body},
};
use crate::{
    access::{Subject, Verb},
    document::incident,
};

/// What happened.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Opened {
    /// What to call it.
    #[schema(pattern = r"\S")]
    title: String,
    /// Since when somebody else could have had what leaked.
    exposed_at: Option<DateTime<Utc>>,
    /// Selectors of the credentials that are concerned.
    #[serde(default)]
    #[schema(inline, value_type = Vec<Words>)]
    credentials: Vec<Words>,
}

/// A selector.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(format = "selector", value_type = String)]
pub(super) struct Words(String);

/// How it ended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Closed {
    /// What is to be said after the act.
    #[schema(pattern = r"\S")]
    note: String,
    /// Why it is closed although something is open.
    #[schema(pattern = r"\S")]
    unresolved: Option<String>,
}

/// Incidents, newest first: those of which you see every credential.
#[utoipa::path(
    get,
    path = "/api/v1/incidents",
    params(Paged),
    responses(
        (status = 200, description = "A page", body = Listed),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "incidents"
)]
pub(super) async fn list(
    State(context): State<Context>,
    caller: Caller,
    Query(paged): Query<Paged>,
) -> Answer<Listed> {
    let limit = input::limit(paged.limit)?;
    let items = incident::items(&context.scheduler().engine, caller.reads()).await?;
    let mut page = page::cut("incidents", items, &["id"], limit, paged.cursor.as_deref())?;
    page.tell(|item| caller.told(&context, item));
    Ok(page)
}

/// Opens an incident.
#[utoipa::path(
    post,
    path = "/api/v1/incidents",
    request_body = Opened,
    responses(
        (status = 201, description = "As `incident open -o json` prints it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "incidents"
)]
pub(super) async fn open(
    State(context): State<Context>,
    caller: Caller,
    Json(opened): Json<Opened>,
) -> Answer<Response> {
    if opened.title.trim().is_empty() {
        return Err(Problem::input("`title` says nothing"));
    }
    if opened.exposed_at.is_some_and(|exposed| exposed > context.scheduler().engine.clock.now()) {
        return Err(Problem::contradiction("`exposed_at` lies in the future"));
    }
    let (engine, sight) = (caller.engine(&context), caller.sight(Verb::Incident));
    let mut concerned = Vec::new();
    if !opened.credentials.is_empty() {
        let mut all = engine.ports.inventory.credentials(engine.clock.now(), &Selection::default()).await?;
        all.retain(|credential| sight.sees_credential(credential));
        for Words(text) in &opened.credentials {
            let selector = input::selector(text, None, &context)?;
            let found = selector.choose(&all)?;
            if found.is_empty() {
                return Err(claviger_engine::Error::NoMatch(text.clone()).into());
            }
            concerned.extend(found.into_iter().map(|credential| (credential.id, credential.at.clone())));
        }
    } else {
        caller.must(Verb::Incident, &Subject::Estate)?;
    }
    let id = engine.open_incident(&opened.title, opened.exposed_at, &concerned).await?;
    let found = engine.incident(&id.to_string()).await?;
    let document = caller.told(&context, incident::document(&engine.incident_view(found).await?)?);
    let place = [(header::LOCATION, format!("/api/v1/incidents/{id}"))];
    Ok((StatusCode::CREATED, place, Out(document)).into_response())
}

/// What happened, what is left, what to do.
#[utoipa::path(
    get,
    path = "/api/v1/incidents/{id}",
    params(("id" = String, Path, description = "An id or its beginning")),
    responses(
        (status = 200, description = "As `incident status ID -o json` prints it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "incidents"
)]
pub(super) async fn show(State(context): State<Context>, caller: Caller, Id(id): Id) -> Answer<Out<Value>> {
    let found = find(&context, &caller, &id, Verb::Read).await?;
    let view = context.scheduler().engine.incident_view(found).await?;
    Ok(Out(caller.told(&context, incident::document(&view)?)))
}

/// Closes an incident.
#[utoipa::path(
    post,
    path = "/api/v1/incidents/{id}/close",
    params(("id" = String, Path, description = "An id or its beginning")),
    request_body = Closed,
    responses(
        (status = 200, description = "As `incident close -o json` prints it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "incidents"
)]
pub(super) async fn close(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Json(closed): Json<Closed>,
) -> Answer<Out<Value>> {
    let found = find(&context, &caller, &id, Verb::Incident).await?;
    let engine = caller.engine(&context);
    let view = engine.close_incident(&found, &closed.note, closed.unresolved.as_deref()).await?;
    Ok(Out(caller.told(&context, incident::document(&view)?)))
}

pub(super) async fn find(context: &Context, caller: &Caller, id: &str, verb: Verb) -> Answer<Incident> {
    let engine = &context.scheduler().engine;
    let found = engine.incident(id).await?;
    match incident::sees(engine, &found, caller.sight(verb)).await? {
        true => Ok(found),
        // Answered as if it were not there.
        false => Err(claviger_engine::Error::Incident {
            code: "none",
            reason: format!("there is no incident `{id}`"),
        }
        .into()),
    }
}
