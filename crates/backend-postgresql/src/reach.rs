//! What a login may do, seen from within a session of its own: so that an account that is lent for an hour can be compared with the one whose
//! place it takes.
//!
//! Privileges are granted to roles, and a session has those of every role that it is a member of, and of PUBLIC. So two logins whose sessions are the
//! same role, and whose own account brings nothing else, may do the same: tables need not be counted. PostgreSQL itself accepts no identity of a
//! workload, so the rest of [`Federation`] is refused here.

use std::collections::BTreeSet;

use async_trait::async_trait;
use claviger_backend::{Candidate, Entry, Error, ErrorKind, Federation, Offered, Operation, Result, Verdict};
use claviger_core::{reference::Ref, saga::Arrangement, secret::SecretValue};
use tokio_postgres::{Client, types::Type};

use crate::{
    backend::PostgresqlBackend,
    failure::Failure,
    role::role_of,
    session::{Login, open},
};

/// Who the session is, and which roles' privileges it has.
const ROLES: &str = "SELECT 'has the privileges of ' || r.rolname::text FROM pg_catalog.pg_roles r
    WHERE pg_catalog.pg_has_role(current_user, r.oid, 'USAGE')
    UNION ALL SELECT 'is ' || current_user::text
    UNION ALL SELECT 'is ' || w.word FROM pg_catalog.pg_roles r, LATERAL (VALUES
        (r.rolsuper, 'SUPERUSER'), (r.rolcreatedb, 'CREATEDB'), (r.rolcreaterole, 'CREATEROLE'), (r.rolbypassrls, 'BYPASSRLS')) w(has, word)
    WHERE r.rolname = current_user AND w.has
    UNION ALL SELECT 'may replicate' FROM pg_catalog.pg_roles r WHERE r.rolname = session_user AND r.rolreplication";
/// Settings that its role or its database gives it.
const SETTINGS: &str = "SELECT 'has ' || name || ' = ' || setting FROM pg_catalog.pg_settings
    WHERE source IN ('user', 'database user', 'database') AND name NOT IN ('role', 'session_authorization')";
/// What the account that logged in brings besides, where the session is another role: it may go back to its own.
const BESIDES: &str = "SELECT 'may become ' || r.rolname::text FROM pg_catalog.pg_roles r
    WHERE session_user <> current_user AND r.rolname <> session_user
        AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER') AND NOT pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER')
    UNION ALL SELECT 'may become ' || w.word FROM pg_catalog.pg_roles r, LATERAL (VALUES
        (r.rolsuper, 'SUPERUSER'), (r.rolcreatedb, 'CREATEDB'), (r.rolcreaterole, 'CREATEROLE'), (r.rolbypassrls, 'BYPASSRLS')) w(has, word)
    WHERE session_user <> current_user AND r.rolname = session_user AND w.has
    UNION ALL SELECT 'owns or was granted something by its own name' FROM pg_catalog.pg_roles r
    WHERE session_user <> current_user AND r.rolname = session_user AND EXISTS (SELECT 1 FROM pg_catalog.pg_shdepend d
        WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid)";

/// No parameters.
const NOTHING: &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)] = &[];

impl PostgresqlBackend {
    async fn rights(&self, client: &Client) -> Result<BTreeSet<String>> {
        let mut may = BTreeSet::new();
        for question in [ROLES, SETTINGS, BESIDES] {
            let rows = self.session.query(client, "reach", question, NOTHING).await?;
            may.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        }
        Ok(may)
    }
}

fn unsupported<T>(operation: &'static str) -> Result<T> {
    let text = "PostgreSQL accepts no identity of a workload";
    Err(Error::new(ErrorKind::Unsupported, operation, text))
}

#[async_trait]
impl Federation for PostgresqlBackend {
    async fn offers(&self, _candidate: &Candidate<'_>) -> Result<Offered> {
        Ok(Offered::no("not-federated", "PostgreSQL accepts no identity of a workload"))
    }

    async fn federate(&self, _op: &Operation, _arrangement: &Arrangement) -> Result<()> {
        unsupported("federate")
    }

    async fn federated(&self, _op: &Operation, _arrangement: &Arrangement) -> Result<bool> {
        unsupported("federated")
    }

    async fn unfederate(&self, _op: &Operation, _arrangement: &Arrangement) -> Result<()> {
        unsupported("unfederate")
    }

    /// Two logins: one that shows that the password is what lets in, one that asks the session what it is.
    async fn reach(&self, subject: &Ref, value: &SecretValue) -> Result<Entry> {
        let name = role_of(&self.info.name, "reach", subject)?;
        let mut entry = Entry { probe: self.probe(name, value).await, may: BTreeSet::new(), ends_at: None };
        if entry.probe.verdict != Verdict::Accepted {
            return Ok(entry);
        }
        let database = match self.find("reach", name).await? {
            (client, Some(role)) => self.database_for(&client, &role).await?,
            (_, None) => None,
        };
        let login = Login { user: name, password: Some(value.expose()), database: database.as_deref() };
        let failed = |failure: Failure| failure.into_error("reach", &self.session.target);
        let client = open(&self.session.target, &self.session.tls, &login).await.map_err(failed)?;
        entry.may = self.rights(&client).await?;
        Ok(entry)
    }

    async fn login(&self, _arrangement: &Arrangement, _assertion: &SecretValue) -> Result<Entry> {
        unsupported("login")
    }
}
