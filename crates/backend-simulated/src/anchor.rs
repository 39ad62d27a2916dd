//! ServiceAccounts as what tokens are bound to: each token carries the account's uid, and none is accepted when that is gone.

use async_trait::async_trait;
use chrono::Duration;
use claviger_backend::{
    Anchor, Anchored, Anchors, Effect, Error, ErrorKind, Operation, Result, Sample, Standing,
};
use claviger_core::{reference::Ref, secret::SecretValue};
use sha2::{Digest, Sha256};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Estate, SecretType, ServiceAccount, Tombstone},
    issuer::{absent, no_issuer},
    target::Target,
    token,
};

/// How the name begins that a bound token has instead of a Secret's; the second of its end follows.
pub(crate) const BOUND: &str = "bound/";
/// Stands for every token of an account.
pub(crate) const EVERY: &str = "*";

fn account<'t>(operation: &'static str, subject: &Ref, target: &'t Target) -> Result<(&'t str, &'t str)> {
    match target {
        Target::ServiceAccount { namespace, name } => Ok((namespace, name)),
        _ => Err(no_issuer(operation, subject)),
    }
}

fn held<'e>(estate: &'e Estate, namespace: &str, name: &str) -> Option<&'e ServiceAccount> {
    estate.cluster.namespaces.get(namespace)?.service_accounts.get(name)
}

fn another(operation: &'static str, subject: &Ref) -> Error {
    Error::new(ErrorKind::Conflict, operation, format!("{subject} is not the one that was meant"))
        .with_effect(Effect::NotApplied)
}

#[async_trait]
impl Anchors for SimulatedBackend {
    fn anchor(&self, subject: &Ref) -> Option<Anchor> {
        match Target::parse("anchor", subject).ok()? {
            Target::ServiceAccount { .. } => Some(Anchor::Remade),
            _ => None,
        }
    }

    async fn anchored(&self, subject: &Ref) -> Result<Anchored> {
        self.look("anchored", subject, |estate, target, _| {
            let (namespace, name) = account("anchored", subject, &target)?;
            let there = held(estate, namespace, name).ok_or_else(|| absent("anchored", subject))?;
            let deployments = estate.cluster.namespaces.get(namespace).map(|held| &held.deployments);
            let mine = deployments.into_iter().flatten();
            let mine = mine.filter(|(_, held)| held.service_account.as_deref() == Some(name));
            let users = mine.map(|(deployment, _)| {
                let by = format!("Deployment/{deployment}");
                (self.at(["k8s", namespace, "Deployment", deployment]), Some(by))
            });
            Ok(Anchored {
                presence: there.uid.clone(),
                account: Some(subject.clone()),
                users: users.collect(),
                ..Anchored::default()
            })
        })
        .await
    }

    async fn standing(&self, subject: &Ref) -> Result<Standing> {
        self.look("standing", subject, |estate, target, _| {
            let (namespace, name) = account("standing", subject, &target)?;
            let there = held(estate, namespace, name).map(|held| Standing::There(held.uid.clone()));
            Ok(there.unwrap_or(Standing::Absent))
        })
        .await
    }

    async fn sample(&self, subject: &Ref, expect: &str, seconds: u32) -> Result<Sample> {
        self.look("sample", subject, |estate, target, now| {
            let (namespace, name) = account("sample", subject, &target)?;
            let there = held(estate, namespace, name).ok_or_else(|| absent("sample", subject))?;
            if there.uid != expect {
                return Err(another("sample", subject));
            }
            let ends_at = now + Duration::seconds(i64::from(seconds));
            let bound = format!("{BOUND}{}", ends_at.timestamp());
            let value = token::mint(&estate.key, namespace, &bound, name, expect).secret();
            Ok(Sample { value, ends_at })
        })
        .await
    }

    async fn record(&self, subject: &Ref, expect: &str) -> Result<SecretValue> {
        self.look("record", subject, |estate, target, _| {
            let (namespace, name) = account("record", subject, &target)?;
            let there = held(estate, namespace, name).ok_or_else(|| absent("record", subject))?;
            if there.uid != expect {
                return Err(another("record", subject));
            }
            let text = serde_json::to_string(there);
            let text =
                text.map_err(|error| Error::new(ErrorKind::Unexpected, "record", error.to_string()))?;
            Ok(SecretValue::from_text(text))
        })
        .await
    }

    /// Its token Secrets go with it, as the token controller does it.
    async fn end(&self, op: &Operation, subject: &Ref, expect: &str) -> Result<()> {
        self.mutate("end", op, subject, |estate, target, now| {
            let (namespace, name) = account("end", subject, target)?;
            let Some(there) = held(estate, namespace, name) else { return Ok(Change::nothing(())) };
            if there.uid != expect {
                return Err(another("end", subject));
            }
            estate.next_revision();
            let Some(space) = estate.cluster.namespaces.get_mut(namespace) else {
                return Ok(Change::nothing(()));
            };
            space.service_accounts.remove(name);
            space.secrets.retain(|_, secret| {
                !matches!(&secret.kind, SecretType::ServiceAccountToken { account, .. } if account == name)
            });
            estate.cluster.tombstones.push(Tombstone {
                namespace: namespace.to_owned(),
                secret: EVERY.to_owned(),
                account: name.to_owned(),
                account_uid: expect.to_owned(),
                at: now,
            });
            Ok(Change::made(()))
        })
        .await
    }

    async fn remake(
        &self,
        op: &Operation,
        subject: &Ref,
        record: &SecretValue,
        former: &str,
    ) -> Result<String> {
        let unread = || {
            Error::new(ErrorKind::Invalid, "remake", format!("what is recorded of {subject} is no account"))
        };
        let record: ServiceAccount = serde_json::from_slice(record.expose()).map_err(|_| unread())?;
        let key = op.key.to_string();
        self.mutate("remake", op, subject, |estate, target, now| {
            let (namespace, name) = account("remake", subject, target)?;
            let there = held(estate, namespace, name);
            let (uid, created_at) = match there {
                Some(there) if there.uid == former => {
                    return Err(another("remake", subject));
                }
                Some(there) if there.labels == record.labels && there.annotations == record.annotations => {
                    return Ok(Change::nothing(there.uid.clone()));
                }
                Some(there) => (there.uid.clone(), there.created_at),
                None => {
                    let uid = Sha256::new().chain_update(estate.key.expose()).chain_update(&key).finalize();
                    (hex::encode(&uid[..16]), now)
                }
            };
            estate.next_revision();
            let space =
                estate.cluster.namespaces.get_mut(namespace).ok_or_else(|| absent("remake", subject))?;
            let made = ServiceAccount { uid: uid.clone(), created_at, ..record.clone() };
            space.service_accounts.insert(name.to_owned(), made);
            Ok(Change::made(uid))
        })
        .await
    }
}
