//! One self-contained page: no script, no request to anywhere, one style sheet that the content security policy names by its hash.

mod chains;
mod changes;
mod coverage;
mod credentials;
mod findings;
mod identities;
mod incident;
mod markup;
mod method;
mod summary;

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use self::markup::{Link, Section};
pub(crate) use self::markup::{Subjects, badge, plain, text};
use crate::{InventoryReport, incident::IncidentReport, picture};

const STYLE: &str = include_str!("html/style.css");

/// The inventory report.
pub(crate) fn inventory(report: &InventoryReport, out: &mut dyn Write) -> io::Result<()> {
    let subjects = markup::Subjects::new(report, true);
    let sections: &[Section] = &[
        Section::new("coverage", "Coverage and blind spots"),
        Section::new("pictures", "Age and spread"),
        Section::new("findings", "Findings"),
        Section::new("credentials", "Credentials"),
        Section::new("chains", "From build to run"),
        Section::new("identities", "Privileged identities"),
        Section::new("changes", "What changed lately"),
        Section::new("method", "Method and limits"),
    ];
    begin(report, "Inventory of non-human credentials", sections, out)?;
    coverage::write(report, &sections[0], out)?;
    pictures(report, &sections[1], &subjects, out)?;
    findings::write(report, &sections[2], &subjects, out)?;
    credentials::write(report, &sections[3], out)?;
    chains::write(report, &sections[4], &subjects, out)?;
    identities::write(report, &sections[5], out)?;
    changes::write(report, &sections[6], out)?;
    method::write(report, &sections[7], out)?;
    end(report.generated_at, report.audit_head.as_ref(), out)
}

/// The findings report.
pub(crate) fn findings(report: &InventoryReport, out: &mut dyn Write) -> io::Result<()> {
    let subjects = markup::Subjects::new(report, false);
    let sections: &[Section] = &[
        Section::new("coverage", "Coverage and blind spots"),
        Section::new("findings", "Findings"),
        Section::new("method", "Method and limits"),
    ];
    begin(report, "Findings about non-human credentials", sections, out)?;
    coverage::write(report, &sections[0], out)?;
    findings::write(report, &sections[1], &subjects, out)?;
    method::write(report, &sections[2], out)?;
    end(report.generated_at, report.audit_head.as_ref(), out)
}

/// The incident report.
pub(crate) fn incident(report: &IncidentReport, out: &mut dyn Write) -> io::Result<()> {
    let sections = incident::SECTIONS;
    head(&report.incident.incident.title, "Incident", sections, out)?;
    incident::summary(report, out)?;
    nav(sections, out)?;
    incident::write(report, out)?;
    end(report.generated_at, Some(&report.audit_head), out)
}

fn begin(report: &InventoryReport, kind: &str, sections: &[Section], out: &mut dyn Write) -> io::Result<()> {
    head(&report.title, kind, sections, out)?;
    summary::write(report, out)?;
    nav(sections, out)
}

fn head(title: &str, kind: &str, sections: &[Section], out: &mut dyn Write) -> io::Result<()> {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{title}: {kind}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#{first}\">Skip to the report</a>\n\
         <header>\n<p class=\"kind\">{kind}</p>\n<h1>{title}</h1>\n",
        title = plain(title),
        first = sections[0].id,
    )
}

fn nav(sections: &[Section], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<nav aria-label=\"Sections\"><ol>")?;
    for section in sections {
        writeln!(out, "<li>{}</li>", Link { id: section.id, text: section.heading })?;
    }
    write!(out, "</ol></nav>\n</header>\n<main>\n")
}

fn pictures(
    report: &InventoryReport,
    section: &Section,
    subjects: &markup::Subjects<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    section.begin(out)?;
    if report.credentials.is_empty() {
        writeln!(out, "<p>There is no credential to draw.</p>")?;
        return section.end(out);
    }
    writeln!(
        out,
        "<h3>Age of the values, by kind</h3>\n<p class=\"lead\">Counted from the last change of the value, else from its making. \
         What nobody dated is unknown, and may be the oldest.</p>"
    )?;
    picture::ages(&report.credentials, out)?;
    let worst = picture::worst(report);
    if !worst.is_empty() {
        writeln!(
            out,
            "<h3>Where the worst credentials lie, and who reads them</h3>\n<p class=\"lead\">From issuer to copies to consumers. A dashed line \
             is a claim that nothing has proven.</p>"
        )?;
    }
    for subject in worst {
        picture::graph(&subject, subjects, out)?;
    }
    section.end(out)
}

fn end(
    generated_at: DateTime<Utc>,
    audit_head: Option<&(i64, String)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "</main>\n<footer>\n<p>Made by claviger for {}.", markup::moment(generated_at))?;
    if let Some((seq, hash)) = audit_head {
        write!(out, " Audit log at entry {seq}, <code class=\"hash\">{}</code>.", text(hash))?;
    }
    write!(out, " It holds no secret value.</p>\n</footer>\n</body>\n</html>\n")
}
