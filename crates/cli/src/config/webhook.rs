//! `[webhooks.NAME]`: who may report leaks to the service by a request.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use claviger_core::webhook::WINDOW;
use claviger_server::webhook::{Keys, Receiver, Signature};
use serde::Deserialize;

use super::{Loaded, SecretSource, policy};
use crate::error::{Failure, Result};

/// Where GitHub lists the keys of its secret scanning.
const GITHUB: &str = "https://api.github.com/meta/public_keys/secret_scanning";
/// Shortest secret, in bytes: RFC 2104 wants at least the length of the hash's output, and what people send fits into half of it.
const SHORTEST: usize = 16;

/// How its requests are signed.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Webhook {
    /// With a secret that both have.
    Signed {
        secret: SecretSource,
        /// The one before it, for as long as somebody uses it.
        former_secret: Option<SecretSource>,
        window: Option<String>,
    },
    /// By GitHub's secret scanning.
    Github { keys: Option<String> },
}

/// Looks at all of them without fetching a secret.
pub(super) fn check(all: &BTreeMap<String, Webhook>) -> Result<()> {
    for (name, webhook) in all {
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
            return Err(Failure::config(774, format!("`{name}` cannot be the name of a webhook"))
                .hint("it is a part of its address: letters, digits, `-` and `_`"));
        }
        match webhook {
            Webhook::Signed { window, .. } => {
                self::window(name, window.as_deref())?;
            }
            Webhook::Github { keys } => {
                self::keys(name, keys.as_deref())?;
            }
        }
    }
    Ok(())
}

/// The receivers with their secrets.
pub(crate) fn receivers(loaded: &Loaded) -> Result<Vec<Receiver>> {
    let read = |(name, webhook): (&String, &Webhook)| {
        let signature = match webhook {
            Webhook::Github { keys } => Signature::Github(self::keys(name, keys.as_deref())?),
            Webhook::Signed { secret, former_secret, window } => {
                let mut secrets = Vec::new();
                let named = [("secret", Some(secret)), ("former_secret", former_secret.as_ref())];
                for (field, source) in named {
                    let Some(source) = source else { continue };
                    let setting = format!("webhooks.{name}.{field}");
                    let secret = source.fetch(loaded, &setting)?;
                    if secret.len() < SHORTEST {
                        return Err(Failure::config(
                            774,
                            format!("`{setting}` is shorter than {SHORTEST} bytes"),
                        )
                        .hint(
                            "whoever guesses it can report what they like: `openssl rand -hex 32` makes one",
                        ));
                    }
                    secrets.push(secret);
                }
                Signature::Shared { secrets, window: self::window(name, window.as_deref())? }
            }
        };
        Ok(Receiver { name: name.clone(), signature })
    };
    loaded.config.webhooks.iter().map(read).collect()
}

pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn window(name: &str, text: Option<&str>) -> Result<TimeDelta> {
    let Some(text) = text else { return Ok(WINDOW) };
    let window = policy::age(text)
        .ok()
        .filter(|window| *window >= TimeDelta::minutes(1) && *window <= TimeDelta::hours(1));
    window.ok_or_else(|| {
        Failure::config(
            774,
            format!("`window` of `[webhooks.{name}]`: `{text}` is no time from a minute to an hour"),
        )
        .hint("it is how far a sender's clock and the way may be off: `5m` is usual")
    })
}

fn keys(name: &str, url: Option<&str>) -> Result<Keys> {
    Keys::new(url.unwrap_or(GITHUB)).map_err(|why| {
        Failure::config(774, format!("`keys` of `[webhooks.{name}]`: {why}"))
            .hint("left out, it is where GitHub lists the keys of its secret scanning")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<()> {
        check(
            &toml::from_str::<BTreeMap<String, Webhook>>(text)
                .map_err(|error| Failure::config(5, error.message()))?,
        )
    }

    #[test]
    fn a_receiver_says_how_it_signs() {
        for good in [
            "[a]\nkind = 'signed'\nsecret = { env = 'A' }",
            "[a-1]\nkind = 'signed'\nsecret = { env = 'A' }\nformer_secret = { file = 'b' }\nwindow = '10m'",
            "[a]\nkind = 'github'",
            "[a]\nkind = 'github'\nkeys = 'http://127.0.0.1:1/keys'",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            "[a]\nkind = 'signed'",
            "[a]\nkind = 'signed'\nsecret = 'in the clear'",
            "[a]\nkind = 'signed'\nsecret = { env = 'A' }\nwindow = '1d'",
            "[a]\nkind = 'signed'\nsecret = { env = 'A' }\nwindow = 'soon'",
            "[a]\nkind = 'github'\nkeys = 'http://keys.example'",
            "[a]\nkind = 'github'\nsecret = { env = 'A' }",
            "['a/b']\nkind = 'github'",
            "[a]\nkind = 'gossip'",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
