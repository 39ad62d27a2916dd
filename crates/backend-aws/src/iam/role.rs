//! Roles, and who may become them.

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, IdentityKind, Scope},
    observation::{Observation, ObservedIdentity},
    trust::{AwsTrust, Gap as NotAsked},
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

/// Who a trust policy lets in.
fn trust(document: &str) -> Attributes {
    let policy: Value = serde_json::from_str(&decode(document)).unwrap_or(Value::Null);
    let Some(trust) = AwsTrust::read(&policy) else { return Attributes::new() };
    let anybody = [NotAsked::AnyPrincipal, NotAsked::SubjectMissing, NotAsked::SubjectWildcard];
    [
        ("web_identity", json!(!trust.providers.is_empty())),
        ("web_identity_providers", json!(trust.providers)),
        ("web_identity_subjects", json!(trust.subjects)),
        ("web_identity_audiences", json!(trust.audiences)),
        ("trusted_principals", json!(trust.principals)),
        ("trusted_organisations", json!(trust.organisations)),
        ("trust_wildcard", json!(anybody.iter().any(|gap| trust.gaps.contains(gap)))),
        ("trust_gaps", NotAsked::words(&trust.gaps)),
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
        assert_eq!((&bound["trust_wildcard"], &bound["trust_gaps"]), (&json!(false), &json!([])));
        assert_eq!(of(issuer, "{}")["trust_wildcard"], true, "any subject");
        assert_eq!(of(issuer, r#"{"StringLike":{"i.example:sub":"*"}}"#)["trust_wildcard"], true);
        let organisation = of(
            issuer,
            r#"{"StringLike":{"i.example:sub":"repo:acme/*"},"StringEquals":{"i.example:aud":"x"}}"#,
        );
        assert_eq!(
            (&organisation["trust_gaps"], &organisation["trusted_organisations"]),
            (&json!(["organisation"]), &json!(["acme"]))
        );
        let account = of(r#"{"AWS":"arn:aws:iam::2:root"}"#, "{}");
        assert_eq!(
            (&account["web_identity"], &account["trusted_principals"]),
            (&json!(false), &json!(["arn:aws:iam::2:root"]))
        );
        assert!(trust("nonsense").is_empty());
    }
}
