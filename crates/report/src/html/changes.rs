//! What appeared, changed and vanished lately.

use std::io::{self, Write};

use super::markup::{Section, moment, reference, text};
use crate::InventoryReport;

/// As many rows.
const ROWS: usize = 200;

pub(super) fn write(report: &InventoryReport, section: &Section, out: &mut dyn Write) -> io::Result<()> {
    section.begin(out)?;
    if report.history.is_empty() {
        writeln!(out, "<p>Nothing has changed.</p>")?;
        return section.end(out);
    }
    write!(
        out,
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Seen</th><th scope=\"col\">What</th><th scope=\"col\">Subject</th>\
         <th scope=\"col\">Detail</th></tr></thead>\n<tbody>\n"
    )?;
    for change in report.history.iter().take(ROWS) {
        writeln!(
            out,
            "<tr><td class=\"nowrap\">{}</td><td class=\"nowrap\">{} {}</td><td>{}</td><td>{}</td></tr>",
            moment(change.at),
            text(&change.entity),
            text(&change.change),
            reference(&change.subject),
            text(&change.detail),
        )?;
    }
    writeln!(out, "</tbody></table></div>")?;
    if report.history.len() > ROWS {
        writeln!(
            out,
            "<p class=\"soft\">The newest {ROWS} of {}; the JSON report has all that was given.</p>",
            report.history.len()
        )?;
    }
    section.end(out)
}
