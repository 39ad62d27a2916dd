use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result};

/// Text as both databases can hold it: PostgreSQL has no NUL in a text, so it becomes U+FFFD on both.
pub(super) fn text(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}

/// A time as both databases keep it: cut to microseconds.
pub(super) fn micros(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(6)
}

/// A value's JSON. Maps of the domain are sorted, so equal values have equal texts.
pub(super) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("the domain's types have only text keys")
}

/// A value from a column.
pub(super) fn from_json<T: DeserializeOwned>(table: &'static str, json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| Error::inconsistent(table, error))
}

/// The word that a unit variant is stored as.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => unreachable!("only unit variants are stored as words"),
    }
}

/// A unit variant from its word.
pub(super) fn from_word<T: DeserializeOwned>(table: &'static str, word: &str) -> Result<T> {
    serde_json::from_value(serde_json::Value::from(word)).map_err(|error| Error::inconsistent(table, error))
}
