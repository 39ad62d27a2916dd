//! A bar per system: how many of its areas were read.

use std::io::{self, Write};

use claviger_core::{model::ScopeStatus, view::BackendScanView};

use crate::{html::plain, table::shorten, visible::visible};

const WIDTH: usize = 900;
const LABEL: usize = 210;
const BAR: usize = 470;
const ROW: usize = 34;
const HEIGHT: usize = 16;

/// How an area counts in the bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Whole,
    /// Refused or broken off.
    Not,
    /// Listed, and its values never to be had.
    NamesOnly,
}

impl Read {
    fn of(status: ScopeStatus) -> Self {
        match status {
            ScopeStatus::Complete => Self::Whole,
            ScopeStatus::Denied | ScopeStatus::Failed => Self::Not,
            ScopeStatus::Unreadable => Self::NamesOnly,
        }
    }
}

pub(crate) fn coverage(backends: &[BackendScanView], out: &mut dyn Write) -> io::Result<()> {
    let height = backends.len() * ROW + 34;
    write!(
        out,
        "<figure>\n<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"How many areas of each system were read\">\n\
         <defs><pattern id=\"not-read\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect class=\"back\" width=\"7\" height=\"7\"/><path class=\"hatch\" d=\"M0 0V7\"/></pattern>\
         <pattern id=\"names-only\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><circle class=\"dot\" cx=\"3\" cy=\"3\" r=\"1.2\"/></pattern></defs>\n"
    )?;
    for (index, backend) in backends.iter().enumerate() {
        bar(backend, index * ROW, out)?;
    }
    let y = backends.len() * ROW + 8;
    for (x, class, words) in [
        (LABEL, "class=\"bar\"", "read"),
        (
            LABEL + 90,
            "fill=\"url(#not-read)\" stroke=\"currentColor\" stroke-opacity=\".3\"",
            "refused or broken off",
        ),
        (
            LABEL + 270,
            "fill=\"url(#names-only)\" stroke=\"currentColor\" stroke-opacity=\".3\"",
            "names only, values never shown",
        ),
    ] {
        writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"14\" height=\"12\" {class}/><text class=\"soft\" x=\"{}\" y=\"{}\">{words}</text>",
            x + 20,
            y + 10
        )?;
    }
    writeln!(out, "</svg>\n</figure>")
}

fn bar(backend: &BackendScanView, top: usize, out: &mut dyn Write) -> io::Result<()> {
    let count = |read: Read| backend.scopes.iter().filter(|scope| Read::of(scope.status) == read).count();
    let (whole, mut not, names) = (count(Read::Whole), count(Read::Not), count(Read::NamesOnly));
    // A system that failed before it named its areas was not read at all.
    let is_dead = backend.status == "failed" && not == 0;
    if is_dead {
        not += 1;
    }
    let total = whole + not + names;
    write!(
        out,
        "<g><title>{}</title><text x=\"{}\" y=\"{}\" class=\"right\">{}</text><text x=\"{}\" y=\"{}\" class=\"right soft\">{}</text>\
         <rect class=\"track\" x=\"{LABEL}\" y=\"{}\" width=\"{BAR}\" height=\"{HEIGHT}\"/>",
        plain(&backend.name),
        LABEL - 14,
        top + 13,
        plain(&shorten(&visible(&backend.name), 26, true)),
        LABEL - 14,
        top + 26,
        plain(&shorten(&visible(&backend.kind), 28, false)),
        top + 4,
    )?;
    let mut done = 0;
    for (number, fill) in
        [(whole, "class=\"bar\""), (not, "fill=\"url(#not-read)\""), (names, "fill=\"url(#names-only)\"")]
    {
        if number == 0 {
            continue;
        }
        let (from, to) = (done * BAR / total, (done + number) * BAR / total);
        // One unread area among a thousand must still be seen.
        let width = (to - from).max(3);
        let x = (LABEL + from).min(LABEL + BAR - width);
        write!(out, "<rect x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{HEIGHT}\" {fill}/>", top + 4)?;
        done += number;
    }
    let words = match (is_dead, not, names) {
        _ if total == 0 => "no areas".to_owned(),
        (true, ..) => "not read at all".to_owned(),
        (_, 0, 0) => format!("all {total} read"),
        _ => format!("{whole} of {total} read"),
    };
    writeln!(out, "<text x=\"{}\" y=\"{}\">{words}</text></g>", LABEL + BAR + 14, top + 17)
}
