//! The key-value engines, versions 1 and 2: what an answer about one path says.
//!
//! Formats: the HTTP API documentation of Vault's `kv` engines, checked against OpenBao 2.7.2.

mod field;
mod walk;

use std::{borrow::Cow, collections::BTreeMap};

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::secret::SecretValue;
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) use self::{field::Field, walk::Walk};
use crate::client::{Answer, Api, ApiPath, Call};

/// The fields of one version, as raw JSON that borrows from the zeroized answer.
pub(crate) type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// What KV version 2 says about one version.
#[derive(Deserialize)]
pub(crate) struct VersionMetadata {
    #[serde(default)]
    pub(crate) created_time: String,
    #[serde(default)]
    pub(crate) version: u64,
    #[serde(default)]
    pub(crate) custom_metadata: Option<BTreeMap<String, String>>,
}

/// `data` of an answer about one version.
#[derive(Deserialize)]
pub(crate) struct Version<'a> {
    /// `None` when this version is deleted or destroyed.
    #[serde(borrow, default)]
    pub(crate) data: Option<Fields<'a>>,
    pub(crate) metadata: VersionMetadata,
}

/// A whole field as a value: the text of a JSON string, else the JSON itself.
pub(crate) fn value_of(raw: &RawValue) -> SecretValue {
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => SecretValue::from_text(text),
        Err(_) => SecretValue::from_text(raw.get().to_owned()),
    }
}

/// Asks for a version of a KV v2 secret (`None`: the newest). 200 has data, 404 may carry the metadata of a deleted version.
pub(crate) async fn ask_version(
    api: &Api,
    call: Call<'_>,
    mount: &str,
    path: &str,
    version: Option<u64>,
) -> Result<Answer> {
    let encoded = ApiPath::new(call.operation, &format!("{mount}/data/{path}"))?;
    let query = version.map(|version| format!("version={version}")).unwrap_or_default();
    api.send(call, Method::GET, &encoded, &query, None, None).await
}

/// Reads such an answer; `None` when there has never been such a version, or it is pruned.
pub(crate) fn read_version<'a>(answer: &'a Answer, call: Call<'_>) -> Result<Option<Version<'a>>> {
    match answer.status {
        200 => answer.data::<Version<'a>>(call)?.map(Some).ok_or_else(|| call.unreadable()),
        // A deleted version says so in a 404 with data; an absent one has none.
        404 => Ok(answer.data::<Version<'a>>(call).unwrap_or(None)),
        status => {
            Err(Error::new(ErrorKind::Unexpected, call.operation, format!("{}: HTTP {status}", call.what)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_texts_or_json() {
        let json = r#"{"a":"x\n\u00fc","n":1.50,"o":{"k":["v"]},"e":"","t":true,"z":null}"#;
        let fields: Fields<'_> = serde_json::from_str(json).expect("JSON");
        let text = |key: &str| value_of(fields[key]).expose_text().expect("UTF-8").to_owned();
        assert_eq!(text("a"), "x\nü");
        assert_eq!(text("n"), "1.50", "a number keeps its digits");
        assert_eq!(text("o"), r#"{"k":["v"]}"#);
        assert_eq!((text("e"), text("t"), text("z")), (String::new(), "true".into(), "null".into()));
    }
}
