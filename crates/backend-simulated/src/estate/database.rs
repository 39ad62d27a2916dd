use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use claviger_core::{scram, secret::SecretValue};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// A database server.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Login roles by name.
    pub roles: BTreeMap<String, Role>,
}

/// A login role. It has one password: setting another ends it at once.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its password, as the server keeps it; `None` where it was taken away.
    pub password: Option<Password>,
    /// Raised with each change of the password.
    pub version: u64,
    /// When the role was made.
    pub created_at: DateTime<Utc>,
    /// When the password was last set.
    pub rotated_at: DateTime<Utc>,
    /// Last login that the server saw.
    #[serde(default)]
    pub last_used_at: Option<DateTime<Utc>>,
    /// `VALID UNTIL`.
    #[serde(default)]
    pub valid_until: Option<DateTime<Utc>>,
    /// `NOLOGIN` where true.
    #[serde(default)]
    pub nologin: bool,
    /// `SUPERUSER`.
    #[serde(default)]
    pub superuser: bool,
    /// `CREATEROLE`.
    #[serde(default)]
    pub createrole: bool,
    /// `REPLICATION`.
    #[serde(default)]
    pub replication: bool,
    /// The role that each of its sessions is: the first of two that take turns.
    #[serde(default)]
    pub acts_as: Option<String>,
    /// The operation that made it, where a backend did.
    #[serde(default)]
    pub made_by: Option<String>,
    /// Sessions of it.
    #[serde(default)]
    pub sessions: Vec<Session>,
}

/// A session of a role.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// When it was begun.
    pub begun_at: DateTime<Utc>,
    /// When it ends.
    pub ends_at: DateTime<Utc>,
    /// Where it comes from.
    pub from: String,
}

/// What the server keeps of a password.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Password {
    /// `SCRAM-SHA-256$…`.
    ScramSha256(String),
    /// `md5…`.
    Md5(String),
}

impl Password {
    /// A SCRAM verifier as PostgreSQL would make it.
    pub fn scram(value: &[u8], salt: &[u8; scram::SALT_BYTES]) -> Self {
        Self::ScramSha256(scram::build(&SecretValue::new(value.to_vec()), salt, scram::ITERATIONS))
    }

    /// An md5 password as PostgreSQL would keep it.
    pub fn md5(value: &[u8], role: &str) -> Self {
        let mut hash = Md5::new();
        hash.update(value);
        hash.update(role.as_bytes());
        Self::Md5(format!("md5{}", hex::encode(hash.finalize())))
    }

    /// Is `value` this password?
    pub fn accepts(&self, role: &str, value: &[u8]) -> bool {
        let candidate = SecretValue::new(value.to_vec());
        match self {
            Self::ScramSha256(verifier) => scram::matches(verifier, &candidate),
            Self::Md5(stored) => scram::md5_matches(stored, role, &candidate),
        }
    }

    /// The text of `rolpassword`.
    pub fn text(&self) -> &str {
        match self {
            Self::ScramSha256(text) | Self::Md5(text) => text,
        }
    }

    /// Reads the text of `rolpassword`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with("SCRAM-SHA-256$") {
            Some(Self::ScramSha256(text.to_owned()))
        } else if text.starts_with("md5") && text.len() == 35 {
            Some(Self::Md5(text.to_owned()))
        } else {
            None
        }
    }

    /// `scram-sha-256` or `md5`.
    pub fn method(&self) -> &'static str {
        match self {
            Self::ScramSha256(_) => "scram-sha-256",
            Self::Md5(_) => "md5",
        }
    }
}
