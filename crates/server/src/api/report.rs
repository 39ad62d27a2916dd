//! Reports, written while they are sent.

use std::io::Write;

use axum::{
    body::Body as Bytes,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use claviger_core::audit::{AuditDraft, AuditKind};
use futures::stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use super::{
    Context,
    caller::Caller,
    input::{Id, Query},
    problem::{Answer, Body},
};
use crate::{
    access::{Subject, Verb},
    document::report::{self, Format, Kind},
};

/// Pieces that are written ahead of whoever reads them.
const AHEAD: usize = 8;

/// How it is written.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Its format; `html` where nothing is said. An incident is no table: of it there is no `csv`.
    #[serde(default)]
    #[param(inline)]
    format: Written,
    /// Of which incident (id or its beginning); the newest one where nothing is said.
    id: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Written {
    #[default]
    Html,
    Csv,
    Json,
}

/// A report of what the inventory knows now, or of an incident.
#[utoipa::path(
    get,
    path = "/api/v1/reports/{kind}",
    params(("kind" = String, Path, description = "`inventory`, `findings` or `incident`"), Asked),
    responses(
        (status = 200, description = "As `report` writes it", content((String = "text/html"), (String = "text/csv"), (String = "application/json"))),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "reports"
)]
pub(super) async fn write(
    State(context): State<Context>,
    caller: Caller,
    Id(kind): Id,
    Query(asked): Query<Asked>,
) -> Answer<Response> {
    // It tells of all of the estate.
    caller.must(Verb::Read, &Subject::Estate)?;
    let engine = caller.engine(&context);
    let kind = Kind::parse(&kind, asked.id)?;
    let format = match asked.format {
        Written::Html => Format::Html,
        Written::Csv => Format::Csv,
        Written::Json => Format::Json,
    };
    let report = report::gather(&engine, kind, format).await?;
    let note = AuditDraft {
        kind: AuditKind::Exported,
        actor: engine.actor.clone(),
        subject: "report".to_owned(),
        saga: None,
        step: None,
        detail: report.told(),
    };
    engine.ports.audit.append(vec![note]).await?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut pipe = Pipe(sender);
        // What was cut off is not taken for a whole: the answer ends with an error.
        if let Err(error) = report.write(&mut pipe) {
            let _ = pipe.0.blocking_send(Err(std::io::Error::other(error.message)));
        }
    });
    let pieces = stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let media = match format {
        Format::Html => "text/html; charset=utf-8",
        Format::Csv => "text/csv; charset=utf-8",
        Format::Json => "application/json",
    };
    // It is somebody else's text: no browser is to make of it what it is not.
    let headers = [
        (header::CONTENT_TYPE, media),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        ),
    ];
    Ok((headers, Bytes::from_stream(pieces)).into_response())
}

/// Sends what is written into it. Once nobody reads any more, nothing more is written.
struct Pipe(mpsc::Sender<std::io::Result<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(bytes.to_vec())).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
