//! What the API answers, as far as we read it. Format: GitHub's own description (npm `@octokit/openapi` 23.0.2), against which tests check each answer.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

/// A user or an organisation, as others show it.
#[derive(Debug, Deserialize)]
pub(super) struct Account {
    #[serde(default)]
    pub(super) id: u64,
    pub(super) login: String,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
}

impl Account {
    pub(super) fn is_organisation(&self) -> bool {
        self.kind == "Organization"
    }
}

/// A repository.
#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    #[serde(default)]
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) owner: Account,
    #[serde(default)]
    pub(super) default_branch: String,
}

/// Lists that stand in an object, beside their length.
macro_rules! pages {
    ($($(#[$doc:meta])* $page:ident { $field:ident: $item:ident })+) => {$(
        $(#[$doc])*
        #[derive(Deserialize)]
        pub(super) struct $page {
            #[serde(default)]
            $field: Vec<$item>,
        }

        impl From<$page> for Vec<$item> {
            fn from(page: $page) -> Self {
                page.$field
            }
        }
    )+};
}

pages! {
    /// Repositories.
    Repositories { repositories: Repository }
    /// Secrets.
    Secrets { secrets: Secret }
    /// Variables.
    Variables { variables: Variable }
    /// Environments.
    Environments { environments: Environment }
    /// Installations of Apps.
    Installations { installations: Installation }
}

/// A secret: everything but its value.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) created_at: String,
    pub(super) updated_at: String,
    /// Of an organisation's: `all`, `private` or `selected` repositories read it.
    #[serde(default)]
    pub(super) visibility: Option<String>,
}

/// The key that a secret is sealed for.
#[derive(Debug, Deserialize)]
pub(super) struct PublicKey {
    pub(super) key_id: String,
    pub(super) key: String,
}

/// A variable, whose value is shown.
#[derive(Deserialize)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    #[serde(default)]
    pub(super) updated_at: String,
}

/// An environment of a repository.
#[derive(Debug, Deserialize)]
pub(super) struct Environment {
    pub(super) name: String,
}

/// A deploy key's public half.
#[derive(Debug, Deserialize)]
pub(super) struct DeployKey {
    pub(super) id: u64,
    pub(super) key: String,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) read_only: bool,
    #[serde(default)]
    pub(super) created_at: String,
    #[serde(default)]
    pub(super) last_used: Option<String>,
    #[serde(default)]
    pub(super) enabled: Option<bool>,
}

/// A webhook. Of its secret a row of stars is shown, and nothing where it has none.
#[derive(Deserialize)]
pub(super) struct Hook {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) active: bool,
    pub(super) config: HookConfig,
    #[serde(default)]
    pub(super) created_at: String,
    #[serde(default)]
    pub(super) updated_at: String,
}

/// Where a webhook goes.
#[derive(Deserialize)]
pub(super) struct HookConfig {
    #[serde(default)]
    pub(super) url: String,
    #[serde(default)]
    pub(super) secret: Option<String>,
    #[serde(default)]
    pub(super) insecure_ssl: Option<serde_json::Value>,
}

/// An App, installed somewhere.
#[derive(Debug, Deserialize)]
pub(super) struct Installation {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) account: Option<Account>,
    #[serde(default)]
    pub(super) app_slug: String,
    #[serde(default)]
    pub(super) app_id: u64,
    #[serde(default)]
    pub(super) repository_selection: String,
    #[serde(default)]
    pub(super) permissions: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) created_at: String,
    #[serde(default)]
    pub(super) suspended_at: Option<String>,
}

/// What an organisation lets a fine-grained token do.
#[derive(Debug, Deserialize)]
pub(super) struct Grant {
    pub(super) id: u64,
    pub(super) owner: Account,
    #[serde(default)]
    pub(super) repository_selection: String,
    #[serde(default)]
    pub(super) permissions: Permissions,
    #[serde(default)]
    pub(super) access_granted_at: String,
    #[serde(default)]
    pub(super) token_name: String,
    #[serde(default)]
    pub(super) token_expired: bool,
    #[serde(default)]
    pub(super) token_expires_at: Option<String>,
    #[serde(default)]
    pub(super) token_last_used_at: Option<String>,
}

/// Rights by where they hold.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Permissions {
    #[serde(default)]
    pub(super) organization: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) repository: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) other: BTreeMap<String, String>,
}

/// A credential that its owner authorised for an organisation's single sign-on.
#[derive(Debug, Deserialize)]
pub(super) struct Authorisation {
    pub(super) login: String,
    pub(super) credential_id: u64,
    #[serde(default)]
    pub(super) credential_type: String,
    #[serde(default)]
    pub(super) token_last_eight: Option<String>,
    #[serde(default)]
    pub(super) credential_authorized_at: String,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    #[serde(default)]
    pub(super) fingerprint: Option<String>,
    #[serde(default)]
    pub(super) credential_accessed_at: Option<String>,
    #[serde(default)]
    pub(super) authorized_credential_note: Option<String>,
    #[serde(default)]
    pub(super) authorized_credential_expires_at: Option<String>,
}

/// What a job's token says of whom it is.
#[derive(Debug, Deserialize)]
pub(super) struct SubjectClaim {
    /// Of a repository: the forge's own form.
    #[serde(default)]
    pub(super) use_default: bool,
    #[serde(default)]
    pub(super) include_claim_keys: Vec<String>,
    /// Owner and repository stand in it with their numbers.
    #[serde(default)]
    pub(super) use_immutable_subject: bool,
    /// How it begins by now.
    #[serde(default)]
    pub(super) sub_claim_prefix: Option<String>,
}

/// A file or folder.
#[derive(Debug, Deserialize)]
pub(super) struct Content {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) path: String,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    /// Base64, of one file that was asked for by its name.
    #[serde(default)]
    pub(super) content: Option<String>,
}

/// An RFC 3339 time.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}
