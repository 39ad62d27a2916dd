//! Short-lived identities: tokens of a pod's own account, which the cluster projects into it and accepts itself, and with which the secret store lets in whom
//! a role of its names.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use claviger_backend::{
    Candidate, Effect, Entry, Error, ErrorKind, Federation, Granted, Offered, Operation, Probe, Proposal,
    Reads, Result, Uses, Verdict,
};
use claviger_core::{
    model::Attributes,
    reference::Ref,
    saga::{Arrangement, Mounting, Side},
    secret::SecretValue,
};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Estate, KubernetesRole, ObjectKind},
    issuer::{absent, no_issuer, token_accepted},
    target::Target,
    token, workloads,
};

/// How long a projected token holds, in seconds.
const LIFETIME: u32 = 3600;
/// For whom a token is that the secret store takes.
const AUDIENCE: &str = "vault";
/// Where a pod finds it.
const FOLDER: &str = "/var/run/secrets/vault";
/// The term that says what a role gives.
const POLICIES: &str = "policies";
/// The term that names the Secret that runs read now, where they alone have tokens.
const FORMER: &str = "former";

/// What an account may do in the cluster: itself, and a line for each binding.
fn rights_of(estate: &Estate, namespace: &str, account: &str, short: bool) -> BTreeSet<String> {
    let name = format!("{namespace}/{account}");
    let bound = estate.cluster.bindings.values().filter(|binding| binding.account == name);
    let lacks = |role: &str| short && estate.settings.identities_lack.contains(role);
    let mut rights: BTreeSet<String> = bound
        .filter(|binding| !lacks(&binding.role))
        .map(|binding| format!("{} in {}", binding.role, binding.reach))
        .collect();
    rights.insert(format!("is system:serviceaccount:{namespace}:{account}"));
    rights
}

fn entry(verdict: Verdict, path: String, may: BTreeSet<String>, ends_at: Option<DateTime<Utc>>) -> Entry {
    let may = if verdict == Verdict::Accepted { may } else { BTreeSet::new() };
    Entry { probe: Probe { verdict, path }, may, ends_at }
}

fn policies(terms: &Attributes) -> Vec<String> {
    let listed = terms.get(POLICIES).and_then(|value| value.as_array()).into_iter().flatten();
    listed.filter_map(|policy| policy.as_str().map(str::to_owned)).collect()
}

fn former(terms: &Attributes) -> Option<&str> {
    terms.get(FORMER).and_then(|value| value.as_str())
}

/// Namespace and name of the account that a ref names.
fn account(operation: &'static str, at: &Ref) -> Result<(String, String)> {
    match Target::parse(operation, at)? {
        Target::ServiceAccount { namespace, name } => Ok((namespace, name)),
        _ => Err(Error::new(ErrorKind::Invalid, operation, format!("{at} is no account"))),
    }
}

impl SimulatedBackend {
    fn own_platform(&self, candidate: &Candidate<'_>) -> Offered {
        if candidate.identity != Some(&candidate.holder.account) {
            return Offered::no(
                "other-account",
                format!(
                    "{} runs as {}: its own token would be another identity's",
                    candidate.holder.consumer, candidate.holder.account
                ),
            );
        }
        if let Reads::Fixed(code, why) = &candidate.holder.reads {
            return Offered::no(code, format!("{}: {why}", candidate.holder.consumer));
        }
        Offered::Yes(Box::new(Proposal {
            arrangement: Arrangement {
                at: candidate.holder.account.clone(),
                account: candidate.holder.account.clone(),
                audience: None,
                lifetime: LIFETIME,
                terms: Attributes::new(),
            },
            makes: false,
            mounting: Mounting {
                from: Some(candidate.object.clone()),
                lifetime: LIFETIME,
                ..Mounting::default()
            },
            by_hand: None,
            notes: Vec::new(),
        }))
    }
}

#[async_trait]
impl Federation for SimulatedBackend {
    async fn offers(&self, candidate: &Candidate<'_>) -> Result<Offered> {
        self.look("offers", candidate.subject, |estate, target, _| match &target {
            Target::Object { object, key: None, .. } if object.kind == ObjectKind::Secret => {
                Ok(self.own_platform(candidate))
            }
            Target::Token(accessor) => {
                let Some(token) = estate.secret_store.tokens.get(accessor) else {
                    return Err(absent("offers", candidate.subject));
                };
                if token.policies.iter().any(|policy| policy == "root") {
                    return Ok(Offered::no("root-token", "a root token has no role that may do the same"));
                }
                let account = &candidate.holder.account;
                let name = account.path().replace('/', "-");
                let mut terms = Attributes::from([(POLICIES.to_owned(), serde_json::json!(token.policies))]);
                if candidate.holder.runs.is_some() {
                    let name = candidate.object.path().rsplit('/').next().unwrap_or_default();
                    terms.insert(FORMER.to_owned(), serde_json::json!(name));
                }
                Ok(Offered::Yes(Box::new(Proposal {
                    arrangement: Arrangement {
                        at: self.at(["auth", "kubernetes", "role", &name]),
                        account: account.clone(),
                        audience: Some(AUDIENCE.to_owned()),
                        lifetime: LIFETIME,
                        terms,
                    },
                    makes: true,
                    mounting: Mounting {
                        from: Some(candidate.object.clone()),
                        audience: Some(AUDIENCE.to_owned()),
                        lifetime: LIFETIME,
                        folder: Some(FOLDER.to_owned()),
                        variables: [("VAULT_ROLE".to_owned(), name)].into(),
                        ..Mounting::default()
                    },
                    by_hand: None,
                    notes: Vec::new(),
                })))
            }
            _ => Ok(Offered::no("not-federated", "no short-lived identity takes its place")),
        })
        .await
    }

    async fn federate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()> {
        let (key, at) = (op.key.to_string(), &arrangement.at);
        let (namespace, name) = account("federate", &arrangement.account)?;
        self.mutate("federate", op, at, |estate, target, now| {
            let Target::KubernetesRole(role) = target else { return Err(no_issuer("federate", at)) };
            let made = KubernetesRole {
                account: format!("{namespace}/{name}"),
                policies: policies(&arrangement.terms),
                made_by: key.clone(),
            };
            match estate.secret_store.kubernetes_roles.get(role) {
                Some(there) if *there == made => return Ok(Change::nothing(())),
                Some(there) if there.made_by != key => {
                    let text = format!("{at} is there, and was not made by this operation");
                    return Err(
                        Error::new(ErrorKind::Conflict, "federate", text).with_effect(Effect::NotApplied)
                    );
                }
                _ => {}
            }
            estate.secret_store.kubernetes_roles.insert(role.clone(), made);
            if let Some(former) = former(&arrangement.terms) {
                workloads::by_owner(estate, (&namespace, &name), former, Side::Over, now);
            }
            estate.next_revision();
            Ok(Change::made(()))
        })
        .await
    }

    async fn federated(&self, op: &Operation, arrangement: &Arrangement) -> Result<bool> {
        let key = op.key.to_string();
        self.look("federated", &arrangement.at, |estate, target, _| {
            let Target::KubernetesRole(role) = &target else { return Ok(false) };
            let there = estate.secret_store.kubernetes_roles.get(role);
            Ok(there.is_some_and(|it| it.made_by == key && it.policies == policies(&arrangement.terms)))
        })
        .await
    }

    async fn unfederate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()> {
        let (key, at) = (op.key.to_string(), &arrangement.at);
        let (namespace, name) = account("unfederate", &arrangement.account)?;
        self.mutate("unfederate", op, at, |estate, target, now| {
            let Target::KubernetesRole(role) = target else { return Ok(Change::nothing(())) };
            let roles = &mut estate.secret_store.kubernetes_roles;
            if roles.get(role).is_none_or(|there| there.made_by != key) {
                return Ok(Change::nothing(()));
            }
            roles.remove(role);
            if let Some(former) = former(&arrangement.terms) {
                workloads::by_owner(estate, (&namespace, &name), former, Side::Former, now);
            }
            estate.next_revision();
            Ok(Change::made(()))
        })
        .await
    }

    async fn reach(&self, subject: &Ref, value: &SecretValue) -> Result<Entry> {
        self.look("reach", subject, |estate, target, now| match &target {
            Target::Token(_) => {
                let mut tokens = estate.secret_store.tokens.values();
                let token = tokens.find(|token| {
                    token.value.is(value.expose()) && token.expires_at.is_none_or(|until| now < until)
                });
                let verdict = match token {
                    Some(_) => Verdict::Accepted,
                    None => Verdict::Refused("403 from lookup-self: bad token".into()),
                };
                let may = token.map(|token| token.policies.iter().cloned().collect()).unwrap_or_default();
                Ok(entry(verdict, "GET auth/token/lookup-self".to_owned(), may, None))
            }
            _ => Ok(in_cluster(estate, value, now, false)),
        })
        .await
    }

    async fn granted(&self, subject: &Ref, arrangement: &Arrangement) -> Result<Granted> {
        let Target::KubernetesRole(role) = Target::parse("granted", &arrangement.at)? else {
            return Err(no_issuer("granted", &arrangement.at));
        };
        self.look("granted", subject, |estate, target, _| {
            let Target::Token(accessor) = &target else { return Err(no_issuer("granted", subject)) };
            let token = estate.secret_store.tokens.get(accessor).ok_or_else(|| absent("granted", subject))?;
            let role = estate.secret_store.kubernetes_roles.get(&role);
            let role = role.ok_or_else(|| absent("granted", &arrangement.at))?;
            let lacks = |policy: &&String| !estate.settings.identities_lack.contains(*policy);
            Ok(Granted {
                former: token.policies.iter().cloned().collect(),
                given: role.policies.iter().filter(lacks).cloned().collect(),
            })
        })
        .await
    }

    /// Pods log in as soon as they are there.
    async fn entered(&self, arrangement: &Arrangement) -> Result<Uses> {
        let (namespace, name) = account("entered", &arrangement.account)?;
        self.look("entered", &arrangement.at, |estate, target, now| {
            let Target::KubernetesRole(role) = &target else { return Ok(Uses::Never) };
            let held = estate.cluster.namespaces.get(&namespace);
            let mut own = held.into_iter().flat_map(|held| held.deployments.values());
            let over = own.any(|it| {
                it.service_account.as_ref() == Some(&name)
                    && it.projections.iter().any(|projection| projection.read)
            });
            let there = estate.secret_store.kubernetes_roles.contains_key(role);
            Ok(if there && over { Uses::At(now) } else { Uses::Never })
        })
        .await
    }

    async fn login(&self, arrangement: &Arrangement, assertion: &SecretValue) -> Result<Entry> {
        self.look("login", &arrangement.at, |estate, target, now| {
            let Target::KubernetesRole(role) = &target else {
                return Ok(in_cluster(estate, assertion, now, true));
            };
            let path = "POST auth/kubernetes/login".to_owned();
            let claims = token::read(&estate.key, assertion.expose())
                .filter(|_| token_accepted(estate, assertion.expose(), now));
            let role = estate.secret_store.kubernetes_roles.get(role);
            let granted = claims
                .zip(role)
                .filter(|(claims, role)| format!("{}/{}", claims.namespace, claims.account) == role.account);
            Ok(match granted {
                None => entry(Verdict::Refused("403 from login".into()), path, BTreeSet::new(), None),
                Some((_, role)) => {
                    let lacks = |policy: &&String| !estate.settings.identities_lack.contains(*policy);
                    let may = role.policies.iter().filter(lacks).cloned().collect();
                    let ends = now + Duration::seconds(i64::from(arrangement.lifetime));
                    entry(Verdict::Accepted, path, may, Some(ends))
                }
            })
        })
        .await
    }
}

/// What the cluster says to a bearer of this token, and until when.
fn in_cluster(estate: &Estate, value: &SecretValue, now: DateTime<Utc>, short: bool) -> Entry {
    let path = "POST selfsubjectrulesreviews as bearer".to_owned();
    let claims =
        token::read(&estate.key, value.expose()).filter(|_| token_accepted(estate, value.expose(), now));
    let Some(claims) = claims else {
        return entry(Verdict::Refused("401 Unauthorized".into()), path, BTreeSet::new(), None);
    };
    let ends =
        crate::anchor::Bound::read(&claims.secret).and_then(|bound| DateTime::from_timestamp(bound.ends, 0));
    let may = rights_of(estate, &claims.namespace, &claims.account, short);
    entry(Verdict::Accepted, path, may, ends)
}
