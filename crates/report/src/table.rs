//! Aligned columns for a terminal. Nothing that comes from outside reaches the terminal as it is: see [`crate::visible`].

use std::io::{self, Write};

use crate::visible::{letter_width, visible, width};

/// How a column is laid out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Layout {
    /// Numbers stand at the right.
    pub(crate) is_right: bool,
    /// Refs differ at their end, so they are shortened in the middle.
    pub(crate) is_ref: bool,
}

/// Space between columns.
const GAP: usize = 2;
/// No column becomes narrower by shortening.
const LEAST: usize = 12;

/// Writes a table. With `limit`, the widest columns are shortened until a line fits, or until none can give more.
pub(crate) fn write(
    out: &mut dyn Write,
    headers: &[&str],
    layouts: &[Layout],
    rows: &[Vec<String>],
    limit: Option<usize>,
) -> io::Result<()> {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| visible(cell).into_owned()).collect()).collect();
    let mut widths: Vec<usize> = headers.iter().map(|header| width(header)).collect();
    for row in &rows {
        for (column, cell) in widths.iter_mut().zip(row) {
            *column = (*column).max(width(cell));
        }
    }
    if let Some(limit) = limit {
        fit(&mut widths, limit);
    }
    let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
    for row in std::iter::once(&headers).chain(&rows) {
        line(out, row, layouts, &widths)?;
    }
    Ok(())
}

/// Takes columns away from the widest first, so that short ones stay whole.
fn fit(widths: &mut [usize], limit: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > limit {
        let Some(widest) = widths.iter_mut().max_by_key(|width| **width).filter(|width| **width > LEAST)
        else {
            break;
        };
        *widest -= 1;
    }
}

fn line(out: &mut dyn Write, row: &[String], layouts: &[Layout], widths: &[usize]) -> io::Result<()> {
    let mut text = String::new();
    for (index, ((cell, layout), size)) in row.iter().zip(layouts).zip(widths).enumerate() {
        if index > 0 {
            text.push_str(&" ".repeat(GAP));
        }
        let cell = shorten(cell, *size, layout.is_ref);
        let space = " ".repeat(size.saturating_sub(width(&cell)));
        if layout.is_right {
            text.push_str(&space);
        }
        text.push_str(&cell);
        if !layout.is_right {
            text.push_str(&space);
        }
    }
    writeln!(out, "{}", text.trim_end())
}

/// The text in at most `size` columns.
pub(crate) fn shorten(text: &str, size: usize, in_the_middle: bool) -> String {
    if width(text) <= size {
        return text.to_owned();
    }
    let room = size.saturating_sub(1);
    let (head, tail) = if in_the_middle { (room / 3, room - room / 3) } else { (room, 0) };
    let mut shown = String::new();
    let mut used = 0;
    for letter in text.chars() {
        used += letter_width(letter);
        if used > head {
            break;
        }
        shown.push(letter);
    }
    shown.push('…');
    let mut end = Vec::new();
    used = 0;
    for letter in text.chars().rev() {
        used += letter_width(letter);
        if used > tail {
            break;
        }
        end.push(letter);
    }
    shown.extend(end.into_iter().rev());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const REF: Layout = Layout { is_right: false, is_ref: true };
    const NUMBER: Layout = Layout { is_right: true, is_ref: false };

    fn table(rows: &[[&str; 2]], limit: Option<usize>) -> String {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        let mut out = Vec::new();
        write(&mut out, &["REF", "COPIES"], &[REF, NUMBER], &rows, limit).expect("a Vec takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            table(&[["db/role/app", "12"], ["日本/x", "3"]], None),
            "REF          COPIES\n\
             db/role/app      12\n\
             日本/x            3\n"
        );
    }

    #[test]
    fn long_refs_keep_their_end() {
        let long = "prod/payments/Secret/a-very-long-name-of-a-secret#password";
        let shown = table(&[[long, "1"]], Some(40));
        assert!(shown.lines().all(|line| width(line) <= 40), "{shown}");
        assert!(shown.contains("…") && shown.contains("#password"), "{shown}");
        assert!(table(&[[long, "1"]], None).contains(long));
    }

    #[test]
    fn a_name_cannot_move_the_cursor_or_make_a_line() {
        let shown = table(&[["a\u{1b}[2J\nb\u{202e}", "1"]], None);
        assert_eq!(shown.lines().count(), 2);
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
        assert!(shown.contains("a\\u{1b}[2J\\nb\\u{202e}"), "{shown}");
    }

    #[test]
    fn shortening_counts_columns_and_not_characters() {
        assert_eq!(shorten("日本語日本語", 7, false), "日本語…");
        assert_eq!(shorten("abcdefgh", 5, false), "abcd…");
        assert_eq!(shorten("abcdefgh", 5, true), "a…fgh");
        assert_eq!(shorten("abc", 3, true), "abc");
    }
}
