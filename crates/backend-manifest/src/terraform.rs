//! Whom a Terraform or OpenTofu state lets in: roles with trust policies, and providers of workload identity pools, as they stand in the cloud.
//!
//! Format: state version 4. Modules' resources are in the same list.

use claviger_core::{
    model::{Attributes, IdentityKind, Labels},
    observation::{Observation, ObservedIdentity},
    trust::{AwsTrust, Gap, google_gaps},
};
use serde_json::{Value, json};

use crate::sighting::Home;

/// The identities of a state. None where the text is no state.
pub(crate) fn observe(home: &Home, text: &str) -> Vec<Observation> {
    let state: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let resources = state.get("resources").and_then(Value::as_array).into_iter().flatten();
    let mut found = Vec::new();
    for resource in resources.filter(|resource| resource["mode"] == "managed") {
        let text = |key: &str| resource.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = [text("module"), text("type"), text("name")];
        let name = name.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
        let instances = resource.get("instances").and_then(Value::as_array).into_iter().flatten();
        for (number, instance) in instances.enumerate() {
            let attributes = &instance["attributes"];
            let known = match text("type") {
                "aws_iam_role" => role(attributes).map(|facts| (IdentityKind::AwsRole, facts)),
                "google_iam_workload_identity_pool_provider" => {
                    provider(attributes).map(|facts| (IdentityKind::FederationProvider, facts))
                }
                _ => None,
            };
            let Some((kind, facts)) = known else { continue };
            let name = if number == 0 { name.clone() } else { format!("{name}~{}", number + 1) };
            found.push(Observation::Identity(ObservedIdentity {
                at: home.at.field(&name),
                kind,
                created_at: None,
                last_used_at: None,
                disabled: attributes["disabled"] == true,
                labels: Labels::new(),
                owners: home.owners.clone(),
                attributes: facts,
            }));
        }
    }
    found
}

fn role(attributes: &Value) -> Option<Attributes> {
    let policy: Value = serde_json::from_str(attributes["assume_role_policy"].as_str()?).ok()?;
    let trust = AwsTrust::read(&policy)?;
    Some(facts([
        ("arn", attributes["arn"].clone()),
        ("web_identity", json!(!trust.providers.is_empty())),
        ("web_identity_subjects", json!(trust.subjects)),
        ("web_identity_audiences", json!(trust.audiences)),
        ("trust_gaps", Gap::words(&trust.gaps)),
    ]))
}

/// One that takes tokens of an OIDC issuer; AWS accounts and SAML have other conditions.
fn provider(attributes: &Value) -> Option<Attributes> {
    let issuer = attributes["oidc"][0]["issuer_uri"].as_str()?;
    let condition = attributes["attribute_condition"].as_str().unwrap_or_default();
    Some(facts([
        ("name", attributes["name"].clone()),
        ("web_identity", json!(true)),
        ("web_identity_providers", json!([issuer])),
        ("attribute_condition", json!(condition)),
        ("trust_gaps", Gap::words(&google_gaps(condition))),
    ]))
}

fn facts<const N: usize>(facts: [(&str, Value); N]) -> Attributes {
    facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use claviger_core::{model::Place, reference::Ref};

    use super::*;

    fn seen(resources: Value) -> Vec<(String, Value)> {
        let home = Home::file(&Ref::from_text("repo/prod.tfstate"), Place::Literal, "terraform");
        let text = json!({"version": 4, "resources": resources}).to_string();
        let identity = |item| match item {
            Observation::Identity(it) => (it.at.as_str().to_owned(), it.attributes["trust_gaps"].clone()),
            _ => panic!("an identity"),
        };
        observe(&home, &text).into_iter().map(identity).collect()
    }

    #[test]
    fn providers_of_pools_say_whether_they_have_a_condition() {
        let pool = |name: &str, condition: Value| {
            json!({"mode": "managed", "type": "google_iam_workload_identity_pool_provider", "name": name, "instances": [
                {"attributes": {"attribute_condition": condition, "oidc": [{"issuer_uri": "https://token.actions.githubusercontent.com"}]}},
            ]})
        };
        let at = |name: &str| format!("repo/prod.tfstate#google_iam_workload_identity_pool_provider.{name}");
        assert_eq!(
            seen(json!([
                pool("open", Value::Null),
                pool("acme", json!("assertion.repository_owner == 'acme'")),
                pool("exact", json!("assertion.sub == 'repo:acme/web:ref:refs/heads/main'")),
            ])),
            [
                (at("open"), json!(["subject-missing"])),
                (at("acme"), json!(["organisation"])),
                (at("exact"), json!([])),
            ]
        );
        let other = json!([{"mode": "managed", "type": "google_iam_workload_identity_pool_provider", "name": "aws", "instances": [
            {"attributes": {"aws": [{"account_id": "1"}]}},
        ]}]);
        assert_eq!(seen(other), []);
    }

    #[test]
    fn roles_say_whom_they_trust() {
        let policy =
            json!({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]});
        let role = json!([{"mode": "managed", "module": "module.ci", "type": "aws_iam_role", "name": "deploy", "instances": [
            {"attributes": {"arn": "arn:aws:iam::1:role/deploy", "assume_role_policy": policy.to_string()}},
        ]}]);
        let at = "repo/prod.tfstate#module.ci.aws_iam_role.deploy".to_owned();
        assert_eq!(seen(role), [(at, json!(["any-principal"]))]);
        let data = json!([{"mode": "data", "type": "aws_iam_role", "name": "x", "instances": [{"attributes": {"assume_role_policy": policy.to_string()}}]}]);
        assert_eq!(seen(data), [], "what is only looked up is not the state's");
    }
}
