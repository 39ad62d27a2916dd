//! What was read and what was not.

use std::io::{self, Write};

use super::markup::{Section, UNKNOWN, grouped, text};
use crate::{InventoryReport, inventory::coverage_rows, picture};

pub(super) fn write(report: &InventoryReport, section: &Section, out: &mut dyn Write) -> io::Result<()> {
    section.begin(out)?;
    if report.coverage.is_empty() {
        writeln!(out, "<p>No system has been scanned, so nothing can be said.</p>")?;
        return section.end(out);
    }
    picture::coverage(&report.coverage, out)?;
    let mut blind = coverage_rows(report).peekable();
    if blind.peek().is_some() {
        write!(
            out,
            "<h3>Blind spots</h3>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Area</th><th scope=\"col\">System</th>\
             <th scope=\"col\">Status</th><th scope=\"col\">Why</th></tr></thead>\n<tbody>\n"
        )?;
        for row in blind {
            let reason =
                if row.reason.is_empty() { UNKNOWN.to_owned() } else { text(row.reason).to_string() };
            writeln!(
                out,
                "<tr><td><span class=\"ref\">{}</span></td><td>{} <span class=\"soft\">{}</span></td><td>{}</td><td>{reason}</td></tr>",
                text(&row.at),
                text(&row.backend.name),
                text(&row.backend.kind),
                text(row.status),
            )?;
        }
        writeln!(out, "</tbody></table></div>")?;
    } else {
        writeln!(
            out,
            "<p>There is no blind spot within the systems that are configured. Systems that are not configured are not known here.</p>"
        )?;
    }
    write!(
        out,
        "<h3>What was found where</h3>\n<div class=\"wide\"><table class=\"numbers\">\n<thead><tr><th scope=\"col\">System</th><th scope=\"col\">Kind</th>\
         <th scope=\"col\">Status</th><th scope=\"col\">Identities</th><th scope=\"col\">Credentials</th><th scope=\"col\">Copies</th>\
         <th scope=\"col\">Consumers</th><th scope=\"col\">Grants</th><th scope=\"col\">Scan took</th></tr></thead>\n<tbody>\n"
    )?;
    for backend in &report.coverage {
        let counts = backend.counts;
        write!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td>",
            text(&backend.name),
            text(&backend.kind),
            text(&backend.status)
        )?;
        for number in [counts.identities, counts.credentials, counts.copies, counts.consumers, counts.grants]
        {
            write!(out, "<td>{}</td>", grouped(usize::try_from(number).unwrap_or(usize::MAX)))?;
        }
        writeln!(out, "<td>{}</td></tr>", duration(backend.duration_ms))?;
    }
    writeln!(out, "</tbody></table></div>")?;
    section.end(out)
}

fn duration(millis: u64) -> String {
    match millis {
        0..10_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        10_000..120_000 => format!("{} s", millis / 1000),
        _ => format!("{} min", millis / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(1_250), "1.2 s");
        assert_eq!(duration(59_000), "59 s");
        assert_eq!(duration(600_000), "10 min");
    }
}
