//! Which permissions we hold, by asking the server about our own token (`sys/capabilities-self`).

use std::collections::BTreeMap;

use claviger_backend::{Permission, PermissionStatus, Result};
use serde_json::json;

use crate::{
    backend::VaultBackend,
    client::Api,
    inventory::own_token,
    mounts::{Mount, MountKind, Mounts},
};

/// Stands for any name below a mount when we ask what we may do there.
const ANY: &str = "claviger-permission-check";

/// What our token may do at each path.
pub(crate) async fn capabilities(
    api: &Api,
    operation: &'static str,
    paths: &[String],
) -> Result<BTreeMap<String, Vec<String>>> {
    let call = api.call(operation, "POST sys/capabilities-self", false);
    let answer = api.post(operation, "sys/capabilities-self", &json!({ "paths": paths }), false).await?;
    Ok(answer.good(call)?.data(call)?.unwrap_or_default())
}

struct Need {
    flow: &'static str,
    /// As a rule of a policy names it.
    rule: String,
    /// A path that the rule covers.
    probe: String,
    capabilities: &'static [&'static str],
}

fn need(flow: &'static str, rule: impl Into<String>, capabilities: &'static [&'static str]) -> Need {
    let rule = rule.into();
    let probe = rule.replace(['+', '*'], ANY);
    Need { flow, rule, probe, capabilities }
}

fn needs(mounts: &[Mount]) -> Vec<Need> {
    let mut needs = vec![
        need("scan", "sys/mounts", &["read"]),
        need("scan", "sys/auth", &["read"]),
        need("scan", "sys/policies/acl/*", &["read"]),
        need("scan", "sys/leases/lookup/*", &["list", "sudo"]),
        need("scan", "auth/token/accessors", &["list", "sudo"]),
        need("scan", "auth/token/lookup-accessor", &["update"]),
        need("rotate", "auth/token/create-orphan", &["update", "sudo"]),
        need("rotate", "auth/token/create/+", &["update"]),
        need("rotate", "auth/token/roles/+", &["read"]),
        need("rotate", "auth/token/accessors", &["list", "sudo"]),
        need("rotate", "auth/token/revoke-accessor", &["update"]),
        need("revoke", "auth/token/lookup", &["update"]),
        need("revoke", "auth/token/revoke-accessor", &["update"]),
        need("revoke", "auth/token/accessors", &["list", "sudo"]),
        need("revoke", "auth/token/lookup-accessor", &["update"]),
        need("revoke", "sys/leases/lookup/*", &["list", "sudo"]),
        need("revoke", "sys/leases/revoke-prefix/*", &["update", "sudo"]),
        need("revoke", "identity/entity/id/*", &["read", "update"]),
        need("revoke", "identity/entity/name/*", &["read"]),
        need("swap", "auth/token/lookup", &["update"]),
        need("swap", "auth/token/revoke-accessor", &["update"]),
    ];
    for Mount { path, kind } in mounts {
        match kind {
            MountKind::Kv2 => {
                needs.push(need("scan", format!("{path}/metadata/*"), &["list", "read"]));
                needs.push(need("scan", format!("{path}/data/*"), &["read"]));
                needs.push(need("rotate", format!("{path}/data/*"), &["read", "create", "update"]));
                needs.push(need("revoke", format!("{path}/destroy/*"), &["update"]));
            }
            MountKind::Kv1 => {
                needs.push(need("scan", format!("{path}/*"), &["list", "read"]));
                needs.push(need("rotate", format!("{path}/*"), &["read", "create", "update"]));
            }
            MountKind::AppRole => {
                needs.push(need("scan", format!("{path}/role"), &["list"]));
                needs.push(need("scan", format!("{path}/role/*"), &["read"]));
                needs.push(need("scan", format!("{path}/role/+/secret-id"), &["list"]));
                needs.push(need("scan", format!("{path}/role/+/secret-id-accessor/lookup"), &["update"]));
                needs.push(need("rotate", format!("{path}/role/+/custom-secret-id"), &["update"]));
                needs.push(need("revoke", format!("{path}/role/+/secret-id/lookup"), &["update"]));
                needs.push(need("revoke", format!("{path}/role/+/role-id"), &["read"]));
                needs.push(need("revoke", format!("{path}/role/+/secret-id-accessor/destroy"), &["update"]));
                needs.push(need("swap", format!("{path}/role/+/secret-id/lookup"), &["update"]));
                needs.push(need("swap", format!("{path}/role/+/role-id"), &["read"]));
                needs.push(need("swap", format!("{path}/role/+/secret-id-accessor/destroy"), &["update"]));
            }
            MountKind::Kubernetes => {
                needs.extend(role_needs(path));
                // Only roles that a swap names are made and taken away.
                let role = format!("{path}/role/claviger-*");
                needs.push(need("swap", role, &["read", "create", "delete"]));
            }
            MountKind::Jwt => needs.extend(role_needs(path)),
            MountKind::Userpass => needs.push(need("scan", format!("{path}/users/*"), &["list", "read"])),
            MountKind::Database => {
                needs.push(need("scan", format!("{path}/config/*"), &["list", "read"]));
                needs.push(need("scan", format!("{path}/static-roles/*"), &["list", "read"]));
                needs.push(need("scan", format!("{path}/static-creds/*"), &["read"]));
                needs.push(need("rotate", format!("{path}/static-roles/*"), &["read"]));
                needs.push(need("rotate", format!("{path}/static-creds/*"), &["read"]));
                needs.push(need("rotate", format!("{path}/rotate-role/*"), &["update"]));
                needs.push(need("rotate", format!("{path}/rotate-root/*"), &["update"]));
                needs.push(need("rotate", format!("{path}/config/*"), &["read", "update"]));
                let role = format!("{path}/roles/claviger-*");
                needs.push(need("swap", role, &["read", "create", "delete"]));
                let lent = format!("sys/leases/revoke-prefix/{path}/creds/claviger-*");
                needs.push(need("swap", lent, &["update", "sudo"]));
            }
            MountKind::Pki => {
                needs.push(need("scan", format!("{path}/certs"), &["list"]));
                needs.push(need("scan", format!("{path}/cert/*"), &["read"]));
            }
            MountKind::Nothing | MountKind::Foreign(_) => {}
        }
    }
    if mounts.iter().any(|mount| mount.kind == MountKind::Database) {
        // A login that is lent accounts has a policy of its own, and the lease is asked when it ends.
        needs.push(need("swap", "sys/policies/acl/claviger-*", &["read", "update", "delete"]));
        needs.push(need("swap", "sys/leases/lookup", &["update"]));
    }
    needs
}

/// What a scan reads of logins by somebody else's token.
fn role_needs(path: &str) -> [Need; 2] {
    [need("scan", format!("{path}/role"), &["list"]), need("scan", format!("{path}/role/*"), &["read"])]
}

impl VaultBackend {
    pub(crate) async fn permissions(&self) -> Result<Vec<Permission>> {
        own_token(&self.api, "check").await?;
        let mounts = Mounts::read(&self.api, &self.filter, &self.extra).await?;
        let needs = needs(&mounts.mounts);
        let probes: Vec<String> = needs.iter().map(|need| need.probe.clone()).collect();
        let found = match capabilities(&self.api, "check", &probes).await {
            Ok(found) => found,
            Err(error) if error.kind() == claviger_backend::ErrorKind::Denied => {
                let unknown = |need: Need| Permission {
                    flow: need.flow,
                    name: format!("{} on {}", need.capabilities.join(", "), need.rule),
                    status: PermissionStatus::Unknown("our token may not ask sys/capabilities-self".into()),
                };
                return Ok(needs.into_iter().map(unknown).collect());
            }
            Err(error) => return Err(error),
        };
        Ok(needs.into_iter().map(|need| permission(need, &found)).collect())
    }
}

fn permission(need: Need, found: &BTreeMap<String, Vec<String>>) -> Permission {
    let has = found.get(&need.probe).map(Vec::as_slice).unwrap_or_default();
    let root = has.iter().any(|has| has == "root");
    let missing: Vec<&str> = need
        .capabilities
        .iter()
        .copied()
        .filter(|needed| !root && !has.iter().any(|has| has == needed))
        .collect();
    let status = if missing.is_empty() {
        PermissionStatus::Present
    } else {
        let quoted: Vec<String> =
            need.capabilities.iter().map(|capability| format!("\"{capability}\"")).collect();
        PermissionStatus::Missing(format!(
            "path \"{}\" {{ capabilities = [{}] }}",
            need.rule,
            quoted.join(", ")
        ))
    };
    Permission { flow: need.flow, name: format!("{} on {}", need.capabilities.join(", "), need.rule), status }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_permission_is_the_rule_to_add() {
        let asked = need("scan", "secret/metadata/*", &["list", "read"]);
        let found = BTreeMap::from([(asked.probe.clone(), vec!["list".to_owned()])]);
        let expected = PermissionStatus::Missing(
            r#"path "secret/metadata/*" { capabilities = ["list", "read"] }"#.into(),
        );
        assert_eq!(permission(asked, &found).status, expected);
        let asked = need("scan", "secret/metadata/*", &["list", "read"]);
        let root = BTreeMap::from([(asked.probe.clone(), vec!["root".to_owned()])]);
        assert_eq!(permission(asked, &root).status, PermissionStatus::Present);
    }
}
