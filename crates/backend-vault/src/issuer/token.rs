//! Another token that may do what a given one may: what can be made faithfully, how it is made, and how it is found if its value was lost.
//!
//! A server makes a token's value and tells it once. Metadata is the one thing of ours that it keeps with a token, so the operation key goes
//! there: whatever carries it was made by that operation and by nobody else. There is no index of metadata; the tokens are looked through,
//! each once in the life of this process, because metadata never changes.

use std::collections::{BTreeMap, BTreeSet};

use claviger_backend::{Effect, Error, ErrorKind, Issued, Operation, Prospect, Result};
use claviger_core::{model::Labels, reference::Ref, secret::SecretValue};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;

use super::{relabel, token_by_accessor};
use crate::{
    backend::VaultBackend,
    check::capabilities,
    inventory::{TokenInfo, own_token},
};

/// Where a token keeps our operation key.
pub(crate) const MARK: &str = "claviger-operation";
/// Tokens that one call looks at; what it saw is kept for the next.
const BUDGET: usize = 5000;
/// Lookups made at the same time.
const CONCURRENCY: usize = 8;
const ACCESSORS: &str = "auth/token/accessors";

/// The operation key in the metadata of each token that was looked at, by accessor.
pub(crate) type Marks = BTreeMap<String, Option<String>>;

/// Answer to the making of a token.
#[derive(Deserialize)]
struct Created {
    auth: Option<Given>,
}

#[derive(Deserialize)]
struct Given {
    client_token: String,
    accessor: String,
}

/// What a token role fixes for the tokens that are made with it. Older and newer names of the same setting.
#[derive(Deserialize)]
struct Role {
    #[serde(default)]
    orphan: bool,
    #[serde(default)]
    token_bound_cidrs: Option<Vec<String>>,
    #[serde(default)]
    token_period: u64,
    #[serde(default)]
    period: u64,
    #[serde(default)]
    token_explicit_max_ttl: u64,
    #[serde(default)]
    explicit_max_ttl: u64,
}

impl Role {
    fn period(&self) -> u64 {
        self.token_period.max(self.period)
    }

    fn explicit_max_ttl(&self) -> u64 {
        self.token_explicit_max_ttl.max(self.explicit_max_ttl)
    }
}

/// How a token that follows another is asked for.
struct Request {
    path: String,
    body: serde_json::Value,
    /// Only who has `sudo` on the path may ask for this.
    sudo: bool,
}

type Refused = (&'static str, String);

impl VaultBackend {
    pub(super) async fn token_prospect(&self, accessor: &str) -> Result<Prospect> {
        let Some(token) = token_by_accessor(&self.api, "prospect", accessor).await? else {
            return Ok(Prospect::refuse("already-gone", "its issuer no longer has it: scan again"));
        };
        if own_token(&self.api, "prospect").await?.is_some_and(|own| own.accessor == accessor) {
            let reason = "it is the token that claviger's own connection uses: rotating it would lock claviger out; use another one for the connection";
            return Ok(Prospect::refuse("self-lock", reason));
        }
        let request = match self.request("prospect", &token, "").await? {
            Ok(request) => request,
            Err((code, reason)) => return Ok(Prospect::refuse(code, reason)),
        };
        if let Some(reason) = self.lacks(&request).await? {
            return Ok(Prospect::refuse("no-permission", reason));
        }
        Ok(Prospect { notes: notes(&token), ..Prospect::default() })
    }

    /// Why our token cannot make it, or could not find it again.
    async fn lacks(&self, request: &Request) -> Result<Option<String>> {
        let make: &[&str] = if request.sudo { &["update", "sudo"] } else { &["update"] };
        let needs = [(request.path.as_str(), make), (ACCESSORS, &["list", "sudo"])];
        let paths = needs.map(|(path, _)| path.to_owned());
        let found = match capabilities(&self.api, "prospect", &paths).await {
            Ok(found) => found,
            // Whoever may not ask finds out when it is tried: that is before anything is changed.
            Err(error) if error.kind() == ErrorKind::Denied => return Ok(None),
            Err(error) => return Err(error),
        };
        let lacking = needs.iter().find_map(|(path, needed)| {
            let has = found.get(*path).map(Vec::as_slice).unwrap_or_default();
            let may = |name: &str| has.iter().any(|has| has == name || has == "root");
            let missing: Vec<&str> = needed.iter().copied().filter(|name| !may(name)).collect();
            (!missing.is_empty()).then(|| format!("our token lacks {} on {path}", missing.join(" and ")))
        });
        Ok(lacking.map(|text| format!("{text}: `claviger doctor` shows the rule to add")))
    }

    /// What has to be asked for, or why nothing could be that may do the same.
    async fn request(
        &self,
        operation: &'static str,
        token: &TokenInfo,
        mark: &str,
    ) -> Result<Result<Request, Refused>> {
        if let Some(refused) = unfaithful(token) {
            return Ok(Err(refused));
        }
        let Some(name) = token.role.as_deref().filter(|role| !role.is_empty()) else {
            return Ok(match cidrs(token.bound_cidrs.as_ref()) {
                bound if bound.is_empty() => Ok(successor(token, None, mark)),
                _ => Err((
                    "bound-cidrs",
                    "it is bound to source addresses, which only a token role can give another one: make a role with these token_bound_cidrs, and a token with it".to_owned(),
                )),
            });
        };
        let role: Option<Role> = self.api.get(operation, &format!("auth/token/roles/{name}")).await?;
        let Some(role) = role else {
            let reason = format!(
                "it was made with token role `{name}`, which is gone: make a token by hand, put it into the copies, and revoke this one"
            );
            return Ok(Err(("no-role", reason)));
        };
        Ok(match role_differs(token, &role) {
            Some(what) => Err((
                "role-changed",
                format!(
                    "token role `{name}` {what}: a token made with it now would be another one; set the role right, or make a token by hand"
                ),
            )),
            None => Ok(successor(token, Some((name, &role)), mark)),
        })
    }

    pub(super) async fn make_token(&self, op: &Operation, subject: &Ref, accessor: &str) -> Result<Issued> {
        let Some(old) = token_by_accessor(&self.api, "issue", accessor).await? else {
            let message = format!("{subject} is gone: there is nothing that the new one is to follow");
            return Err(Error::new(ErrorKind::NotFound, "issue", message));
        };
        let mark = op.key.to_string();
        let request = self.request("issue", &old, &mark).await?;
        let request = request.map_err(|(_, why)| Error::new(ErrorKind::Invalid, "issue", why))?;
        let before: BTreeSet<String> = self.api.list("issue", ACCESSORS).await?.into_iter().collect();

        let what = format!("POST {}", request.path);
        let call = self.api.call("issue", &what, true);
        let answer = self.api.post("issue", &request.path, &request.body, true).await?.good(call)?;
        let given = serde_json::from_slice::<Created>(&answer.body).ok().and_then(|created| created.auth);
        let given = given.ok_or_else(|| call.unreadable())?;
        let value = SecretValue::from_text(given.client_token);

        // From here on there is a token, so that an error leaves something to be found.
        let left = |error: Error| relabel(error, "issue").with_effect(Effect::Unknown);
        let made = token_by_accessor(&self.api, "issue", &given.accessor).await.map_err(left)?;
        let differs = made.map_or(Some("is gone again"), |made| differs(&old, &made));
        if let Some(what) = differs {
            let at = self.names.token(&given.accessor);
            self.revoke_now(&at, None).await.map_err(left)?;
            let message = format!(
                "the token that was made to follow {subject} {what} and was taken away again: it could not be made faithfully"
            );
            return Err(Error::new(ErrorKind::Invalid, "issue", message));
        }
        let after = self.api.list("issue", ACCESSORS).await.map_err(left)?;
        for other in after.iter().filter(|other| !before.contains(*other) && **other != given.accessor) {
            let other = token_by_accessor(&self.api, "issue", other).await.map_err(left)?;
            if other.as_ref().and_then(mark_of) == Some(mark.as_str()) {
                let message = "the request was carried out more than once".to_owned();
                return Err(Error::new(ErrorKind::Unexpected, "issue", message).with_effect(Effect::Unknown));
            }
        }
        Ok(Issued { at: self.names.token(&given.accessor), minted: Some(value), public_half: None })
    }

    /// Every token that carries this operation's key.
    pub(super) async fn marked_tokens(&self, op: &Operation) -> Result<Vec<Ref>> {
        let mark = op.key.to_string();
        let listed: BTreeSet<String> = self.api.list("made_by", ACCESSORS).await?.into_iter().collect();
        let mut marks = self.marks.lock().await;
        marks.retain(|accessor, _| listed.contains(accessor));
        let unseen: Vec<String> =
            listed.iter().filter(|accessor| !marks.contains_key(*accessor)).cloned().collect();
        let left = unseen.len().saturating_sub(BUDGET);
        let mut looked = stream::iter(unseen.into_iter().take(BUDGET))
            .map(|accessor| async move {
                let token = token_by_accessor(&self.api, "made_by", &accessor).await;
                (accessor, token)
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((accessor, token)) = looked.next().await {
            // One that ended after it was listed needs no more thought.
            if let Some(token) = token? {
                marks.insert(accessor, mark_of(&token).map(str::to_owned));
            }
        }
        if left > 0 {
            let message = format!("{left} tokens are still to be looked at for the one that was made");
            return Err(Error::new(ErrorKind::Unavailable, "made_by", message));
        }
        let ours = marks.iter().filter(|(_, found)| found.as_deref() == Some(mark.as_str()));
        Ok(ours.map(|(accessor, _)| self.names.token(accessor)).collect())
    }
}

fn mark_of(token: &TokenInfo) -> Option<&str> {
    token.meta.as_ref()?.get(MARK).map(String::as_str)
}

/// Why no other token can be made that may do the same, whatever our permissions.
fn unfaithful(token: &TokenInfo) -> Option<Refused> {
    let policies = || token.policies.iter().flatten();
    if policies().any(|policy| policy == "root") {
        let reason = "a root token is made by `operator generate-root` with the unseal keys, not by another token: make one there if one is needed, and revoke this one";
        return Some(("root-token", reason.to_owned()));
    }
    if token.kind == "batch" {
        let reason = "a batch token cannot be revoked or found again: let it end, and have the next one made where it came from";
        return Some(("batch-token", reason.to_owned()));
    }
    if token.num_uses > 0 {
        let reason = "its uses are limited, and each question whether it is accepted would spend one: have the next one made where it came from";
        return Some(("limited-uses", reason.to_owned()));
    }
    if !token.path.starts_with("auth/token/create") {
        let reason = format!(
            "it came from {}: whoever logs in there gets the next one; rotate what is used to log in, and revoke this one",
            token.path
        );
        return Some(("from-login", reason));
    }
    if !token.entity_id.is_empty() {
        let reason = format!(
            "it acts as entity {}, which it has from the token that made it; one that we make would not: have that one make the next",
            token.entity_id
        );
        return Some(("entity", reason));
    }
    None
}

/// How the role would make another token than this one.
fn role_differs(token: &TokenInfo, role: &Role) -> Option<&'static str> {
    if !role.orphan {
        return Some(
            "makes children of the token that asks, which would end with our login (set orphan = true)",
        );
    }
    if cidrs(token.bound_cidrs.as_ref()) != cidrs(role.token_bound_cidrs.as_ref()) {
        return Some("binds to other source addresses");
    }
    // A token does not keep its role's period as its own; at its making that was its TTL.
    if role.period() != 0 && token.period == 0 && role.period() != token.creation_ttl {
        return Some("gives another period");
    }
    if role.explicit_max_ttl() != 0 && role.explicit_max_ttl() != token.explicit_max_ttl {
        return Some("gives another maximum life");
    }
    None
}

fn successor(token: &TokenInfo, role: Option<(&str, &Role)>, mark: &str) -> Request {
    let policies: Vec<&String> = token.policies.iter().flatten().collect();
    let mut meta: Labels = token.meta.clone().unwrap_or_default();
    meta.insert(MARK.to_owned(), mark.to_owned());
    let mut body = json!({
        "policies": policies,
        "no_default_policy": !policies.iter().any(|policy| *policy == "default"),
        "meta": meta,
        "renewable": token.renewable.unwrap_or(false),
        "num_uses": 0,
        "type": "service",
    });
    // The server puts `token-` in front.
    if let Some(name) = token.display_name.strip_prefix("token-") {
        body["display_name"] = json!(name);
    }
    let seconds = |seconds: u64| json!(format!("{seconds}s"));
    // What the role says it gives by itself; to ask for a period takes `sudo`.
    let fixed = |of: fn(&Role) -> u64| role.is_some_and(|(_, role)| of(role) != 0);
    let asks_period = token.period > 0;
    if asks_period {
        body["period"] = seconds(token.period);
    }
    if token.period == 0 && token.creation_ttl > 0 && !fixed(Role::period) {
        body["ttl"] = seconds(token.creation_ttl);
    }
    if token.explicit_max_ttl > 0 && !fixed(Role::explicit_max_ttl) {
        body["explicit_max_ttl"] = seconds(token.explicit_max_ttl);
    }
    match role {
        Some((name, _)) => Request { path: format!("auth/token/create/{name}"), body, sudo: asks_period },
        // A child of ours would end with our login, and have our entity. Policies that we do not hold take `sudo`.
        None => Request { path: "auth/token/create-orphan".to_owned(), body, sudo: true },
    }
}

/// In what a new token is not what the old one is.
fn differs(old: &TokenInfo, new: &TokenInfo) -> Option<&'static str> {
    let set = |list: &Option<Vec<String>>| list.iter().flatten().cloned().collect::<BTreeSet<_>>();
    let meta = |token: &TokenInfo| {
        let mut meta = token.meta.clone().unwrap_or_default();
        meta.remove(MARK);
        meta
    };
    let checks = [
        (set(&old.policies) == set(&new.policies), "has other policies"),
        (set(&new.identity_policies).is_empty() && new.entity_id.is_empty(), "acts as an entity"),
        (old.period == new.period, "has another period"),
        (old.explicit_max_ttl == new.explicit_max_ttl, "has another maximum life"),
        (old.period > 0 || old.creation_ttl == new.creation_ttl, "has another TTL"),
        (new.num_uses == 0, "has limited uses"),
        (new.kind == old.kind, "is of another type"),
        (new.orphan, "is the child of another token"),
        (
            old.renewable.unwrap_or(false) == new.renewable.unwrap_or(false),
            "differs in whether it can be renewed",
        ),
        (
            cidrs(old.bound_cidrs.as_ref()) == cidrs(new.bound_cidrs.as_ref()),
            "is bound to other source addresses",
        ),
        (old.display_name == new.display_name, "has another display name"),
        (meta(old) == meta(new), "has other metadata"),
    ];
    checks.into_iter().find_map(|(same, what)| (!same).then_some(what))
}

fn cidrs(list: Option<&Vec<String>>) -> BTreeSet<&str> {
    list.into_iter().flatten().map(String::as_str).collect()
}

/// What follows from ending the old token and making another.
fn notes(token: &TokenInfo) -> Vec<String> {
    let mut notes = vec![
        "what was obtained with the old token ends with it: child tokens, and leases such as dynamic database logins; the server does not say which there are"
            .to_owned(),
    ];
    if !token.orphan {
        notes.push(
            "the old token is the child of one that the server does not name, and would have ended with that; the one that follows has no parent: only its own TTL, period and maximum end it"
                .to_owned(),
        );
    }
    if token.explicit_max_ttl > 0 {
        notes.push(format!(
            "its maximum life of {} s counts anew from when the one that follows is made",
            token.explicit_max_ttl
        ));
    }
    notes
}
