//! An account at a database that the server makes for an hour, in the place of one with a password: a role of the database engine, for which a workload
//! logs in with its own token.
//!
//! The role that is lent is a member of the one whose place it takes, and each of its sessions is that role from its start (the setting `role`): whatever
//! was granted to it, or will be, counts, and whatever a session makes belongs to it. So rights are equal by construction, and they go on when the
//! former role may not log in any more. Sources: the API documentation of the database engine, its PostgreSQL plugin, and the method `kubernetes`;
//! PostgreSQL's `ALTER ROLE ... SET` and `SET ROLE`.
//!
//! The workload fetches by itself: who writes leased passwords into a Secret has made another static credential.

mod make;
mod terms;
mod trial;

use std::collections::BTreeMap;

use claviger_backend::{Candidate, ErrorKind, Offered, Proposal, Result};
use claviger_core::{
    reference::Ref,
    saga::{Arrangement, Mounting},
};
use serde::Deserialize;

pub(crate) use self::terms::Terms;
use crate::{
    backend::VaultBackend,
    mounts::{Mount, MountKind, Mounts},
};

/// For whom the workload's token is made.
const AUDIENCE: &str = "openbao";
/// How long that token holds, in seconds.
const TOKEN_SECONDS: u32 = 3600;
/// Where the workload finds it.
const FOLDER: &str = "/var/run/secrets/openbao";

#[derive(Deserialize)]
struct Connection {
    #[serde(default)]
    plugin_name: String,
    #[serde(default)]
    connection_details: Details,
    #[serde(default)]
    allowed_roles: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
struct Details {
    #[serde(default)]
    connection_url: String,
    #[serde(default)]
    username: String,
}

/// A connection to the server that the credential is of.
struct Found {
    mount: String,
    name: String,
    user: String,
    allowed: Vec<String>,
}

/// Host and port of a URL, in which user and password may be templates.
fn place(url: &str) -> Option<(String, u16)> {
    let plain = url.replace("{{", "").replace("}}", "");
    let url = reqwest::Url::parse(&plain).ok()?;
    Some((url.host_str()?.to_ascii_lowercase(), url.port().unwrap_or(5432)))
}

/// The database role that a ref of a PostgreSQL backend names.
fn role_of(subject: &Ref) -> Option<&str> {
    let role = subject.path().strip_prefix("role/")?;
    // The server takes statements apart at semicolons and fills in what is in braces, whatever is quoted.
    (!role.contains([';', '{', '}', '/', '%', '\0'])).then_some(role)
}

fn account_of(account: &Ref) -> Option<(&str, &str)> {
    account.path().split_once("/ServiceAccount/")
}

impl VaultBackend {
    /// Connections of database engines to this server.
    async fn connections(&self, mounts: &[Mount], endpoint: &str) -> Result<Vec<Found>> {
        let Some(wanted) = place(endpoint) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for mount in mounts.iter().filter(|mount| mount.kind == MountKind::Database) {
            for name in self.api.list("offers", &format!("{}/config", mount.path)).await? {
                let path = format!("{}/config/{name}", mount.path);
                let Some(connection) = self.api.get::<Connection>("offers", &path).await? else { continue };
                let there = place(&connection.connection_details.connection_url);
                if connection.plugin_name.starts_with("postgresql") && there.as_ref() == Some(&wanted) {
                    found.push(Found {
                        mount: mount.path.clone(),
                        name,
                        user: connection.connection_details.username,
                        allowed: connection.allowed_roles.unwrap_or_default(),
                    });
                }
            }
        }
        Ok(found)
    }

    /// Could an account be lent in the place of this one? Changes nothing.
    pub(crate) async fn offers_lease(&self, candidate: &Candidate<'_>) -> Result<Offered> {
        if candidate.issuer.kind != "postgresql" {
            return Ok(Offered::no("not-federated", "accounts are lent at PostgreSQL servers only"));
        }
        let Some(role) = role_of(candidate.subject) else {
            return Ok(Offered::no(
                "name-not-portable",
                "the role's name cannot be put into a statement of the database engine",
            ));
        };
        let Some((namespace, account)) = account_of(&candidate.holder.account) else {
            return Ok(Offered::no("no-account", "the workload runs as no ServiceAccount of a cluster"));
        };
        let mounts = Mounts::read(&self.api, &self.filter, &self.extra).await?.mounts;
        let found = self.connections(&mounts, &candidate.issuer.endpoint).await?;
        let [connection] = found.as_slice() else {
            let text = format!(
                "{} connections of database engines lead to {}: one is needed, with a user that may make roles and has the ADMIN OPTION on `{role}`",
                found.len(),
                candidate.issuer.endpoint
            );
            return Ok(Offered::no("no-connection", text));
        };
        if connection.user == role {
            return Ok(Offered::no("own-connection", "the database engine itself logs in as this role"));
        }
        let logins: Vec<&Mount> = mounts.iter().filter(|mount| mount.kind == MountKind::Kubernetes).collect();
        let [login] = logins.as_slice() else {
            let text = format!(
                "{} logins of type `kubernetes` are mounted: one is needed, that knows the workload's cluster",
                logins.len()
            );
            return Ok(Offered::no("no-login", text));
        };
        let terms = Terms::new(
            (&connection.mount, &connection.name),
            &login.path,
            (candidate.subject, role),
            (namespace, account),
        );
        if !connection.allowed.iter().any(|allowed| allowed == "*" || *allowed == terms.name) {
            let text = format!(
                "the connection {}/config/{} does not allow the role `{}`: add it to allowed_roles",
                connection.mount, connection.name, terms.name
            );
            return Ok(Offered::no("role-not-allowed", text));
        }
        for path in terms.paths() {
            if self.api.get::<serde::de::IgnoredAny>("offers", &path).await?.is_some() {
                return Ok(Offered::no(
                    "name-taken",
                    format!("there is {path} already, which is not ours to change"),
                ));
            }
        }
        Ok(Offered::Yes(Box::new(self.lease(candidate, &terms, connection))))
    }

    fn lease(&self, candidate: &Candidate<'_>, terms: &Terms, connection: &Found) -> Proposal {
        let secret = format!("{}/creds/{}", terms.mount, terms.name);
        Proposal {
            arrangement: Arrangement {
                at: self.names.object(&terms.role_path()),
                account: candidate.holder.account.clone(),
                audience: Some(AUDIENCE.to_owned()),
                lifetime: TOKEN_SECONDS,
                terms: terms.attributes(),
            },
            makes: true,
            mounting: Mounting {
                from: Some(candidate.object.clone()),
                audience: Some(AUDIENCE.to_owned()),
                lifetime: TOKEN_SECONDS,
                folder: Some(FOLDER.to_owned()),
                variables: BTreeMap::new(),
                annotations: BTreeMap::from([
                    ("vault.hashicorp.com/agent-inject".to_owned(), "true".to_owned()),
                    ("vault.hashicorp.com/role".to_owned(), terms.name.clone()),
                    ("vault.hashicorp.com/auth-path".to_owned(), terms.login.clone()),
                    ("vault.hashicorp.com/agent-inject-secret-database".to_owned(), secret.clone()),
                ]),
                account_annotations: BTreeMap::new(),
            },
            by_hand: Some(format!(
                "its program has to take user and password from {secret}, by the agent's file or its own login, and take new ones when the lease ends"
            )),
            notes: vec![
                format!(
                    "the role `{}` of the database engine has to be allowed to make roles, and to have the ADMIN OPTION on the role whose place is taken",
                    connection.user
                ),
                "rules of pg_hba.conf and poolers that name the former user do not hold for a lent one"
                    .to_owned(),
                "a connection limit of the former role does not hold for lent ones together".to_owned(),
            ],
        }
    }

    /// Is the mark of this operation there, or another one, or none?
    async fn lease_mark(&self, operation: &'static str, terms: &Terms) -> Result<Option<String>> {
        match self.api.get::<Policy>(operation, &terms.policy_path()).await {
            Ok(policy) => Ok(policy.map(|policy| policy.policy)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[derive(Deserialize)]
struct Policy {
    #[serde(default)]
    policy: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_by_host_and_port() {
        let template = "postgresql://{{username}}:{{password}}@DB.internal:6432/app?sslmode=require";
        assert_eq!(place(template), place("postgres://db.internal:6432/other"));
        assert_ne!(place(template), place("postgres://db.internal/app"));
        assert_eq!(place("postgres://db.internal/app"), Some(("db.internal".to_owned(), 5432)));
        assert_eq!(place("no url"), None);
    }

    #[test]
    fn names_that_a_statement_cannot_carry_are_refused() {
        assert_eq!(role_of(&Ref::from_text("db/role/app")), Some("app"));
        for other in ["db/role/a;b", "db/role/{{name}}", "db/static/app"] {
            assert_eq!(role_of(&Ref::from_text(other)), None, "{other}");
        }
    }
}
