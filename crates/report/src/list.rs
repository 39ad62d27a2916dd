use std::{
    fmt,
    io::{BufWriter, Write},
    str::FromStr,
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{Error, Result, csv::Csv, json, table, yaml};

/// What `-o` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListFormat {
    /// Aligned columns, the important ones, fitted to a width.
    #[default]
    Table,
    /// Aligned columns, all of them, nothing shortened.
    Wide,
    /// One document: `{"schema": …, "items": […]}`.
    Json,
    /// One item to a line.
    Jsonl,
    /// The document of JSON as YAML.
    Yaml,
    /// All columns, RFC 4180.
    Csv,
}

impl ListFormat {
    /// Every format.
    pub const ALL: [Self; 6] = [Self::Table, Self::Wide, Self::Json, Self::Jsonl, Self::Yaml, Self::Csv];

    /// The word after `-o`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Wide => "wide",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Yaml => "yaml",
            Self::Csv => "csv",
        }
    }
}

impl fmt::Display for ListFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ListFormat {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is none of table, wide, json, jsonl, yaml, csv"))
    }
}

/// How a column shows its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// As it is; lists joined by commas.
    #[default]
    Text,
    /// A ref: shortened in the middle, because refs differ at their end.
    Ref,
    /// A number, at the right.
    Number,
    /// An RFC 3339 time, as a day in tables.
    Day,
    /// An RFC 3339 time, to the minute in tables.
    Time,
    /// A UUID, of which tables show the first 18 characters: version 7 begins with the time, so that fewer would be alike.
    Id,
    /// A list of which tables show the length.
    Count,
}

/// A column of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Member of the item; `a.b` goes into an object.
    pub key: &'static str,
    /// Heading in tables. CSV is headed by the key.
    pub header: &'static str,
    /// How values are shown.
    pub shown: Shown,
    /// True if only `wide` and `csv` have it.
    pub is_wide: bool,
}

impl Column {
    /// A text column of every table.
    pub const fn new(key: &'static str, header: &'static str) -> Self {
        Self { key, header, shown: Shown::Text, is_wide: false }
    }

    /// Shown in another way.
    pub const fn shown(self, shown: Shown) -> Self {
        Self { shown, ..self }
    }

    /// Only in `wide` and `csv`.
    pub const fn wide(self) -> Self {
        Self { is_wide: true, ..self }
    }

    fn layout(&self) -> table::Layout {
        table::Layout {
            is_right: matches!(self.shown, Shown::Number | Shown::Count),
            is_ref: self.shown == Shown::Ref,
        }
    }

    fn value<'v>(&self, item: &'v Value) -> &'v Value {
        self.key.split('.').fold(item, |value, key| value.get(key).unwrap_or(&Value::Null))
    }

    /// For people: short.
    fn cell(&self, item: &Value, is_whole: bool) -> String {
        let value = self.value(item);
        match (self.shown, value) {
            (_, Value::Null) => "-".to_owned(),
            (Shown::Count, Value::Array(items)) => items.len().to_string(),
            (Shown::Day, Value::String(text)) => time(text, "%Y-%m-%d"),
            (Shown::Time, Value::String(text)) => time(text, "%Y-%m-%d %H:%M"),
            (Shown::Id, Value::String(text)) if !is_whole => text.chars().take(18).collect(),
            (_, Value::String(text)) if text.is_empty() => "-".to_owned(),
            (_, Value::Array(items)) if items.is_empty() => "-".to_owned(),
            _ => plain(value),
        }
    }
}

/// For machines: whole.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn time(text: &str, format: &str) -> String {
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => at.with_timezone(&Utc).format(format).to_string(),
        Err(_) => text.to_owned(),
    }
}

/// Writes a list in one of the formats of `-o`. `schema` is the document's (`claviger.credentials/v1`); `width` is the terminal's, for
/// [`ListFormat::Table`] only. Members that no column names are in JSON and YAML all the same. An empty list is a document too, and
/// a table with nothing but its headings.
///
/// # Errors
/// The writer's.
pub fn render_list<T: Serialize>(
    format: ListFormat,
    schema: &str,
    columns: &[Column],
    items: &[T],
    width: Option<usize>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut out = BufWriter::new(out);
    match format {
        ListFormat::Json => {
            let mut document = json::Document::new(&mut out, schema)?;
            document.list("items", items)?;
            document.end()?;
        }
        ListFormat::Jsonl => {
            for item in items {
                json::compact(&mut out, item)?;
                out.write_all(b"\n")?;
            }
        }
        ListFormat::Yaml => {
            let items = items.iter().map(value_of).collect::<Result<Vec<_>>>()?;
            yaml::document(&mut out, &serde_json::json!({ "schema": schema, "items": items }))?;
        }
        ListFormat::Csv => {
            let mut csv = Csv::new(&mut out);
            csv.row(columns.iter().map(|column| column.key))?;
            for item in items {
                let item = value_of(item)?;
                csv.row(columns.iter().map(|column| plain(column.value(&item))))?;
            }
        }
        ListFormat::Table | ListFormat::Wide => {
            let is_whole = format == ListFormat::Wide;
            let columns: Vec<&Column> = columns.iter().filter(|column| is_whole || !column.is_wide).collect();
            let headers: Vec<&str> = columns.iter().map(|column| column.header).collect();
            let layouts: Vec<table::Layout> = columns.iter().map(|column| column.layout()).collect();
            let mut rows = Vec::with_capacity(items.len());
            for item in items {
                let item = value_of(item)?;
                rows.push(columns.iter().map(|column| column.cell(&item, is_whole)).collect());
            }
            table::write(&mut out, &headers, &layouts, &rows, if is_whole { None } else { width })?;
        }
    }
    out.flush()?;
    Ok(())
}

/// Writes one document that already carries its schema, for commands whose output is not a list. Tables and CSV of it are the command's own
/// business.
///
/// # Errors
/// The writer's; [`Error::Unfit`] for the tabular formats.
pub fn render_document<T: Serialize>(format: ListFormat, document: &T, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    match format {
        ListFormat::Json => {
            json::pretty(&mut out, document)?;
            out.write_all(b"\n")?;
        }
        ListFormat::Jsonl => {
            json::compact(&mut out, document)?;
            out.write_all(b"\n")?;
        }
        ListFormat::Yaml => yaml::document(&mut out, &value_of(document)?)?,
        ListFormat::Table | ListFormat::Wide | ListFormat::Csv => return Err(Error::Unfit(format.as_str())),
    }
    out.flush()?;
    Ok(())
}

fn value_of(item: &impl Serialize) -> Result<Value> {
    serde_json::to_value(item).map_err(|error| Error::Write(error.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[
        Column::new("ref", "REF").shown(Shown::Ref),
        Column::new("copies", "COPIES").shown(Shown::Number),
        Column::new("expires_at", "EXPIRES").shown(Shown::Day),
        Column::new("findings", "FINDINGS").shown(Shown::Count),
        Column::new("id", "ID").shown(Shown::Id).wide(),
        Column::new("policy.name", "POLICY").wide(),
    ];

    fn items() -> Vec<Value> {
        vec![
            json!({"ref": "db/role/app", "copies": 2, "expires_at": "2026-07-01T10:00:00Z", "findings": ["a", "b"],
                   "id": "01234567-89ab-7cde-8f01-23456789abcd", "policy": {"name": "db"}, "more": true}),
            json!({"ref": "=HYPERLINK(\"x\")\u{1b}[31m", "copies": 0, "expires_at": null, "findings": []}),
        ]
    }

    fn written(format: ListFormat, width: Option<usize>) -> String {
        let mut out = Vec::new();
        render_list(format, "claviger.credentials/v1", COLUMNS, &items(), width, &mut out)
            .expect("a Vec takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_table_is_short_and_wide_is_whole() {
        assert_eq!(
            written(ListFormat::Table, Some(80)),
            "REF                        COPIES  EXPIRES     FINDINGS\n\
             db/role/app                     2  2026-07-01         2\n\
             =HYPERLINK(\"x\")\\u{1b}[31m       0  -                  0\n"
        );
        let wide = written(ListFormat::Wide, Some(20));
        assert!(wide.contains("01234567-89ab-7cde-8f01-23456789abcd") && wide.contains("POLICY"), "{wide}");
        assert!(wide.lines().next().is_some_and(|line| line.starts_with("REF")));
    }

    #[test]
    fn json_and_yaml_keep_every_member() {
        let json: Value = serde_json::from_str(&written(ListFormat::Json, None)).expect("JSON");
        assert_eq!(json, json!({"schema": "claviger.credentials/v1", "items": items()}));
        let yaml: Value = yaml_serde::from_str(&written(ListFormat::Yaml, None)).expect("YAML");
        assert_eq!(yaml, json);
        let lines: Vec<Value> = written(ListFormat::Jsonl, None)
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines, items());
    }

    #[test]
    fn csv_has_every_column_and_no_formula() {
        let rows = crate::csv::reader::read(&written(ListFormat::Csv, None));
        assert_eq!(rows[0], ["ref", "copies", "expires_at", "findings", "id", "policy.name"]);
        assert_eq!(
            rows[1],
            [
                "db/role/app",
                "2",
                "2026-07-01T10:00:00Z",
                "a, b",
                "01234567-89ab-7cde-8f01-23456789abcd",
                "db"
            ]
        );
        assert_eq!(rows[2][0], "'=HYPERLINK(\"x\")\\u{1b}[31m");
    }

    #[test]
    fn nothing_hidden_reaches_the_terminal() {
        for format in ListFormat::ALL {
            assert!(!written(format, Some(60)).contains('\u{1b}'), "{format}");
        }
    }

    #[test]
    fn an_empty_list_is_a_document_too() {
        let mut out = Vec::new();
        render_list::<Value>(ListFormat::Json, "claviger.credentials/v1", COLUMNS, &[], None, &mut out)
            .expect("a Vec");
        let read: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(read["items"], json!([]));
    }

    #[test]
    fn documents_have_no_table() {
        let mut out = Vec::new();
        assert!(matches!(
            render_document(ListFormat::Table, &json!({}), &mut out),
            Err(Error::Unfit("table"))
        ));
        render_document(ListFormat::Json, &json!({"schema": "claviger.scan/v1"}), &mut out)
            .expect("a Vec takes everything");
        assert_eq!(String::from_utf8(out).expect("text"), "{\n  \"schema\": \"claviger.scan/v1\"\n}\n");
    }

    #[test]
    fn words_of_formats_are_read() {
        for format in ListFormat::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
        }
        assert!("xml".parse::<ListFormat>().is_err());
    }
}
