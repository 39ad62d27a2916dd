//! Logins by a token of somebody else's: `kubernetes` and `jwt`. Roles are identities without a credential here; what a role does not ask of a
//! token is the finding.

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, IdentityKind, Labels, Scope},
    observation::{Observation, ObservedIdentity},
    trust::{Gap, JwtTrust, KubernetesTrust},
};
use futures::{StreamExt as _, stream};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{CONCURRENCY, Gaps, PAGE, Survey, policy::Held};

/// A role, as far as this backend understands it.
pub(super) trait FederatedRole: DeserializeOwned + Send {
    /// What it asks and what it does not.
    fn attributes(&self) -> Attributes;

    /// Policies of the tokens that it gives.
    fn policies(&self) -> &[String];
}

fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(all) => all.iter().map(text).collect(),
        Value::Null => Vec::new(),
        one => vec![text(one)],
    }
}

/// Claims may be asked to be numbers or booleans too.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A role of the method `kubernetes`.
#[derive(Deserialize)]
pub(super) struct KubernetesRole {
    #[serde(default)]
    bound_service_account_names: Option<Vec<String>>,
    #[serde(default)]
    bound_service_account_namespaces: Option<Vec<String>>,
    #[serde(default)]
    bound_service_account_namespace_selector: Option<String>,
    #[serde(default)]
    audience: Option<String>,
    #[serde(flatten)]
    tokens: Tokens,
}

/// A role of the method `jwt`.
#[derive(Deserialize)]
pub(super) struct JwtRole {
    #[serde(default)]
    role_type: String,
    #[serde(default)]
    bound_subject: Option<String>,
    #[serde(default)]
    bound_audiences: Option<Vec<String>>,
    #[serde(default)]
    bound_claims: Option<Map<String, Value>>,
    #[serde(default)]
    bound_claims_type: Option<String>,
    #[serde(flatten)]
    tokens: Tokens,
}

/// What every role says of the tokens that it gives.
#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    token_policies: Option<Vec<String>>,
    #[serde(default)]
    token_ttl: u64,
    #[serde(default)]
    token_max_ttl: u64,
    #[serde(default)]
    token_period: u64,
    #[serde(default)]
    token_bound_cidrs: Option<Vec<String>>,
}

impl Tokens {
    fn attributes(&self) -> Attributes {
        [
            ("web_identity", json!(true)),
            ("token_policies", json!(self.token_policies.clone().unwrap_or_default())),
            ("token_ttl", json!(self.token_ttl)),
            ("token_max_ttl", json!(self.token_max_ttl)),
            ("token_period", json!(self.token_period)),
            ("token_bound_cidrs", json!(self.token_bound_cidrs.clone().unwrap_or_default())),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }
}

impl FederatedRole for KubernetesRole {
    fn attributes(&self) -> Attributes {
        let mut attributes = self.tokens.attributes();
        let names = self.bound_service_account_names.clone().unwrap_or_default();
        let namespaces = self.bound_service_account_namespaces.clone().unwrap_or_default();
        let selector = self.bound_service_account_namespace_selector.clone().unwrap_or_default();
        let audience = self.audience.clone().unwrap_or_default();
        let trust = KubernetesTrust {
            names: &names,
            namespaces: &namespaces,
            by_label: !selector.is_empty(),
            audience: &audience,
        };
        attributes.insert("trust_gaps".to_owned(), Gap::words(&trust.gaps()));
        attributes.insert("bound_service_account_names".to_owned(), json!(names));
        attributes.insert("bound_service_account_namespaces".to_owned(), json!(namespaces));
        attributes.insert("audience".to_owned(), json!(audience));
        if !selector.is_empty() {
            attributes.insert("namespace_selector".to_owned(), json!(selector));
        }
        attributes
    }

    fn policies(&self) -> &[String] {
        self.tokens.token_policies.as_deref().unwrap_or_default()
    }
}

impl FederatedRole for JwtRole {
    fn attributes(&self) -> Attributes {
        let mut attributes = self.tokens.attributes();
        let subject = self.bound_subject.clone().unwrap_or_default();
        let claims = self.bound_claims.clone().unwrap_or_default();
        let asked: Vec<(String, Vec<String>)> =
            claims.iter().map(|(claim, values)| (claim.clone(), list(values))).collect();
        let globs = self.bound_claims_type.as_deref() == Some("glob");
        attributes.insert("role_type".to_owned(), json!(self.role_type));
        attributes.insert("bound_subject".to_owned(), json!(subject));
        attributes.insert("bound_claims".to_owned(), json!(claims));
        attributes.insert(
            "web_identity_audiences".to_owned(),
            json!(self.bound_audiences.clone().unwrap_or_default()),
        );
        // A role of type `oidc` is for people in front of a browser, and which of them is their provider's business.
        if self.role_type == "jwt" {
            let trust = JwtTrust { subject: &subject, claims: &asked, globs };
            attributes.insert("trust_gaps".to_owned(), Gap::words(&trust.gaps()));
        }
        attributes
    }

    fn policies(&self) -> &[String] {
        self.tokens.token_policies.as_deref().unwrap_or_default()
    }
}

impl Survey<'_> {
    /// The roles of one such mount.
    pub(super) async fn federated<R: FederatedRole>(
        &self,
        mount: &str,
        held: &mut Held,
        sink: &mut ScanSink,
    ) -> Result<()> {
        let scope = Scope::new(mount, "roles");
        let roles = match self.api.list("inventory", &format!("{mount}/role")).await {
            Ok(roles) => roles,
            Err(error) => return Gaps::of(&format!("LIST {mount}/role"), &error).end(&scope, sink).await,
        };
        let mut gaps = Gaps::default();
        let mut page = Vec::new();
        let mut read = stream::iter(roles)
            .map(|name| async move {
                (self.api.get::<R>("inventory", &format!("{mount}/role/{name}")).await, name)
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((found, name)) = read.next().await {
            match found {
                Ok(Some(role)) => {
                    let at = self.names.approle(mount, &name);
                    for policy in role.policies() {
                        held.add(&at, policy);
                    }
                    page.push(Observation::Identity(ObservedIdentity {
                        at,
                        kind: IdentityKind::VaultRole,
                        created_at: None,
                        last_used_at: None,
                        disabled: false,
                        labels: Labels::new(),
                        owners: Vec::new(),
                        attributes: role.attributes(),
                    }));
                }
                Ok(None) => {}
                Err(error) => gaps.add(&name, &error),
            }
            if page.len() >= PAGE {
                sink.page(&scope, std::mem::take(&mut page)).await?;
            }
        }
        sink.page(&scope, page).await?;
        gaps.end(&scope, sink).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps<R: FederatedRole>(role: Value) -> Value {
        let role: R = serde_json::from_value(role).expect("a role");
        role.attributes().get("trust_gaps").cloned().unwrap_or(Value::Null)
    }

    #[test]
    fn what_a_kubernetes_role_does_not_ask() {
        let exact = json!({"bound_service_account_names": ["web"], "bound_service_account_namespaces": ["payments"], "audience": "bao", "token_policies": ["app"], "token_ttl": 900});
        assert_eq!(gaps::<KubernetesRole>(exact), json!([]));
        let wide = json!({"bound_service_account_names": ["web"], "bound_service_account_namespaces": ["*"], "audience": null});
        assert_eq!(gaps::<KubernetesRole>(wide), json!(["subject-wildcard", "audience-missing"]));
    }

    #[test]
    fn what_a_jwt_role_does_not_ask() {
        let exact = json!({"role_type": "jwt", "bound_claims": {"repository": ["acme/web"]}});
        assert_eq!(gaps::<JwtRole>(exact), json!([]));
        assert_eq!(gaps::<JwtRole>(json!({"role_type": "jwt"})), json!(["subject-missing"]));
        assert_eq!(gaps::<JwtRole>(json!({"role_type": "oidc"})), Value::Null, "people log in there");
        let number = json!({"role_type": "jwt", "bound_claims": {"project_id": 7}});
        assert_eq!(gaps::<JwtRole>(number), json!([]));
    }
}
