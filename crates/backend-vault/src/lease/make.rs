//! Role, login and policy of a lent account: made, looked at, taken away. The policy is made first and taken away last, and carries the operation's key.

use claviger_backend::{Effect, Error, ErrorKind, Operation, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::Terms;
use crate::{backend::VaultBackend, client::ApiPath};

/// The line of a policy that says which operation made it.
fn marked(terms: &Terms, op: &Operation) -> String {
    format!("# claviger-operation {}\n{}", op.key, terms.rules())
}

impl VaultBackend {
    async fn put(&self, operation: &'static str, path: &str, body: &Value) -> Result<()> {
        let what = format!("POST {path}");
        self.api
            .post(operation, path, body, true)
            .await?
            .good(self.api.call(operation, &what, true))
            .map(drop)
    }

    async fn delete(&self, operation: &'static str, path: &str) -> Result<()> {
        let what = format!("DELETE {path}");
        let call = self.api.call(operation, &what, true);
        let path = ApiPath::new(operation, path)?;
        let answer = self.api.send(call, Method::DELETE, &path, "", None, None).await?;
        if answer.status == 404 { Ok(()) } else { answer.good(call).map(drop) }
    }

    /// Makes what the terms say. On repeat what is there already is left, and must say just that: nothing is written over.
    pub(crate) async fn make_lease(&self, op: &Operation, terms: &Terms) -> Result<()> {
        let mark = marked(terms, op);
        let foreign = || {
            let text = format!("{} is there, and this swap did not make it", terms.name);
            Error::new(ErrorKind::Conflict, "federate", text).with_effect(Effect::NotApplied)
        };
        match self.lease_mark("federate", terms).await? {
            Some(policy) if policy == mark => {}
            Some(_) => return Err(foreign()),
            None => {
                for path in [terms.role_path(), terms.login_path()] {
                    if self.api.get::<serde::de::IgnoredAny>("federate", &path).await?.is_some() {
                        return Err(foreign());
                    }
                }
                self.put("federate", &terms.policy_path(), &json!({"policy": mark})).await?;
            }
        }
        for (path, wanted) in [(terms.role_path(), role(terms)), (terms.login_path(), login(terms))] {
            match self.api.get::<Value>("federate", &path).await? {
                None => self.put("federate", &path, &wanted).await?,
                Some(found) if holds(&found, &wanted) => {}
                Some(_) => {
                    let text = format!("{path} is there, and says something else");
                    return Err(
                        Error::new(ErrorKind::Conflict, "federate", text).with_effect(Effect::NotApplied)
                    );
                }
            }
        }
        Ok(())
    }

    /// Is all of it there, as arranged?
    pub(crate) async fn has_lease(&self, op: &Operation, terms: &Terms) -> Result<bool> {
        if self.lease_mark("federated", terms).await? != Some(marked(terms, op)) {
            return Ok(false);
        }
        for (path, wanted) in [(terms.role_path(), role(terms)), (terms.login_path(), login(terms))] {
            match self.api.get::<Value>("federated", &path).await? {
                Some(found) if holds(&found, &wanted) => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Takes it away, with the accounts that are lent by it.
    pub(crate) async fn unmake_lease(&self, op: &Operation, terms: &Terms) -> Result<()> {
        if self.lease_mark("unfederate", terms).await? != Some(marked(terms, op)) {
            return Ok(());
        }
        self.delete("unfederate", &terms.login_path()).await?;
        let lent = format!("sys/leases/revoke-prefix/{}/creds/{}", terms.mount, terms.name);
        self.put("unfederate", &lent, &json!({"sync": true})).await?;
        self.delete("unfederate", &terms.role_path()).await?;
        self.delete("unfederate", &terms.policy_path()).await
    }
}

fn role(terms: &Terms) -> Value {
    json!({
        "db_name": terms.connection,
        "creation_statements": terms.creation(),
        "revocation_statements": Terms::revocation(),
        "default_ttl": Terms::DEFAULT_TTL,
        "max_ttl": Terms::MAX_TTL,
    })
}

fn login(terms: &Terms) -> Value {
    json!({
        "bound_service_account_names": [terms.account],
        "bound_service_account_namespaces": [terms.namespace],
        "audience": super::AUDIENCE,
        "token_policies": [terms.name],
        "token_ttl": Terms::DEFAULT_TTL,
        "token_max_ttl": Terms::MAX_TTL,
    })
}

/// The server shows more fields than were written.
fn holds(found: &Value, wanted: &Value) -> bool {
    let fields = wanted.as_object().into_iter().flatten();
    fields.into_iter().all(|(key, value)| found.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_asks_less_or_gives_more_is_not_the_arranged_one() {
        let wanted = json!({"audience": "openbao", "token_policies": ["a"]});
        assert!(holds(
            &json!({"audience": "openbao", "token_policies": ["a"], "token_type": "default"}),
            &wanted
        ));
        for other in [
            json!({"audience": "", "token_policies": ["a"]}),
            json!({"audience": "openbao", "token_policies": ["a", "b"]}),
            json!({"token_policies": ["a"]}),
        ] {
            assert!(!holds(&other, &wanted), "{other}");
        }
    }
}
