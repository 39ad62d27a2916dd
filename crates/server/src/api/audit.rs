use axum::{
    Json,
    body::Body as Bytes,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use claviger_core::{
    audit::{AuditDraft, AuditHash, AuditKind, Extent, SignedHead, entry_line, head_line},
    id::Seq,
};
use claviger_engine::{
    Engine,
    fault::{Fault, Kind},
};
use futures::stream;
use serde_json::{Value, json};

use super::{
    Context,
    caller::Caller,
    problem::{Answer, Body},
};
use crate::{
    access::{Subject, Verb},
    document::{self, audit},
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

/// All entries, one JSON object per line, and a signed head at the end. An export that ends without a head was cut off, and does not verify.
#[utoipa::path(
    get,
    path = "/api/v1/audit/export",
    responses(
        (status = 200, description = "Lines of JSON; `audit verify --file` reads them", body = String, content_type = "application/x-ndjson"),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "audit"
)]
pub(super) async fn export(State(context): State<Context>, caller: Caller) -> Answer<Response> {
    caller.must(Verb::Audit, &Subject::Estate)?;
    let engine = caller.engine(&context);
    let Some(key) = context.api.signing.clone() else {
        let fault = Fault::new(113, Kind::Usage, "this service has no key that signs exports")
            .hint("`claviger init` makes one");
        return Err(fault.into());
    };
    // Nothing is signed that does not hold.
    if let Some(bad) = audit::verify(&engine, None, None).await?.first_bad {
        let message = format!("the chain of the database does not hold at entry {bad}: it is not signed");
        return Err(Fault::new(500, Kind::Failed, message).into());
    }
    // The export is itself an entry, so that a chain tells who has a copy of it.
    let note = AuditDraft {
        kind: AuditKind::Exported,
        actor: engine.actor.clone(),
        subject: "audit".to_owned(),
        saga: None,
        step: None,
        detail: json!({ "format": "jsonl", "receipts": [] }),
    };
    engine.ports.audit.append(vec![note]).await?;
    let last = engine.ports.audit.head().await?;
    let extent = Extent { first: (Seq(1), AuditHash::GENESIS), last, receipts: Vec::new() };
    let head = SignedHead::sign(extent, engine.clock.now(), &key);
    let lines = stream::unfold(Reading::At(Seq(0)), move |state| {
        let (engine, end) = (engine.acting_as(&engine.actor, None), head_line(head.clone()));
        async move {
            let Reading::At(after) = state else { return None };
            let (text, state) = match page(&engine, after, last.0).await {
                Ok(Some((text, after))) => (Ok(text), Reading::At(after)),
                Ok(None) => (Ok(end + "\n"), Reading::Over),
                Err(error) => (Err(std::io::Error::other(error.to_string())), Reading::Over),
            };
            Some((text, state))
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Bytes::from_stream(lines)).into_response())
}

enum Reading {
    At(Seq),
    Over,
}

/// The next lines up to an entry, and the last entry among them. `None`: there are no more.
async fn page(engine: &Engine, after: Seq, last: Seq) -> claviger_store::Result<Option<(String, Seq)>> {
    if after >= last {
        return Ok(None);
    }
    let entries = engine.ports.audit.read(after, audit::PAGE).await?;
    let Some(end) = entries.last().map(|entry| entry.seq) else { return Ok(None) };
    let lines = entries.iter().filter(|entry| entry.seq <= last).map(|entry| entry_line(entry) + "\n");
    Ok(Some((lines.collect(), end)))
}
