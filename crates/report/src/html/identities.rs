//! Identities that can do much, with what gives them that.

use std::io::{self, Write};

use claviger_core::{model::PrivilegeLevel, view::IdentityView};

use super::markup::{Section, counted, day_or_unknown, reference, text};
use crate::InventoryReport;

/// As many rows, and as many grants in a row.
const ROWS: usize = 200;
const GRANTS: usize = 5;

pub(super) fn write(report: &InventoryReport, section: &Section, out: &mut dyn Write) -> io::Result<()> {
    section.begin(out)?;
    let mut privileged: Vec<&IdentityView> = report
        .identities
        .iter()
        .filter(|identity| matches!(identity.privilege, PrivilegeLevel::Admin | PrivilegeLevel::Sensitive))
        .collect();
    privileged.sort_by(|a, b| (a.privilege, &a.at).cmp(&(b.privilege, &b.at)));
    let unknown =
        report.identities.iter().filter(|identity| identity.privilege == PrivilegeLevel::Unknown).count();
    writeln!(
        out,
        "<p class=\"lead\">{} can administer, read secrets or act as others. What {} can do is not known.</p>",
        counted(privileged.len(), "identity", "identities"),
        counted(unknown, "other", "others"),
    )?;
    if privileged.is_empty() {
        return section.end(out);
    }
    write!(
        out,
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Identity</th><th scope=\"col\">Level</th><th scope=\"col\">Owner</th>\
         <th scope=\"col\">Credentials</th><th scope=\"col\">Last active</th><th scope=\"col\">Because of</th></tr></thead>\n<tbody>\n"
    )?;
    for identity in privileged.iter().take(ROWS) {
        let owner = identity.owner.as_deref().map_or_else(
            || "<span class=\"unknown\">nobody named</span>".to_owned(),
            |owner| text(owner).to_string(),
        );
        write!(
            out,
            "<tr><th scope=\"row\">{}<br><span class=\"soft\">{}</span></th><td>{}</td><td>{owner}</td><td>{}</td><td>{}</td><td>",
            reference(&identity.at),
            identity.kind,
            identity.privilege,
            identity.credentials,
            day_or_unknown(identity.last_used_at),
        )?;
        for (index, grant) in identity.grants.iter().take(GRANTS).enumerate() {
            let separator = if index > 0 { "<br>" } else { "" };
            write!(out, "{separator}{} <span class=\"soft\">", text(&grant.privilege))?;
            match grant.reach.as_str() {
                "*" => write!(out, "everywhere</span>")?,
                reach => write!(out, "in {}</span>", text(reach))?,
            }
        }
        if identity.grants.len() > GRANTS {
            write!(out, "<br><span class=\"soft\">and {} more</span>", identity.grants.len() - GRANTS)?;
        }
        writeln!(out, "</td></tr>")?;
    }
    writeln!(out, "</tbody></table></div>")?;
    if privileged.len() > ROWS {
        writeln!(
            out,
            "<p class=\"soft\">The first {ROWS} of {}; the JSON report has all.</p>",
            privileged.len()
        )?;
    }
    section.end(out)
}
