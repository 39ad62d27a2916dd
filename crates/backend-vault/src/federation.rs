//! The `kubernetes` auth method: a role lets one ServiceAccount in, for an audience of its own and a short while, with the policies that a token or a
//! secret-id had (Vault and OpenBao, "Kubernetes auth method").
//!
//! A role takes no mark of ours. So its name says whose place it takes, and it is ours only as it was arranged: one that says anything else is neither
//! changed nor taken away.

mod role;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::{
    Candidate, Effect, Entry, Error, ErrorKind, Federation, Loan, Offered, Operation, Probe, Proposal,
    Result, Verdict,
};
use claviger_core::{
    reference::Ref,
    saga::{Arrangement, Mounting},
    secret::SecretValue,
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use self::role::{Role, Terms};
use crate::{
    backend::VaultBackend,
    client::ApiPath,
    inventory::TokenInfo,
    issuer::token_by_accessor,
    lease,
    names::{Names, Subject},
};

/// How long a login holds, in seconds: the agent logs in again before that.
const LIFETIME: u32 = 3600;
/// Whom the ServiceAccount's token is for: not the API server, so that it opens nothing else.
const AUDIENCE: &str = "vault";
/// Where a container finds it.
const FOLDER: &str = "/var/run/secrets/claviger.dev/vault";
/// What it is called there; the patch of a workload makes the volume with this name.
const VOLUME: &str = "claviger-identity";

#[derive(Deserialize)]
struct Mounted {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Login {
    auth: Option<Given>,
}

#[derive(Deserialize)]
struct Given {
    client_token: String,
    #[serde(default)]
    policies: Option<Vec<String>>,
    #[serde(default)]
    lease_duration: u64,
}

#[derive(Deserialize)]
struct AppRole {
    #[serde(default)]
    token_policies: Option<Vec<String>>,
    #[serde(default)]
    token_no_default_policy: bool,
    #[serde(default)]
    token_bound_cidrs: Option<Vec<String>>,
}

/// What a static credential gives: policies, and from where.
struct Gives {
    policies: BTreeSet<String>,
    cidrs: Vec<String>,
}

#[async_trait]
impl Federation for VaultBackend {
    async fn offers(&self, candidate: &Candidate<'_>) -> Result<Offered> {
        let subject = candidate.subject;
        if subject.backend() != self.info.name {
            return self.offers_lease(candidate).await;
        }
        let gives = match self.gives(subject).await? {
            Ok(gives) => gives,
            Err(refused) => return Ok(refused),
        };
        let Some((namespace, account)) = service_account(&candidate.holder.account) else {
            return Ok(Offered::no("not-federated", "its workload runs as no ServiceAccount of Kubernetes"));
        };
        let mounts: BTreeMap<String, Mounted> = self.api.get("offers", "sys/auth").await?.unwrap_or_default();
        let kubernetes: Vec<&str> = mounts
            .iter()
            .filter(|(_, mount)| mount.kind == "kubernetes")
            .map(|(path, _)| path.trim_matches('/'))
            .collect();
        let mount = match kubernetes.as_slice() {
            [one] => format!("auth/{one}"),
            [] => {
                let text = "no `kubernetes` auth method is mounted at the server: mount and configure one for the cluster (`vault auth enable kubernetes`)";
                return Ok(Offered::no("no-kubernetes-auth", text));
            }
            several => {
                let text = format!(
                    "several `kubernetes` auth methods are mounted ({}), and which one is for the cluster of {} is not told",
                    several.join(", "),
                    candidate.holder.consumer
                );
                return Ok(Offered::no("several-kubernetes-auths", text));
            }
        };
        let name = format!("claviger-{namespace}-{account}-{}", tail(subject));
        let terms = Terms {
            policies: gives.policies,
            cidrs: gives.cidrs,
            namespace: namespace.to_owned(),
            account: account.to_owned(),
        };
        let at = self.names.object(&format!("{mount}/role/{name}"));
        Ok(Offered::Yes(Box::new(Proposal {
            arrangement: Arrangement {
                at,
                account: candidate.holder.account.clone(),
                audience: Some(AUDIENCE.to_owned()),
                lifetime: LIFETIME,
                terms: terms.attributes(),
            },
            makes: true,
            mounting: Mounting {
                from: Some(candidate.object.clone()),
                audience: Some(AUDIENCE.to_owned()),
                lifetime: LIFETIME,
                folder: Some(FOLDER.to_owned()),
                variables: BTreeMap::new(),
                annotations: annotations(&name, &mount),
                account_annotations: BTreeMap::new(),
            },
            by_hand: Some(
                "its program has to log in with the role: as the Vault Agent injector does by the annotations, or with the token in the folder".to_owned(),
            ),
            notes: vec![
                format!(
                    "role {name} lets ServiceAccount {account} of namespace {namespace} in, and nobody else, for {LIFETIME} s a login; whoever may make tokens of that account may log in too"
                ),
                "that the workload logs in with the role is not seen from here: what is seen is that it names the Secret no more, and is ready".to_owned(),
            ],
        })))
    }

    async fn federate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()> {
        if let Some(terms) = lease::Terms::read("federate", arrangement)? {
            return self.make_lease(op, &terms).await;
        }
        let path = role_path("federate", &arrangement.at)?;
        let wanted = Terms::of(arrangement).ok_or_else(|| no_terms("federate", arrangement))?;
        if let Some(there) = self.api.get::<Role>("federate", &path).await? {
            if wanted.is(&there, arrangement) {
                return Ok(());
            }
            let text = format!("{} is there, and says something else", arrangement.at);
            return Err(Error::new(ErrorKind::Conflict, "federate", text).with_effect(Effect::NotApplied));
        }
        let what = format!("POST {path}");
        let call = self.api.call("federate", &what, true);
        self.api.post("federate", &path, &wanted.body(arrangement), true).await?.good(call)?;
        Ok(())
    }

    async fn federated(&self, op: &Operation, arrangement: &Arrangement) -> Result<bool> {
        if let Some(terms) = lease::Terms::read("federated", arrangement)? {
            return self.has_lease(op, &terms).await;
        }
        let path = role_path("federated", &arrangement.at)?;
        let wanted = Terms::of(arrangement).ok_or_else(|| no_terms("federated", arrangement))?;
        let there: Option<Role> = self.api.get("federated", &path).await?;
        Ok(there.is_some_and(|there| wanted.is(&there, arrangement)))
    }

    async fn unfederate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()> {
        if let Some(terms) = lease::Terms::read("unfederate", arrangement)? {
            return self.unmake_lease(op, &terms).await;
        }
        if !self.federated(op, arrangement).await? {
            return Ok(());
        }
        let path = role_path("unfederate", &arrangement.at)?;
        let what = format!("DELETE {path}");
        let call = self.api.call("unfederate", &what, true);
        let path = ApiPath::new("unfederate", &path)?;
        self.api.send(call, Method::DELETE, &path, "", None, None).await?.good(call)?;
        Ok(())
    }

    async fn reach(&self, subject: &Ref, value: &SecretValue) -> Result<Entry> {
        let probe = claviger_backend::Issuer::verify(self, subject, value).await?;
        if probe.verdict != Verdict::Accepted {
            return Ok(Entry { probe, may: BTreeSet::new(), ends_at: None });
        }
        Ok(match self.gives(subject).await? {
            Ok(gives) => Entry { probe, may: gives.policies, ends_at: None },
            Err(_) => {
                let verdict = Verdict::Inconclusive("what it may do is not told".to_owned());
                Entry { probe: Probe { verdict, path: probe.path }, may: BTreeSet::new(), ends_at: None }
            }
        })
    }

    async fn login(&self, arrangement: &Arrangement, assertion: &SecretValue) -> Result<Entry> {
        let role = role_path("login", &arrangement.at)?;
        let Some((mount, name)) = role.split_once("/role/") else {
            return Err(no_terms("login", arrangement));
        };
        let what = format!("POST {mount}/login as role {name}");
        let path = format!("POST {}/v1/{mount}/login as role {name}", self.api.address());
        let jwt = assertion.expose_text().unwrap_or_default();
        let body = zeroize::Zeroizing::new(json!({"role": name, "jwt": jwt}).to_string());
        let call = self.api.call("login", &what, false);
        let at = ApiPath::new("login", &format!("{mount}/login"))?;
        let sent = Some(body.as_bytes().to_vec());
        let answer = self.api.send(call, Method::POST, &at, "", Some(""), sent).await?;
        let without = |verdict| Entry {
            probe: Probe { verdict, path: path.clone() },
            may: BTreeSet::new(),
            ends_at: None,
        };
        match answer.status {
            200 => {}
            400 | 403 => return Ok(without(Verdict::Refused(format!("HTTP {}", answer.status)))),
            // The server could not ask the cluster about the token.
            status => return Ok(without(Verdict::Inconclusive(format!("HTTP {status}")))),
        }
        let given = serde_json::from_slice::<Login>(&answer.body).ok().and_then(|login| login.auth);
        let given = given.ok_or_else(|| call.unreadable())?;
        let token = SecretValue::from_text(given.client_token);
        self.end_own("login", &token).await?;
        let ends_at = seconds_from(self.api.clock().now(), given.lease_duration);
        Ok(Entry {
            probe: Probe { verdict: Verdict::Accepted, path },
            may: given.policies.into_iter().flatten().collect(),
            ends_at,
        })
    }

    async fn borrow(&self, arrangement: &Arrangement, assertion: &SecretValue) -> Result<Option<Loan>> {
        match lease::Terms::read("borrow", arrangement)? {
            Some(terms) => self.try_lease(&terms, assertion).await.map(Some),
            None => Ok(None),
        }
    }

    async fn give_back(&self, handle: &str) -> Result<()> {
        self.end_loan(handle).await
    }
}

impl VaultBackend {
    /// What the static credential gives, or why nothing takes its place.
    async fn gives(&self, subject: &Ref) -> Result<std::result::Result<Gives, Offered>> {
        match Names::subject(subject) {
            Subject::Token { accessor } => {
                let token = token_by_accessor(&self.api, "offers", &accessor).await?;
                Ok(match token {
                    None => Err(Offered::no("already-gone", "its issuer no longer has it: scan again")),
                    Some(token) => of_token(&token),
                })
            }
            Subject::SecretId { mount, role, .. } => {
                let found: Option<AppRole> = self.api.get("offers", &format!("{mount}/role/{role}")).await?;
                Ok(match found {
                    None => Err(Offered::no("already-gone", "its role is gone: scan again")),
                    Some(found) => {
                        let mut policies: BTreeSet<String> =
                            found.token_policies.into_iter().flatten().collect();
                        if !found.token_no_default_policy {
                            policies.insert("default".to_owned());
                        }
                        Ok(Gives { policies, cidrs: found.token_bound_cidrs.unwrap_or_default() })
                    }
                })
            }
            Subject::StaticRole { .. } | Subject::Root { .. } | Subject::Path { .. } => {
                Ok(Err(Offered::no("not-federated", "it is neither a token nor a secret-id")))
            }
        }
    }

    /// Ends a token that a login of ours gave.
    async fn end_own(&self, operation: &'static str, token: &SecretValue) -> Result<()> {
        let call = self.api.call(operation, "POST auth/token/revoke-self", true);
        let path = ApiPath::new(operation, "auth/token/revoke-self")?;
        let text = token.expose_text().unwrap_or_default();
        self.api.send(call, Method::POST, &path, "", Some(text), None).await?.good(call)?;
        Ok(())
    }
}

fn of_token(token: &TokenInfo) -> std::result::Result<Gives, Offered> {
    let policies: BTreeSet<String> = token.policies.iter().flatten().cloned().collect();
    if policies.contains("root") {
        return Err(Offered::no(
            "root-token",
            "a root token may do what no role may: find out what it is used for first",
        ));
    }
    if !token.entity_id.is_empty() {
        let text = "it acts as an entity, whose rights a role's logins would not have: give the role's alias to that entity by hand";
        return Err(Offered::no("entity", text));
    }
    if token.num_uses > 0 {
        return Err(Offered::no("limited-uses", "its uses are limited, and trying it would spend one"));
    }
    Ok(Gives { policies, cidrs: token.bound_cidrs.clone().unwrap_or_default() })
}

/// Namespace and name.
fn service_account(at: &Ref) -> Option<(&str, &str)> {
    let mut parts = at.path().split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(namespace), Some("ServiceAccount"), Some(name), None) => Some((namespace, name)),
        _ => None,
    }
}

/// The beginning of its accessor, so that a role's name says whose place it takes.
fn tail(subject: &Ref) -> String {
    let accessor = subject.path().rsplit('/').next().unwrap_or_default();
    accessor.chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>().to_lowercase()
}

/// What the injector of Vault's agent is told (Vault, "Agent sidecar injector annotations").
fn annotations(role: &str, mount: &str) -> BTreeMap<String, String> {
    let told = [
        ("agent-inject", "true"),
        ("role", role),
        ("auth-path", mount),
        ("agent-inject-token", "true"),
        ("agent-service-account-token-volume-name", VOLUME),
    ];
    told.map(|(name, value)| (format!("vault.hashicorp.com/{name}"), value.to_owned())).into()
}

fn role_path(operation: &'static str, at: &Ref) -> Result<String> {
    match Names::subject(at) {
        Subject::Path { path, .. } if path.starts_with("auth/") && path.contains("/role/") => Ok(path),
        _ => Err(Error::new(ErrorKind::Invalid, operation, format!("{at} is no role of a login"))),
    }
}

fn no_terms(operation: &'static str, arrangement: &Arrangement) -> Error {
    Error::new(ErrorKind::Invalid, operation, format!("{}: what it is to say cannot be read", arrangement.at))
}

fn seconds_from(now: DateTime<Utc>, seconds: u64) -> Option<DateTime<Utc>> {
    let length = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    now.checked_add_signed(TimeDelta::try_seconds(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(policies: &[&str]) -> TokenInfo {
        let policies: Vec<_> = policies.iter().map(|policy| (*policy).to_owned()).collect();
        serde_json::from_value(json!({"policies": policies})).expect("a token")
    }

    #[test]
    fn a_token_gives_its_policies_unless_a_role_could_not() {
        let gives = of_token(&token(&["default", "ci"])).expect("a role may do that");
        assert_eq!(gives.policies, ["ci".to_owned(), "default".to_owned()].into());
        let code = |token: &TokenInfo| match of_token(token) {
            Err(Offered::No { code, .. }) => code,
            _ => "",
        };
        assert_eq!(code(&token(&["root"])), "root-token");
        assert_eq!(code(&TokenInfo { entity_id: "e".to_owned(), ..token(&["ci"]) }), "entity");
        assert_eq!(code(&TokenInfo { num_uses: 3, ..token(&["ci"]) }), "limited-uses");
    }

    #[test]
    fn an_account_has_a_namespace_and_a_name() {
        let of = |text: &str| {
            service_account(&Ref::from_text(text.to_owned())).map(|(one, other)| format!("{one}:{other}"))
        };
        assert_eq!(of("prod/ci/ServiceAccount/robot").as_deref(), Some("ci:robot"));
        assert_eq!(of("prod/ci/Secret/robot"), None);
        assert_eq!(of("prod/ServiceAccount/robot"), None);
    }

    #[test]
    fn a_login_that_never_ends_has_no_end() {
        let now = DateTime::from_timestamp(1_000, 0).expect("a time");
        assert_eq!(seconds_from(now, 0), None);
        assert_eq!(seconds_from(now, 60), DateTime::from_timestamp(1_060, 0));
    }
}
