//! What the API answers, as far as we read it. Format: Gitea's own description (`/swagger.v1.json`), checked against 1.26.0.

use chrono::{DateTime, Utc};
use serde::Deserialize;

/// A user.
#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) login: String,
    #[serde(default)]
    pub(crate) is_admin: bool,
    #[serde(default = "yes")]
    pub(crate) active: bool,
    #[serde(default)]
    pub(crate) prohibit_login: bool,
    #[serde(default)]
    pub(crate) restricted: bool,
    #[serde(default)]
    pub(crate) created: String,
    #[serde(default)]
    pub(crate) last_login: String,
}

fn yes() -> bool {
    true
}

/// An organisation.
#[derive(Debug, Deserialize)]
pub(crate) struct Organisation {
    pub(crate) name: String,
}

/// A repository.
#[derive(Debug, Deserialize)]
pub(crate) struct Repository {
    pub(crate) name: String,
    pub(crate) owner: RepositoryOwner,
    #[serde(default)]
    pub(crate) ssh_url: String,
    #[serde(default)]
    pub(crate) empty: bool,
}

/// Who owns a repository.
#[derive(Debug, Deserialize)]
pub(crate) struct RepositoryOwner {
    pub(crate) login: String,
}

/// What a search of repositories gives.
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    #[serde(default)]
    data: Vec<Repository>,
}

impl From<Found> for Vec<Repository> {
    fn from(found: Found) -> Self {
        found.data
    }
}

/// An access token, without its value.
#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// By this alone a value is known to be this token's. Kept in memory only.
    #[serde(default)]
    pub(crate) token_last_eight: String,
    #[serde(default)]
    pub(crate) created_at: String,
    #[serde(default)]
    pub(crate) last_used_at: String,
}

/// A deploy key's public half.
#[derive(Debug, Deserialize)]
pub(crate) struct DeployKey {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) fingerprint: String,
    #[serde(default)]
    pub(crate) read_only: bool,
    #[serde(default)]
    pub(crate) created_at: String,
}

/// A user's SSH key.
#[derive(Debug, Deserialize)]
pub(crate) struct PublicKey {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) fingerprint: String,
    #[serde(default)]
    pub(crate) created_at: String,
    #[serde(default)]
    pub(crate) last_used_at: String,
}

/// An OAuth application.
#[derive(Debug, Deserialize)]
pub(crate) struct Application {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) confidential_client: bool,
    #[serde(default)]
    pub(crate) redirect_uris: Vec<String>,
    #[serde(default)]
    pub(crate) created: String,
}

/// An Actions secret: everything but its value.
#[derive(Debug, Deserialize)]
pub(crate) struct Secret {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) created_at: String,
}

/// A webhook. Its signing secret is never shown; its authorization header is, and is a value.
#[derive(Deserialize)]
pub(crate) struct Hook {
    pub(crate) id: u64,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) config: HookConfig,
    #[serde(default)]
    pub(crate) authorization_header: String,
    #[serde(default)]
    pub(crate) active: bool,
    #[serde(default)]
    pub(crate) created_at: String,
    #[serde(default)]
    pub(crate) updated_at: String,
}

/// Where a webhook goes.
#[derive(Deserialize, Default)]
pub(crate) struct HookConfig {
    #[serde(default)]
    pub(crate) url: String,
}

/// A variable, whose value is shown.
#[derive(Deserialize)]
pub(crate) struct Variable {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) data: String,
}

/// A file or folder.
#[derive(Debug, Deserialize)]
pub(crate) struct Content {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    /// Base64, of one file that was asked for by its name.
    #[serde(default)]
    pub(crate) content: Option<String>,
}

/// An RFC 3339 time. Empty, year 1 and 1970 mean that there is none.
pub(crate) fn time(text: &str) -> Option<DateTime<Utc>> {
    let parsed = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    (parsed.timestamp() > 0).then_some(parsed)
}

/// The last use, which before the first one is the time of making.
pub(crate) fn last_use(used: &str, made: &str) -> Option<DateTime<Utc>> {
    time(used).filter(|used| time(made).is_none_or(|made| *used > made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_no_time_and_a_token_that_was_only_made_was_not_used() {
        assert_eq!(time("0001-01-01T00:00:00Z"), None);
        assert_eq!(time("1970-01-01T00:00:00Z"), None);
        let made = "2026-11-22T05:26:52Z";
        assert_eq!(last_use(made, made), None);
        assert!(last_use("2026-11-22T05:26:53Z", made).is_some());
        assert_eq!(last_use("", made), None);
    }
}
