//! Where a secret is needed, the configuration says where it is: never what it is.

use std::{path::PathBuf, process::Command};

use claviger_core::secret::SecretValue;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::Loaded;
use crate::error::{Exit, Failure, Result};

/// `{ env = "NAME" }`, `{ file = "PATH" }` or `{ command = ["pass", "show", "x"] }`.
#[derive(Debug, Clone)]
pub(crate) enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file; one trailing newline is cut.
    File(PathBuf),
    /// A program's standard output; one trailing newline is cut.
    Command(Vec<String>),
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The value is looked at by hand, so that an error can never repeat it.
        let refusal = "a secret is never written in the configuration: use { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"program\", \"argument\"] }";
        let toml::Value::Table(table) = toml::Value::deserialize(deserializer)? else {
            return Err(D::Error::custom(refusal));
        };
        let mut entries = table.into_iter();
        match (entries.next(), entries.next()) {
            (Some((key, toml::Value::String(text))), None) if key == "env" => Ok(Self::Env(text)),
            (Some((key, toml::Value::String(text))), None) if key == "file" => Ok(Self::File(text.into())),
            (Some((key, toml::Value::Array(words))), None) if key == "command" => {
                let words: Option<Vec<String>> =
                    words.into_iter().map(|word| word.as_str().map(str::to_owned)).collect();
                words
                    .filter(|words| !words.is_empty())
                    .map(Self::Command)
                    .ok_or_else(|| D::Error::custom(refusal))
            }
            _ => Err(D::Error::custom(refusal)),
        }
    }
}

impl SecretSource {
    /// Fetches the value.
    pub(crate) fn fetch(&self, loaded: &Loaded, setting: &str) -> Result<SecretValue> {
        let mut bytes = match self {
            Self::Env(name) => std::env::var(name).map(String::into_bytes).map_err(|_| {
                Failure::config(
                    8,
                    format!("`{setting}` wants the environment variable `{name}`, which is not set"),
                )
                .hint(format!(
                    "set it for this command, e.g. `{name}=… claviger …` from a file that only you can read"
                ))
            })?,
            Self::File(path) => {
                let path = loaded.path(path);
                std::fs::read(&path).map_err(|error| {
                    Failure::config(
                        8,
                        format!("`{setting}` wants the file `{}`: {}", path.display(), error.kind()),
                    )
                    .hint("paths are relative to the configuration file")
                })?
            }
            Self::Command(words) => {
                let (program, arguments) = words
                    .split_first()
                    .ok_or_else(|| Failure::config(8, format!("`{setting}` has an empty command")))?;
                let output =
                    Command::new(program).args(arguments).current_dir(&loaded.base).output().map_err(
                        |error| {
                            Failure::config(
                                8,
                                format!("`{setting}` wants the program `{program}`: {}", error.kind()),
                            )
                        },
                    )?;
                if !output.status.success() {
                    // What it printed may be the secret, or half of it.
                    return Err(Failure::new(
                        8,
                        Exit::Usage,
                        format!("`{setting}`: `{program}` ended with {}", output.status),
                    )
                    .hint("run it by hand to see what it says"));
                }
                output.stdout
            }
        };
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        Ok(SecretValue::new(bytes))
    }
}
