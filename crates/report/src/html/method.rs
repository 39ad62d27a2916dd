//! How to read the report, and what it does not know.

use std::io::{self, Write};

use super::markup::{Section, grouped};
use crate::InventoryReport;

pub(super) fn write(report: &InventoryReport, section: &Section, out: &mut dyn Write) -> io::Result<()> {
    section.begin(out)?;
    let unknown = report.unknowns();
    if !report.credentials.is_empty() {
        write!(
            out,
            "<h3>What is not known</h3>\n<div class=\"wide\"><table class=\"numbers\"><thead><tr><th scope=\"col\">Credentials of which</th>\
             <th scope=\"col\">of {}</th></tr></thead>\n<tbody>\n",
            grouped(report.credentials.len())
        )?;
        for (what, number) in [
            ("the age is not known", unknown.age),
            ("the last use is not known; that is not the same as unused", unknown.last_use),
            ("no owner is named", unknown.owner),
            ("the identity that it authenticates is not known", unknown.identity),
            ("the link between issuer and copies is claimed or was not tried", unknown.unproven_link),
            ("a copy's value could not be read", unknown.unread_value),
        ] {
            writeln!(out, "<tr><th scope=\"row\">{what}</th><td>{}</td></tr>", grouped(number))?;
        }
        writeln!(out, "</tbody></table></div>")?;
    }
    write!(
        out,
        "<h3>How it was made</h3>\n<ul class=\"method\">\n\
         <li>Each system was read through its own interface, with the rights of the account that the configuration names. An area that \
         was refused or broke off is listed as unread; it is never counted as clean.</li>\n\
         <li>Values were compared by a keyed fingerprint of their canonical form and then forgotten: neither this report nor the database \
         holds a value. Short, guessable and well-known values are not matched by fingerprint alone.</li>\n\
         <li>Consumers are those that workload specifications name. Whoever reads a store through its interface, or holds a copy outside \
         the systems above, is not seen.</li>\n\
         <li>A date that a system does not give is unknown. Age counts from the last change of the value where the system shows it, \
         else from the making.</li>\n\
         <li>A finding is a rule that holds of the facts beside it. Rules name the requirements that they touch; whether a requirement is \
         met as a whole is for the reader to judge.</li>\n</ul>\n"
    )?;
    section.end(out)
}
