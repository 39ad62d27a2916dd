//! The first lines: how much there is, how bad it is, how much of it was read.

use std::io::{self, Write};

use claviger_core::model::CopyStage;

use super::markup::{badge, counted, grouped, moment};
use crate::InventoryReport;

pub(super) fn write(report: &InventoryReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<p class=\"when\">As of {}</p>", moment(report.generated_at))?;
    let blind = report.unread().count() + report.dead().count();
    let areas: usize =
        report.coverage.iter().map(|backend| backend.scopes.len()).sum::<usize>() + report.dead().count();
    if report.coverage.is_empty() {
        writeln!(out, "<p class=\"verdict gap\"><strong>Nothing has been scanned yet.</strong></p>")?;
    } else if blind == 0 {
        writeln!(
            out,
            "<p class=\"verdict\"><strong>Complete.</strong> All {} of {} were read.</p>",
            counted(areas, "area", "areas"),
            counted(report.coverage.len(), "system", "systems"),
        )?;
    } else {
        writeln!(
            out,
            "<p class=\"verdict gap\"><strong>Incomplete.</strong> {} of {} could not be read; \
             what lies there is not in this report. <a class=\"jump\" href=\"#coverage\">See which</a></p>",
            grouped(blind),
            counted(areas, "area", "areas"),
        )?;
    }
    let copies: usize = report
        .credentials
        .iter()
        .map(|detail| detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current).count())
        .sum();
    let consumers: usize = report.credentials.iter().map(|detail| detail.consumers.len()).sum();
    writeln!(out, "<dl class=\"tiles\">")?;
    for (name, number) in [
        ("credentials", report.credentials.len()),
        ("current copies", copies),
        ("uses by workloads", consumers),
        ("identities", report.identities.len()),
        ("open findings", report.findings.len()),
    ] {
        writeln!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", grouped(number))?;
    }
    write!(out, "</dl>\n<ul class=\"severities\" aria-label=\"Findings by severity\">\n")?;
    for (severity, number) in report.severities() {
        writeln!(out, "<li>{} <b>{}</b></li>", badge(severity), grouped(number))?;
    }
    writeln!(out, "</ul>")
}
