//! YAML 1.2 of JSON values: block style, and every text that could be taken for something else in double quotes with JSON's escapes.

use std::io::{self, Write};

use serde_json::Value;

use crate::json;

/// Writes a document.
pub(crate) fn document(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    if is_block(value) {
        return block(out, value, 0, false);
    }
    inline(out, value)?;
    out.write_all(b"\n")
}

/// Writes members or items at a depth. Where a dash stands before the first one, it goes on in that line.
fn block(out: &mut dyn Write, value: &Value, depth: usize, mut after_dash: bool) -> io::Result<()> {
    let mut start = |out: &mut dyn Write| {
        if std::mem::take(&mut after_dash) { Ok(()) } else { indent(out, depth) }
    };
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                start(out)?;
                text(out, key)?;
                out.write_all(b":")?;
                if is_block(member) {
                    out.write_all(b"\n")?;
                    block(out, member, depth + 1, false)?;
                } else {
                    end(out, member)?;
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                start(out)?;
                out.write_all(b"-")?;
                if is_block(item) {
                    out.write_all(b" ")?;
                    block(out, item, depth + 1, true)?;
                } else {
                    end(out, item)?;
                }
            }
        }
        scalar => inline(out, scalar)?,
    }
    Ok(())
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn end(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    out.write_all(b" ")?;
    inline(out, value)?;
    out.write_all(b"\n")
}

fn indent(out: &mut dyn Write, depth: usize) -> io::Result<()> {
    write!(out, "{:1$}", "", depth * 2)
}

fn inline(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    match value {
        Value::String(string) => text(out, string),
        other => json::compact(&mut *out, other),
    }
}

fn text(out: &mut dyn Write, string: &str) -> io::Result<()> {
    if is_plain(string) { out.write_all(string.as_bytes()) } else { json::compact(&mut *out, &string) }
}

/// Words that no YAML version takes for a number, a date, a boolean or syntax.
fn is_plain(string: &str) -> bool {
    let letters =
        string.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/' | b'.'));
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    string.starts_with(|first: char| first.is_ascii_alphabetic())
        && letters
        && !words.contains(&string.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> String {
        let mut out = Vec::new();
        document(&mut out, value).expect("a Vec takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn another_reader_reads_the_same() {
        for value in [
            json!({"schema": "claviger.credentials/v1", "items": [{"a": 1, "b": [], "c": {"d": null}}, {"a": -1.5}]}),
            json!([
                [1, [2, "x"]],
                {},
                [],
                "no",
                "Yes",
                "1e3",
                "0x1f",
                "2026-01-01",
                "- a",
                "a: b",
                "#c",
                "",
                " ",
                "~"
            ]),
            json!({"no": true, "": {"": []}, "a b": "c\n\u{1b}\u{202e}\"", "é": "日"}),
            json!("text"),
            json!({}),
        ] {
            let read: Value = yaml_serde::from_str(&written(&value)).expect("YAML");
            assert_eq!(read, value, "{}", written(&value));
        }
    }

    #[test]
    fn it_looks_like_yaml() {
        let value = json!({"items": [{"ref": "db/role/app", "copies": 2}]});
        assert_eq!(written(&value), "items:\n  - copies: 2\n    ref: db/role/app\n");
    }
}
