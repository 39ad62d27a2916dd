//! The findings report: what is wrong, by which requirement, since when, and what to do.

use std::io::{BufWriter, Write};

use claviger_core::view::{FindingView, Waiver};

use crate::{
    InventoryReport, ReportFormat, Result,
    csv::Csv,
    html,
    inventory::{coverage_rows, head, time},
    json,
    model::severity_word,
};

/// Schema of the JSON document.
pub const SCHEMA: &str = "claviger.findings-report/v1";

/// Writes the report. Coverage comes first in each format: in CSV the rows whose `record` is `coverage` name what was not read.
///
/// # Errors
/// The writer's.
pub fn render(format: ReportFormat, report: &InventoryReport, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    match format {
        ReportFormat::Html => html::findings(report, &mut out)?,
        ReportFormat::Csv => csv(report, &mut Csv::new(&mut out))?,
        ReportFormat::Json => {
            let mut document = json::Document::new(&mut out, SCHEMA)?;
            head(report, &mut document)?;
            document.list("findings", report.by_rule().into_values().flatten())?;
            document.end()?;
        }
    }
    out.flush()?;
    Ok(())
}

const COLUMNS: [&str; 12] = [
    "record",
    "severity",
    "slug",
    "subject",
    "title",
    "evidence",
    "frameworks",
    "suggested",
    "first_seen",
    "last_seen",
    "reason",
    "waived",
];

fn csv(report: &InventoryReport, csv: &mut Csv<'_>) -> std::io::Result<()> {
    csv.row(COLUMNS)?;
    for row in coverage_rows(report) {
        let cells = COLUMNS.map(|column| match column {
            "record" => "coverage",
            "slug" => row.status,
            "subject" => &row.at,
            "reason" => row.reason,
            _ => "",
        });
        csv.row(cells)?;
    }
    for finding in report.by_rule().into_values().flatten() {
        csv.row(finding_row(finding))?;
    }
    Ok(())
}

/// One line about an exception.
pub(crate) fn waiver(waived: &Waiver) -> String {
    let until = waived.until.format("%Y-%m-%dT%H:%M:%SZ");
    format!("until {until} by {} (exception {}): {}", waived.approver, waived.exception, waived.reason)
}

fn finding_row(finding: &FindingView) -> [String; 12] {
    let frameworks: Vec<String> = finding
        .frameworks
        .iter()
        .map(|framework| format!("{} {} {}", framework.name, framework.version, framework.id))
        .collect();
    let evidence: Vec<String> =
        finding.evidence.iter().map(|(key, value)| format!("{key}={value}")).collect();
    [
        "finding".to_owned(),
        severity_word(finding.severity).to_owned(),
        finding.slug.clone(),
        finding.subject.to_string(),
        finding.title.clone(),
        evidence.join("; "),
        frameworks.join("; "),
        finding.suggested.clone(),
        time(Some(finding.first_seen)),
        time(Some(finding.last_seen)),
        String::new(),
        finding.waived.as_ref().map(waiver).unwrap_or_default(),
    ]
}
