use std::sync::Arc;

use axum::{
    Json,
    body::Body as Bytes,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use claviger_core::signing::PrivateKey;
use claviger_engine::fault::{Fault, Kind};
use futures::stream;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::{
    Context,
    caller::Caller,
    input::Query,
    problem::{Answer, Body},
    saga,
};
use crate::{
    access::{Subject, Verb},
    document::{
        self,
        audit::{self, Export, Part},
    },
};

/// Does the chain of the audit log hold?
#[utoipa::path(
    get,
    path = "/api/v1/audit/verification",
    responses(
        (status = 200, description = "As `audit verify -o json` prints it; `valid` says whether it holds", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "audit"
)]
pub(super) async fn verify(State(context): State<Context>, caller: Caller) -> Answer<Json<Value>> {
    caller.must(Verb::Audit, &Subject::Estate)?;
    let verification = audit::verify(&context.scheduler().engine, None, None).await?;
    let mut document = document::value(&verification)?;
    document::stamp(&mut document, "audit-verify");
    Ok(Json(document))
}

/// Which part of the log is written.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only from the first receipt on: what proves the receipts and nothing before them.
    #[serde(default)]
    receipts: bool,
    /// Only those of this rotation, revocation or swap (id or its beginning).
    rotation: Option<String>,
}

/// All entries, one JSON object per line, and a signed head at the end. An export that ends without a head was cut off, and does not verify.
#[utoipa::path(
    get,
    path = "/api/v1/audit/export",
    params(Asked),
    responses(
        (status = 200, description = "Lines of JSON; `audit verify --file` reads them", body = String, content_type = "application/x-ndjson"),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "audit"
)]
pub(super) async fn export(
    State(context): State<Context>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Answer<Response> {
    caller.must(Verb::Audit, &Subject::Estate)?;
    let engine = caller.engine(&context);
    let key = signing(&context)?;
    let part = match (asked.receipts, asked.rotation) {
        (false, None) => Part::Whole,
        (true, None) => Part::Receipts(None),
        (_, Some(beginning)) => Part::Receipts(Some(saga::any(&engine, &beginning).await?)),
    };
    // What is sent cannot be taken back: it is looked at before.
    if let Some(bad) = audit::verify(&engine, None, None).await?.first_bad {
        return Err(audit::broken(bad).into());
    }
    let export = Export::begin(&engine, part).await?;
    let lines = stream::unfold(Some(export), move |export| {
        let (engine, key) = (engine.acting_as(&engine.actor, None), Arc::clone(&key));
        async move {
            let mut export = export?;
            let cut_off = |fault: Fault| std::io::Error::other(fault.message);
            match export.page(&engine).await {
                Ok(Some(text)) => Some((Ok(text), Some(export))),
                Ok(None) => Some((export.end(&engine, &key).map(audit::line).map_err(cut_off), None)),
                Err(fault) => Some((Err(cut_off(fault)), None)),
            }
        }
    });
    Ok((LINES, Bytes::from_stream(lines)).into_response())
}

/// A signed head of the log as it is now, to be kept where nobody here can change it.
#[utoipa::path(
    get,
    path = "/api/v1/audit/checkpoint",
    responses(
        (status = 200, description = "One line of JSON; `audit verify --checkpoint` reads it", body = String, content_type = "application/x-ndjson"),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "audit"
)]
pub(super) async fn checkpoint(State(context): State<Context>, caller: Caller) -> Answer<Response> {
    caller.must(Verb::Audit, &Subject::Estate)?;
    let engine = caller.engine(&context);
    let head = audit::checkpoint(&engine, &*signing(&context)?).await?;
    Ok((LINES, audit::line(head)).into_response())
}

const LINES: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/x-ndjson")];

fn signing(context: &Context) -> Answer<Arc<PrivateKey>> {
    context.api.signing.clone().ok_or_else(|| {
        Fault::new(113, Kind::Usage, "this service has no key that signs exports")
            .hint("`claviger init` makes one")
            .into()
    })
}
