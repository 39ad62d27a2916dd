//! What the fake holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, SecondsFormat, Utc};
use crypto_box::SecretKey;
use serde_json::Value;

use super::super::twin::Twin;

/// A credential that is let in.
#[derive(Clone)]
pub(super) struct Token {
    /// User, or `app/<slug>`.
    pub(super) login: String,
    /// Owners that it sees with all that is theirs.
    pub(super) sees: BTreeSet<String>,
    /// `secrets` -> `write`; `*` for everything.
    pub(super) rights: BTreeMap<String, String>,
    /// True of an App's installation.
    pub(super) is_app: bool,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

impl Token {
    /// Is this right among its own?
    pub(super) fn may(&self, right: &str, write: bool) -> bool {
        let held = self.rights.get(right).or_else(|| self.rights.get("*"));
        held.is_some_and(|held| held == "write" || !write)
    }
}

/// A secret with the value that the fake took out of its box.
#[derive(Clone)]
pub(super) struct Secret {
    pub(super) value: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) visibility: Option<String>,
    pub(super) selected: Vec<u64>,
}

/// An installed App of our own.
pub(super) struct App {
    pub(super) id: String,
    pub(super) installation: u64,
    pub(super) account: String,
    pub(super) public_key: String,
    pub(super) rights: BTreeMap<String, String>,
    /// How long an installation's token works, in seconds.
    pub(super) lifetime: i64,
}

/// What happens to the next request that it fits.
pub(super) struct Trick {
    pub(super) method: &'static str,
    /// What the path contains.
    pub(super) part: String,
    pub(super) kind: TrickKind,
}

/// How it is tricked.
pub(super) enum TrickKind {
    /// Refused with this, and nothing is done.
    Refuse { status: u16, headers: Vec<(&'static str, String)>, message: &'static str },
    /// Done, and the answer breaks off.
    Cut,
    /// Done, and all public keys are replaced.
    TurnKeys,
    /// Answered as it should be, and the next page lies there.
    Elsewhere(String),
}

/// Everything. Places are the API's own paths: `repos/acme/shop/actions`, `orgs/acme/dependabot`, `repos/acme/shop/environments/live`.
#[derive(Default)]
pub(super) struct State {
    pub(super) tokens: BTreeMap<String, Token>,
    /// Client id -> client secret.
    pub(super) applications: BTreeMap<String, String>,
    pub(super) app: Option<App>,
    /// Organisations, and whether they have single sign-on.
    pub(super) organisations: BTreeMap<String, bool>,
    /// `acme/shop` -> number.
    pub(super) repositories: BTreeMap<String, u64>,
    pub(super) secrets: BTreeMap<String, BTreeMap<String, Secret>>,
    pub(super) keys: BTreeMap<String, (String, SecretKey)>,
    pub(super) variables: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) environments: BTreeMap<String, BTreeSet<String>>,
    pub(super) hooks: BTreeMap<String, Vec<Value>>,
    pub(super) deploy_keys: BTreeMap<String, BTreeMap<u64, Value>>,
    /// Who is told of each deploy key that comes or goes.
    pub(super) ssh: Option<Twin>,
    pub(super) installations: BTreeMap<String, Vec<Value>>,
    /// Organisation -> grants, each with its token's value.
    pub(super) grants: BTreeMap<String, Vec<(Value, String)>>,
    /// The same of classic tokens.
    pub(super) authorizations: BTreeMap<String, Vec<(Value, String)>>,
    pub(super) claims: BTreeMap<String, Value>,
    pub(super) alerts: BTreeMap<String, Vec<Value>>,
    pub(super) files: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) tricks: VecDeque<Trick>,
    /// Requests that are left, and when there are more.
    pub(super) budget: Option<(u64, DateTime<Utc>)>,
    /// The most items that a page holds, where it is less than GitHub's.
    pub(super) most: Option<usize>,
    pub(super) numbers: u64,
    pub(super) unchanged: usize,
    pub(super) requests: Vec<String>,
    pub(super) violations: Vec<String>,
}

impl State {
    /// A number that was not given yet.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        1000 + self.numbers
    }

    /// An answer that nothing has changed is not counted.
    pub(super) fn give_back(&mut self) {
        if let Some((left, _)) = &mut self.budget {
            *left += 1;
        }
    }

    /// Replaces all public keys.
    pub(super) fn turn_keys(&mut self) {
        let places: Vec<String> = self.keys.keys().cloned().collect();
        for place in places {
            let id = self.number().to_string();
            self.keys.insert(place, (id, super::fresh_key()));
        }
    }

    /// Files a secret as people do in the settings.
    pub(super) fn put(&mut self, place: &str, name: &str, value: &str) {
        let now = now();
        let secrets = self.secrets.entry(place.to_owned()).or_default();
        let before = secrets.get(name).cloned();
        let of_organisation = place.starts_with("orgs/").then(|| "private".to_owned());
        let secret = Secret {
            value: value.to_owned(),
            created_at: before.as_ref().map_or(now, |before| before.created_at),
            updated_at: now,
            visibility: before.as_ref().map_or(of_organisation, |before| before.visibility.clone()),
            selected: before.map(|before| before.selected).unwrap_or_default(),
        };
        secrets.insert(name.to_owned(), secret);
    }
}

#[expect(clippy::disallowed_methods, reason = "a server has a clock of its own")]
pub(super) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// To the second, as GitHub writes times.
pub(super) fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
