//! Roles, and who may become them.

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, IdentityKind, Scope},
    observation::{Observation, ObservedIdentity},
};
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::{Gap, Grants, PARALLEL, Scan, policy::decode};
use crate::{
    failure::patiently,
    labels::{from_tags, instant},
    names,
};

/// All roles, page by page.
pub(super) async fn read(scan: Scan<'_>, grants: &Grants<'_>, sink: &mut ScanSink) -> Result<()> {
    let scope = Scope::new("iam", "roles");
    let mut gap = Gap::default();
    let mut marker = None;
    loop {
        let ask = || scan.clients.iam.list_roles().set_marker(marker.clone()).send();
        let page = match patiently(scan.account.endpoint(), "iam:ListRoles", ask).await {
            Ok(page) => page,
            Err(error) => {
                gap.note(&error);
                break;
            }
        };
        let mut looks = stream::iter(page.roles).map(|role| one(scan, grants, role)).buffered(PARALLEL);
        while let Some((items, trouble)) = looks.next().await {
            gap.merge(trouble);
            sink.page(&scope, items).await?;
        }
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            break;
        }
    }
    gap.end(&scope, sink).await
}

async fn one(scan: Scan<'_>, grants: &Grants<'_>, role: aws_sdk_iam::types::Role) -> (Vec<Observation>, Gap) {
    let mut gap = Gap::default();
    let at = names::role(scan.backend, &role.role_name);
    let (labels, owners) =
        from_tags(role.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)));
    let mut attributes = role.assume_role_policy_document.as_deref().map(trust).unwrap_or_default();
    attributes.insert("arn".to_owned(), json!(role.arn));
    attributes.insert("path".to_owned(), json!(role.path));
    if let Some(boundary) = role.permissions_boundary.as_ref().and_then(|it| it.permissions_boundary_arn()) {
        attributes.insert("permissions_boundary".to_owned(), json!(boundary));
    }
    let mut items = vec![Observation::Identity(ObservedIdentity {
        at: at.clone(),
        kind: IdentityKind::AwsRole,
        created_at: instant(&role.create_date),
        last_used_at: role.role_last_used.and_then(|used| used.last_used_date).as_ref().and_then(instant),
        disabled: false,
        labels,
        owners,
        attributes,
    })];
    // AWS's own roles cannot be changed by anybody; what they may do is AWS's affair.
    if !role.path.starts_with("/aws-service-role/") {
        let grants = gap.or_default(grants.of_role(&at, &role.role_name).await);
        items.extend(grants.into_iter().map(Observation::Grant));
    }
    (items, gap)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// Who a trust policy lets in.
fn trust(document: &str) -> Attributes {
    let policy: Value = serde_json::from_str(&decode(document)).unwrap_or(Value::Null);
    let statements = match policy.get("Statement") {
        Some(Value::Array(all)) => all.clone(),
        Some(one @ Value::Object(_)) => vec![one.clone()],
        _ => return Attributes::new(),
    };
    let (mut providers, mut subjects, mut audiences, mut principals) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut wildcard = false;
    for statement in statements.iter().filter(|it| it.get("Effect").and_then(Value::as_str) == Some("Allow"))
    {
        let mut here = Vec::new();
        for (operator, tests) in statement.get("Condition").and_then(Value::as_object).into_iter().flatten() {
            for (key, value) in tests.as_object().into_iter().flatten() {
                if key.ends_with(":sub") && operator.contains("String") && !operator.contains("Not") {
                    here.extend(texts(Some(value)));
                } else if key.ends_with(":aud") {
                    audiences.extend(texts(Some(value)));
                }
            }
        }
        match statement.get("Principal") {
            Some(Value::String(text)) => {
                wildcard |= text == "*" && statement.get("Condition").is_none();
                principals.push(text.clone());
            }
            Some(Value::Object(by_kind)) => {
                for (kind, value) in by_kind {
                    let named = texts(Some(value));
                    if kind == "Federated"
                        && named
                            .iter()
                            .any(|it| it.contains(":oidc-provider/") || !it.contains(":saml-provider/"))
                    {
                        // Without a condition on `sub`, or with `*`, whoever the issuer knows gets in.
                        wildcard |= here.is_empty() || here.iter().any(|it| it.chars().all(|c| c == '*'));
                        providers.extend(named);
                    } else {
                        wildcard |= named.iter().any(|it| it == "*") && statement.get("Condition").is_none();
                        principals.extend(named);
                    }
                }
            }
            _ => {}
        }
        subjects.extend(here);
    }
    for all in [&mut providers, &mut subjects, &mut audiences, &mut principals] {
        all.sort();
        all.dedup();
    }
    [
        ("web_identity", json!(!providers.is_empty())),
        ("web_identity_providers", json!(providers)),
        ("web_identity_subjects", json!(subjects)),
        ("web_identity_audiences", json!(audiences)),
        ("trusted_principals", json!(principals)),
        ("trust_wildcard", json!(wildcard)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(principal: &str, condition: &str) -> Attributes {
        trust(&format!(
            r#"{{"Statement":[{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{condition}}}]}}"#
        ))
    }

    #[test]
    fn a_trust_policy_says_who_gets_in() {
        let issuer = r#"{"Federated":"arn:aws:iam::1:oidc-provider/i.example"}"#;
        let bound = of(
            issuer,
            r#"{"StringEquals":{"i.example:sub":"system:serviceaccount:a:b","i.example:aud":"sts.amazonaws.com"}}"#,
        );
        assert_eq!(bound["web_identity"], true);
        assert_eq!(bound["web_identity_subjects"], json!(["system:serviceaccount:a:b"]));
        assert_eq!(bound["web_identity_audiences"], json!(["sts.amazonaws.com"]));
        assert_eq!(bound["trust_wildcard"], false);
        assert_eq!(of(issuer, "{}")["trust_wildcard"], true, "any subject");
        assert_eq!(of(issuer, r#"{"StringLike":{"i.example:sub":"*"}}"#)["trust_wildcard"], true);
        let account = of(r#"{"AWS":"arn:aws:iam::2:root"}"#, "{}");
        assert_eq!(
            (&account["web_identity"], &account["trusted_principals"]),
            (&json!(false), &json!(["arn:aws:iam::2:root"]))
        );
        assert!(trust("nonsense").is_empty());
    }
}
