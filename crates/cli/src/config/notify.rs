//! `[notify.NAME]`: who is told what happens.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::TimeDelta;
use claviger_core::notice::{Event, Shape, SigningSecret};
use claviger_server::notify::Receiver;
use serde::Deserialize;

use super::{Loaded, SecretSource, policy, webhook::is_plain};
use crate::error::{Failure, Result};

/// A receiver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notify {
    kind: Shape,
    url: Address,
    /// Signs what is sent; wanted for `generic`.
    secret: Option<SecretSource>,
    /// None: all.
    #[serde(default)]
    events: Vec<Event>,
    /// Globs of refs. None: everything.
    #[serde(default)]
    r#where: Vec<String>,
    give_up: Option<String>,
    ca: Option<PathBuf>,
}

/// An address, or where it is: that of a chat is a secret, as whoever has it can write there.
#[derive(Debug)]
enum Address {
    Plain(String),
    Secret(SecretSource),
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        // By hand, so that an error can never repeat it.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self::Plain(text)),
            other => SecretSource::deserialize(other).map(Self::Secret).map_err(serde::de::Error::custom),
        }
    }
}

/// Looks at all of them without fetching a secret.
pub(super) fn check(all: &BTreeMap<String, Notify>) -> Result<()> {
    for (name, notify) in all {
        let refuse = |what: &str, hint: &str| {
            Err(Failure::config(775, format!("`[notify.{name}]`: {what}")).hint(hint))
        };
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
            return refuse("this cannot be a name", "letters, digits, `-` and `_`");
        }
        give_up(name, notify.give_up.as_deref())?;
        match (notify.kind, &notify.url, &notify.secret) {
            (Shape::Generic, _, None) => {
                return refuse(
                    "`generic` wants a `secret`: nobody could tell what we send from what others do",
                    "it is signed as Standard Webhooks says: `secret = { env = \"NAME\" }`",
                );
            }
            (Shape::Slack, Address::Plain(url), _) if url.starts_with("https:") => {
                return refuse(
                    "the address of a chat is a secret: whoever has it can write there",
                    "`url = { env = \"NAME\" }` or `{ file = \"PATH\" }`",
                );
            }
            (_, Address::Plain(url), _) => {
                build(name, notify, url, None, None)?;
            }
            (_, Address::Secret(_), _) => {}
        }
    }
    Ok(())
}

/// The receivers with their secrets.
pub(crate) fn receivers(loaded: &Loaded) -> Result<Vec<Receiver>> {
    let read = |(name, notify): (&String, &Notify)| {
        let secret = notify.secret.as_ref().map(|source| {
            let setting = format!("notify.{name}.secret");
            SigningSecret::new(&source.fetch(loaded, &setting)?).map_err(|why| {
                Failure::config(775, format!("`{setting}`: {why}"))
                    .hint("`openssl rand -hex 32` makes one; `whsec_` and base64 is taken too")
            })
        });
        let fetched = match &notify.url {
            Address::Plain(url) => url.clone(),
            Address::Secret(source) => {
                let setting = format!("notify.{name}.url");
                let fetched = source.fetch(loaded, &setting)?;
                let text = fetched.expose_text().map(|text| text.trim().to_owned());
                text.ok_or_else(|| Failure::config(775, format!("`{setting}` is no address")))?
            }
        };
        let ca = notify.ca.as_ref().map(|file| {
            let file = loaded.path(file);
            std::fs::read(&file).map_err(|error| Failure::file("read", &file, &error))
        });
        build(name, notify, &fetched, secret.transpose()?, ca.transpose()?.as_deref())
    };
    loaded.config.notify.iter().map(read).collect()
}

fn build(
    name: &str,
    notify: &Notify,
    url: &str,
    secret: Option<SigningSecret>,
    ca: Option<&[u8]>,
) -> Result<Receiver> {
    let mut receiver = Receiver::new(name, notify.kind, url, secret, ca).map_err(|why| {
        Failure::config(775, format!("`[notify.{name}]`: {why}"))
            .hint("https, or http to this machine; redirects are not followed")
    })?;
    receiver.events.clone_from(&notify.events);
    receiver.subjects.clone_from(&notify.r#where);
    receiver.give_up = give_up(name, notify.give_up.as_deref())?;
    Ok(receiver)
}

fn give_up(name: &str, text: Option<&str>) -> Result<TimeDelta> {
    let Some(text) = text else { return Ok(TimeDelta::days(3)) };
    let length = policy::age(text).ok();
    let length = length.filter(|length| *length >= TimeDelta::minutes(1) && *length <= TimeDelta::days(30));
    length.ok_or_else(|| {
        Failure::config(
            775,
            format!("`give_up` of `[notify.{name}]`: `{text}` is no time from a minute to thirty days"),
        )
        .hint("e.g. `3d`: so long something is tried before it is shown as dead")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<()> {
        let all = toml::from_str::<BTreeMap<String, Notify>>(text);
        check(&all.map_err(|error| Failure::config(5, error.message()))?)
    }

    #[test]
    fn a_receiver_has_a_safe_address_and_what_it_is_known_by() {
        for good in [
            "[a]\nkind = 'generic'\nurl = 'https://hooks.example/x'\nsecret = { env = 'A' }",
            "[a]\nkind = 'generic'\nurl = { env = 'U' }\nsecret = { env = 'A' }\nevents = ['rotation.stuck']\nwhere = ['prod/*']\ngive_up = '1d'",
            "[a]\nkind = 'slack'\nurl = { file = 'u' }",
            "[a]\nkind = 'slack'\nurl = 'http://127.0.0.1:9/x'",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            "[a]\nkind = 'generic'\nurl = 'https://hooks.example/x'",
            "[a]\nkind = 'generic'\nurl = 'http://hooks.example/x'\nsecret = { env = 'A' }",
            "[a]\nkind = 'slack'\nurl = 'https://hooks.slack.example/services/SECRET'",
            "[a]\nkind = 'slack'\nurl = { env = 'U' }\nevents = ['rotation.done']",
            "[a]\nkind = 'slack'\nurl = { env = 'U' }\ngive_up = '90d'",
            "[a]\nkind = 'mail'\nurl = { env = 'U' }",
            "['a b']\nkind = 'slack'\nurl = { env = 'U' }",
        ] {
            let refused = read(bad).err().map(|failure| failure.line()).unwrap_or_default();
            assert!(!refused.is_empty() && !refused.contains("SECRET"), "{bad}: {refused}");
        }
    }
}
