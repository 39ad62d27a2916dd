//! Data on standard output, remarks on standard error.

use std::io::{IsTerminal, Write};

use claviger_core::clock::{Clock as _, SystemClock};
use claviger_report::{ListFormat, render_document, render_list, visible};
use serde::Serialize;
use serde_json::Value;

pub(crate) use claviger_report::{Column, Shown};

use crate::{
    args::{Format, Global, LogFormat},
    error::{Failure, Result},
};

/// Prints a list in the chosen format.
pub(crate) fn list(global: &Global, name: &str, columns: &[Column], items: &[Value]) -> Result<()> {
    let width = if global.output == Format::Table { terminal_width() } else { None };
    printed(render_list(format(global), &schema(name), columns, items, width, &mut std::io::stdout().lock()))
}

/// Prints one document: JSON by default, YAML where asked for.
pub(crate) fn document(global: &Global, document: &Value) -> Result<()> {
    let format = match global.output {
        Format::Yaml => ListFormat::Yaml,
        Format::Jsonl => ListFormat::Jsonl,
        _ => ListFormat::Json,
    };
    printed(render_document(format, document, &mut std::io::stdout().lock()))
}

fn format(global: &Global) -> ListFormat {
    match global.output {
        Format::Table => ListFormat::Table,
        Format::Wide => ListFormat::Wide,
        Format::Json => ListFormat::Json,
        Format::Jsonl => ListFormat::Jsonl,
        Format::Yaml => ListFormat::Yaml,
        Format::Csv => ListFormat::Csv,
    }
}

fn schema(name: &str) -> String {
    format!("claviger.{name}/v1")
}

/// `claviger list … | head` is no failure.
fn printed(result: claviger_report::Result<()>) -> Result<()> {
    match result {
        Err(claviger_report::Error::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            Err(Failure::new(12, crate::error::Exit::Failed, format!("cannot write the output: {error}")))
        }
        Ok(()) => Ok(()),
    }
}

/// Lines with every character that a terminal would obey made visible.
fn visible_lines(text: &str) -> String {
    let mut safe = text.lines().map(visible).collect::<Vec<_>>().join("\n");
    if text.ends_with('\n') {
        safe.push('\n');
    }
    safe
}

/// Prints lines for people. Names in it are made harmless.
pub(crate) fn text(lines: &str) {
    let _ = print(&visible_lines(lines));
}

/// The same, where standard output is for programs.
pub(crate) fn text_to_stderr(lines: &str) {
    let _ = std::io::stderr().lock().write_all(visible_lines(lines).as_bytes());
}

/// A heading of the demo.
pub(crate) fn heading(line: &str) {
    let _ = print(&format!("\n== {line}\n\n"));
}

/// One remark on standard error.
pub(crate) fn remark(global: &Global, line: &str) {
    if global.quiet {
        return;
    }
    if global.log_format == LogFormat::Json {
        // As the log's own lines are.
        let entry = serde_json::json!({
            "timestamp": SystemClock.now(), "level": "INFO", "fields": { "message": line },
        });
        let _ = writeln!(std::io::stderr().lock(), "{entry}");
    } else {
        let _ = writeln!(std::io::stderr().lock(), "{}", visible(line));
    }
}

/// Sets the document's schema.
pub(crate) fn stamp(document: &mut Value, name: &str) {
    if let Value::Object(map) = document {
        map.insert("schema".to_owned(), schema(name).into());
    }
}

/// A view as JSON.
pub(crate) fn value<T: Serialize>(item: &T) -> Result<Value> {
    serde_json::to_value(item).map_err(|error| Failure::bug(error.to_string()))
}

/// Views as JSON.
pub(crate) fn values<T: Serialize>(items: &[T]) -> Result<Vec<Value>> {
    items.iter().map(value).collect()
}

fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // `claviger list … | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::file("write", std::path::Path::new("standard output"), &error)),
        Ok(()) => Ok(()),
    }
}

/// Columns of the terminal; off it nothing is cut.
fn terminal_width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).or(Some(160))
}
