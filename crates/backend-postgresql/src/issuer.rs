//! The role as issuer. What changes the server is one `ALTER ROLE`, and only when it would change something.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_backend::{
    Effect, Ending, Error, ErrorKind, Held, Identified, Issued, Issuer, Offer, Operation, Overlap, Presence,
    Probe, Prospect, Restore, Result, Retry, Sibling, ValueForm,
};
use claviger_core::{id::OperationKey, reference::Ref, scram, secret::SecretValue};
use sha2::{Digest as _, Sha256};
use tokio_postgres::{Client, types::Type};

use crate::{
    backend::PostgresqlBackend,
    inventory,
    role::{Role, Server, Stored, role_of, role_ref},
    statement::{self, Method},
};

#[async_trait]
impl Issuer for PostgresqlBackend {
    /// A role has one password: setting another ends it.
    fn offer(&self, _subject: &Ref) -> Option<Offer> {
        Some(Offer::set_by_us(Overlap::None, ValueForm::Password))
    }

    async fn issue(&self, op: &Operation, subject: &Ref, value: Option<&SecretValue>) -> Result<Issued> {
        let name = role_of(&self.info.name, "issue", subject)?;
        let value = value.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "issue", "a password is set by us: there is no value")
        })?;
        if value.is_empty() || value.expose_text().is_none_or(|text| text.contains('\0')) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "issue",
                "a PostgreSQL password is text of at least one character",
            ));
        }
        let (client, role) = self.subject("issue", name).await?;
        if let Stored::Verifier(stored) = &role.stored
            && scram::matches(stored, value)
        {
            // Setting it again would only salt it anew, and break whoever caches the verifier.
            return Ok(Issued { at: subject.clone(), minted: None, public_half: None });
        }
        let verifier = scram::build(value, &salt(op.key, name), scram::ITERATIONS);
        self.alter(&client, "issue", op, name, Some(&verifier)).await?;
        Ok(Issued { at: subject.clone(), minted: None, public_half: None })
    }

    async fn issued(&self, _op: &Operation, subject: &Ref) -> Result<Option<Issued>> {
        Err(unsupported("issued", subject, "a role's password is set by us"))
    }

    async fn verify(&self, subject: &Ref, value: &SecretValue) -> Result<Probe> {
        let name = role_of(&self.info.name, "verify", subject)?;
        Ok(self.probe(name, value).await)
    }

    /// Recomputes verifiers role by role; of several roles with this password the first by name is told.
    async fn identify(&self, value: &SecretValue) -> Result<Option<Identified>> {
        if value.is_empty() || value.expose_text().is_none() {
            return Ok(None);
        }
        let client = self.session.client("identify").await?;
        let server = Server::ask(&self.session, &client, "identify").await?;
        if !server.verifiers {
            return Err(Error::new(ErrorKind::Denied, "identify", inventory::missing_grant(&self.session)));
        }
        let shared = Arc::new(value.duplicate());
        let (mut tried, mut after) = (0, String::new());
        loop {
            let page = Role::page(&self.session, &client, server, &after, 100).await?;
            let Some(last) = page.last() else { return Ok(None) };
            after.clone_from(&last.name);
            let candidates: Vec<(String, String)> = page
                .into_iter()
                .filter_map(|role| match role.stored {
                    Stored::Verifier(text) => Some((role.name, text)),
                    Stored::Unread | Stored::None => None,
                })
                .collect();
            tried += candidates.len();
            if tried > self.identify_budget {
                let text = format!(
                    "{}: the budget of {} verifiers is spent",
                    self.info.endpoint, self.identify_budget
                );
                return Err(Error::new(ErrorKind::Unsupported, "identify", text)
                    .with_hint("raise the budget, or name the role"));
            }
            let value = Arc::clone(&shared);
            let found = tokio::task::spawn_blocking(move || {
                candidates
                    .into_iter()
                    .find(|(role, stored)| opens(stored, role, &value))
                    .map(|(role, _)| role)
            });
            let found = found
                .await
                .map_err(|_| Error::new(ErrorKind::Unexpected, "identify", "the comparison broke off"))?;
            if let Some(role) = found {
                return Ok(Some(Identified { at: role_ref(&self.info.name, &role) }));
            }
        }
    }

    /// The stored verifier, empty for a role without password.
    async fn snapshot(&self, subject: &Ref) -> Result<Option<Restore>> {
        let name = role_of(&self.info.name, "snapshot", subject)?;
        let (_, role) = self.find("snapshot", name).await?;
        Ok(match role.ok_or_else(|| self.missing("snapshot", name))?.stored {
            Stored::Unread => None,
            Stored::None => Some(Restore(SecretValue::new(Vec::new()))),
            Stored::Verifier(text) => Some(Restore(SecretValue::from_text(text))),
        })
    }

    async fn restore(&self, op: &Operation, subject: &Ref, saved: &Restore) -> Result<()> {
        let name = role_of(&self.info.name, "restore", subject)?;
        let saved = saved.0.expose_text().unwrap_or("\0");
        if !saved.is_empty() && Method::of(saved).is_none() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "restore",
                "what was saved is no verifier of PostgreSQL's",
            ));
        }
        let (client, role) = self.subject("restore", name).await?;
        let already = match &role.stored {
            Stored::Unread => false,
            Stored::None => saved.is_empty(),
            Stored::Verifier(stored) => stored == saved,
        };
        if already {
            return Ok(());
        }
        self.alter(&client, "restore", op, name, Some(saved).filter(|saved| !saved.is_empty())).await
    }

    /// The token names the role's oid and a digest of its verifier: it changes when the role is made anew and when its password changes.
    async fn presence(&self, subject: &Ref) -> Result<Presence> {
        let name = role_of(&self.info.name, "presence", subject)?;
        let (_, role) = self.find("presence", name).await?;
        Ok(role.and_then(|role| token(&role)).map_or(Presence::Absent, Presence::Present))
    }

    async fn prospect(&self, _subject: &Ref) -> Result<Prospect> {
        Ok(Prospect::default())
    }

    async fn made_by(&self, _op: &Operation, subject: &Ref) -> Result<Vec<Ref>> {
        Err(unsupported("made_by", subject, "a role has one password"))
    }

    async fn held(&self, subject: &Ref) -> Result<Option<Held>> {
        Err(unsupported("held", subject, "a password is not shown"))
    }

    /// The role, and the one that it takes turns with.
    async fn siblings(&self, subject: &Ref) -> Result<Vec<Sibling>> {
        let name = role_of(&self.info.name, "siblings", subject)?;
        let (_, users) = self.turning("siblings", name).await?;
        Ok(users.iter().map(|user| self.sibling(user)).collect())
    }

    async fn disable(&self, op: &Operation, subject: &Ref) -> Result<()> {
        self.may_log_in("disable", op, subject, false).await
    }

    async fn enable(&self, op: &Operation, subject: &Ref) -> Result<()> {
        self.may_log_in("enable", op, subject, true).await
    }

    fn ending(&self, subject: &Ref) -> Ending {
        self.ending_of(subject)
    }

    /// NOLOGIN and no password: NOLOGIN alone is no refusal, and without a password alone other methods of `pg_hba.conf` would still let it in. The
    /// role stays, with what it owns; one of two that take turns rests. Sessions that are there go on: [`claviger_backend::Offspring`] ends them.
    async fn revoke(&self, op: &Operation, subject: &Ref, expect: Option<&str>) -> Result<()> {
        let name = role_of(&self.info.name, "revoke", subject)?;
        let (client, users) = self.turning("revoke", name).await?;
        let Some(role) = users.first().map(|user| &user.role) else { return Ok(()) };
        self.not_own("revoke", role)?;
        let Some(present) = token(role) else { return Ok(()) };
        if expect.is_some_and(|expected| *expected != present) {
            let text = format!("role `{name}` was made anew, or has another password");
            return Err(Error::new(ErrorKind::Conflict, "revoke", text));
        }
        self.change_role(&client, "revoke", op, &statement::rest(name)).await
    }

    async fn last_used(&self, _subject: &Ref) -> Result<Option<DateTime<Utc>>> {
        // PostgreSQL keeps no time of the last login.
        Ok(None)
    }
}

impl PostgresqlBackend {
    pub(crate) async fn find(
        &self,
        operation: &'static str,
        name: &str,
    ) -> Result<(Arc<Client>, Option<Role>)> {
        let client = self.session.client(operation).await?;
        let server = Server::ask(&self.session, &client, operation).await?;
        let role = Role::find(&self.session, &client, operation, server, name).await?;
        Ok((client, role))
    }

    /// The role whose password is to be changed.
    ///
    /// # Errors
    /// `NotFound`; `Unsupported` for the role that we log in as: with its password changed under us, nothing could be finished or undone.
    async fn subject(&self, operation: &'static str, name: &str) -> Result<(Arc<Client>, Role)> {
        let (client, role) = self.find(operation, name).await?;
        let role = role.ok_or_else(|| self.missing(operation, name))?;
        self.not_own(operation, &role)?;
        Ok((client, role))
    }

    fn not_own(&self, operation: &'static str, role: &Role) -> Result<()> {
        if !role.own {
            return Ok(());
        }
        let name = &role.name;
        let text =
            format!("{}: role `{name}` is the one that claviger itself logs in as", self.info.endpoint);
        Err(Error::new(ErrorKind::Unsupported, operation, text)
            .with_hint("give claviger a role of its own, and change that one's password by hand"))
    }

    pub(crate) fn missing(&self, operation: &'static str, name: &str) -> Error {
        let text = format!("{}: role `{name}` does not exist", self.info.endpoint);
        Error::new(ErrorKind::NotFound, operation, text)
    }

    async fn alter(
        &self,
        client: &Client,
        operation: &'static str,
        op: &Operation,
        name: &str,
        verifier: Option<&str>,
    ) -> Result<()> {
        let sql = statement::set_password(name, verifier)
            .ok_or_else(|| Error::new(ErrorKind::Invalid, operation, "what was to be set is no verifier"))?;
        self.change_role(client, operation, op, &sql).await
    }

    /// LOGIN or NOLOGIN. It suspends the role and not its password alone: whoever logs in as it by other means is kept out too.
    async fn may_log_in(
        &self,
        operation: &'static str,
        op: &Operation,
        subject: &Ref,
        may: bool,
    ) -> Result<()> {
        let name = role_of(&self.info.name, operation, subject)?;
        let (client, users) = self.turning(operation, name).await?;
        let Some(user) = users.first() else { return Err(self.missing(operation, name)) };
        self.not_own(operation, &user.role)?;
        if user.role.can_login == may {
            return Ok(());
        }
        self.change_role(&client, operation, op, &statement::may_log_in(name, may)).await
    }

    pub(crate) async fn change_role(
        &self,
        client: &Client,
        operation: &'static str,
        op: &Operation,
        sql: &str,
    ) -> Result<()> {
        match self.session.change(client, operation, sql, op.deadline).await {
            Err(error) if error.kind() == ErrorKind::Denied => Err(error.with_hint(
                "the role needs CREATEROLE, from version 16 on also ADMIN OPTION on the role that is changed; a superuser's password only a superuser changes",
            )),
            Err(error) if error.effect() == Effect::NotApplied && error.kind() == ErrorKind::Unavailable => {
                Err(error.with_retry(Retry::Temporary))
            }
            other => other,
        }
    }

    /// The best database for a login of this role: the configured one if the role may connect to it.
    pub(crate) async fn database_for(&self, client: &Client, role: &Role) -> Result<Option<String>> {
        const SQL: &str = "SELECT d.datname::text FROM pg_database d
            WHERE d.datallowconn AND has_database_privilege($1::oid, d.oid, 'CONNECT')
            ORDER BY d.datname = current_database() DESC, d.datname::text = $2 DESC, d.datistemplate, d.datname LIMIT 1";
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&role.oid, Type::OID), (&role.name, Type::TEXT)];
        let rows = self.session.query(client, "verify", SQL, &parameters).await?;
        Ok(rows.first().map(|row| row.get(0)))
    }
}

/// Names the role's oid and its verifier. `None`: it has no password, so there is no such credential.
fn token(role: &Role) -> Option<String> {
    let verifier = match &role.stored {
        Stored::None => return None,
        // Whatever it is, nobody gets in with it.
        Stored::Unread if !role.can_login => return None,
        Stored::Unread => "unread".to_owned(),
        Stored::Verifier(text) => hex::encode(&Sha256::digest(text.as_bytes())[..16]),
    };
    Some(format!("{}:{verifier}", role.oid))
}

/// Is `value` the password behind the stored verifier of `role`?
pub(crate) fn opens(stored: &str, role: &str, value: &SecretValue) -> bool {
    match Method::of(stored) {
        Some(Method::Scram(_)) => scram::matches(stored, value),
        Some(Method::Md5) => scram::md5_matches(stored, role, value),
        None => false,
    }
}

/// The same for each attempt of one operation, so that a repeat sets the very same verifier. Not secret: a salt only has to differ.
pub(crate) fn salt(key: OperationKey, role: &str) -> [u8; scram::SALT_BYTES] {
    let digest = Sha256::new()
        .chain_update(b"claviger-scram-salt/v1\0")
        .chain_update(key.0.as_bytes())
        .chain_update(role.as_bytes())
        .finalize();
    let mut salt = [0; scram::SALT_BYTES];
    salt.copy_from_slice(&digest[..scram::SALT_BYTES]);
    salt
}

fn unsupported(operation: &'static str, subject: &Ref, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, operation, format!("{subject}: {why}"))
}
