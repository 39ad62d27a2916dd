//! Ages of values: kinds down, spans of time across.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use claviger_core::view::CredentialDetail;

use crate::html::plain;

const WIDTH: usize = 900;
const LABEL: usize = 190;
const CELL: usize = 100;
const ROW: usize = 26;
const TOP: usize = 30;

/// Upper ends of the spans in days, and their words; the last two have none.
const SPANS: [(i64, &str); 5] = [
    (30, "under 30 days"),
    (90, "30–90 days"),
    (180, "90–180 days"),
    (365, "180–365 days"),
    (730, "1–2 years"),
];
const COLUMNS: usize = SPANS.len() + 2;
const OLDEST: usize = SPANS.len();
const UNKNOWN: usize = SPANS.len() + 1;

pub(crate) fn ages(credentials: &[CredentialDetail], out: &mut dyn Write) -> io::Result<()> {
    let mut rows: BTreeMap<&str, [usize; COLUMNS]> = BTreeMap::new();
    for detail in credentials {
        rows.entry(detail.credential.kind.as_str()).or_default()[column(detail.credential.age_days)] += 1;
    }
    let mut rows: Vec<(&str, [usize; COLUMNS])> = rows.into_iter().collect();
    rows.sort_by_key(|(kind, counts)| (std::cmp::Reverse(counts.iter().sum::<usize>()), *kind));
    let most = rows.iter().flat_map(|(_, counts)| *counts).max().unwrap_or(1).max(1);
    let height = TOP + rows.len() * ROW + 6;
    write!(
        out,
        "<figure>\n<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Number of credentials by kind and age\">\n"
    )?;
    for index in 0..COLUMNS {
        let words = match index {
            OLDEST => "over 2 years",
            UNKNOWN => "unknown",
            span => SPANS[span].1,
        };
        writeln!(out, "<text class=\"soft\" x=\"{}\" y=\"16\">{words}</text>", LABEL + index * CELL)?;
    }
    for (index, (kind, counts)) in rows.iter().enumerate() {
        let top = TOP + index * ROW;
        write!(
            out,
            "<path class=\"rule\" d=\"M0 {top}H{WIDTH}\"/><text x=\"{}\" y=\"{}\" class=\"right\">{}</text>",
            LABEL - 14,
            top + 17,
            plain(kind)
        )?;
        for (index, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let x = LABEL + index * CELL;
            let width = (count * (CELL - 44) / most).max(2);
            let class = if index == UNKNOWN { "weak" } else { "bar" };
            write!(
                out,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"12\"/><text x=\"{}\" y=\"{}\">{count}</text>",
                top + 7,
                x + width + 5,
                top + 17,
            )?;
        }
        writeln!(out)?;
    }
    writeln!(out, "</svg>\n</figure>")
}

fn column(age_days: Option<i64>) -> usize {
    let Some(days) = age_days else { return UNKNOWN };
    SPANS.iter().position(|(end, _)| days < *end).unwrap_or(OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_age_is_not_a_young_one() {
        assert_eq!(column(None), UNKNOWN);
        assert_eq!(column(Some(0)), 0);
        assert_eq!(column(Some(90)), 2);
        assert_eq!(column(Some(730)), OLDEST);
    }
}
