use std::sync::Arc;

use axum::{Json as Out, extract::State, http::StatusCode};
use claviger_core::firing::PauseView;
use claviger_engine::{firing::Scheduler, selector::Selector};
use claviger_store::Selection;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Context, Problem,
    caller::Caller,
    input::{self, Id, Json},
    problem::{Answer, Body},
};
use crate::{
    access::{Subject, Verb},
    document,
};

/// What is paused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    /// A ref with globs, an id or its beginning, or terms such as `kind=password backend=db`; `*` is everything.
    #[schema(format = "selector")]
    selector: String,
    /// Why; it goes into the audit log.
    #[schema(pattern = r"\S")]
    reason: String,
}

/// Why it ends.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    /// It goes into the audit log.
    reason: Option<String>,
}

/// Lets nothing start that the selector matches, until the pause ends; what was begun goes on.
#[utoipa::path(
    post,
    path = "/api/v1/pauses",
    request_body = Pause,
    responses(
        (status = 201, description = "As `schedule pause -o json` prints it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "schedules"
)]
pub(super) async fn begin(
    State(context): State<Context>,
    caller: Caller,
    Json(pause): Json<Pause>,
) -> Answer<(StatusCode, Out<Value>)> {
    if pause.reason.trim().is_empty() {
        return Err(Problem::input("`reason` says nothing"));
    }
    let chosen = match pause.selector.trim() {
        "*" => None,
        words => Some(input::selector(words, None, &context)?),
    };
    let scheduler = acting(&context, &caller);
    may_hold(&scheduler, &caller, chosen.as_ref()).await?;
    let id = scheduler.pause(chosen.as_ref(), &pause.reason).await?;
    let mut document =
        json!({ "id": id, "selector": chosen.as_ref().map(Selector::text), "reason": pause.reason });
    document::stamp(&mut document, "pause");
    Ok((StatusCode::CREATED, Out(document)))
}

/// Ends a pause.
#[utoipa::path(
    post,
    path = "/api/v1/pauses/{id}/end",
    params(("id" = String, Path, description = "The pause's id or its beginning")),
    request_body = End,
    responses(
        (status = 200, description = "As `schedule resume -o json` prints it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "schedules"
)]
pub(super) async fn end(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Json(end): Json<End>,
) -> Answer<Out<Value>> {
    let scheduler = acting(&context, &caller);
    let pause: PauseView = scheduler.paused(&id).await?;
    let selector = pause.selector.as_deref().map(|text| match text.split_once("where ") {
        Some((words, condition)) => Selector::parse_with(words, Some(condition)),
        None => Selector::parse(text),
    });
    // One that may not be seen is not there.
    if may_hold(&scheduler, &caller, selector.transpose()?.as_ref()).await.is_err() {
        return Err(claviger_engine::Error::NoPause(id).into());
    }
    scheduler.end_pause(&pause, end.reason.as_deref()).await?;
    let mut document = document::value(&pause)?;
    document::stamp(&mut document, "pause");
    Ok(Out(document))
}

/// A pause holds what its selector will match tomorrow, too: whoever may not hold everything may hold what a selector says that stays within
/// what they may, and that is a backend or a ref of it.
async fn may_hold(scheduler: &Scheduler, caller: &Caller, selector: Option<&Selector>) -> Answer<()> {
    if caller.sight(Verb::Schedule).is_whole() {
        return Ok(());
    }
    let Some(selector) = selector else { return caller.must(Verb::Schedule, &Subject::Estate) };
    let engine = &scheduler.engine;
    let all = engine.ports.inventory.credentials(engine.clock.now(), &Selection::default()).await?;
    let found = selector.choose(&all)?;
    let named = selector.named();
    match (named, found.as_slice()) {
        // What it names is one thing, tomorrow as well.
        (Some(_), [one]) if caller.sight(Verb::Schedule).sees_credential(one) => Ok(()),
        (Some(at), []) => Err(Problem::absent("credential", at.as_str())),
        _ => Err(Problem::forbidden(format!(
            "{} may pause one credential by its ref: what else a selector matches later nobody can say",
            caller.0.actor
        ))),
    }
}

fn acting(context: &Context, caller: &Caller) -> Scheduler {
    Scheduler { engine: Arc::new(caller.engine(context)), ..context.scheduler() }
}
