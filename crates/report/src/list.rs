//! Lists in every format of `-o`.

use serde_json::{Value, json};

use crate::{csv, table};

/// A column: its heading and the path of its value, with dots.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    heading: &'static str,
    path: &'static str,
    wide: bool,
    short: bool,
}

impl Column {
    /// A column of every table.
    pub const fn new(heading: &'static str, path: &'static str) -> Self {
        Self { heading, path, wide: false, short: false }
    }

    /// A column of wide tables only.
    pub const fn wide(heading: &'static str, path: &'static str) -> Self {
        Self { heading, path, wide: true, short: false }
    }

    /// In a narrow table only the beginning of an id is shown, which is what a prefix is matched with.
    #[must_use]
    pub const fn short(mut self) -> Self {
        self.short = true;
        self
    }
}

/// Formats of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns that fit so many columns of the terminal.
    Table(Option<usize>),
    /// Aligned columns, all of them, nothing cut.
    Wide,
    /// `{schema, items}`.
    Json,
    /// One item per line.
    Jsonl,
    /// `{schema, items}`.
    Yaml,
    /// All columns, RFC 4180.
    Csv,
}

/// Renders a list. `name` is the schema's middle: `claviger.<name>/v1`.
pub fn render(format: Format, name: &str, columns: &[Column], items: &[Value]) -> String {
    match format {
        Format::Table(limit) => tabulate(columns, items, limit, false),
        Format::Wide => tabulate(columns, items, None, true),
        Format::Json => pretty(&json!({ "schema": schema(name), "items": items })),
        Format::Yaml => yaml(&json!({ "schema": schema(name), "items": items })),
        Format::Jsonl => items.iter().map(|item| format!("{item}\n")).collect(),
        Format::Csv => {
            let mut text = csv::record(columns.iter().map(|column| column.path));
            for item in items {
                let cells: Vec<String> = columns.iter().map(|column| cell(item, column.path)).collect();
                text.push_str(&csv::record(cells.iter().map(String::as_str)));
            }
            text
        }
    }
}

/// `claviger.<name>/v1`
pub fn schema(name: &str) -> String {
    format!("claviger.{name}/v1")
}

/// One document, indented, with its line break.
pub fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}

/// One document in YAML.
pub fn yaml(document: &Value) -> String {
    yaml_serde::to_string(document).unwrap_or_default()
}

fn tabulate(columns: &[Column], items: &[Value], limit: Option<usize>, wide: bool) -> String {
    let shown: Vec<&Column> = columns.iter().filter(|column| wide || !column.wide).collect();
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            shown
                .iter()
                .map(|column| {
                    let text = cell(item, column.path);
                    if column.short && !wide { shorten(text) } else { text }
                })
                .collect()
        })
        .collect();
    let headings: Vec<&str> = shown.iter().map(|column| column.heading).collect();
    table::render(&headings, &rows, limit)
}

/// The first 18 characters of a UUIDv7: time and a little more, and what an id prefix is matched with.
fn shorten(text: String) -> String {
    text.chars().take(18).collect()
}

fn cell(item: &Value, path: &str) -> String {
    let value = path.split('.').fold(item, |value, key| &value[key]);
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[Column::new("REF", "ref"), Column::wide("N", "counts.n")];

    #[test]
    fn every_format_holds_the_same_items() {
        let items = [json!({ "ref": "=1+1\u{1b}[31m", "counts": { "n": 3 } })];
        let json: Value = serde_json::from_str(&render(Format::Json, "things", COLUMNS, &items)).expect("json");
        assert_eq!(json["schema"], "claviger.things/v1");
        assert_eq!(json["items"][0], items[0]);
        assert_eq!(serde_json::from_str::<Value>(render(Format::Jsonl, "things", COLUMNS, &items).trim()).expect("json"), items[0]);
        assert!(render(Format::Csv, "things", COLUMNS, &items).contains("\"'=1+1"));
        let table = render(Format::Table(Some(80)), "things", COLUMNS, &items);
        assert!(!table.contains('\u{1b}') && !table.contains("COUNTS"), "{table}");
        assert!(render(Format::Wide, "things", COLUMNS, &items).contains('3'));
    }
}
