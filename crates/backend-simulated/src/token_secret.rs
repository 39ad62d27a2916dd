//! The cluster as the issuer of legacy tokens: another one is another token Secret, under a name that follows from the operation.

use chrono::{DateTime, Duration, NaiveTime, Utc};
use claviger_backend::{Error, ErrorKind, Issued, Operation, Result, Sibling};
use claviger_core::{model::Labels, reference::Ref};
use sha2::{Digest, Sha256};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Estate, Namespace, ObjectKind, Secret, SecretType},
    issuer::{absent, no_issuer},
    target::Target,
};

/// Annotation of a token Secret that we made: the operation's key.
pub const ISSUED_FOR: &str = "claviger.dev/issued-for";
/// Digits that end the name of one.
const DIGITS: usize = 10;

/// Namespace and name of a Secret.
fn place<'t>(operation: &'static str, subject: &Ref, target: &'t Target) -> Result<(&'t str, &'t str)> {
    match target {
        Target::Object { namespace, object, key: None } if object.kind == ObjectKind::Secret => {
            Ok((namespace, &object.name))
        }
        _ => Err(no_issuer(operation, subject)),
    }
}

/// Of one operation always the same name, of another one never.
fn derived(name: &str, key: &str) -> String {
    let is_ours = |end: &str| end.len() == DIGITS && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    let base = name.rsplit_once('-').filter(|(_, end)| is_ours(end)).map_or(name, |(base, _)| base);
    let digits: String = key.chars().filter(|digit| *digit != '-').take(DIGITS).collect();
    format!("{base}-{digits}")
}

/// The account of a token Secret.
fn account_of(secret: &Secret) -> Option<&str> {
    match &secret.kind {
        SecretType::ServiceAccountToken { account, .. } => Some(account),
        _ => None,
    }
}

fn held<'e>(
    estate: &'e mut Estate,
    operation: &'static str,
    subject: &Ref,
    namespace: &str,
) -> Result<&'e mut Namespace> {
    let held = estate.cluster.namespaces.get_mut(namespace).ok_or_else(|| absent(operation, subject))?;
    if held.denied {
        let message = format!("{subject}: the namespace is closed to us");
        return Err(Error::new(ErrorKind::Denied, operation, message));
    }
    Ok(held)
}

impl SimulatedBackend {
    pub(crate) async fn issue_token(&self, op: &Operation, subject: &Ref) -> Result<Issued> {
        let key = op.key.to_string();
        self.mutate("issue", op, subject, |estate, target, now| {
            let (namespace, name) = place("issue", subject, target)?;
            let fresh = derived(name, &key);
            let at = self.at(["k8s", namespace, "Secret", &fresh]);
            let (version, seed) = (estate.revision + 1, estate.key.clone());
            let held = held(estate, "issue", subject, namespace)?;
            let made = match held.secrets.get(&fresh) {
                Some(there) if there.annotations.get(ISSUED_FOR) == Some(&key) => false,
                Some(_) => {
                    let message = format!("{at} is there, and was not made by this operation");
                    return Err(Error::new(ErrorKind::Conflict, "issue", message));
                }
                None => {
                    let old = held.secrets.get(name).ok_or_else(|| absent("issue", subject))?;
                    let account = account_of(old).ok_or_else(|| no_issuer("issue", subject))?.to_owned();
                    let uid = Sha256::new().chain_update(seed.expose()).chain_update(&key).finalize();
                    let secret = Secret {
                        uid: hex::encode(&uid[..16]),
                        version,
                        kind: SecretType::ServiceAccountToken {
                            account,
                            auto_generated: false,
                            last_used: None,
                            invalid_since: None,
                        },
                        created_at: now,
                        updated_at: now,
                        labels: old.labels.clone(),
                        annotations: Labels::from([(ISSUED_FOR.to_owned(), key.clone())]),
                        immutable: false,
                        managed_by: None,
                        written_by: None,
                        data: Default::default(),
                    };
                    held.secrets.insert(fresh.clone(), secret);
                    estate.revision = version;
                    true
                }
            };
            let account = estate.cluster.namespaces[namespace].secrets.get(&fresh).and_then(account_of);
            let token = account.and_then(|account| estate.legacy_token(namespace, &fresh, account));
            let token = token.ok_or_else(|| absent("issue", subject))?;
            let issued = Issued { at, minted: Some(token.secret()), public_half: Some(fresh) };
            Ok(if made { Change::made(issued) } else { Change::nothing(issued) })
        })
        .await
    }

    pub(crate) async fn issued_token(&self, op: &Operation, subject: &Ref) -> Result<Option<Issued>> {
        let key = op.key.to_string();
        self.look("issued", subject, |estate, target, _| {
            let (namespace, name) = place("issued", subject, &target)?;
            let fresh = derived(name, &key);
            let secret = estate.cluster.namespaces.get(namespace).and_then(|held| held.secrets.get(&fresh));
            let ours = secret.filter(|secret| secret.annotations.get(ISSUED_FOR) == Some(&key));
            let Some(account) = ours.and_then(account_of) else { return Ok(None) };
            let minted = estate.legacy_token(namespace, &fresh, account).map(|token| token.secret());
            let at = self.at(["k8s", namespace, "Secret", &fresh]);
            Ok(Some(Issued { at, minted, public_half: Some(fresh) }))
        })
        .await
    }

    /// The token Secrets of the subject's account.
    pub(crate) fn tokens_beside(
        &self,
        estate: &Estate,
        subject: &Ref,
        target: &Target,
    ) -> Result<Vec<Sibling>> {
        let (namespace, name) = place("siblings", subject, target)?;
        let Some(held) = estate.cluster.namespaces.get(namespace) else { return Ok(Vec::new()) };
        let Some(account) = held.secrets.get(name).and_then(account_of) else { return Ok(Vec::new()) };
        let beside = held.secrets.iter().filter(|(_, secret)| account_of(secret) == Some(account));
        let siblings = beside.map(|(name, secret)| Sibling {
            at: self.at(["k8s", namespace, "Secret", name]),
            public_half: name.clone(),
            created_at: Some(secret.created_at),
            active: !matches!(secret.kind, SecretType::ServiceAccountToken { invalid_since: Some(_), .. }),
        });
        Ok(siblings.collect())
    }

    /// Marks a token as invalid, or takes the mark off.
    pub(crate) async fn invalidate(
        &self,
        operation: &'static str,
        op: &Operation,
        subject: &Ref,
        invalid: bool,
    ) -> Result<()> {
        self.mutate(operation, op, subject, |estate, target, now| {
            let (namespace, name) = place(operation, subject, target)?;
            let version = estate.revision + 1;
            let held = held(estate, operation, subject, namespace)?;
            let secret = held.secrets.get_mut(name).ok_or_else(|| absent(operation, subject))?;
            let SecretType::ServiceAccountToken { invalid_since, .. } = &mut secret.kind else {
                return Err(no_issuer(operation, subject));
            };
            if invalid_since.is_some() == invalid {
                return Ok(Change::nothing(()));
            }
            *invalid_since = invalid.then_some(now);
            secret.version = version;
            estate.revision = version;
            Ok(Change::made(()))
        })
        .await
    }
}

/// Is a token that was marked so long ago still accepted out of a cache?
pub(crate) fn still_cached(estate: &Estate, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now < since + Duration::seconds(i64::from(estate.settings.revoke_cache_seconds))
}

/// The cluster notes the day of a use, and no more.
pub(crate) fn day_of(used: DateTime<Utc>) -> DateTime<Utc> {
    used.date_naive().and_time(NaiveTime::MIN).and_utc()
}
