//! Tokens and secret-ids at their issuer: whose is this value, is it accepted, is it gone.

mod login;
mod probe;
mod root;
mod static_role;
mod token;
mod whole;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::{
    Effect, Ending, Error, ErrorKind, Held, Identified, Issued, Issuer, Offer, Operation, Overlap, Presence,
    Probe, Prospect, Restore, Result, Sibling, ValueForm, ValueOrigin,
};
use claviger_core::{reference::Ref, secret::SecretValue};
use serde::Deserialize;
use serde_json::json;

pub(crate) use self::{
    login::Origins,
    token::{MARK, Marks},
};
use crate::{
    backend::VaultBackend,
    client::Api,
    inventory::{SecretIdInfo, TokenInfo, own_token},
    mounts::{MountKind, Mounts},
    names::{Names, Subject},
};

/// Answer to the making of a secret-id; the value in it is ours, and not read.
#[derive(Deserialize)]
struct Added {
    secret_id_accessor: String,
}

/// AppRoles as they were a moment ago.
pub(crate) struct Roles {
    read_at: DateTime<Utc>,
    found: Arc<Vec<(String, String)>>,
    denied: Option<String>,
}

/// What a token can be: a service token's prefixes (`hvs.`, `hvr.`, `s.`, `r.`, optionally with a namespace behind a dot), or anything an
/// operator chose for a dev server's root or by `-id`, of which only UUIDs are recognised. Batch tokens (`hvb.`, `b.`) have no accessor,
/// so no name.
fn may_be_token(text: &str) -> bool {
    let body = |rest: &str| {
        rest.len() >= 20
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    ["hvs.", "hvr.", "s.", "r."].iter().any(|prefix| text.strip_prefix(prefix).is_some_and(body))
        || is_uuid(text)
}

/// Secret-ids that the server makes are UUIDs. Custom ones may be anything and are not guessed at.
fn may_be_secret_id(text: &str) -> bool {
    is_uuid(text)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A token by its accessor; `None` when there is none such. No use of the token is counted.
pub(crate) async fn token_by_accessor(
    api: &Api,
    operation: &'static str,
    accessor: &str,
) -> Result<Option<TokenInfo>> {
    let path = "auth/token/lookup-accessor";
    let call = api.call(operation, "POST auth/token/lookup-accessor", false);
    let answer = api.post(operation, path, &json!({ "accessor": accessor }), false).await?;
    // OpenBao says 400, Vault 403 or 404; a 403 without these words is a denial.
    if answer.status == 404 || answer.says("invalid accessor") || answer.says("bad token") {
        return Ok(None);
    }
    answer.good(call)?.data(call)
}

/// A secret-id by its accessor; `None` when there is none such, or no such role.
pub(crate) async fn secret_id_by_accessor(
    api: &Api,
    operation: &'static str,
    mount: &str,
    role: &str,
    accessor: &str,
) -> Result<Option<SecretIdInfo>> {
    let path = format!("{mount}/role/{role}/secret-id-accessor/lookup");
    let call = api.call(operation, &path, false);
    let answer = api.post(operation, &path, &json!({ "secret_id_accessor": accessor }), false).await?;
    if answer.status == 404 || answer.says("failed to find accessor entry") || answer.says("does not exist") {
        return Ok(None);
    }
    answer.good(call)?.data(call)
}

impl VaultBackend {
    /// The token with this value; `None` when the server knows none such. No use of it is counted.
    async fn token_by_value(&self, operation: &'static str, value: &str) -> Result<Option<TokenInfo>> {
        let call = self.api.call(operation, "POST auth/token/lookup", false);
        let answer = self.api.post(operation, "auth/token/lookup", &json!({ "token": value }), false).await?;
        if answer.status == 404 || answer.says("bad token") {
            return Ok(None);
        }
        answer.good(call)?.data(call)
    }

    /// The secret-id with this value under this role. No use of it is counted.
    async fn secret_id_by_value(
        &self,
        operation: &'static str,
        mount: &str,
        role: &str,
        value: &str,
    ) -> Result<Option<SecretIdInfo>> {
        let path = format!("{mount}/role/{role}/secret-id/lookup");
        let call = self.api.call(operation, &path, false);
        let answer = self.api.post(operation, &path, &json!({ "secret_id": value }), false).await?;
        if matches!(answer.status, 204 | 404) {
            return Ok(None);
        }
        answer.good(call)?.data(call)
    }

    async fn identify_secret_id(&self, value: &str) -> Result<Option<Identified>> {
        let (roles, mut denied) = self.roles().await?;
        for (mount, role) in roles.iter() {
            match self.secret_id_by_value("identify", mount, role, value).await {
                Ok(Some(found)) => {
                    return Ok(Some(Identified {
                        at: self.names.secret_id(mount, role, &found.secret_id_accessor),
                    }));
                }
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Denied => denied = Some(error.message().to_owned()),
                Err(error) => return Err(error),
            }
        }
        // "Not one of ours" may be said only when every role could be asked.
        denied.map_or(Ok(None), |message| Err(Error::new(ErrorKind::Denied, "identify", message)))
    }

    /// Every AppRole as (mount, role), and why some may be missing; at most a minute old.
    async fn roles(&self) -> Result<(Arc<Vec<(String, String)>>, Option<String>)> {
        let mut known = self.roles.lock().await;
        let now = self.api.clock().now();
        if let Some(roles) =
            known.as_ref().filter(|roles| (now - roles.read_at).abs() < TimeDelta::seconds(60))
        {
            return Ok((Arc::clone(&roles.found), roles.denied.clone()));
        }
        let mounts = Mounts::read(&self.api, &self.filter, &self.extra).await?;
        let (mut found, mut denied) = (Vec::new(), None);
        for mount in mounts.mounts.iter().filter(|mount| mount.kind == MountKind::AppRole) {
            match self.api.list("identify", &format!("{}/role", mount.path)).await {
                Ok(roles) => found.extend(roles.into_iter().map(|role| (mount.path.clone(), role))),
                Err(error) if error.kind() == ErrorKind::Denied => denied = Some(error.message().to_owned()),
                Err(error) => return Err(error),
            }
        }
        let found = Arc::new(found);
        *known = Some(Roles { read_at: now, found: Arc::clone(&found), denied: denied.clone() });
        Ok((found, denied))
    }

    fn unsupported<T>(operation: &'static str, why: &str) -> Result<T> {
        Err(Error::new(ErrorKind::Unsupported, operation, why))
    }
}

/// Tokens, AppRole secret-ids, and the passwords of static roles, which the database engine makes and holds: it is asked to change one, and shows
/// it. Whether one logs in with it is for the database to say. Certificates are listed by the inventory and not handled here yet.
///
/// A destroyed secret-id stops logging in at once, but **the tokens that it gave live on** until they end: they are credentials of their own
/// (`auth/token/accessor/…`, identity = the role), and a revocation of the secret-id ends them too ([`claviger_backend::Offspring`]).
#[async_trait]
impl Issuer for VaultBackend {
    /// A role may have any number of secret-ids, and there may be any number of tokens that may do the same.
    fn offer(&self, subject: &Ref) -> Option<Offer> {
        match Names::subject(subject) {
            Subject::SecretId { .. } => Some(Offer::set_by_us(Overlap::Dual, ValueForm::Uuid)),
            Subject::Token { .. } => Some(Offer {
                overlap: Overlap::Dual,
                origin: ValueOrigin::MintedMarked,
                form: ValueForm::NotOurs,
                slots: None,
                settles_within: 0,
                last_used_grain: 0,
            }),
            Subject::StaticRole { .. } => Some(Offer {
                overlap: Overlap::None,
                origin: ValueOrigin::Asked,
                form: ValueForm::NotOurs,
                slots: None,
                settles_within: 0,
                last_used_grain: 0,
            }),
            Subject::Root { .. } => Some(Offer {
                overlap: Overlap::None,
                origin: ValueOrigin::Hidden,
                form: ValueForm::NotOurs,
                slots: None,
                settles_within: 0,
                last_used_grain: 0,
            }),
            Subject::Path { .. } => None,
        }
    }

    async fn prospect(&self, subject: &Ref) -> Result<Prospect> {
        match Names::subject(subject) {
            Subject::Token { accessor } => self.token_prospect(&accessor).await,
            Subject::StaticRole { mount, name } => self.static_prospect(&mount, &name).await,
            Subject::Root { mount, name } => self.root_prospect(&mount, &name).await,
            Subject::SecretId { .. } | Subject::Path { .. } => Ok(Prospect::default()),
        }
    }

    /// Adds a secret-id whose value we chose, so that an answer that was lost loses nothing, or has a token made, which carries our operation
    /// key. Either has the limits and the metadata of the one it follows.
    async fn issue(&self, op: &Operation, subject: &Ref, value: Option<&SecretValue>) -> Result<Issued> {
        let issued = async {
            match Names::subject(subject) {
                Subject::SecretId { mount, role, accessor } => {
                    let value = value.and_then(SecretValue::expose_text).ok_or_else(|| {
                        let text = "the value of a secret-id has to be given, as text";
                        Error::new(ErrorKind::Invalid, "issue", text)
                    })?;
                    let added = self.add_secret_id(op, &mount, &role, &accessor, value).await?;
                    let at = self.names.secret_id(&mount, &role, &added);
                    Ok(Issued { at, minted: None, public_half: None })
                }
                Subject::Token { .. } | Subject::StaticRole { .. } | Subject::Root { .. }
                    if value.is_some() =>
                {
                    let text = "the server makes the value of a token, a static role or a root itself";
                    Err(Error::new(ErrorKind::Invalid, "issue", text))
                }
                Subject::StaticRole { mount, name } => self.ask(subject, &mount, &name).await,
                Subject::Root { mount, name } => self.rotate_root(subject, &mount, &name).await,
                Subject::Token { accessor } => self.make_token(op, subject, &accessor).await,
                Subject::Path { .. } => Self::unsupported(
                    "issue",
                    "only tokens, secret-ids and passwords of static roles are made",
                ),
            }
        };
        match tokio::time::timeout(op.deadline, issued).await {
            Ok(issued) => issued,
            Err(_) => Err(Error::new(
                ErrorKind::Unavailable,
                "issue",
                format!("{subject}: no answer by the deadline"),
            )
            .with_effect(Effect::Unknown)),
        }
    }

    /// Tokens: `GET auth/token/lookup-self` with the value. Secret-ids: a login, whose token is revoked at once. A value with a limited
    /// number of uses is not tried, because trying would spend one.
    async fn issued(&self, _op: &Operation, _subject: &Ref) -> Result<Option<Issued>> {
        Self::unsupported("issued", "tokens and secret-ids are found by their value")
    }

    async fn verify(&self, subject: &Ref, value: &SecretValue) -> Result<Probe> {
        match Names::subject(subject) {
            Subject::Token { accessor } => self.probe_token(&accessor, value).await,
            Subject::SecretId { mount, role, accessor } => {
                self.probe_secret_id(&mount, &role, &accessor, value).await
            }
            Subject::StaticRole { .. } | Subject::Root { .. } | Subject::Path { .. } => {
                Self::unsupported("verify", "only tokens and secret-ids can be tried")
            }
        }
    }

    async fn identify(&self, value: &SecretValue) -> Result<Option<Identified>> {
        let Some(text) = value.expose_text() else { return Ok(None) };
        if may_be_token(text)
            && let Some(found) =
                self.token_by_value("identify", text).await?.filter(|found| !found.accessor.is_empty())
        {
            return Ok(Some(Identified { at: self.names.token(&found.accessor) }));
        }
        if may_be_secret_id(text) { self.identify_secret_id(text).await } else { Ok(None) }
    }

    async fn snapshot(&self, _subject: &Ref) -> Result<Option<Restore>> {
        Ok(None)
    }

    async fn restore(&self, _op: &Operation, _subject: &Ref, _saved: &Restore) -> Result<()> {
        Self::unsupported("restore", "a revoked token or secret-id cannot be put back")
    }

    /// The presence token is the accessor with the time of creation: accessors are random and never come again.
    async fn presence(&self, subject: &Ref) -> Result<Presence> {
        let found = match Names::subject(subject) {
            Subject::Token { accessor } => token_by_accessor(&self.api, "presence", &accessor)
                .await?
                .map(|token| format!("{accessor}@{}", token.creation_time)),
            Subject::SecretId { mount, role, accessor } => {
                let found = secret_id_by_accessor(&self.api, "presence", &mount, &role, &accessor).await?;
                found.map(|found| format!("{accessor}@{}", found.creation_time))
            }
            Subject::StaticRole { mount, name } => {
                let found = self.static_role("presence", &mount, &name).await?;
                found.map(|found| found.last_vault_rotation)
            }
            // The server tells of no change of it.
            Subject::Root { mount, name } => {
                self.connection("presence", &mount, &name).await?.map(|_| format!("{mount}/{name}"))
            }
            Subject::Path { .. } => {
                return Self::unsupported(
                    "presence",
                    "only tokens, secret-ids and static roles are looked up",
                );
            }
        };
        Ok(found.map_or(Presence::Absent, Presence::Present))
    }

    async fn siblings(&self, _subject: &Ref) -> Result<Vec<Sibling>> {
        Self::unsupported("siblings", "tokens and secret-ids are found by their value")
    }

    async fn made_by(&self, op: &Operation, subject: &Ref) -> Result<Vec<Ref>> {
        match Names::subject(subject) {
            Subject::Token { .. } => self.marked_tokens(op).await,
            _ => Self::unsupported("made_by", "only tokens carry a mark"),
        }
    }

    async fn held(&self, subject: &Ref) -> Result<Option<Held>> {
        match Names::subject(subject) {
            Subject::StaticRole { mount, name } => self.shown("held", &mount, &name).await,
            _ => Self::unsupported("held", "only the password of a static role is shown"),
        }
    }

    async fn connects(&self, op: &Operation, subject: &Ref) -> Result<Probe> {
        let Subject::Root { mount, name } = Names::subject(subject) else {
            return Self::unsupported("connects", "only database connections log in somewhere");
        };
        match tokio::time::timeout(op.deadline, self.connect(subject, &mount, &name)).await {
            Ok(probe) => probe,
            Err(_) => {
                let message = format!("{subject}: no answer by the deadline");
                Err(Error::new(ErrorKind::Unavailable, "connects", message).with_effect(Effect::Unknown))
            }
        }
    }

    async fn disable(&self, _op: &Operation, _subject: &Ref) -> Result<()> {
        Self::unsupported("disable", "a token or secret-id cannot be suspended")
    }

    async fn enable(&self, _op: &Operation, _subject: &Ref) -> Result<()> {
        Self::unsupported("enable", "a token or secret-id cannot be suspended")
    }

    fn ending(&self, subject: &Ref) -> Ending {
        self.ending_of(subject)
    }

    async fn revoke(&self, op: &Operation, subject: &Ref, expect: Option<&str>) -> Result<()> {
        match tokio::time::timeout(op.deadline, self.revoke_now(subject, expect)).await {
            Ok(done) => done,
            Err(_) => Err(Error::new(
                ErrorKind::Unavailable,
                "revoke",
                format!("{subject}: no answer by the deadline"),
            )
            .with_effect(Effect::Unknown)),
        }
    }

    /// No server knows when a token or secret-id was last used.
    async fn last_used(&self, _subject: &Ref) -> Result<Option<DateTime<Utc>>> {
        Ok(None)
    }
}

impl VaultBackend {
    /// Gives the new accessor; that of a secret-id with this value, if there is one already.
    async fn add_secret_id(
        &self,
        op: &Operation,
        mount: &str,
        role: &str,
        old: &str,
        value: &str,
    ) -> Result<String> {
        if let Some(known) = self.secret_id_by_value("issue", mount, role, value).await? {
            return Ok(known.secret_id_accessor);
        }
        let Some(old) = secret_id_by_accessor(&self.api, "issue", mount, role, old).await? else {
            let message =
                format!("role {role} at {mount} no longer has the secret-id that the new one is to follow");
            return Err(Error::new(ErrorKind::NotFound, "issue", message));
        };
        let path = format!("{mount}/role/{role}/custom-secret-id");
        let call = self.api.call("issue", &path, true);
        let answer = self.api.post("issue", &path, &old.successor(value, &op.key.to_string()), true).await?;
        let added: Option<Added> = answer.good(call)?.data(call)?;
        added.map(|added| added.secret_id_accessor).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "issue", format!("{path} answered without an accessor"))
                .with_effect(Effect::Unknown)
        })
    }

    async fn revoke_now(&self, subject: &Ref, expect: Option<&str>) -> Result<()> {
        // Asked first, because destroying an absent secret-id is a server error (HTTP 500) and not an answer.
        match self.presence(subject).await.map_err(|error| relabel(error, "revoke"))? {
            Presence::Absent => return Ok(()),
            Presence::Present(found) if expect.is_some_and(|expected| expected != found) => {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "revoke",
                    format!("{subject} is not what was planned to be revoked"),
                ));
            }
            Presence::Present(_) => {}
        }
        let held = self.api.held().await?;
        match Names::subject(subject) {
            Subject::Token { accessor } => {
                if own_token(&self.api, "revoke").await?.is_some_and(|own| own.accessor == accessor) {
                    let message = format!("{subject} is the token that this backend itself works with");
                    return Err(Error::new(ErrorKind::Invalid, "revoke", message)
                        .with_hint("configure another token first"));
                }
                let call = self.api.call("revoke", "POST auth/token/revoke-accessor", true);
                self.api.typed(call, vaultrs::token::revoke_accessor(&held.typed, &accessor)).await
            }
            Subject::SecretId { mount, role, accessor } => {
                let what = format!("POST {mount}/role/{role}/secret-id-accessor/destroy");
                let call = self.api.call("revoke", &what, true);
                let login = mount.strip_prefix("auth/").unwrap_or(&mount);
                let destroyed = vaultrs::auth::approle::role::secret::delete_accessor(
                    &held.typed,
                    login,
                    &role,
                    &accessor,
                );
                self.api.typed(call, destroyed).await
            }
            Subject::StaticRole { .. } | Subject::Root { .. } | Subject::Path { .. } => {
                Self::unsupported("revoke", "only tokens and secret-ids are revoked")
            }
        }
    }
}

/// The same failure as part of another operation.
fn relabel(error: Error, operation: &'static str) -> Error {
    let same = Error::new(error.kind(), operation, error.message())
        .with_effect(error.effect())
        .with_retry(error.retry());
    match error.hint() {
        Some(hint) => same.with_hint(hint),
        None => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_one_is_sent_to_the_server() {
        for token in [
            "s.wzaKD3qwgwzXaeplgtE63YaL",
            "hvs.CAESIJ-abcdefghijklmnop_qrst",
            "82eb7f8a-5ab8-cd3a-91df-d14e46ba2b71",
        ] {
            assert!(may_be_token(token), "{token}");
        }
        for other in [
            "",
            "hunter2",
            "s.short",
            "s.has a space in it, quite long",
            "postgres://u:p@h/db",
            "82eb7f8a-5ab8-cd3a-91df-d14e46ba2b7g",
        ] {
            assert!(!may_be_token(other), "{other}");
            assert!(!may_be_secret_id(other), "{other}");
        }
    }
}
