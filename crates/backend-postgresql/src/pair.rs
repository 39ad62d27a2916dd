//! Two roles that take turns: which ones they are, what the one has that the other must have, and the statements that bring it about.
//!
//! The first role owns and is granted; the other is a member of it, and each of its sessions is the first role from its start (the setting
//! `role`). So whatever is granted, and whatever either makes, is the first role's. What a membership does not give is copied: the role's
//! attributes and its settings. A comment says that the other role is one of these.

use claviger_backend::Result;
use tokio_postgres::{Client, types::Type};

use crate::{
    privilege::CREATEROLE_TAMED,
    role::{Role, Server, ValidUntil},
    session::Session,
    setting::{self, ROLE, Settings},
    statement::identifier,
};

/// What the other role's name ends with.
const SUFFIX: &str = "_alt";
/// The longest name that PostgreSQL keeps, in bytes.
pub(crate) const LONGEST_NAME: usize = 63;

/// The name of the other role of a pair.
pub(crate) fn other_name(first: &str) -> String {
    format!("{first}{SUFFIX}")
}

/// The comment on the other role, as a person can write it too.
pub(crate) fn mark(first: &str) -> String {
    format!("claviger: takes turns with {}", identifier(first))
}

/// The comment on a role that we make, with the operation that makes it.
fn made(first: &str, key: &str) -> String {
    format!("{} (made by {key})", mark(first))
}

/// A role with all that counts for a pair.
pub(crate) struct User {
    pub(crate) role: Role,
    inherit: bool,
    comment: Option<String>,
    settings: Settings,
    /// Objects that it owns, in all databases.
    owned: i64,
    /// Grants to it by its own name, in all databases.
    granted: i64,
    memberships: Vec<String>,
}

impl User {
    pub(crate) async fn find(
        session: &Session,
        client: &Client,
        operation: &'static str,
        server: Server,
        name: &str,
    ) -> Result<Option<Self>> {
        const FACTS: &str = "SELECT r.rolinherit, shobj_description(r.oid, 'pg_authid'),
                (SELECT count(*) FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o'),
                (SELECT count(*) FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype <> 'o'),
                (SELECT coalesce(array_agg(DISTINCT g.rolname::text ORDER BY g.rolname::text), ARRAY[]::text[])
                   FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)
            FROM pg_roles r WHERE r.oid = $1";
        const SETTINGS: &str = "SELECT coalesce(d.datname::text, ''), entry FROM pg_db_role_setting s
            LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) entry WHERE s.setrole = $1";
        let Some(role) = Role::find(session, client, operation, server, name).await? else { return Ok(None) };
        let rows = session.query(client, operation, FACTS, &[(&role.oid, Type::OID)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut settings = Settings::new();
        for row in session.query(client, operation, SETTINGS, &[(&role.oid, Type::OID)]).await? {
            let text: String = row.get(1);
            if let Some((parameter, value)) = setting::entry(&text) {
                settings.insert((row.get(0), parameter.to_owned()), value.to_owned());
            }
        }
        Ok(Some(Self {
            role,
            inherit: row.get(0),
            comment: row.get(1),
            owned: row.get(2),
            granted: row.get(3),
            memberships: row.get(4),
            settings,
        }))
    }

    /// The first role of the pair that this one is the other of, by its comment.
    pub(crate) fn first(&self) -> Option<&str> {
        let first = self.role.name.strip_suffix(SUFFIX)?;
        let rest = self.comment.as_deref()?.strip_prefix(&mark(first))?;
        (rest.is_empty() || rest.starts_with(' ')).then_some(first)
    }

    /// True if the operation with this key made it.
    pub(crate) fn made_by(&self, key: &str) -> bool {
        self.first().is_some_and(|first| self.comment.as_deref() == Some(made(first, key).as_str()))
    }

    /// Nothing is its own: it can be dropped.
    pub(crate) fn is_bare(&self) -> bool {
        self.owned == 0 && self.granted == 0
    }

    /// Its password ends at some time.
    pub(crate) fn ends(&self) -> bool {
        matches!(self.role.valid_until, ValidUntil::At(_) | ValidUntil::Always)
    }

    /// Who a session of the pair is in this database.
    pub(crate) fn acts_as(&self, database: &str) -> &str {
        let of = |database: &str| self.settings.get(&(database.to_owned(), ROLE.to_owned()));
        of(database).or_else(|| of("")).map_or(&self.role.name, String::as_str)
    }

    /// Attributes as `ALTER ROLE` writes them.
    fn attributes(&self) -> [(&'static str, String); 5] {
        let word = |yes: bool, name: &str| if yes { name.to_owned() } else { format!("NO{name}") };
        let role = &self.role;
        [
            ("CREATEDB", word(role.createdb, "CREATEDB")),
            ("CREATEROLE", word(role.createrole, "CREATEROLE")),
            ("REPLICATION", word(role.replication, "REPLICATION")),
            ("BYPASSRLS", word(role.bypassrls, "BYPASSRLS")),
            ("CONNECTION LIMIT", format!("CONNECTION LIMIT {}", role.connection_limit)),
        ]
    }

    /// The settings that the other role of this first one has to have.
    fn wanted(&self) -> Settings {
        let mut wanted = self.settings.clone();
        wanted.entry((String::new(), ROLE.to_owned())).or_insert_with(|| self.role.name.clone());
        wanted
    }
}

/// What the other role of the pair lacks or has too much, as statements without the membership; `None`: the role is to be made.
fn differences(first: &User, other: Option<&User>, name: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let has = other.map(User::attributes);
    let mut attributes: Vec<String> = first
        .attributes()
        .into_iter()
        .enumerate()
        .filter_map(|(index, (_, wanted))| {
            let plain = wanted.starts_with("NO") || wanted == "CONNECTION LIMIT -1";
            let differs = has.as_ref().map_or(!plain, |has| has[index].1 != wanted);
            differs.then_some(wanted)
        })
        .collect();
    if other.is_some_and(|other| !other.inherit) {
        attributes.push("INHERIT".to_owned());
    }
    if !attributes.is_empty() {
        statements.push(format!("ALTER ROLE {} {}", identifier(name), attributes.join(" ")));
    }
    let (wanted, none) = (first.wanted(), Settings::new());
    let present = other.map_or(&none, |other| &other.settings);
    for ((database, parameter), value) in &wanted {
        if present.get(&(database.clone(), parameter.clone())) != Some(value) {
            statements.push(setting::set(name, database, parameter, value));
        }
    }
    for (database, parameter) in present.keys().filter(|key| !wanted.contains_key(key)) {
        statements.push(setting::reset(name, database, parameter));
    }
    statements
}

/// The statements that make the other role what the first one is. Empty: it is.
pub(crate) fn equal(
    first: &User,
    other: Option<&User>,
    member: bool,
    server: Server,
    key: &str,
) -> Vec<String> {
    let (name, base) = (other_name(&first.role.name), &first.role.name);
    let (quoted, first_quoted) = (identifier(&name), identifier(base));
    let mut statements = Vec::new();
    if other.is_none() {
        statements.push(format!("CREATE ROLE {quoted} NOLOGIN INHERIT"));
    }
    if !member {
        let options = if server.version < CREATEROLE_TAMED { "" } else { " WITH INHERIT TRUE, SET TRUE" };
        statements.push(format!("GRANT {first_quoted} TO {quoted}{options}"));
    }
    statements.extend(differences(first, other, &name));
    if other.is_none() {
        let comment = setting::literal(&made(base, key));
        statements.push(format!("COMMENT ON ROLE {quoted} IS {comment}"));
    }
    statements
}

/// True if the other role has all that the first one has, and its sessions may be it.
pub(crate) async fn is_member(
    session: &Session,
    client: &Client,
    operation: &'static str,
    server: Server,
    first: &User,
    other: &User,
) -> Result<bool> {
    let option = if server.version < CREATEROLE_TAMED { "MEMBER" } else { "SET" };
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = $1 AND m.roleid = $2)
            AND pg_has_role($1::oid, $2::oid, 'USAGE') AND pg_has_role($1::oid, $2::oid, '{option}')"
    );
    let (other, first) = (other.role.oid, first.role.oid);
    let rows = session.query(client, operation, &sql, &[(&other, Type::OID), (&first, Type::OID)]).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// What the reader of a plan should know of a pair that is there.
pub(crate) fn notes(first: &User, other: &User, waking_first: bool) -> Vec<String> {
    let (name, base) = (&other.role.name, &first.role.name);
    let mut notes = Vec::new();
    let differences = differences(first, Some(other), name).len();
    if differences > 0 && waking_first {
        notes.push(format!(
            "role `{name}` has other attributes or settings than `{base}` ({differences} to be changed): what counts is what `{base}` has"
        ));
    } else if differences > 0 {
        notes.push(format!(
            "role `{name}` gets the attributes and settings of `{base}` again ({differences} differ)"
        ));
    }
    if other.owned > 0 {
        notes.push(format!("role `{name}` itself owns {} objects, which `{base}` does not", other.owned));
    }
    if other.granted > 0 {
        notes.push(format!("role `{name}` itself was granted rights on {} objects; who logs in as `{base}` does not have them", other.granted));
    }
    let more = other.memberships.iter().filter(|group| *group != base && !first.memberships.contains(group));
    let more: Vec<_> = more.map(|group| format!("`{group}`")).collect();
    if !more.is_empty() {
        notes.push(format!("role `{name}` is a member of {}, which `{base}` is not", more.join(", ")));
    }
    notes
}
