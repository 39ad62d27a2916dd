//! Fields of one path: read, and written by compare-and-set with their siblings left as they are.

use std::{borrow::Cow, collections::BTreeMap};

use claviger_backend::{Effect, Error, ErrorKind, Expect, Operation, Result, StoredValue};
use claviger_core::{fingerprint::FingerprintKey, secret::SecretValue};
use reqwest::Method;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Fields, ask_version, read_version, value_of};
use crate::client::{Answer, Api, ApiPath};

/// Where a field lies.
pub(crate) struct Field<'a> {
    pub(crate) api: &'a Api,
    pub(crate) mount: &'a str,
    pub(crate) path: &'a str,
    pub(crate) key: &'a str,
    /// KV version 2?
    pub(crate) versioned: bool,
    /// Makes version tokens for version 1.
    pub(crate) version_key: Option<&'a FingerprintKey>,
}

/// What is there now. The fields borrow from the answer.
struct Present<'a> {
    fields: Fields<'a>,
    /// Version 2: its number, also of a deleted one. Version 1: the keyed digest.
    version: String,
    /// Version 2: what `cas` must be for a write on top of it.
    cas: u64,
}

/// What the metadata of a path says of its versions.
#[derive(Deserialize)]
struct Kept {
    #[serde(default)]
    current_version: u64,
    #[serde(default)]
    versions: BTreeMap<String, KeptVersion>,
}

#[derive(Deserialize)]
struct KeptVersion {
    #[serde(default)]
    destroyed: bool,
    #[serde(default)]
    deletion_time: String,
}

#[derive(Deserialize)]
struct Written {
    version: u64,
}

impl Field<'_> {
    /// Reads the field. `None` when path, version or key is not there.
    pub(crate) async fn read(&self) -> Result<Option<StoredValue>> {
        let answer = self.ask("read").await?;
        let present = self.present("read", &answer)?;
        Ok(present.fields.get(self.key).map(|raw| StoredValue {
            value: value_of(raw),
            version: present.version.clone(),
            // KV keeps no place for it beside the value: after a conflict the caller compares values.
            written_by: None,
        }))
    }

    /// Replaces these fields of the path at once and gives the new version.
    ///
    /// Version 2 is atomic: the server compares the version number (`cas`). Version 1 cannot compare, so the digest is compared by us just
    /// before: a writer in between is lost, and a rotation of such a copy says so in its plan.
    pub(crate) async fn write(
        &self,
        op: &Operation,
        values: &BTreeMap<&str, &SecretValue>,
        expect: &Expect,
    ) -> Result<String> {
        match tokio::time::timeout(op.deadline, self.write_now(values, expect)).await {
            Ok(done) => done,
            Err(_) => Err(Error::new(
                ErrorKind::Unavailable,
                "write",
                format!("{}: no answer by the deadline", self.what()),
            )
            .with_effect(Effect::Unknown)),
        }
    }

    /// Takes the field out on top of this version; its siblings stay byte by byte.
    pub(crate) async fn erase(&self, op: &Operation, expected: &str) -> Result<()> {
        let work = async {
            let answer = self.ask("erase").await?;
            let present = self.present("erase", &answer)?;
            if !present.fields.contains_key(self.key) {
                return Ok(());
            }
            if present.version != expected {
                let text = format!("{}: another version is there than the expected one", self.what());
                return Err(Error::new(ErrorKind::Conflict, "erase", text));
            }
            let mut rest = present.fields.clone();
            rest.remove(self.key);
            let fields = document(&rest, &BTreeMap::new())?;
            match self.versioned {
                true => self.write_v2(&fields, present.cas).await.map(drop),
                // Version 1 takes no path without fields: what would be left of it is deleted.
                false if rest.is_empty() => self.delete_v1().await,
                false => self.write_v1(fields).await.map(drop),
            }
        };
        match tokio::time::timeout(op.deadline, work).await {
            Ok(done) => done,
            Err(_) => Err(Error::new(
                ErrorKind::Unavailable,
                "erase",
                format!("{}: no answer by the deadline", self.what()),
            )
            .with_effect(Effect::Unknown)),
        }
    }

    async fn delete_v1(&self) -> Result<()> {
        let what = format!("DELETE {}/{}", self.mount, self.path);
        let call = self.api.call("erase", &what, true);
        let encoded = ApiPath::new("erase", &format!("{}/{}", self.mount, self.path))?;
        self.api.send(call, Method::DELETE, &encoded, "", None, None).await?.good(call).map(drop)
    }

    /// The number of the version in force, and those of all that can be read. `None`: there is no such path.
    pub(crate) async fn kept(&self, operation: &'static str) -> Result<Option<(u64, Vec<u64>)>> {
        let path = format!("{}/metadata/{}", self.mount, self.path);
        let Some(metadata) = self.api.get::<Kept>(operation, &path).await? else { return Ok(None) };
        let readable = metadata.versions.into_iter();
        let readable = readable.filter(|(_, version)| !version.destroyed && version.deletion_time.is_empty());
        let numbers = readable.filter_map(|(number, _)| number.parse().ok()).collect();
        Ok(Some((metadata.current_version, numbers)))
    }

    async fn write_now(&self, values: &BTreeMap<&str, &SecretValue>, expect: &Expect) -> Result<String> {
        let mut texts = BTreeMap::new();
        for (key, value) in values {
            let text = value.expose_text().ok_or_else(|| {
                let message = format!("{}: KV holds texts, and the value is not UTF-8", self.what());
                Error::new(ErrorKind::Invalid, "write", message)
            })?;
            texts.insert(*key, text);
        }
        let answer = self.ask("write").await?;
        let present = self.present("write", &answer)?;
        let there = |key: &&str| present.fields.contains_key(*key);
        let conflict = |found: String| {
            Err(Error::new(ErrorKind::Conflict, "write", format!("{}: {found}", self.what())))
        };
        match expect {
            Expect::Absent if texts.keys().any(there) => {
                return conflict("expected to be absent, and it is there".into());
            }
            Expect::Version(expected) if *expected != present.version => {
                return conflict("another version is there than the expected one".into());
            }
            Expect::Absent | Expect::Version(_) => {}
        }
        let fields = document(&present.fields, &texts)?;
        if self.versioned { self.write_v2(&fields, present.cas).await } else { self.write_v1(fields).await }
    }

    async fn write_v2(&self, fields: &[u8], cas: u64) -> Result<String> {
        let mut body = Zeroizing::new(Vec::with_capacity(fields.len() + 48));
        body.extend_from_slice(format!("{{\"options\":{{\"cas\":{cas}}},\"data\":").as_bytes());
        body.extend_from_slice(fields);
        body.push(b'}');
        let what = format!("POST {}/data/{}", self.mount, self.path);
        let call = self.api.call("write", &what, true);
        let encoded = ApiPath::new("write", &format!("{}/data/{}", self.mount, self.path))?;
        let answer =
            self.api.send(call, Method::POST, &encoded, "", None, Some(body.to_vec())).await?.good(call)?;
        let written = answer.data::<Written>(call)?.ok_or_else(|| call.unreadable())?;
        Ok(written.version.to_string())
    }

    async fn write_v1(&self, fields: Zeroizing<Vec<u8>>) -> Result<String> {
        let what = format!("POST {}/{}", self.mount, self.path);
        let call = self.api.call("write", &what, true);
        let encoded = ApiPath::new("write", &format!("{}/{}", self.mount, self.path))?;
        self.api.send(call, Method::POST, &encoded, "", None, Some(fields.to_vec())).await?.good(call)?;
        // The server may have written numbers its own way, so the digest is of what it now gives.
        let applied = |error: Error| error.with_effect(Effect::Applied);
        let answer = self.ask("write").await.map_err(applied)?;
        Ok(self.present("write", &answer).map_err(applied)?.version)
    }

    /// Asks for the newest version of the path.
    async fn ask(&self, operation: &'static str) -> Result<Answer> {
        let what = self.what();
        let call = self.api.call(operation, &what, false);
        let answer = if self.versioned {
            ask_version(self.api, call, self.mount, self.path, None).await?
        } else {
            let encoded = ApiPath::new(operation, &format!("{}/{}", self.mount, self.path))?;
            self.api.send(call, Method::GET, &encoded, "", None, None).await?
        };
        if answer.status == 404 { Ok(answer) } else { answer.good(call) }
    }

    fn present<'b>(&self, operation: &'static str, answer: &'b Answer) -> Result<Present<'b>> {
        let what = self.what();
        let call = self.api.call(operation, &what, false);
        if self.versioned {
            return Ok(match read_version(answer, call)? {
                Some(version) => Present {
                    cas: version.metadata.version,
                    version: version.metadata.version.to_string(),
                    fields: version.data.unwrap_or_default(),
                },
                None => Present { fields: Fields::new(), version: String::new(), cas: 0 },
            });
        }
        let fields = if answer.status == 404 {
            Fields::new()
        } else {
            answer.data::<Fields<'b>>(call)?.unwrap_or_default()
        };
        let version = self.version_key.map(|key| digest(key, &fields)).unwrap_or_default();
        Ok(Present { fields, version, cas: 0 })
    }

    fn what(&self) -> String {
        format!("{}/{}", self.mount, self.path)
    }
}

/// Version token of a path without versions: keyed, so that it says nothing about the values to whoever reads it in the journal.
pub(super) fn digest(key: &FingerprintKey, fields: &Fields<'_>) -> String {
    let mut bytes = Zeroizing::new(Vec::new());
    for (name, raw) in fields {
        for part in [name.as_bytes(), raw.get().as_bytes()] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
    }
    key.keyed("vault-kv1-version", &bytes).to_string()
}

/// The JSON object with these fields replaced or added; the others byte by byte as the server sent them.
fn document(fields: &Fields<'_>, values: &BTreeMap<&str, &str>) -> Result<Zeroizing<Vec<u8>>> {
    let json = |text: &str| {
        serde_json::to_string(text)
            .map(Zeroizing::new)
            .map_err(|_| Error::new(ErrorKind::Invalid, "write", "the value cannot be written as JSON"))
    };
    let mut names: Vec<Cow<'_, str>> = fields.keys().cloned().collect();
    names.extend(values.keys().filter(|key| !fields.contains_key(**key)).map(|key| Cow::Borrowed(*key)));
    let mut out = Zeroizing::new(vec![b'{']);
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(json(name)?.as_bytes());
        out.push(b':');
        match values.get(name.as_ref()) {
            Some(value) => out.extend_from_slice(json(value)?.as_bytes()),
            None => out.extend_from_slice(fields[name].get().as_bytes()),
        }
    }
    out.push(b'}');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_keep_every_byte() {
        let fields: Fields<'_> =
            serde_json::from_str(r#"{"n":12345678901234567890123,"p":"old","s":"\u00fc/\/"}"#).expect("JSON");
        let written = document(&fields, &BTreeMap::from([("p", "n\"ew\n")])).expect("a document");
        let expected = r#"{"n":12345678901234567890123,"p":"n\"ew\n","s":"\u00fc/\/"}"#;
        assert_eq!(std::str::from_utf8(&written).expect("UTF-8"), expected);
        let added = document(&Fields::new(), &BTreeMap::from([("p", "v")])).expect("a document");
        assert_eq!(added.as_slice(), br#"{"p":"v"}"#);
        let both =
            document(&fields, &BTreeMap::from([("p", "1"), ("s", "2"), ("t", "3")])).expect("a document");
        assert_eq!(both.as_slice(), br#"{"n":12345678901234567890123,"p":"1","s":"2","t":"3"}"#);
    }

    #[test]
    fn a_digest_changes_with_any_field_and_only_then() {
        let key = FingerprintKey::new([7; 32]);
        let of = |json: &str| digest(&key, &serde_json::from_str(json).expect("JSON"));
        assert_eq!(of(r#"{"a":"1","b":"2"}"#), of(r#"{"b":"2","a":"1"}"#));
        assert_ne!(of(r#"{"a":"1","b":"2"}"#), of(r#"{"a":"1","b":"3"}"#));
        assert_ne!(of(r#"{"a":"12"}"#), of(r#"{"a1":"2"}"#));
        assert_ne!(digest(&FingerprintKey::new([8; 32]), &Fields::new()), of("{}"));
    }
}
