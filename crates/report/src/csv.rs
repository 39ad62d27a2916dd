//! CSV by RFC 4180 that is safe to open in a spreadsheet.

/// One cell, quoted. A cell that a spreadsheet would take for a formula (`=`, `+`, `-`, `@`, tab, carriage return at its start, OWASP "CSV
/// Injection") gets a leading apostrophe.
pub fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let prefix = if formula { "'" } else { "" };
    format!("\"{prefix}{}\"", text.replace('"', "\"\"").replace('\0', "\\0"))
}

/// One record with its line break.
pub fn record<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = cells.into_iter().map(cell).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_becomes_text_and_quotes_are_doubled() {
        assert_eq!(cell("=HYPERLINK(\"http://x\")"), "\"'=HYPERLINK(\"\"http://x\"\")\"");
        for start in ["+1", "-1", "@a", "\tx", "\rx"] {
            assert!(cell(start).starts_with("\"'"), "{start:?}");
        }
        assert_eq!(record(["a", "b,c"]), "\"a\",\"b,c\"\r\n");
    }
}
