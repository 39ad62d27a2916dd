//! Every credential, with its copies and consumers.

use std::io::{self, Write};

use claviger_core::{
    model::CopyStage,
    view::{CopyView, CredentialDetail},
};

use super::markup::{Section, UNKNOWN, counted, day, day_or_unknown, plain, text};
use crate::{InventoryReport, model::evidence_words};

pub(super) fn write(report: &InventoryReport, section: &Section, out: &mut dyn Write) -> io::Result<()> {
    section.begin(out)?;
    if report.credentials.is_empty() {
        writeln!(out, "<p>None was found.</p>")?;
        return section.end(out);
    }
    write!(
        out,
        "<div class=\"wide\"><table class=\"credentials\">\n<thead><tr><th scope=\"col\">Credential</th><th scope=\"col\">Kind</th>\
         <th scope=\"col\">Owner</th><th scope=\"col\">State</th><th scope=\"col\">Age</th><th scope=\"col\">Ends</th>\
         <th scope=\"col\">Last used</th></tr></thead>\n<tbody>\n"
    )?;
    for detail in &report.credentials {
        row(detail, out)?;
    }
    writeln!(out, "</tbody></table></div>")?;
    section.end(out)
}

fn row(detail: &CredentialDetail, out: &mut dyn Write) -> io::Result<()> {
    let credential = &detail.credential;
    write!(
        out,
        "<tr id=\"c-{}\"><th scope=\"row\"><span class=\"ref\">{}</span>",
        credential.id,
        text(credential.at.as_str())
    )?;
    places(detail, out)?;
    if !credential.findings.is_empty() {
        write!(out, "<p class=\"slugs\">")?;
        for slug in &credential.findings {
            write!(out, "<a href=\"#f-{}\">{}</a> ", plain(slug), text(slug))?;
        }
        write!(out, "</p>")?;
    }
    let owner = credential.owner.as_deref().map_or_else(
        || "<span class=\"unknown\">nobody named</span>".to_owned(),
        |owner| text(owner).to_string(),
    );
    let age = credential.age_days.map_or_else(
        || UNKNOWN.to_owned(),
        |days| counted(usize::try_from(days).unwrap_or(0), "day", "days"),
    );
    let ends = match (credential.expires_at, credential.long_lived) {
        (Some(at), _) => day(at),
        (None, true) => "no end known".to_owned(),
        (None, false) => "soon".to_owned(),
    };
    writeln!(
        out,
        "</th><td>{}</td><td>{owner}</td><td>{}</td><td class=\"nowrap\">{age}</td><td>{ends}</td><td>{}</td></tr>",
        credential.kind,
        credential.state,
        day_or_unknown(credential.last_used_at),
    )
}

fn places(detail: &CredentialDetail, out: &mut dyn Write) -> io::Result<()> {
    let current: Vec<&CopyView> =
        detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current).collect();
    let others = detail.copies.len() - current.len();
    if detail.copies.is_empty() && detail.consumers.is_empty() {
        return write!(out, "<p class=\"soft\">no copy and no consumer known</p>");
    }
    write!(
        out,
        "<details><summary>{}, {}</summary>",
        counted(current.len(), "copy", "copies"),
        counted(detail.consumers.len(), "use", "uses"),
    )?;
    if !current.is_empty() {
        write!(out, "<ul>")?;
        for copy in current {
            let unread = if copy.fingerprint.is_none() { ", value not read" } else { "" };
            write!(
                out,
                "<li><span class=\"ref\">{}</span> <span class=\"soft\">{}{unread}</span></li>",
                text(copy.at.as_str()),
                text(evidence_words(&copy.evidence))
            )?;
        }
        write!(out, "</ul>")?;
    }
    if others > 0 {
        write!(
            out,
            "<p class=\"soft\">and {} kept by the stores</p>",
            counted(others, "other version", "other versions")
        )?;
    }
    if !detail.consumers.is_empty() {
        write!(out, "<ul class=\"uses\">")?;
        for consumer in &detail.consumers {
            write!(
                out,
                "<li><span class=\"ref\">{}</span> <span class=\"soft\">reads {} as {}</span></li>",
                text(consumer.at.as_str()),
                text(consumer.copy.as_str()),
                consumer.how,
            )?;
        }
        write!(out, "</ul>")?;
    }
    write!(out, "</details>")
}
