use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use claviger_backend::{
    Ending, Error, ErrorKind, Held, Identified, Issued, Issuer, Offer, Operation, Overlap, Presence, Probe,
    Prospect, Restore, Result, Sibling, ValueForm, ValueOrigin, Verdict,
};
use claviger_core::{reference::Ref, scram::SALT_BYTES, secret::SecretValue};
use sha2::{Digest, Sha256};

use crate::{
    SimulatedBackend, access_key,
    anchor::{Bound, EVERY, POD},
    backend::Change,
    deploy_key,
    estate::{AccessKey, Estate, ObjectKind, Password, Role, Secret, SecretType, Tombstone, VaultToken},
    root, static_role,
    target::Target,
    token,
    token_secret::{day_of, still_cached},
};

#[async_trait]
impl Issuer for SimulatedBackend {
    /// A role has one password; of tokens there may be any number, of access keys as many as there are slots. Of a Secret it is not known here
    /// whether it is a token's.
    fn offer(&self, subject: &Ref) -> Option<Offer> {
        match Target::parse("offer", subject).ok()? {
            Target::Role(_) => Some(Offer::set_by_us(Overlap::None, ValueForm::Password)),
            Target::Token(_) => Some(self.token_offer()),
            Target::StaticRole(_) => Some(static_role::offer()),
            Target::Connection(_) => Some(root::offer()),
            Target::DeployKey { .. } => Some(deploy_key::offer()),
            Target::AccessKey { .. } => Some(Offer {
                overlap: Overlap::Dual,
                origin: ValueOrigin::Minted,
                form: ValueForm::NotOurs,
                slots: Some(self.keys.0),
                settles_within: self.keys.1,
                last_used_grain: 0,
            }),
            Target::Object { object, key: None, .. } if object.kind == ObjectKind::Secret => Some(Offer {
                overlap: Overlap::Dual,
                origin: ValueOrigin::MintedByName,
                form: ValueForm::NotOurs,
                slots: None,
                settles_within: 0,
                last_used_grain: 86_400,
            }),
            _ => None,
        }
    }

    async fn prospect(&self, subject: &Ref) -> Result<Prospect> {
        match Target::parse("prospect", subject)? {
            Target::Token(accessor) => self.token_prospect(subject, &accessor).await,
            Target::StaticRole(name) => self.static_prospect(subject, &name).await,
            Target::Connection(name) => self.root_prospect(subject, &name).await,
            _ => Ok(Prospect::default()),
        }
    }

    async fn issue(&self, op: &Operation, subject: &Ref, value: Option<&SecretValue>) -> Result<Issued> {
        match Target::parse("issue", subject)? {
            Target::AccessKey { .. } => return self.mint_key(op, subject, value).await,
            Target::Token(_) if self.tells => return self.tell_token(op, subject, value).await,
            Target::StaticRole(_) => return self.change_static(op, subject, value).await,
            Target::Connection(_) => return self.change_root(op, subject, value).await,
            _ => {}
        }
        if matches!(Target::parse("issue", subject)?, Target::Object { .. }) {
            if value.is_some() {
                let message = format!("{subject}: the cluster makes the token itself");
                return Err(Error::new(ErrorKind::Invalid, "issue", message));
            }
            return self.issue_token(op, subject).await;
        }
        let Some(value) = value else {
            return Err(Error::new(
                ErrorKind::Invalid,
                "issue",
                format!("{subject}: the value is set by the caller"),
            ));
        };
        let key = op.key;
        match Target::parse("issue", subject)? {
            Target::Token(_) => return self.add_token(op, subject, value).await,
            Target::DeployKey { .. } => return self.add_deploy_key(op, subject, value).await,
            _ => {}
        }
        self.mutate("issue", op, subject, |estate, target, now| {
            let refused = value
                .expose()
                .iter()
                .any(|byte| estate.settings.refused_characters.as_bytes().contains(byte));
            let seed = estate.key.clone();
            let version = estate.revision + 1;
            let (name, role) = role_mut(estate, "issue", subject, target)?;
            if refused {
                let message = format!("{subject}: the value holds a character that the target refuses");
                return Err(Error::new(ErrorKind::Invalid, "issue", message));
            }
            let issued = Issued { at: subject.clone(), minted: None, public_half: None };
            if role.password.as_ref().is_some_and(|password| password.accepts(&name, value.expose())) {
                return Ok(Change::nothing(issued));
            }
            role.password = Some(Password::scram(value.expose(), &salt(seed.expose(), &key.to_string())));
            role.version = version;
            role.rotated_at = now;
            estate.revision = version;
            Ok(Change::made(issued))
        })
        .await
    }

    async fn issued(&self, op: &Operation, subject: &Ref) -> Result<Option<Issued>> {
        self.issued_token(op, subject).await
    }

    async fn verify(&self, subject: &Ref, value: &SecretValue) -> Result<Probe> {
        self.look("verify", subject, |estate, target, now| {
            let (verdict, method) = match &target {
                Target::Role(name) => (role_verdict(estate, name, value.expose(), now), "SCRAM login"),
                Target::ServiceAccount { .. } | Target::Pod { .. } => {
                    (bearer_verdict(estate, value.expose(), now), BEARER)
                }
                Target::Object { object, .. } if object.kind == ObjectKind::Secret => {
                    (bearer_verdict(estate, value.expose(), now), BEARER)
                }
                Target::AccessKey { .. } => {
                    let key = access_key(estate, &target);
                    (access_key::verdict(estate, key, value.expose(), now), "GetCallerIdentity")
                }
                Target::DeployKey { repository, .. } => {
                    (deploy_key::verdict(estate, repository, value), "git-upload-pack")
                }
                Target::Token(_) => {
                    let live =
                        estate.secret_store.tokens.values().any(|token| token_is(token, value.expose(), now));
                    let verdict = if live {
                        Verdict::Accepted
                    } else {
                        Verdict::Refused("403 from lookup-self: bad token".into())
                    };
                    (verdict, "GET auth/token/lookup-self")
                }
                _ => return Err(no_issuer("verify", subject)),
            };
            Ok(Probe { verdict, path: format!("{method} at {}/{}", self.info.name, target.part()) })
        })
        .await
    }

    async fn identify(&self, value: &SecretValue) -> Result<Option<Identified>> {
        let estate = self.survey("identify").await?;
        Ok(self.owner_of(&estate, value.expose()).map(|at| Identified { at }))
    }

    async fn added(&self, subject: &Ref, value: &SecretValue) -> Result<Option<Identified>> {
        let Target::DeployKey { repository, .. } = Target::parse("added", subject)? else {
            return self.identify(value).await;
        };
        let estate = self.survey("added").await?;
        Ok(self.deploy_key_of(&estate, &repository, value).map(|at| Identified { at }))
    }

    async fn snapshot(&self, subject: &Ref) -> Result<Option<Restore>> {
        self.look("snapshot", subject, |estate, target, _| {
            let Target::Role(name) = &target else { return Err(no_issuer("snapshot", subject)) };
            let role = estate.database.roles.get(name).ok_or_else(|| absent("snapshot", subject))?;
            Ok(role
                .password
                .as_ref()
                .map(|password| Restore(SecretValue::from_text(password.text().to_owned()))))
        })
        .await
    }

    async fn restore(&self, op: &Operation, subject: &Ref, saved: &Restore) -> Result<()> {
        self.mutate("restore", op, subject, |estate, target, now| {
            let version = estate.revision + 1;
            let (_, role) = role_mut(estate, "restore", subject, target)?;
            let password = saved.0.expose_text().and_then(Password::parse).ok_or_else(|| {
                Error::new(
                    ErrorKind::Invalid,
                    "restore",
                    format!("{subject}: not what a snapshot of a role gives"),
                )
            })?;
            if role.password.as_ref().is_some_and(|current| current.text() == password.text()) {
                return Ok(Change::nothing(()));
            }
            role.password = Some(password);
            role.version = version;
            role.rotated_at = now;
            estate.revision = version;
            Ok(Change::made(()))
        })
        .await
    }

    async fn presence(&self, subject: &Ref) -> Result<Presence> {
        self.look("presence", subject, |estate, target, _| {
            Ok(presence_of(estate, "presence", subject, &target)?.map_or(Presence::Absent, Presence::Present))
        })
        .await
    }

    async fn siblings(&self, subject: &Ref) -> Result<Vec<Sibling>> {
        self.look("siblings", subject, |estate, target, now| match &target {
            Target::AccessKey { user, .. } => Ok(self.keys_of(estate, user, now)),
            Target::Role(name) => Ok(self.turning(estate, name)),
            _ => self.tokens_beside(estate, subject, &target),
        })
        .await
    }

    async fn made_by(&self, op: &Operation, subject: &Ref) -> Result<Vec<Ref>> {
        let key = op.key.to_string();
        self.look("made_by", subject, |estate, target, _| match &target {
            Target::Token(_) => Ok(self.tokens_of(estate, &key)),
            _ => Err(no_issuer("made_by", subject)),
        })
        .await
    }

    async fn held(&self, subject: &Ref) -> Result<Option<Held>> {
        self.look("held", subject, |estate, target, _| match target {
            Target::StaticRole(name) => Ok(static_role::held(estate, &name)),
            _ => Err(no_issuer("held", subject)),
        })
        .await
    }

    async fn connects(&self, _op: &Operation, subject: &Ref) -> Result<Probe> {
        self.engine_logs_in(subject).await
    }

    async fn disable(&self, op: &Operation, subject: &Ref) -> Result<()> {
        match Target::parse("disable", subject)? {
            Target::Object { .. } => self.invalidate("disable", op, subject, true).await,
            _ => self.suspend("disable", op, subject, true).await,
        }
    }

    async fn enable(&self, op: &Operation, subject: &Ref) -> Result<()> {
        match Target::parse("enable", subject)? {
            Target::Object { .. } => self.invalidate("enable", op, subject, false).await,
            _ => self.suspend("enable", op, subject, false).await,
        }
    }

    fn ending(&self, subject: &Ref) -> Ending {
        self.ending_of(subject)
    }

    async fn revoke(&self, op: &Operation, subject: &Ref, expect: Option<&str>) -> Result<()> {
        let expect = expect.map(str::to_owned);
        self.mutate("revoke", op, subject, |estate, target, now| {
            if matches!(target, Target::StaticRole(_) | Target::Connection(_)) {
                return Err(no_issuer("revoke", subject));
            }
            let Some(present) = presence_of(estate, "revoke", subject, target)? else {
                return Ok(Change::nothing(()));
            };
            if expect.as_ref().is_some_and(|expected| *expected != present) {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "revoke",
                    format!("{subject} was made anew or changed"),
                ));
            }
            revoke(estate, target, now);
            estate.next_revision();
            Ok(Change::made(()))
        })
        .await
    }

    async fn last_used(&self, subject: &Ref) -> Result<Option<DateTime<Utc>>> {
        self.look("last_used", subject, |estate, target, _| match &target {
            Target::Role(name) => {
                let role = estate.database.roles.get(name).ok_or_else(|| absent("last_used", subject))?;
                Ok(role.last_used_at)
            }
            Target::AccessKey { .. } => {
                Ok(access_key(estate, &target).ok_or_else(|| absent("last_used", subject))?.last_used_at)
            }
            Target::Object { .. } => {
                let secret = token_secret(estate, "last_used", subject, &target)?;
                let secret = secret.ok_or_else(|| absent("last_used", subject))?;
                match &secret.kind {
                    SecretType::ServiceAccountToken { last_used, .. } => Ok(last_used.map(day_of)),
                    _ => Ok(None),
                }
            }
            Target::Token(_) | Target::DeployKey { .. } => Ok(None),
            _ => Err(no_issuer("last_used", subject)),
        })
        .await
    }
}

impl SimulatedBackend {
    /// Whose value is this?
    pub(crate) fn owner_of(&self, estate: &Estate, value: &[u8]) -> Option<Ref> {
        if let Some(claims) = token::read(&estate.key, value) {
            return Some(self.at(["k8s", &claims.namespace, "Secret", &claims.secret]));
        }
        for (user, held) in &estate.cloud.users {
            if let Some((id, _)) = held.keys.iter().find(|(_, key)| key.secret.is(value)) {
                return Some(self.at(["iam", "user", user, "access-key", id]));
            }
        }
        if let Some((accessor, _)) =
            estate.secret_store.tokens.iter().find(|(_, token)| token.value.is(value))
        {
            return Some(self.at(["auth", "token", "accessor", accessor]));
        }
        let accepts = |name: &str, role: &Role| {
            role.password.as_ref().is_some_and(|password| password.accepts(name, value))
        };
        let (role, _) = estate.database.roles.iter().find(|(name, role)| accepts(name, role))?;
        Some(self.at(["db", "role", role]))
    }
}

/// What the server says to a login as this role.
pub(crate) fn role_verdict(estate: &Estate, name: &str, value: &[u8], now: DateTime<Utc>) -> Verdict {
    let Some(role) = estate.database.roles.get(name) else {
        return Verdict::Inconclusive("28P01, and there is no such role".into());
    };
    if role.valid_until.is_some_and(|until| until <= now) {
        return Verdict::Inconclusive("28P01, and VALID UNTIL is over".into());
    }
    if !role.password.as_ref().is_some_and(|password| password.accepts(name, value)) {
        return Verdict::Refused("SQLSTATE 28P01".into());
    }
    if role.nologin {
        return Verdict::Inconclusive("28000: the role may not log in".into());
    }
    Verdict::Accepted
}

/// How a token is tried.
const BEARER: &str = "GET /api as bearer";

fn bearer_verdict(estate: &Estate, value: &[u8], now: DateTime<Utc>) -> Verdict {
    match token_accepted(estate, value, now) {
        true => Verdict::Accepted,
        false => Verdict::Refused("401 Unauthorized".into()),
    }
}

/// Does the cluster accept this token?
pub(crate) fn token_accepted(estate: &Estate, value: &[u8], now: DateTime<Utc>) -> bool {
    let Some(claims) = token::read(&estate.key, value) else { return false };
    let Some(namespace) = estate.cluster.namespaces.get(&claims.namespace) else { return false };
    let bound = Bound::read(&claims.secret);
    if bound.as_ref().is_some_and(|bound| bound.ends <= now.timestamp()) {
        return false;
    }
    let pod = bound.as_ref().and_then(|bound| bound.pod);
    let held = || {
        namespace.secrets.get(&claims.secret).is_some_and(|secret| match &secret.kind {
            SecretType::ServiceAccountToken { account, invalid_since, .. } => {
                *account == claims.account
                    && invalid_since.is_none_or(|since| still_cached(estate, since, now))
            }
            _ => false,
        })
    };
    let runs = pod.is_none_or(|uid| namespace.pods.values().any(|there| there.uid == uid));
    let live = (bound.is_some() && runs || bound.is_none() && held())
        && namespace.service_accounts.get(&claims.account).is_some_and(|account| account.uid == claims.uid);
    let window = Duration::seconds(i64::from(estate.settings.revoke_cache_seconds));
    let cached = |gone: &Tombstone| {
        gone.namespace == claims.namespace
            && (gone.secret == claims.secret
                || gone.secret == EVERY
                || pod.is_some_and(|uid| gone.secret.strip_prefix(POD) == Some(uid)))
            && gone.account == claims.account
            && gone.account_uid == claims.uid
            && now < gone.at + window
    };
    live || estate.cluster.tombstones.iter().any(cached)
}

fn token_is(token: &VaultToken, value: &[u8], now: DateTime<Utc>) -> bool {
    token.value.is(value) && token.expires_at.is_none_or(|until| now < until)
}

/// A function of estate and operation: the same crash sweep gives the same file.
pub(crate) fn salt(seed: &[u8], key: &str) -> [u8; SALT_BYTES] {
    let digest = Sha256::new().chain_update(seed).chain_update(key.as_bytes()).finalize();
    let mut salt = [0_u8; SALT_BYTES];
    salt.copy_from_slice(&digest[..SALT_BYTES]);
    salt
}

fn role_mut<'a>(
    estate: &'a mut Estate,
    operation: &'static str,
    subject: &Ref,
    target: &Target,
) -> Result<(String, &'a mut Role)> {
    let Target::Role(name) = target else { return Err(no_issuer(operation, subject)) };
    let role = estate.database.roles.get_mut(name).ok_or_else(|| absent(operation, subject))?;
    Ok((name.clone(), role))
}

pub(crate) fn access_key<'a>(estate: &'a Estate, target: &Target) -> Option<&'a AccessKey> {
    let Target::AccessKey { user, id } = target else { return None };
    estate.cloud.users.get(user)?.keys.get(id)
}

fn token_secret<'a>(
    estate: &'a Estate,
    operation: &'static str,
    subject: &Ref,
    target: &Target,
) -> Result<Option<&'a Secret>> {
    let Target::Object { namespace, object, key: None } = target else {
        return Err(no_issuer(operation, subject));
    };
    if object.kind != ObjectKind::Secret {
        return Err(no_issuer(operation, subject));
    }
    let Some(namespace) = estate.cluster.namespaces.get(namespace) else { return Ok(None) };
    if namespace.denied {
        return Err(Error::new(
            ErrorKind::Denied,
            operation,
            format!("{subject}: the namespace is closed to us"),
        ));
    }
    Ok(namespace.secrets.get(&object.name))
}

fn presence_of(
    estate: &Estate,
    operation: &'static str,
    subject: &Ref,
    target: &Target,
) -> Result<Option<String>> {
    Ok(match target {
        Target::Role(name) => estate
            .database
            .roles
            .get(name)
            .and_then(|role| role.password.as_ref().map(|_| role.version.to_string())),
        Target::AccessKey { id, .. } => access_key(estate, target).map(|_| id.clone()),
        Target::Token(accessor) => estate.secret_store.tokens.get(accessor).map(|_| accessor.clone()),
        Target::DeployKey { repository, id } => {
            deploy_key::find(estate, repository, id).map(|key| key.public.clone())
        }
        Target::StaticRole(name) => static_role::held(estate, name).map(|held| held.version),
        Target::Connection(name) => estate.secret_store.connections.get(name).map(|_| name.clone()),
        Target::Object { .. } => token_secret(estate, operation, subject, target)?
            // A token follows from the Secret's name and not from what is written to it.
            .map(|secret| match secret.kind {
                SecretType::ServiceAccountToken { .. } => secret.uid.clone(),
                _ => format!("{}:{}", secret.uid, secret.version),
            }),
        _ => return Err(no_issuer(operation, subject)),
    })
}

fn revoke(estate: &mut Estate, target: &Target, now: DateTime<Utc>) {
    let version = estate.revision + 1;
    match target {
        Target::Role(name) => {
            let turns = |other: &Role| other.acts_as.as_ref() == Some(name);
            let is_first = estate.database.roles.values().any(turns);
            if let Some(role) = estate.database.roles.get_mut(name) {
                role.password = None;
                role.version = version;
                // One of two that take turns rests.
                role.nologin |= is_first || role.acts_as.is_some();
            }
        }
        Target::AccessKey { user, id } => {
            if let Some(user) = estate.cloud.users.get_mut(user) {
                user.keys.remove(id);
            }
        }
        Target::Token(accessor) => {
            estate.secret_store.tokens.remove(accessor);
        }
        Target::DeployKey { repository, id } => {
            if let Some(keys) = estate.forge.deploy_keys.get_mut(repository) {
                keys.remove(id);
            }
        }
        Target::Object { namespace, object, .. } => {
            let Some(held) = estate.cluster.namespaces.get_mut(namespace) else { return };
            let Some(secret) = held.secrets.remove(&object.name) else { return };
            if let SecretType::ServiceAccountToken { account, .. } = secret.kind
                && let Some(uid) = held.service_accounts.get(&account).map(|account| account.uid.clone())
            {
                estate.cluster.tombstones.push(Tombstone {
                    namespace: namespace.clone(),
                    secret: object.name.clone(),
                    account,
                    account_uid: uid,
                    at: now,
                });
            }
        }
        Target::StaticRole(_)
        | Target::Connection(_)
        | Target::Kv { .. }
        | Target::ForgeSecret { .. }
        | Target::ServiceAccount { .. }
        | Target::Pod { .. }
        | Target::Entity(_)
        | Target::KubernetesRole(_)
        | Target::UserBinding(_)
        | Target::Deployment { .. }
        | Target::Literal { .. } => {}
    }
}

pub(crate) fn absent(operation: &'static str, subject: &Ref) -> Error {
    Error::new(ErrorKind::NotFound, operation, format!("{subject} does not exist"))
}

pub(crate) fn no_issuer(operation: &'static str, subject: &Ref) -> Error {
    Error::new(ErrorKind::Unsupported, operation, format!("{subject} has no issuer here that can do this"))
}
