//! `[[approvers]]`: people who may approve plans, each with a key of their own.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use claviger_core::{approval::Approver, signing::PublicKey};
use serde::Deserialize;

use crate::error::{Failure, Result};

/// One of them, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    name: String,
    public_key: String,
    /// As whom this person runs claviger, besides by their own name.
    #[serde(default)]
    actors: Vec<String>,
    /// From when on no approval of theirs counts.
    until: Option<String>,
    /// No approval of theirs counts.
    #[serde(default)]
    revoked: bool,
}

/// Reads all of them. Each name and each key is one person's.
pub(super) fn read(all: &[Raw]) -> Result<Vec<Approver>> {
    let refuse = |name: &str, reason: &str| {
        Failure::config(29, format!("approver `{name}`: {reason}"))
            .hint("`claviger approve --new-key FILE` makes a key and prints its section")
    };
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    let mut approvers = Vec::new();
    for raw in all {
        let name = raw.name.trim();
        if name.is_empty() || !names.insert(name) {
            return Err(refuse(name, "each has a name of their own"));
        }
        let key = PublicKey::parse(&raw.public_key).map_err(|error| refuse(name, &error.to_string()))?;
        if !keys.insert(key) {
            return Err(refuse(name, "another one has the same key"));
        }
        let until = raw.until.as_deref().map(|text| {
            let moment: Option<DateTime<Utc>> = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
            moment.ok_or_else(|| refuse(name, "`until` is no RFC 3339 time with its zone"))
        });
        approvers.push(Approver {
            name: name.to_owned(),
            key,
            actors: raw.actors.clone(),
            until: until.transpose()?,
            revoked: raw.revoked,
        });
    }
    Ok(approvers)
}

#[cfg(test)]
mod tests {
    use claviger_core::{random::SeededRandom, signing::PrivateKey};

    use super::*;

    fn parse(text: &str) -> Result<Vec<Approver>> {
        #[derive(Deserialize)]
        struct File {
            approvers: Vec<Raw>,
        }
        read(&toml::from_str::<File>(text).expect("TOML").approvers)
    }

    #[test]
    fn each_person_has_one_name_and_one_key() {
        let key = |seed| PrivateKey::generate(&SeededRandom::new(seed)).public();
        let one =
            |name: &str, seed| format!("[[approvers]]\nname = '{name}'\npublic_key = '{}'\n", key(seed));
        let two = parse(&format!(
            "{}until = '2027-01-01T00:00:00+01:00'\n{}revoked = true\nactors = ['e@x']\n",
            one("dana", 1),
            one("eve", 2)
        ))
        .unwrap_or_else(|error| panic!("{error:?}"));
        assert!(two[0].until.is_some() && !two[0].revoked && two[1].revoked);
        for bad in [
            format!("{}{}", one("dana", 1), one("dana", 2)),
            format!("{}{}", one("dana", 1), one("eve", 1)),
            one(" ", 1),
            format!("{}until = 'soon'\n", one("dana", 1)),
            "[[approvers]]\nname = 'dana'\npublic_key = 'ed25519:AAAA'\n".to_owned(),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
