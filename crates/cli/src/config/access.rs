//! `[service.oidc]` and `[[access]]`: who is let in to the API beside those with a local token, and what they may do.

use std::{collections::BTreeMap, path::PathBuf};

use claviger_core::model::Labels;
use claviger_server::access::{Grant, Role, Rule, Scope, oidc};
use serde::Deserialize;

use super::Loaded;
use crate::error::{Failure, Result};

/// `[service.oidc]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Oidc {
    issuer: String,
    audience: String,
    #[serde(default = "subject")]
    username: String,
    #[serde(default = "half_a_minute")]
    leeway_seconds: u32,
    ca: Option<PathBuf>,
}

fn subject() -> String {
    "sub".to_owned()
}

fn half_a_minute() -> u32 {
    30
}

/// `[[access]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    role: String,
    /// Of a token of the identity provider.
    #[serde(default)]
    claims: BTreeMap<String, String>,
    /// `namespace/name` of ServiceAccounts of the cluster that is asked.
    #[serde(default)]
    service_accounts: Vec<String>,
    #[serde(default)]
    backends: Vec<String>,
    #[serde(default)]
    labels: Labels,
}

/// `[service.kubernetes]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cluster {
    /// The backend whose API server is asked.
    pub(crate) backend: String,
    /// For whom tokens must have been made.
    pub(crate) audience: String,
}

/// ServiceAccounts and what they get, in file order.
pub(crate) fn accounts(all: &[Access]) -> Result<Vec<(String, Grant)>> {
    let mut accounts = Vec::new();
    for (access, rule) in all.iter().zip(rules(all)?) {
        for account in &access.service_accounts {
            let grant = Grant { role: rule.role, scope: rule.scope.clone() };
            accounts.push((account.clone(), grant));
        }
    }
    Ok(accounts)
}

/// The rules, in file order. One that names ServiceAccounts holds of no claims.
pub(crate) fn rules(all: &[Access]) -> Result<Vec<Rule>> {
    let read = |access: &Access| {
        let role = Role::parse(&access.role).ok_or_else(|| {
            let known: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
            Failure::config(638, format!("[[access]]: `{}` is no role", access.role))
                .hint(format!("roles are {}", known.join(", ")))
        })?;
        if access.claims.is_empty() == access.service_accounts.is_empty() {
            return Err(Failure::config(638, "[[access]]: it is somebody's by either `claims` or `service_accounts`")
                .hint("e.g. `claims = { groups = \"platform\" }`: each of them must be in the token; or `service_accounts = [\"ci/deployer\"]`"));
        }
        if let Some(bad) = access
            .service_accounts
            .iter()
            .find(|name| name.split('/').filter(|part| !part.is_empty()).count() != 2)
        {
            return Err(Failure::config(638, format!("[[access]]: `{bad}` is no ServiceAccount"))
                .hint("write NAMESPACE/NAME"));
        }
        Ok(Rule {
            role,
            scope: Scope { backends: access.backends.clone(), labels: access.labels.clone() },
            claims: access.claims.clone(),
        })
    };
    all.iter().map(read).collect()
}

/// The provider, as the service asks it.
pub(crate) fn provider(loaded: &Loaded, oidc: &Oidc) -> Result<oidc::Settings> {
    if oidc.leeway_seconds > 300 {
        return Err(Failure::config(637, "`leeway_seconds` of [service.oidc] is more than five minutes")
            .hint("set the clocks: a token that has ended would be taken for that long"));
    }
    let read = |path: &PathBuf| {
        let path = loaded.path(path);
        std::fs::read(&path).map_err(|error| Failure::file("read", &path, &error))
    };
    Ok(oidc::Settings {
        issuer: oidc.issuer.clone(),
        audience: oidc.audience.clone(),
        username: oidc.username.clone(),
        leeway: oidc.leeway_seconds,
        ca: oidc.ca.as_ref().map(read).transpose()?,
        rules: rules(&loaded.config.access)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Rule>> {
        #[derive(Deserialize)]
        struct File {
            access: Vec<Access>,
        }
        rules(&toml::from_str::<File>(text).expect("TOML").access)
    }

    #[test]
    fn a_rule_names_a_role_and_somebody() {
        let good = read("[[access]]\nrole = 'operator'\nclaims = { groups = 'ops' }\nbackends = ['prod']")
            .unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(
            (good[0].role, good[0].scope.backends.as_slice()),
            (Role::Operator, &["prod".to_owned()][..])
        );
        assert!(read("[[access]]\nrole = 'emperor'\nclaims = { groups = 'ops' }").is_err());
        assert!(read("[[access]]\nrole = 'admin'\nclaims = {}").is_err(), "everybody");
        let both = "[[access]]\nrole = 'admin'\nclaims = { a = 'b' }\nservice_accounts = ['a/b']";
        assert!(read(both).is_err() && read("[[access]]\nrole = 'admin'\nservice_accounts = ['a']").is_err());
        let account = read("[[access]]\nrole = 'admin'\nservice_accounts = ['a/b']");
        let account = account.unwrap_or_else(|error| panic!("{error:?}"));
        assert!(account[0].claims.is_empty(), "no token of the provider is that account's");
    }
}
