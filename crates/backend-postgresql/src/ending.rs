//! What outlives a role's password: the sessions that were begun with it. PostgreSQL looks at a password when a session begins and never again.

use std::time::Duration;

use async_trait::async_trait;
use claviger_backend::{
    Derived, Descent, Effect, Ended, Ending, Error, ErrorKind, Offspring, Operation, Result, Suspension,
};
use claviger_core::reference::Ref;
use tokio::time::Instant;
use tokio_postgres::{Client, types::Type};

use crate::{
    backend::PostgresqlBackend,
    role::{role_of, role_ref},
};

/// Between two looks whether a session that was told to end has ended.
const LOOK: Duration = Duration::from_millis(100);
/// Sessions that are not clients' (parallel workers) end with their leader; our own is no subject's.
const SESSIONS: &str = "FROM pg_stat_activity WHERE usename::text = $1 AND pid <> pg_backend_pid()
    AND coalesce(backend_type, 'client backend') IN ('client backend', 'walsender')";

impl PostgresqlBackend {
    pub(crate) fn ending_of(&self, subject: &Ref) -> Ending {
        match role_of(&self.info.name, "ending", subject) {
            Ok(name) => Ending {
                suspension: Suspension::Shut,
                outlived_by: Some("sessions"),
                notes: vec![format!(
                    "role `{name}` is not dropped, as it may own objects: it stays with NOLOGIN and no password (by hand: REASSIGN OWNED, DROP OWNED, DROP ROLE)"
                )],
                ..Ending::default()
            },
            Err(error) => Ending::refuse("no-issuer", error.message()),
        }
    }

    async fn living(&self, operation: &'static str, client: &Client, name: &str) -> Result<Vec<Derived>> {
        let sql = format!(
            "SELECT pid, coalesce(nullif(application_name, ''), '?'), coalesce(host(client_addr), 'a local socket'),
                coalesce(to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '?') {SESSIONS} ORDER BY pid"
        );
        let rows = self.session.query(client, operation, &sql, &[(&name, Type::TEXT)]).await?;
        // A program names itself as it likes.
        let plain = |text: String| -> String {
            text.chars().map(|c| if c.is_control() { '?' } else { c }).take(60).collect()
        };
        let derived = |row: &tokio_postgres::Row| {
            let (pid, from): (i32, String) = (row.get(0), row.get(2));
            let (program, since) = (plain(row.get(1)), plain(row.get(3)));
            Derived {
                at: role_ref(&self.info.name, name),
                what: format!("session {pid} of {program} from {from}, begun {since}"),
                certain: true,
            }
        };
        Ok(rows.iter().map(derived).collect())
    }
}

#[async_trait]
impl Offspring for PostgresqlBackend {
    async fn derived(&self, subject: &Ref) -> Result<Descent> {
        let name = role_of(&self.info.name, "derived", subject)?;
        let (client, role) = self.find("derived", name).await?;
        if role.is_none() {
            return Err(self.missing("derived", name));
        }
        let derived = self.living("derived", &client, name).await?;
        Ok(Descent { derived, ..Descent::default() })
    }

    /// `pg_terminate_backend` for each of them, until none is left: one that holds a lock may take a moment.
    async fn end_derived(&self, op: &Operation, subject: &Ref, _mark: &str) -> Result<Ended> {
        let name = role_of(&self.info.name, "end_derived", subject)?;
        let until = Instant::now() + op.deadline * 4 / 5;
        let client = self.session.client("end_derived").await?;
        let sql = format!("SELECT count(pg_terminate_backend(pid)) {SESSIONS}");
        let mut ended: Vec<Derived> = Vec::new();
        loop {
            let left = self.living("end_derived", &client, name).await?;
            if left.is_empty() {
                let evidence = "pg_stat_activity shows none of its sessions".to_owned();
                return Ok(Ended { ended, evidence });
            }
            if Instant::now() >= until {
                let text = format!("{} sessions of role `{name}` have not ended yet", left.len());
                return Err(
                    Error::new(ErrorKind::Unavailable, "end_derived", text).with_effect(Effect::Unknown)
                );
            }
            ended.extend(left.into_iter().filter(|one| !ended.contains(one)).collect::<Vec<_>>());
            if let Err(error) = self.session.query(&client, "end_derived", &sql, &[(&name, Type::TEXT)]).await
            {
                return Err(match error.kind() {
                    ErrorKind::Denied => error.with_hint(
                        "grant pg_signal_backend to claviger's role; a superuser's sessions only a superuser ends",
                    ),
                    _ => error.with_effect(Effect::Unknown),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
