//! The root credential of a database connection: the engine changes it when it is asked to (`rotate-root`), and shows it to nobody.
//!
//! That the engine still logs in is seen by writing the connection's configuration with nothing in it but `verify_connection`: the server merges
//! that into what it holds, makes the connection anew, and refuses the write if it is not let in. Nothing of the configuration changes, no
//! account and no lease is made, as the reading of dynamic credentials would.

use claviger_backend::{Account, Error, ErrorKind, Issued, Probe, Prospect, Result, Verdict};
use claviger_core::reference::Ref;
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;

use crate::{backend::VaultBackend, check::capabilities};

/// What the engine says of a connection.
#[derive(Deserialize)]
pub(super) struct Connection {
    #[serde(default)]
    plugin_name: String,
    #[serde(default)]
    connection_details: Details,
}

/// The server leaves the password out.
#[derive(Deserialize, Default)]
struct Details {
    #[serde(default)]
    connection_url: String,
    #[serde(default)]
    username: String,
}

impl VaultBackend {
    pub(super) async fn connection(
        &self,
        operation: &'static str,
        mount: &str,
        name: &str,
    ) -> Result<Option<Connection>> {
        match self.api.get::<Connection>(operation, &format!("{mount}/config/{name}")).await {
            // OpenBao answers for an absent mount as for one that we have no rule for.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other,
        }
    }

    pub(super) async fn root_prospect(&self, mount: &str, name: &str) -> Result<Prospect> {
        let Some(connection) = self.connection("prospect", mount, name).await? else {
            return Ok(Prospect::refuse("already-gone", "its issuer no longer has it: scan again"));
        };
        let details = &connection.connection_details;
        if details.username.is_empty() || !details.connection_url.contains("{{password}}") {
            let reason = format!(
                "the engine can change it only where {mount}/config/{name} has `username` and `password`, and a `connection_url` that names them as {{{{username}}}} and {{{{password}}}}: write it so, then plan again"
            );
            return Ok(Prospect::refuse("not-templated", reason));
        }
        let needs =
            [(format!("{mount}/rotate-root/{name}"), "update"), (format!("{mount}/config/{name}"), "update")];
        let paths = needs.clone().map(|(path, _)| path);
        match capabilities(&self.api, "prospect", &paths).await {
            Ok(found) => {
                let lacks = |(path, needed): &&(String, &str)| {
                    !found.get(path).into_iter().flatten().any(|has| has == needed || has == "root")
                };
                if let Some((path, needed)) = needs.iter().find(lacks) {
                    let reason = format!(
                        "our token lacks {needed} on {path}: `claviger doctor` shows the rule to add"
                    );
                    return Ok(Prospect::refuse("no-permission", reason));
                }
            }
            // Whoever may not ask finds out when it is tried.
            Err(error) if error.kind() == ErrorKind::Denied => {}
            Err(error) => return Err(error),
        }
        Ok(Prospect { account: account(&connection), ..Prospect::default() })
    }

    /// Asks for another one.
    pub(super) async fn rotate_root(&self, subject: &Ref, mount: &str, name: &str) -> Result<Issued> {
        if self.connection("issue", mount, name).await?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, "issue", format!("{subject} is gone")));
        }
        let path = format!("{mount}/rotate-root/{name}");
        let what = format!("POST {path}");
        let call = self.api.call("issue", &what, true);
        self.api.post("issue", &path, &json!({}), true).await?.good(call)?;
        Ok(Issued { at: subject.clone(), minted: None, public_half: None })
    }

    /// Has the engine log in.
    pub(super) async fn connect(&self, subject: &Ref, mount: &str, name: &str) -> Result<Probe> {
        // An absent one would be made.
        if self.connection("connects", mount, name).await?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, "connects", format!("{subject} is gone")));
        }
        let path = format!("{mount}/config/{name}");
        let what = format!("POST {path}");
        let call = self.api.call("connects", &what, true);
        let body = json!({ "verify_connection": true });
        let answer = self.api.post("connects", &path, &body, true).await?;
        let probe = |verdict| Ok(Probe { verdict, path: format!("{what} with verify_connection") });
        if answer.says("password authentication failed") || answer.says("28P01") {
            return probe(Verdict::Refused("the database refuses the engine's password".to_owned()));
        }
        if answer.status == 400 && answer.says("error verifying connection") {
            return probe(Verdict::Inconclusive("the engine cannot reach the database".to_owned()));
        }
        answer.good(call)?;
        probe(Verdict::Accepted)
    }
}

/// The account, where it is said in a form that is known here: a URL of one PostgreSQL server.
fn account(connection: &Connection) -> Option<Account> {
    if !connection.plugin_name.contains("postgresql") {
        return None;
    }
    let details = &connection.connection_details;
    let url = Url::parse(&details.connection_url.replace("{{", "").replace("}}", "")).ok()?;
    let host = url.host_str()?.to_owned();
    Some(Account::Named { user: details.username.clone(), host, port: url.port().unwrap_or(5432) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(plugin: &str, url: &str) -> Option<Account> {
        account(&Connection {
            plugin_name: plugin.to_owned(),
            connection_details: Details { connection_url: url.to_owned(), username: "engine".to_owned() },
        })
    }

    #[test]
    fn the_account_is_known_where_one_postgresql_server_is_named() {
        let named = |host: &str, port| {
            Some(Account::Named { user: "engine".to_owned(), host: host.to_owned(), port })
        };
        let plugin = "postgresql-database-plugin";
        let url = "postgresql://{{username}}:{{password}}@db.internal:6432/app?sslmode=require";
        assert_eq!(of(plugin, url), named("db.internal", 6432));
        assert_eq!(of(plugin, "postgres://{{username}}:{{password}}@10.0.0.1/app"), named("10.0.0.1", 5432));
        assert_eq!(of(plugin, "host=db user={{username}} password={{password}}"), None);
        assert_eq!(of("mysql-database-plugin", url), None);
    }
}
