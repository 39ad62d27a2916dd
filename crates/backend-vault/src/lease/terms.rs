//! What a plan keeps of an account that is to be lent. It holds no secret.

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::{model::Attributes, reference::Ref, saga::Arrangement};
use serde_json::{Value, json};

/// The word by which such an arrangement is known.
const ENGINE: &str = "database";

/// The terms of one arrangement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Name of the engine's role, of the login's role, and of the policy.
    pub(super) name: String,
    /// The database engine.
    pub(super) mount: String,
    /// Its connection.
    pub(super) connection: String,
    /// The login: `auth/kubernetes`.
    pub(super) login: String,
    /// Backend of the database server, for refs of lent accounts.
    pub(super) database: String,
    /// The role whose place is taken.
    pub(super) role: String,
    /// Namespace of the ServiceAccount.
    pub(super) namespace: String,
    /// Its name.
    pub(super) account: String,
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Letters, digits and dashes, as names of policies and roles take them.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

impl Terms {
    pub(super) fn new(
        (mount, connection): (&str, &str),
        login: &str,
        (subject, role): (&Ref, &str),
        (namespace, account): (&str, &str),
    ) -> Self {
        Self {
            name: format!("claviger-{}-{}-{}", plain(namespace), plain(account), plain(role)),
            mount: mount.to_owned(),
            connection: connection.to_owned(),
            login: login.to_owned(),
            database: subject.backend().to_owned(),
            role: role.to_owned(),
            namespace: namespace.to_owned(),
            account: account.to_owned(),
        }
    }

    fn fields(&self) -> [(&'static str, &str); 8] {
        [
            ("name", &self.name),
            ("mount", &self.mount),
            ("connection", &self.connection),
            ("login", &self.login),
            ("database", &self.database),
            ("role", &self.role),
            ("namespace", &self.namespace),
            ("account", &self.account),
        ]
    }

    /// As the plan keeps them, with the statements, so that they are seen and part of its hash.
    pub(super) fn attributes(&self) -> Attributes {
        let fields = self.fields().into_iter().map(|(key, value)| (key.to_owned(), json!(value)));
        let mut attributes: Attributes = fields.collect();
        attributes.insert("engine".to_owned(), json!(ENGINE));
        attributes.insert("creation_statements".to_owned(), json!(self.creation()));
        attributes.insert("revocation_statements".to_owned(), json!(Self::revocation()));
        attributes.insert("default_ttl".to_owned(), json!(Self::DEFAULT_TTL));
        attributes.insert("max_ttl".to_owned(), json!(Self::MAX_TTL));
        attributes.insert("policy".to_owned(), json!(self.rules()));
        attributes
    }

    /// Reads a plan's; `None`: it is no such arrangement.
    ///
    /// # Errors
    /// `Invalid`: it lacks something.
    pub(crate) fn read(operation: &'static str, arrangement: &Arrangement) -> Result<Option<Self>> {
        if arrangement.terms.get("engine").and_then(Value::as_str) != Some(ENGINE) {
            return Ok(None);
        }
        let text = |key: &str| {
            arrangement.terms.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
                let text = format!("{}: its terms lack `{key}`", arrangement.at);
                Error::new(ErrorKind::Invalid, operation, text)
            })
        };
        Ok(Some(Self {
            name: text("name")?,
            mount: text("mount")?,
            connection: text("connection")?,
            login: text("login")?,
            database: text("database")?,
            role: text("role")?,
            namespace: text("namespace")?,
            account: text("account")?,
        }))
    }

    /// How long an account is lent, in seconds, until it is renewed.
    pub(super) const DEFAULT_TTL: u32 = 3600;
    /// How long it is lent at the most.
    pub(super) const MAX_TTL: u32 = 86_400;

    /// The account is a member of the role, and its sessions are that role. The engine's own user becomes a member of it, so that it may end its sessions.
    pub(super) fn creation(&self) -> Vec<String> {
        vec![
            format!(
                "CREATE ROLE \"{{{{name}}}}\" WITH LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}' INHERIT IN ROLE {}",
                quoted(&self.role)
            ),
            format!("ALTER ROLE \"{{{{name}}}}\" SET role = {}", literal(&self.role)),
            "GRANT \"{{name}}\" TO CURRENT_USER".to_owned(),
        ]
    }

    /// A session outlives its account, and has the role's rights until it ends: so it is ended first.
    pub(super) fn revocation() -> Vec<String> {
        vec![
            "ALTER ROLE \"{{name}}\" NOLOGIN".to_owned(),
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = '{{name}}'".to_owned(),
            "DROP ROLE IF EXISTS \"{{name}}\"".to_owned(),
        ]
    }

    /// What the login's token may do: take such an account. Renewing is every token's right by the policy `default`.
    pub(super) fn rules(&self) -> String {
        format!("path \"{}/creds/{}\" {{ capabilities = [\"read\"] }}\n", self.mount, self.name)
    }

    pub(super) fn role_path(&self) -> String {
        format!("{}/roles/{}", self.mount, self.name)
    }

    pub(super) fn login_path(&self) -> String {
        format!("{}/role/{}", self.login, self.name)
    }

    pub(super) fn policy_path(&self) -> String {
        format!("sys/policies/acl/{}", self.name)
    }

    /// Everything that is made.
    pub(super) fn paths(&self) -> [String; 3] {
        [self.policy_path(), self.role_path(), self.login_path()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(role: &str) -> Terms {
        let subject = Ref::new("db", ["role", role]);
        Terms::new(("database", "pg"), "auth/kubernetes", (&subject, role), ("payments", "web"))
    }

    #[test]
    fn terms_come_back_from_a_plan() {
        let arrangement = Arrangement {
            at: Ref::from_text("vault/database/roles/claviger-payments-web-app"),
            account: Ref::from_text("prod/payments/ServiceAccount/web"),
            audience: Some("openbao".into()),
            lifetime: 3600,
            terms: terms("app").attributes(),
        };
        assert_eq!(Terms::read("federate", &arrangement).expect("terms"), Some(terms("app")));
        let mut other = arrangement;
        other.terms.insert("engine".to_owned(), json!("another"));
        assert_eq!(Terms::read("federate", &other).expect("an answer"), None);
    }

    #[test]
    fn statements_quote_the_role() {
        let statements = terms("o'b\"x").creation();
        assert!(statements[0].ends_with("IN ROLE \"o'b\"\"x\""), "{}", statements[0]);
        assert!(statements[1].ends_with("SET role = E'o''b\"x'"), "{}", statements[1]);
        assert_eq!(terms("App_1").name, "claviger-payments-web-app-1");
    }
}
