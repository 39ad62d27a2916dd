//! `kube-system/aws-auth`: the cloud identities that EKS lets into the cluster.
//!
//! Format: <https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html>. A mapped role or user becomes an identity of this
//! backend under its ARN; the bindings of its groups and user name become its grants, and `system:masters` one that no binding shows.

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, IdentityKind, PrivilegeLevel, Scope, ScopeStatus},
    observation::{Observation, ObservedGrant},
    reference::Ref,
};
use serde::Deserialize;
use serde_json::Value;

use super::{Scan, identity};
use crate::{
    connection::{Ask, OBJECT_LIMIT},
    place::CLUSTER,
    resource::CONFIG_MAPS,
    wire::{self, ConfigMap},
};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "aws-auth";
/// Members are allowed everything, by the API server itself.
const MASTERS: &str = "system:masters";

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) at: Ref,
    pub(super) arn: String,
    pub(super) username: String,
    pub(super) groups: Vec<String>,
    kind: IdentityKind,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    rolearn: String,
    userarn: String,
    username: String,
    groups: Vec<String>,
}

/// Reads the ConfigMap, sends its identities, and gives the mappings for the bindings that follow.
pub(super) async fn read(scan: &Scan<'_>, sink: &mut ScanSink) -> Result<Vec<Mapped>> {
    if !scan.context.selects(NAMESPACE) {
        return Ok(Vec::new());
    }
    let scope = Scope::new(NAMESPACE, NAME);
    let body = match scan
        .backend
        .connection
        .ask(Ask::get(CONFIG_MAPS.object(NAMESPACE, NAME)), OBJECT_LIMIT)
        .await
    {
        Ok(body) => body,
        Err(failure) if failure.is_absent() => {
            // Not EKS, or EKS with access entries: there is nothing to read, and what was there is gone.
            sink.complete(&scope).await?;
            return Ok(Vec::new());
        }
        Err(failure) => {
            let status = if failure.is_forbidden() { ScopeStatus::Denied } else { ScopeStatus::Failed };
            sink.end(&scope, status, Some(format!("get configmap {NAMESPACE}/{NAME}: {failure}"))).await?;
            return Ok(Vec::new());
        }
    };
    let names = &scan.context.names;
    let parsed = wire::read::<ConfigMap<'_>>(&body).ok().and_then(|map| {
        let roles = entries(map.data.get("mapRoles"))?;
        let users = entries(map.data.get("mapUsers"))?;
        Some(
            roles
                .into_iter()
                .chain(users)
                .filter_map(|entry| mapped(entry, |kind, arn| names.object(CLUSTER, kind, arn)))
                .collect::<Vec<_>>(),
        )
    });
    let Some(mappings) = parsed else {
        sink.end(
            &scope,
            ScopeStatus::Failed,
            Some(format!("configmap {NAMESPACE}/{NAME} is not the YAML that EKS describes")),
        )
        .await?;
        return Ok(Vec::new());
    };
    let mut items = Vec::new();
    for mapping in &mappings {
        let mut observed = identity(mapping.at.clone(), mapping.kind, scan.context.labels.clone());
        observed.attributes.insert("arn".to_owned(), Value::from(mapping.arn.as_str()));
        observed.attributes.insert("kubernetes_user".to_owned(), Value::from(mapping.username.as_str()));
        observed.attributes.insert("kubernetes_groups".to_owned(), Value::from(mapping.groups.clone()));
        items.push(Observation::Identity(observed));
        if mapping.groups.iter().any(|group| group == MASTERS) {
            items.push(Observation::Grant(ObservedGrant {
                identity: mapping.at.clone(),
                source: names.object(NAMESPACE, "ConfigMap", NAME),
                privilege: format!("Group/{MASTERS}"),
                reach: "*".to_owned(),
                level: PrivilegeLevel::Admin,
                attributes: Attributes::from([("arn".to_owned(), Value::from(mapping.arn.as_str()))]),
            }));
        }
    }
    sink.page(&scope, items).await?;
    sink.complete(&scope).await?;
    Ok(mappings)
}

/// `None` when the text is not a list of mappings; the YAML parser's message is not passed on.
fn entries(text: Option<&str>) -> Option<Vec<Entry>> {
    match text.map(str::trim) {
        None | Some("") => Some(Vec::new()),
        Some(text) => yaml_serde::from_str::<Option<Vec<Entry>>>(text).ok().map(Option::unwrap_or_default),
    }
}

fn mapped(entry: Entry, at: impl Fn(&str, &str) -> Ref) -> Option<Mapped> {
    let (kind, word, arn) = if entry.rolearn.is_empty() {
        (IdentityKind::AwsUser, "AwsUser", entry.userarn)
    } else {
        (IdentityKind::AwsRole, "AwsRole", entry.rolearn)
    };
    let arn = arn.replace('\0', "\u{fffd}");
    (!arn.is_empty()).then(|| Mapped {
        at: at(word, &arn),
        arn,
        username: entry.username,
        groups: entry.groups,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Names;

    #[test]
    fn roles_and_users_are_read_from_yaml_within_yaml() {
        let text = "- rolearn: arn:aws:iam::1:role/node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups:\n    - system:nodes\n- rolearn: ''\n- userarn: arn:aws:iam::1:user/bob\n  groups: [system:masters]\n";
        let names = Names::new("prod");
        let found: Vec<_> = entries(Some(text))
            .expect("mappings")
            .into_iter()
            .filter_map(|entry| mapped(entry, |kind, arn| names.object(CLUSTER, kind, arn)))
            .collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].at.as_str(), "prod/*/AwsRole/arn:aws:iam::1:role/node");
        assert_eq!(
            (found[1].kind, found[1].groups.as_slice()),
            (IdentityKind::AwsUser, &["system:masters".to_owned()][..])
        );
    }

    #[test]
    fn what_is_no_list_of_mappings_is_said_to_be_none() {
        for text in ["{", "- 1", "a: b", "- rolearn: [x]"] {
            assert!(entries(Some(text)).is_none(), "{text}");
        }
        for text in [None, Some(""), Some("[]"), Some("null"), Some("~")] {
            assert!(entries(text).is_some_and(|entries| entries.is_empty()), "{text:?}");
        }
    }
}
