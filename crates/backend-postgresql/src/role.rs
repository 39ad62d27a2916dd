//! Roles as the catalogs show them.

use chrono::{DateTime, Utc};
use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::reference::Ref;
use tokio_postgres::{Client, Row, types::Type};

use crate::{session::Session, statement::Method};

/// What the server is and lets us see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    /// `server_version_num`, e.g. 150018.
    pub(crate) version: i32,
    /// We may read the verifiers in `pg_authid`. The columns' grant is enough, and holds only in the database where it was made.
    pub(crate) verifiers: bool,
}

impl Server {
    pub(crate) async fn ask(session: &Session, client: &Client, operation: &'static str) -> Result<Self> {
        const SQL: &str = "SELECT current_setting('server_version_num')::int4,
            has_column_privilege('pg_authid', 'rolname', 'SELECT') AND has_column_privilege('pg_authid', 'rolpassword', 'SELECT')";
        let rows = session.query(client, operation, SQL, &[]).await?;
        let row = rows
            .first()
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, operation, "the server gave no answer"))?;
        let server = Self { version: row.get(0), verifiers: row.get(1) };
        if server.version < 100_000 {
            let text = format!("{}: versions before 10 have no SCRAM passwords", session.target.endpoint());
            return Err(Error::new(ErrorKind::Unsupported, operation, text).with_hint("upgrade the server"));
        }
        Ok(server)
    }
}

/// What `pg_authid.rolpassword` says.
pub(crate) enum Stored {
    /// It may not be read.
    Unread,
    /// No password.
    None,
    /// A verifier.
    Verifier(String),
}

impl Stored {
    pub(crate) fn method(&self) -> Option<Method> {
        match self {
            Self::Verifier(text) => Method::of(text),
            Self::Unread | Self::None => None,
        }
    }

    /// The word of the attribute `password_method`.
    pub(crate) fn word(&self) -> &'static str {
        match (self, self.method()) {
            (Self::None, _) => "none",
            (_, Some(Method::Scram(_))) => "scram-sha-256",
            (_, Some(Method::Md5)) => "md5",
            _ => "unknown",
        }
    }
}

/// When a role's password ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValidUntil {
    /// No `VALID UNTIL`.
    Unset,
    /// `infinity`, or a year that no calendar of ours has.
    Never,
    /// `-infinity`.
    Always,
    /// This instant.
    At(DateTime<Utc>),
}

/// One role.
pub(crate) struct Role {
    pub(crate) oid: u32,
    pub(crate) name: String,
    pub(crate) superuser: bool,
    pub(crate) createrole: bool,
    pub(crate) createdb: bool,
    pub(crate) replication: bool,
    pub(crate) bypassrls: bool,
    pub(crate) can_login: bool,
    pub(crate) connection_limit: i32,
    pub(crate) valid_until: ValidUntil,
    /// By the server's clock.
    pub(crate) expired: bool,
    pub(crate) own: bool,
    pub(crate) sessions: i64,
    pub(crate) owns_objects: bool,
    pub(crate) stored: Stored,
    /// The role that it takes turns with, where the inventory is read.
    pub(crate) takes_turns_with: Option<String>,
}

const COLUMNS: &str = "r.oid, r.rolname::text, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls, r.rolcanlogin,
    r.rolconnlimit, isfinite(r.rolvaliduntil), extract(epoch FROM r.rolvaliduntil)::float8, coalesce(r.rolvaliduntil < now(), false),
    r.rolname IN (session_user, current_user)";

/// The other one of two roles that take turns, by the comment that [`crate::pair`] knows. One that rests has nothing else that would show it.
const PARTNER: &str = r#"LEFT JOIN LATERAL (SELECT CASE
        WHEN right(r.rolname::text, 4) = '_alt'
            AND position('claviger: takes turns with "' || replace(left(r.rolname::text, -4), '"', '""') || '"'
                IN coalesce(shobj_description(r.oid, 'pg_authid'), '')) = 1
        THEN left(r.rolname::text, -4)
        WHEN EXISTS (SELECT 1 FROM pg_roles t WHERE t.rolname = (r.rolname::text || '_alt')::name
            AND position('claviger: takes turns with "' || replace(r.rolname::text, '"', '""') || '"'
                IN coalesce(shobj_description(t.oid, 'pg_authid'), '')) = 1)
        THEN r.rolname::text || '_alt' END AS partner) p ON true"#;

impl Role {
    /// The next `limit` roles by name (bytewise) after `after` that can log in, could with the password that they have, or rest until their turn.
    pub(crate) async fn page(
        session: &Session,
        client: &Client,
        server: Server,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Self>> {
        let (password, join, with_password) = password_sql(server);
        // A pooled or parallel backend is no login. Where backend_type is hidden from us every entry counts.
        let sql = format!(
            "SELECT {COLUMNS}, {password}, coalesce(s.sessions, 0),
                EXISTS (SELECT 1 FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o'), p.partner
             FROM pg_roles r {join} {PARTNER}
             LEFT JOIN (SELECT usesysid, count(*) AS sessions FROM pg_stat_activity
                        WHERE pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') IN ('client backend', 'walsender')
                        GROUP BY usesysid) s ON s.usesysid = r.oid
             WHERE (r.rolcanlogin {with_password} OR p.partner IS NOT NULL) AND r.rolname > $1 ORDER BY r.rolname LIMIT $2"
        );
        let rows =
            session.query(client, "inventory", &sql, &[(&after, Type::TEXT), (&limit, Type::INT8)]).await?;
        Ok(rows.iter().map(|row| Self::from_row(row, server)).collect())
    }

    /// One role by name. Absence is an answer.
    pub(crate) async fn find(
        session: &Session,
        client: &Client,
        operation: &'static str,
        server: Server,
        name: &str,
    ) -> Result<Option<Self>> {
        let (password, join, _) = password_sql(server);
        let sql = format!(
            "SELECT {COLUMNS}, {password}, 0::int8, false, NULL::text FROM pg_roles r {join} WHERE r.rolname::text = $1"
        );
        let rows = session.query(client, operation, &sql, &[(&name, Type::TEXT)]).await?;
        Ok(rows.first().map(|row| Self::from_row(row, server)))
    }

    fn from_row(row: &Row, server: Server) -> Self {
        let valid_until = match (row.get::<_, Option<bool>>(9), row.get::<_, Option<f64>>(10)) {
            (None, _) => ValidUntil::Unset,
            (Some(true), Some(seconds)) => at(seconds),
            (Some(false), Some(seconds)) if seconds < 0.0 => ValidUntil::Always,
            // Versions before 14 give NULL or 0 for the epoch of an infinity; the comparison with now() still tells them apart.
            (Some(false), _) if row.get::<_, bool>(11) => ValidUntil::Always,
            _ => ValidUntil::Never,
        };
        let stored = match (server.verifiers, row.get::<_, Option<String>>(13)) {
            (false, _) => Stored::Unread,
            (true, None) => Stored::None,
            (true, Some(text)) => Stored::Verifier(text),
        };
        Self {
            oid: row.get(0),
            name: row.get(1),
            superuser: row.get(2),
            createrole: row.get(3),
            createdb: row.get(4),
            replication: row.get(5),
            bypassrls: row.get(6),
            can_login: row.get(7),
            connection_limit: row.get(8),
            valid_until,
            expired: row.get(11),
            own: row.get(12),
            sessions: row.get(14),
            owns_objects: row.get(15),
            takes_turns_with: row.get(16),
            stored,
        }
    }

    /// True for the superuser that `initdb` made (`BOOTSTRAP_SUPERUSERID`).
    pub(crate) fn bootstrap(&self) -> bool {
        self.oid == 10
    }
}

fn at(seconds: f64) -> ValidUntil {
    // Whole microseconds are what the server keeps; a float holds them exactly until the year 2255.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "out of range saturates, and is then no date of ours"
    )]
    let micros = (seconds * 1e6).round() as i64;
    DateTime::from_timestamp_micros(micros).map_or(ValidUntil::Never, ValidUntil::At)
}

/// Column, join and condition for the verifier. Joined by name: the least grant covers `rolname` and `rolpassword` only.
fn password_sql(server: Server) -> (&'static str, &'static str, &'static str) {
    if server.verifiers {
        ("a.rolpassword", "LEFT JOIN pg_authid a ON a.rolname = r.rolname", "OR a.rolpassword IS NOT NULL")
    } else {
        ("NULL::text", "", "")
    }
}

/// `<backend>/role/<role>`.
pub(crate) fn role_ref(backend: &str, role: &str) -> Ref {
    Ref::new(backend, ["role", role])
}

/// The role that a ref names. A role's name may hold `/` and `#`, so all of the rest is the name.
///
/// # Errors
/// `Invalid` when it is not a role of this backend.
pub(crate) fn role_of<'a>(backend: &str, operation: &'static str, at: &'a Ref) -> Result<&'a str> {
    let rest = at.as_str().strip_prefix(backend).and_then(|rest| rest.strip_prefix("/role/"));
    rest.filter(|role| !role.is_empty() && !role.contains('\0')).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, operation, format!("{at} is no role of {backend}"))
            .with_hint(format!("a role is named {backend}/role/<role>"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_gives_back_the_name_that_made_it() {
        for name in ["app", "a/b#c", "o'neil \"x\"", "ünïcode ☃"] {
            let at = role_ref("db", name);
            assert_eq!(role_of("db", "verify", &at).expect("a role"), name);
        }
        for other in ["other/role/app", "db/database/app", "db/role/", "dbx/role/app"] {
            let at = Ref::from_text(other);
            assert_eq!(
                role_of("db", "verify", &at).expect_err("no role").kind(),
                ErrorKind::Invalid,
                "{other}"
            );
        }
    }

    #[test]
    fn a_year_out_of_reach_never_comes() {
        assert_eq!(at(1e20), ValidUntil::Never);
        assert_eq!(at(1.5), ValidUntil::At(DateTime::from_timestamp_micros(1_500_000).expect("a date")));
    }
}
