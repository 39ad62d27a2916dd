//! The documents that programs read: what `-o json` prints and what the API answers is made here, once.
//!
//! Each is made for somebody's eyes ([`Sight`](crate::access::Sight)): the command line, which has the database and the keys, sees everything. To add one: a
//! file here with a function that takes the engine and gives a [`Value`], its command in the command line, its endpoint in `api/`.

pub mod audit;
pub mod change;
pub mod incident;
pub mod list;
pub mod plan;
pub mod policy;
pub mod report;
pub mod schedule;
pub mod show;
pub mod swap;

use claviger_engine::fault::{Fault, Kind};
use serde::Serialize;
use serde_json::Value;

/// Result of making one.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// The name of a document's shape.
pub fn schema(name: &str) -> String {
    format!("claviger.{name}/v1")
}

/// Sets a document's schema.
pub fn stamp(document: &mut Value, name: &str) {
    if let Value::Object(map) = document {
        map.insert("schema".to_owned(), schema(name).into());
    }
}

/// A view as JSON.
///
/// # Errors
/// It cannot be written as JSON: a bug.
pub fn value<T: Serialize>(item: &T) -> Result<Value> {
    serde_json::to_value(item).map_err(|error| {
        Fault::new(900, Kind::Bug, error.to_string())
            .hint("this is a bug in claviger: please report it with the output of `-vv`")
    })
}

/// Views as JSON.
///
/// # Errors
/// As [`value`].
pub fn values<T: Serialize>(items: &[T]) -> Result<Vec<Value>> {
    items.iter().map(value).collect()
}

/// Takes the refs of these backends out of every text of a document: sentences and evidence name places that whoever reads them may not see.
pub fn withhold(document: &mut Value, hidden: &[String]) {
    match document {
        Value::String(text) => {
            if let Some(cleaned) = without(text, hidden) {
                *text = cleaned;
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| withhold(one, hidden)),
        Value::Object(map) => map.values_mut().for_each(|one| withhold(one, hidden)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

const WITHHELD: &str = "(withheld)";

/// The text without them; `None` where there are none.
fn without(text: &str, hidden: &[String]) -> Option<String> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ')' | '`' | '"' | '\'');
    let (mut cleaned, mut rest, mut found) = (String::new(), text, false);
    'text: while !rest.is_empty() {
        let before = cleaned.chars().next_back();
        if before.is_none_or(|c| !is_name(c)) {
            for name in hidden {
                if rest.strip_prefix(name.as_str()).is_some_and(|after| after.starts_with('/')) {
                    let end = rest.find(ends).unwrap_or(rest.len());
                    cleaned.push_str(WITHHELD);
                    rest = &rest[end..];
                    found = true;
                    continue 'text;
                }
            }
        }
        let Some(first) = rest.chars().next() else { break };
        cleaned.push(first);
        rest = &rest[first.len_utf8()..];
    }
    found.then_some(cleaned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refs_of_hidden_backends_are_taken_out_and_nothing_else() {
        let hidden = ["prod".to_owned(), "db".to_owned()];
        for (text, expected) in [
            ("prod/web/Secret/a#b", WITHHELD),
            (
                "it lies in prod/web/Secret/a, and in `db/role/x`.",
                "it lies in (withheld), and in `(withheld)`.",
            ),
            ("sim/prod/web", "sim/prod/web"),
            ("preprod/web and xdb/role", "preprod/web and xdb/role"),
            ("prod is a word", "prod is a word"),
            ("é prod/é", "é (withheld)"),
            ("", ""),
        ] {
            let mut document = json!({ "a": [text, 1, null] });
            withhold(&mut document, &hidden);
            assert_eq!(document["a"][0], expected);
        }
        let mut document = json!({ "ref": "prod/a" });
        withhold(&mut document, &[]);
        assert_eq!(document["ref"], "prod/a");
    }
}
