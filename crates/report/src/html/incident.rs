//! One incident on one page.

use std::io::{self, Write};

use claviger_core::incident::{IncidentView, Item};

use super::markup::{Section, moment, reference, text};
use crate::IncidentReport;

pub(super) const SECTIONS: &[Section] = &[
    Section::new("timeline", "What happened"),
    Section::new("credentials", "The credentials"),
    Section::new("platform", "Platform escalation: what to ask whoever runs it"),
    Section::new("tenant", "Tenant remediation: what to do ourselves"),
];

pub(super) fn summary(report: &IncidentReport, out: &mut dyn Write) -> io::Result<()> {
    let view = &report.incident;
    let all = view.items.len();
    let open = match view.open_items {
        0 => "nothing is open".to_owned(),
        1 => format!("1 of {all} is open"),
        open => format!("{open} of {all} are open"),
    };
    let class = if view.open_items > 0 { "verdict gap" } else { "verdict" };
    write!(
        out,
        "<p class=\"{class}\">The incident is {}; {open}. Known since {}, opened by {}.",
        text(&view.state),
        moment(view.incident.opened_at),
        text(&view.incident.opened_by)
    )?;
    if view.break_glass_used {
        write!(out, " Something was carried out without the approvals that it wanted.")?;
    }
    if let Some(until) = view.break_glass_until {
        write!(out, " Plans pass without approvals until {}.", moment(until))?;
    }
    writeln!(out, "</p>\n<dl class=\"tiles\">")?;
    for (what, seconds) in [
        ("from known to revoked", view.durations.time_to_revoke),
        ("from known to proven", view.durations.time_to_proof),
        ("from exposed to revoked", view.durations.exposure),
    ] {
        let shown = seconds.map_or_else(|| "unknown".to_owned(), span);
        writeln!(out, "<div><dt>{what}</dt><dd>{shown}</dd></div>")?;
    }
    writeln!(out, "</dl>")
}

pub(super) fn write(report: &IncidentReport, out: &mut dyn Write) -> io::Result<()> {
    let view = &report.incident;
    SECTIONS[0].begin(out)?;
    timeline(view, out)?;
    SECTIONS[0].end(out)?;
    SECTIONS[1].begin(out)?;
    credentials(view, out)?;
    SECTIONS[1].end(out)?;
    SECTIONS[2].begin(out)?;
    platform(view, out)?;
    SECTIONS[2].end(out)?;
    SECTIONS[3].begin(out)?;
    tenant(view, out)?;
    SECTIONS[3].end(out)
}

fn timeline(view: &IncidentView, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">When</th><th scope=\"col\">What</th><th scope=\"col\">Who</th>\
         <th scope=\"col\">Detail</th><th scope=\"col\">Audit entry</th></tr></thead>\n<tbody>\n"
    )?;
    for event in &view.timeline {
        writeln!(
            out,
            "<tr><td class=\"nowrap\">{}</td><td class=\"nowrap\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            moment(event.at),
            text(&event.what),
            text(event.actor.as_deref().unwrap_or("")),
            text(&event.detail),
            event.audit_seq.map(|seq| seq.to_string()).unwrap_or_default(),
        )?;
    }
    writeln!(out, "</tbody></table></div>")
}

fn credentials(view: &IncidentView, out: &mut dyn Write) -> io::Result<()> {
    if view.items.is_empty() {
        return writeln!(out, "<p>No credential was named.</p>");
    }
    write!(
        out,
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Credential</th><th scope=\"col\">Now</th><th scope=\"col\">Verdict</th>\
         <th scope=\"col\">Revoked</th><th scope=\"col\">Proven</th><th scope=\"col\">Receipt</th><th scope=\"col\">Why</th></tr></thead>\n<tbody>\n"
    )?;
    for item in &view.items {
        credential(item, out)?;
    }
    writeln!(out, "</tbody></table></div>")
}

fn credential(item: &Item, out: &mut dyn Write) -> io::Result<()> {
    let when = |at: Option<_>| at.map(moment).unwrap_or_default();
    write!(out, "<tr><td>{}", reference(&item.at))?;
    for copy in &item.copies {
        write!(out, "<p class=\"soft\">copy {}</p>", reference(copy))?;
    }
    writeln!(
        out,
        "</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        if item.open { "<b>open</b>" } else { "done" },
        text(item.verdict.as_deref().unwrap_or("none")),
        when(item.revoked_at),
        when(item.proven_at),
        item.receipt.map(|seq| seq.to_string()).unwrap_or_default(),
        text(&item.reason),
    )
}

fn platform(view: &IncidentView, out: &mut dyn Write) -> io::Result<()> {
    if view.runbook.platform_escalation.is_empty() {
        return writeln!(out, "<p>Nothing has to be asked of the platform.</p>");
    }
    for ask in &view.runbook.platform_escalation {
        writeln!(out, "<h3>Ask {}</h3>\n<p>{}</p>\n<ul>", text(&ask.whom), text(&ask.what))?;
        for evidence in &ask.evidence {
            writeln!(out, "<li>{}</li>", text(evidence))?;
        }
        writeln!(out, "</ul>")?;
    }
    Ok(())
}

fn tenant(view: &IncidentView, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<ol>")?;
    for task in &view.runbook.tenant_remediation {
        writeln!(out, "<li>{}{}", text(&task.what), if task.done { " (done)" } else { "" })?;
        for command in &task.commands {
            writeln!(out, "<p><code>{}</code></p>", text(command))?;
        }
        writeln!(out, "</li>")?;
    }
    writeln!(out, "</ol>")
}

/// A length of time for people.
fn span(seconds: i64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes} min {rest} s"),
        _ => format!("{hours} h {minutes} min {rest} s"),
    }
}
