//! The cloud account as issuer: a user has a few slots for keys, the cloud makes the key and tells its secret once, and needs a moment to know it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Duration, Utc};
use claviger_backend::{Error, ErrorKind, Issued, Operation, Result, Sibling, Verdict};
use claviger_core::{reference::Ref, secret::SecretValue};
use sha2::{Digest, Sha256};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{AccessKey, Estate, Planted},
    issuer::{absent, no_issuer},
    target::Target,
};

impl SimulatedBackend {
    pub(crate) async fn mint_key(
        &self,
        op: &Operation,
        subject: &Ref,
        value: Option<&SecretValue>,
    ) -> Result<Issued> {
        if value.is_some() {
            let message = format!("{subject}: the cloud makes the key itself");
            return Err(Error::new(ErrorKind::Invalid, "issue", message));
        }
        let (key, slots) = (op.key.to_string(), self.keys.0 as usize);
        self.mutate("issue", op, subject, |estate, target, now| {
            let Target::AccessKey { user, .. } = target else { return Err(no_issuer("issue", subject)) };
            let (id, secret) = drawn(estate, &key);
            let held = estate.cloud.users.get_mut(user).ok_or_else(|| absent("issue", subject))?;
            if held.keys.len() >= slots {
                let message = format!("{subject}: LimitExceeded: the user has {} keys", held.keys.len());
                return Err(Error::new(ErrorKind::Invalid, "issue", message));
            }
            let fresh = AccessKey {
                secret: Planted::from_secret(&secret),
                created_at: now,
                last_used_at: None,
                disabled: false,
            };
            held.keys.insert(id.clone(), fresh);
            estate.next_revision();
            let at = self.at(["iam", "user", user, "access-key", &id]);
            Ok(Change::made(Issued { at, minted: Some(secret), public_half: Some(id) }))
        })
        .await
    }

    /// Suspends a key or a role, or enables it again.
    pub(crate) async fn suspend(
        &self,
        operation: &'static str,
        op: &Operation,
        subject: &Ref,
        disabled: bool,
    ) -> Result<()> {
        self.mutate(operation, op, subject, |estate, target, _| {
            let held = match target {
                Target::AccessKey { user, id } => {
                    let key = estate.cloud.users.get_mut(user).and_then(|user| user.keys.get_mut(id));
                    key.map(|key| &mut key.disabled)
                }
                Target::Role(name) => estate.database.roles.get_mut(name).map(|role| &mut role.nologin),
                _ => return Err(no_issuer(operation, subject)),
            };
            let held = held.ok_or_else(|| absent(operation, subject))?;
            if *held == disabled {
                return Ok(Change::nothing(()));
            }
            *held = disabled;
            estate.next_revision();
            Ok(Change::made(()))
        })
        .await
    }

    pub(crate) fn keys_of(&self, estate: &Estate, user: &str, now: DateTime<Utc>) -> Vec<Sibling> {
        let keys = estate.cloud.users.get(user).map(|user| &user.keys).into_iter().flatten();
        keys.filter(|(_, key)| settled(estate, key, now))
            .map(|(id, key)| Sibling {
                at: self.at(["iam", "user", user, "access-key", id]),
                public_half: id.clone(),
                created_at: Some(key.created_at),
                active: !key.disabled,
            })
            .collect()
    }
}

/// What the cloud says to a request that is signed with this key.
pub(crate) fn verdict(estate: &Estate, key: Option<&AccessKey>, value: &[u8], now: DateTime<Utc>) -> Verdict {
    match key {
        Some(key) if key.disabled || !settled(estate, key, now) => {
            Verdict::Refused("InvalidClientTokenId".into())
        }
        Some(key) if key.secret.is(value) => Verdict::Accepted,
        Some(_) => Verdict::Refused("SignatureDoesNotMatch".into()),
        None => Verdict::Refused("InvalidClientTokenId".into()),
    }
}

/// Does the whole cloud know it by now?
fn settled(estate: &Estate, key: &AccessKey, now: DateTime<Utc>) -> bool {
    now >= key.created_at + Duration::seconds(i64::from(estate.settings.key_settle_seconds))
}

/// A function of estate, operation and revision: the same run gives the same file, and the same operation never the same key again.
fn drawn(estate: &Estate, key: &str) -> (String, SecretValue) {
    let digest = |what: &str| {
        let hash = Sha256::new().chain_update(estate.key.expose()).chain_update(key.as_bytes());
        hash.chain_update(estate.revision.to_be_bytes()).chain_update(what.as_bytes()).finalize()
    };
    const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digits =
        digest("id").iter().take(16).map(|byte| char::from(BASE32[usize::from(byte % 32)])).collect();
    let id: String = ["AKIA".to_owned(), digits].concat();
    (id, SecretValue::from_text(STANDARD.encode(&digest("secret")[..30])))
}
