//! ServiceAccounts and pods as what tokens are bound to: each token carries the uid of its account, and that of its pod where it is bound to one, and none is
//! accepted when that is gone.

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use claviger_backend::{
    Anchor, Anchored, Anchors, Effect, Error, ErrorKind, Operation, Result, Sample, Standing,
};
use claviger_core::{reference::Ref, secret::SecretValue};
use sha2::{Digest, Sha256};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{BoundPod, Estate, SecretType, ServiceAccount, Tombstone},
    issuer::{absent, no_issuer},
    target::Target,
    token,
};

/// How the name begins that a bound token has instead of a Secret's; the second of its end follows, and the uid of its pod.
pub(crate) const BOUND: &str = "bound/";
/// The name of one that is renewed before it ends, for as long as anybody looks.
pub(crate) const RENEWED: &str = "bound/4102444800";
/// How the name of a tombstone begins that stands for a pod's tokens; its uid follows.
pub(crate) const POD: &str = "pod/";
/// Stands for every token of an account.
pub(crate) const EVERY: &str = "*";

/// What the name of a bound token says.
pub(crate) struct Bound<'n> {
    /// The second of its end.
    pub(crate) ends: i64,
    /// The uid of the pod that it ends with.
    pub(crate) pod: Option<&'n str>,
}

impl<'n> Bound<'n> {
    /// `None`: it is the name of a Secret.
    pub(crate) fn read(name: &'n str) -> Option<Self> {
        let rest = name.strip_prefix(BOUND)?;
        let (ends, pod) = match rest.split_once('/') {
            Some((ends, pod)) => (ends, Some(pod)),
            None => (rest, None),
        };
        Some(Self { ends: ends.parse().unwrap_or_default(), pod })
    }
}

fn account<'t>(operation: &'static str, subject: &Ref, target: &'t Target) -> Result<(&'t str, &'t str)> {
    match target {
        Target::ServiceAccount { namespace, name } => Ok((namespace, name)),
        _ => Err(no_issuer(operation, subject)),
    }
}

fn held<'e>(estate: &'e Estate, namespace: &str, name: &str) -> Option<&'e ServiceAccount> {
    estate.cluster.namespaces.get(namespace)?.service_accounts.get(name)
}

/// An object that tokens are bound to: its uid, and of a pod its account.
fn there<'e>(
    estate: &'e Estate,
    operation: &'static str,
    subject: &Ref,
    target: &Target,
) -> Result<Option<(&'e str, Option<&'e BoundPod>)>> {
    if let Target::Pod { namespace, name } = target {
        let pod = estate.cluster.namespaces.get(namespace).and_then(|held| held.pods.get(name));
        return Ok(pod.map(|pod| (pod.uid.as_str(), Some(pod))));
    }
    let (namespace, name) = account(operation, subject, target)?;
    Ok(held(estate, namespace, name).map(|account| (account.uid.as_str(), None)))
}

fn another(operation: &'static str, subject: &Ref) -> Error {
    Error::new(ErrorKind::Conflict, operation, format!("{subject} is not the one that was meant"))
        .with_effect(Effect::NotApplied)
}

fn end_pod(
    estate: &mut Estate,
    subject: &Ref,
    (namespace, name, expect): (&str, &str, &str),
    now: DateTime<Utc>,
) -> Result<Change<()>> {
    let space = estate.cluster.namespaces.get_mut(namespace);
    let Some(space) = space.filter(|space| space.pods.contains_key(name)) else {
        return Ok(Change::nothing(()));
    };
    if space.pods[name].uid != expect {
        return Err(another("end", subject));
    }
    let account = space.pods[name].account.clone();
    let uid = space.service_accounts.get(&account).map(|account| account.uid.clone());
    if let Some(pod) = space.pods.remove(name)
        && pod.made_by.is_some()
    {
        let next = BoundPod { uid: format!("{}-next", pod.uid), ..pod };
        space.pods.insert(format!("{name}-next"), next);
    }
    estate.cluster.tombstones.push(Tombstone {
        namespace: namespace.to_owned(),
        secret: format!("{POD}{expect}"),
        account,
        account_uid: uid.unwrap_or_default(),
        at: now,
    });
    estate.next_revision();
    Ok(Change::made(()))
}

#[async_trait]
impl Anchors for SimulatedBackend {
    fn anchor(&self, subject: &Ref) -> Option<Anchor> {
        match Target::parse("anchor", subject).ok()? {
            Target::ServiceAccount { .. } => Some(Anchor::Remade),
            Target::Pod { .. } => Some(Anchor::Left),
            _ => None,
        }
    }

    async fn anchored(&self, subject: &Ref) -> Result<Anchored> {
        self.look("anchored", subject, |estate, target, _| {
            if let Target::Pod { namespace, .. } = &target {
                let found = there(estate, "anchored", subject, &target)?;
                let (uid, pod) = found.ok_or_else(|| absent("anchored", subject))?;
                let made_by = pod.and_then(|pod| pod.made_by.clone());
                return Ok(Anchored {
                    presence: uid.to_owned(),
                    account: pod.map(|pod| self.at(["k8s", namespace, "ServiceAccount", &pod.account])),
                    users: vec![(subject.clone(), made_by.clone())],
                    remade_by: made_by,
                    ..Anchored::default()
                });
            }
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
            let found = there(estate, "standing", subject, &target)?;
            Ok(found.map_or(Standing::Absent, |(uid, _)| Standing::There(uid.to_owned())))
        })
        .await
    }

    async fn sample(&self, subject: &Ref, expect: &str, seconds: u32) -> Result<Sample> {
        self.look("sample", subject, |estate, target, now| {
            let found = there(estate, "sample", subject, &target)?;
            let (uid, pod) = found.ok_or_else(|| absent("sample", subject))?;
            if uid != expect {
                return Err(another("sample", subject));
            }
            let ends_at = now + Duration::seconds(i64::from(seconds));
            let bound = format!("{BOUND}{}", ends_at.timestamp());
            let value = match (&target, pod) {
                (Target::Pod { namespace, .. }, Some(pod)) => {
                    let account = held(estate, namespace, &pod.account);
                    let account = account.ok_or_else(|| absent("sample", subject))?;
                    token::mint(&estate.key, namespace, &format!("{bound}/{uid}"), &pod.account, &account.uid)
                }
                _ => {
                    let (namespace, name) = account("sample", subject, &target)?;
                    token::mint(&estate.key, namespace, &bound, name, uid)
                }
            };
            Ok(Sample { value: value.secret(), ends_at })
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

    /// An account's token Secrets go with it, as the token controller does it; a pod's controller makes another one.
    async fn end(&self, op: &Operation, subject: &Ref, expect: &str) -> Result<()> {
        self.mutate("end", op, subject, |estate, target, now| {
            if let Target::Pod { namespace, name } = target {
                return end_pod(estate, subject, (namespace, name, expect), now);
            }
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
