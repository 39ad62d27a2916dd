use axum::{Json as Out, extract::State};
use claviger_engine::{Engine, firing::Scheduler, selector::Selector};
use claviger_store::Selection;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Context,
    caller::Caller,
    input::{self, Json},
    problem::{Answer, Body},
};
use crate::{
    access::{Subject, Verb},
    document,
};

/// What is verified.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Verification {
    what: What,
    /// Only what this matches: a ref with globs, an id or its beginning, or terms such as `kind=password owner=payments`.
    #[schema(format = "selector")]
    selector: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum What {
    /// What is in use: each copy is read and logged in with.
    Copies,
    /// What was revoked: is it still dead? What is back is told, and revoked again by the service where `[reprobe]` and a policy say so.
    Revoked,
}

/// Verifies copies, or tries again what was revoked. Nothing is changed at a target; logins are made. The answer comes when it is over.
#[utoipa::path(
    post,
    path = "/api/v1/verifications",
    request_body = Verification,
    responses(
        (status = 200, description = "As `verify --copies -o json` or `verify --revoked -o json` prints it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "scans"
)]
pub(super) async fn begin(
    State(context): State<Context>,
    caller: Caller,
    Json(verification): Json<Verification>,
) -> Answer<Out<Value>> {
    // It logs in everywhere, as a scan reads everywhere.
    caller.must(Verb::Scan, &Subject::Estate)?;
    let words = verification.selector.as_deref().map(str::trim).filter(|words| !words.is_empty());
    let selector = words.map(|words| input::selector(words, None, &context)).transpose()?;
    let (scheduler, engine) = (context.scheduler(), caller.engine(&context));
    if let Some(selector) = &selector {
        let everything = Selection { gone: true, ..Selection::default() };
        let all = engine.ports.inventory.credentials(engine.clock.now(), &everything).await?;
        if selector.choose(&all)?.is_empty() {
            return Err(claviger_engine::Error::NoMatch(selector.text().to_owned()).into());
        }
    }
    let what = verification.what;
    let verified = context.work.finish(async move { verify(&engine, &scheduler, what, selector).await });
    Ok(Out(verified.await??))
}

async fn verify(
    engine: &Engine,
    scheduler: &Scheduler,
    what: What,
    selector: Option<Selector>,
) -> Answer<Value> {
    let selector = selector.as_ref();
    let (mut document, name) = match what {
        What::Copies => {
            let verified = engine.verify(selector, &scheduler.estate_budgets()).await?;
            (document::value(&verified)?, "verify-copies")
        }
        What::Revoked => {
            let tried = engine.reprobe(selector).await?;
            (json!({ "items": document::values(&tried)? }), "verify")
        }
    };
    document::stamp(&mut document, name);
    Ok(document)
}
