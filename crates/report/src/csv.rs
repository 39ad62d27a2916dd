//! CSV by RFC 4180: every cell quoted, lines end with CR LF, UTF-8. A text that a spreadsheet would take for a formula gets a leading
//! apostrophe (OWASP, "CSV Injection").

use std::io::{self, Write};

use crate::visible::visible;

/// Writes rows.
pub(crate) struct Csv<'w> {
    out: &'w mut dyn Write,
}

impl<'w> Csv<'w> {
    pub(crate) fn new(out: &'w mut dyn Write) -> Self {
        Self { out }
    }

    /// Writes one row of texts.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) -> io::Result<()> {
        for (index, cell) in cells.into_iter().enumerate() {
            if index > 0 {
                self.out.write_all(b",")?;
            }
            self.cell(cell.as_ref())?;
        }
        self.out.write_all(b"\r\n")
    }

    fn cell(&mut self, text: &str) -> io::Result<()> {
        let guard = if is_formula(text) { "'" } else { "" };
        let text = visible(text);
        if text.contains('"') {
            write!(self.out, "\"{guard}{}\"", text.replace('"', "\"\""))
        } else {
            write!(self.out, "\"{guard}{text}\"")
        }
    }
}

/// A spreadsheet skips white space and controls before it looks for the sign; the full-width signs count in some of them.
fn is_formula(text: &str) -> bool {
    let starts_blank = text.starts_with(['\t', '\r', '\n']);
    let first = text.chars().find(|letter| !letter.is_whitespace() && !crate::visible::is_hidden(*letter));
    starts_blank || matches!(first, Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠'))
}

#[cfg(test)]
pub(crate) mod reader {
    /// A strict reader of RFC 4180 with every cell quoted: what a test compares with.
    pub(crate) fn read(text: &str) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let mut row = Vec::new();
            loop {
                rest = rest.strip_prefix('"').expect("a cell begins with a quote");
                let mut cell = String::new();
                loop {
                    let end = rest.find('"').expect("a cell ends");
                    cell.push_str(&rest[..end]);
                    rest = &rest[end + 1..];
                    match rest.strip_prefix('"') {
                        Some(after) => {
                            cell.push('"');
                            rest = after;
                        }
                        None => break,
                    }
                }
                row.push(cell);
                match rest.strip_prefix(',') {
                    Some(after) => rest = after,
                    None => break,
                }
            }
            rest = rest.strip_prefix("\r\n").expect("a row ends with CR LF");
            rows.push(row);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cells: &[&str]) -> String {
        let mut out = Vec::new();
        Csv::new(&mut out).row(cells).expect("a Vec takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn cells_come_back_as_they_were() {
        let cells = ["a", "", "with \"quotes\"", "with, comma", "ünï"];
        assert_eq!(reader::read(&written(&cells)), [cells]);
    }

    #[test]
    fn formulas_are_text() {
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            " =1",
            "\u{200b}=1",
            "＝1",
            "=HYPERLINK(\"x\")",
        ] {
            let row = reader::read(&written(&[formula]));
            assert!(row[0][0].starts_with('\''), "{formula:?} became {:?}", row[0][0]);
        }
        assert_eq!(written(&["a=1"]), "\"a=1\"\r\n");
    }

    #[test]
    fn a_cell_never_breaks_its_line() {
        assert_eq!(written(&["a\r\nb"]), "\"a\\r\\nb\"\r\n");
    }
}
