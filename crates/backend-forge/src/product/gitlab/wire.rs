//! What the API answers, as far as we read it. Format: GitLab's own REST documents (`doc/api` of its repository). No server was there to check it against.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;

/// A user.
#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) username: String,
    /// `active`, `blocked`, …
    #[serde(default)]
    pub(crate) state: Option<String>,
    /// Told to administrators only.
    #[serde(default)]
    pub(crate) is_admin: Option<bool>,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
}

/// A project.
#[derive(Debug, Deserialize)]
pub(crate) struct Project {
    pub(crate) id: u64,
    pub(crate) path_with_namespace: String,
    #[serde(default)]
    pub(crate) default_branch: Option<String>,
    /// Where it is fetched from by SSH.
    #[serde(default)]
    pub(crate) ssh_url_to_repo: Option<String>,
    /// Where the pipeline's file lies, where it is not the usual place.
    #[serde(default)]
    pub(crate) ci_config_path: Option<String>,
}

/// A group.
#[derive(Debug, Deserialize)]
pub(crate) struct Group {
    pub(crate) full_path: String,
}

/// An access token, without its value.
#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) revoked: Option<bool>,
    #[serde(default)]
    pub(crate) active: Option<bool>,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
    #[serde(default)]
    pub(crate) last_used_at: Option<String>,
    /// A date: the token ends at its beginning, UTC.
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
    /// Of tokens of groups and projects: their role.
    #[serde(default)]
    pub(crate) access_level: Option<u32>,
}

impl Token {
    /// Would it be let in? GitLab goes on listing what it refuses.
    pub(crate) fn lives(&self) -> bool {
        self.revoked != Some(true) && self.active != Some(false)
    }

    pub(crate) fn made(&self) -> Option<DateTime<Utc>> {
        time(self.created_at.as_deref())
    }

    pub(crate) fn ends(&self) -> Option<DateTime<Utc>> {
        day(self.expires_at.as_deref()).map(|day| day.and_time(NaiveTime::MIN).and_utc())
    }
}

/// A token that was just made: the only time its value is told.
#[derive(Deserialize)]
pub(crate) struct Made {
    pub(crate) id: u64,
    pub(crate) token: String,
}

/// A deploy key's public half.
#[derive(Debug, Deserialize)]
pub(crate) struct DeployKey {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) title: String,
    /// Algorithm, key, comment.
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
    #[serde(default)]
    pub(crate) can_push: bool,
}

/// A deploy token.
#[derive(Debug, Deserialize)]
pub(crate) struct DeployToken {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
    #[serde(default)]
    pub(crate) revoked: bool,
    #[serde(default)]
    pub(crate) expired: bool,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
}

/// A token that starts pipelines. Whoever made it is shown the whole of it, others its first four characters.
#[derive(Deserialize)]
pub(crate) struct Trigger {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
    #[serde(default)]
    pub(crate) last_used: Option<String>,
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
    #[serde(default)]
    pub(crate) token: String,
}

/// A runner. Lists show no token.
#[derive(Debug, Deserialize)]
pub(crate) struct Runner {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) runner_type: Option<String>,
    #[serde(default)]
    pub(crate) status: Option<String>,
    #[serde(default)]
    pub(crate) paused: Option<bool>,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
}

/// A CI/CD variable.
#[derive(Deserialize)]
pub(crate) struct Variable {
    pub(crate) key: String,
    /// None of a hidden one.
    #[serde(default)]
    pub(crate) value: Option<String>,
    /// `env_var` or `file`.
    #[serde(default)]
    pub(crate) variable_type: String,
    #[serde(default)]
    pub(crate) protected: bool,
    #[serde(default)]
    pub(crate) masked: bool,
    #[serde(default)]
    pub(crate) hidden: bool,
    /// False: `$NAME` in the value is replaced before a job is given it.
    #[serde(default)]
    pub(crate) raw: bool,
    /// Variables of the instance have none: they hold everywhere.
    #[serde(default = "everywhere")]
    pub(crate) environment_scope: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
}

fn everywhere() -> String {
    "*".to_owned()
}

/// A file of a repository.
#[derive(Debug, Deserialize)]
pub(crate) struct File {
    /// Base64.
    pub(crate) content: String,
}

/// An RFC 3339 time.
pub(crate) fn time(text: Option<&str>) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text?).ok()?.with_timezone(&Utc))
}

/// A date, also of a whole time.
pub(crate) fn day(text: Option<&str>) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text?.get(..10)?, "%Y-%m-%d").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_when_its_last_day_begins_and_no_time_is_no_time() {
        let token: Token =
            serde_json::from_str(r#"{"id":1,"expires_at":"2026-12-31","active":true}"#).expect("JSON");
        assert_eq!(token.ends().map(|at| at.to_rfc3339()).as_deref(), Some("2026-12-31T00:00:00+00:00"));
        assert!(token.lives() && token.made().is_none());
        for gone in [r#"{"id":1,"revoked":true}"#, r#"{"id":1,"active":false}"#] {
            let token: Token = serde_json::from_str(gone).expect("JSON");
            assert!(!token.lives(), "{gone}");
        }
        assert_eq!((time(Some("soon")), day(Some("ü"))), (None, None));
    }

    #[test]
    fn null_booleans_and_missing_scopes_are_read() {
        let text = r#"{"key":"A","value":null,"hidden":true}"#;
        let variable: Variable = serde_json::from_str(text).expect("JSON");
        assert!(variable.hidden && variable.value.is_none() && variable.environment_scope == "*");
    }
}
