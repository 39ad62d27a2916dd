//! Findings by severity, one block per rule.

use std::io::{self, Write};

use chrono::DateTime;
use claviger_core::view::{FindingView, Severity};
use serde_json::Value;

use super::markup::{Section, Subjects, badge, counted, day, plain, text};
use crate::{InventoryReport, findings::waiver};

/// Blocks with more subjects begin closed.
const OPEN: usize = 40;
/// As many items of a list in evidence are shown.
const ITEMS: usize = 8;

pub(super) fn write(
    report: &InventoryReport,
    section: &Section,
    subjects: &Subjects<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    section.begin(out)?;
    if report.findings.is_empty() {
        writeln!(out, "<p>No rule holds of what was read.</p>")?;
    }
    for ((severity, slug), findings) in report.by_rule() {
        let is_open = severity <= Severity::High && findings.len() <= OPEN;
        let first = findings[0];
        let shared =
            findings.iter().all(|finding| finding.title == first.title).then_some(first.title.as_str());
        write!(
            out,
            "<details class=\"rule\" id=\"f-{}\"{}>\n<summary>{} <code>{}</code> <span class=\"title\">{}</span> \
             <span class=\"number\">{}</span></summary>\n<p class=\"advice\">{}</p>\n<ul class=\"frameworks\" aria-label=\"Requirements\">",
            plain(slug),
            if is_open { " open" } else { "" },
            badge(severity),
            text(slug),
            text(shared.unwrap_or_default()),
            counted(findings.len(), "subject", "subjects"),
            prose(&first.suggested),
        )?;
        for framework in &first.frameworks {
            write!(
                out,
                "<li>{} {} <b>{}</b></li>",
                text(&framework.name),
                text(&framework.version),
                text(&framework.id)
            )?;
        }
        write!(
            out,
            "</ul>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Subject</th>{}<th scope=\"col\">Evidence</th>\
             <th scope=\"col\">Since</th></tr></thead>\n<tbody>\n",
            if shared.is_none() { "<th scope=\"col\">What</th>" } else { "" },
        )?;
        for finding in &findings {
            row(finding, finding.severity != severity, shared.is_none(), subjects, out)?;
        }
        write!(out, "</tbody></table></div>\n</details>\n")?;
    }
    section.end(out)
}

fn row(
    finding: &FindingView,
    is_milder: bool,
    has_title: bool,
    subjects: &Subjects<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "<tr><td>{}", subjects.show(&finding.subject))?;
    if is_milder {
        write!(out, " {}", badge(finding.severity))?;
    }
    if let Some(waived) = &finding.waived {
        write!(out, "<br><span class=\"soft\">waived {}</span>", text(&waiver(waived)))?;
    }
    out.write_all(b"</td>")?;
    if has_title {
        write!(out, "<td>{}</td>", text(&finding.title))?;
    }
    write!(out, "<td><dl class=\"evidence\">")?;
    for (key, value) in &finding.evidence {
        write!(out, "<div><dt>{}</dt><dd>", text(&key.replace('_', " ")))?;
        fact(value, out)?;
        out.write_all(b"</dd></div>")?;
    }
    writeln!(out, "</dl></td><td>{}</td></tr>", day(finding.first_seen))
}

/// Advice, with what stands in backticks as code.
fn prose(advice: &str) -> String {
    let mut shown = String::new();
    for (index, part) in advice.split('`').enumerate() {
        let part = text(part);
        shown.push_str(&if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_string() });
    }
    shown
}

fn fact(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    match value {
        Value::Null => out.write_all(b"none"),
        Value::Bool(true) => out.write_all(b"yes"),
        Value::Bool(false) => out.write_all(b"no"),
        Value::String(string) => match DateTime::parse_from_rfc3339(string) {
            Ok(at) => write!(out, "{}", day(at.to_utc())),
            Err(_) => write!(out, "{}", text(string)),
        },
        Value::Array(items) if items.is_empty() => out.write_all(b"none"),
        Value::Array(items) => {
            for (index, item) in items.iter().take(ITEMS).enumerate() {
                out.write_all(if index > 0 { b"<br>" } else { b"" })?;
                fact(item, out)?;
            }
            if items.len() > ITEMS {
                write!(out, "<br><span class=\"soft\">and {} more</span>", items.len() - ITEMS)?;
            }
            Ok(())
        }
        other => write!(out, "{}", text(&other.to_string())),
    }
}
