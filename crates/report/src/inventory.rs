//! The inventory report: what there is, who answers for it, where it lies, who uses it.

use std::io::{BufWriter, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use claviger_core::{
    model::CopyStage,
    view::{BackendScanView, CredentialDetail},
};

use crate::{InventoryReport, ReportFormat, Result, csv::Csv, html, json};

/// Schema of the JSON document.
pub const SCHEMA: &str = "claviger.inventory-report/v1";

/// Writes the report. Coverage comes first in each format: in CSV the rows whose `record` is `coverage` name what was not read.
///
/// # Errors
/// The writer's.
pub fn render(format: ReportFormat, report: &InventoryReport, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    match format {
        ReportFormat::Html => html::inventory(report, &mut out)?,
        ReportFormat::Csv => csv(report, &mut Csv::new(&mut out))?,
        ReportFormat::Json => {
            let mut document = json::Document::new(&mut out, SCHEMA)?;
            head(report, &mut document)?;
            document.list("credentials", &report.credentials)?;
            document.list("identities", &report.identities)?;
            document.list("chains", &report.chains.drawn)?;
            document.member("chains_more", &report.chains.more)?;
            document.list("findings", &report.findings)?;
            document.list("history", &report.history)?;
            document.end()?;
        }
    }
    out.flush()?;
    Ok(())
}

/// The members that both reports begin with.
pub(crate) fn head(report: &InventoryReport, document: &mut json::Document<'_>) -> std::io::Result<()> {
    document.member("title", &report.title)?;
    document.member("generated_at", &report.generated_at)?;
    let head = report.audit_head.as_ref().map(|(seq, hash)| serde_json::json!({ "seq": seq, "hash": hash }));
    document.member("audit_head", &head)?;
    document.member("complete", &(report.unread().next().is_none() && report.dead().next().is_none()))?;
    document.list("coverage", &report.coverage)
}

const COLUMNS: [&str; 25] = [
    "record",
    "ref",
    "kind",
    "backend",
    "identity",
    "owner",
    "state",
    "long_lived",
    "created_at",
    "last_rotated_at",
    "expires_at",
    "last_used_at",
    "age_days",
    "next_due_at",
    "policy",
    "link",
    "copies",
    "copy_refs",
    "consumers",
    "consumer_refs",
    "findings",
    "first_seen",
    "last_seen",
    "id",
    "reason",
];

fn csv(report: &InventoryReport, csv: &mut Csv<'_>) -> std::io::Result<()> {
    csv.row(COLUMNS)?;
    for row in coverage_rows(report) {
        let cells = COLUMNS.map(|column| match column {
            "record" => "coverage",
            "ref" => &row.at,
            "kind" => row.backend.kind.as_str(),
            "backend" => row.backend.name.as_str(),
            "state" => row.status,
            "reason" => row.reason,
            _ => "",
        });
        csv.row(cells)?;
    }
    for detail in &report.credentials {
        csv.row(credential_row(detail))?;
    }
    Ok(())
}

/// What a row about something unread says.
pub(crate) struct Unread<'a> {
    pub(crate) at: String,
    pub(crate) backend: &'a BackendScanView,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
}

/// A row for each area that was not read, and for each backend of which nothing was.
pub(crate) fn coverage_rows(report: &InventoryReport) -> impl Iterator<Item = Unread<'_>> {
    let dead = report.dead().map(|backend| Unread {
        at: backend.name.clone(),
        backend,
        status: "failed",
        reason: backend.error.as_deref().unwrap_or_default(),
    });
    let unread = report.unread().map(|(backend, scope)| Unread {
        at: format!("{}/{}", backend.name, scope.scope),
        backend,
        status: scope.status.as_str(),
        reason: scope.reason.as_deref().unwrap_or_default(),
    });
    dead.chain(unread)
}

fn credential_row(detail: &CredentialDetail) -> [String; 25] {
    let credential = &detail.credential;
    let copies: Vec<&str> = detail
        .copies
        .iter()
        .filter(|copy| copy.stage == CopyStage::Current)
        .map(|copy| copy.at.as_str())
        .collect();
    let mut consumers: Vec<&str> = detail.consumers.iter().map(|consumer| consumer.at.as_str()).collect();
    consumers.sort_unstable();
    consumers.dedup();
    [
        "credential".to_owned(),
        credential.at.to_string(),
        credential.kind.to_string(),
        credential.backend.clone(),
        credential.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
        credential.owner.clone().unwrap_or_default(),
        credential.state.to_string(),
        if credential.long_lived { "yes" } else { "no" }.to_owned(),
        time(credential.created_at),
        time(credential.last_rotated_at),
        time(credential.expires_at),
        time(credential.last_used_at),
        credential.age_days.map(|days| days.to_string()).unwrap_or_default(),
        time(credential.next_due_at),
        credential.policy.clone().unwrap_or_default(),
        credential.link.clone(),
        credential.copies.to_string(),
        copies.join("; "),
        credential.consumers.to_string(),
        consumers.join("; "),
        credential.findings.join("; "),
        time(Some(credential.first_seen)),
        time(Some(credential.last_seen)),
        credential.id.to_string(),
        String::new(),
    ]
}

/// RFC 3339, or nothing where it is not known.
pub(crate) fn time(at: Option<DateTime<Utc>>) -> String {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
}
