//! What a role may do, as grants: its attributes and the roles that it is a member of, also through others.

use std::collections::BTreeMap;

use claviger_backend::Result;
use claviger_core::{
    model::{Attributes, PrivilegeLevel},
    observation::ObservedGrant,
};
use serde_json::json;
use tokio_postgres::{Client, types::Type};

use crate::{
    role::{Role, Server, role_ref},
    session::Session,
};

/// From this version on CREATEROLE reaches only roles that one administers: <https://www.postgresql.org/docs/16/release-16.html>.
pub(crate) const CREATEROLE_TAMED: i32 = 160_000;

/// The grants that a role's own attributes are.
pub(crate) fn of_attributes(backend: &str, role: &Role, server: Server) -> Vec<ObservedGrant> {
    let createrole =
        if server.version < CREATEROLE_TAMED { PrivilegeLevel::Admin } else { PrivilegeLevel::Write };
    [
        (role.superuser, "superuser", PrivilegeLevel::Admin),
        (role.createrole, "createrole", createrole),
        // A base backup holds every row and every verifier.
        (role.replication, "replication", PrivilegeLevel::Sensitive),
        (role.bypassrls, "bypassrls", PrivilegeLevel::Sensitive),
        (role.createdb, "createdb", PrivilegeLevel::Write),
    ]
    .into_iter()
    .filter(|(holds, ..)| *holds)
    .map(|(_, privilege, level)| {
        let at = role_ref(backend, &role.name);
        let attributes = Attributes::new();
        ObservedGrant {
            identity: at.clone(),
            source: at,
            privilege: privilege.to_owned(),
            reach: "*".to_owned(),
            level,
            attributes,
        }
    })
    .collect()
}

/// The level of a predefined role: <https://www.postgresql.org/docs/current/predefined-roles.html>.
fn predefined(role: &str) -> Option<PrivilegeLevel> {
    Some(match role {
        // Both run code as the server's operating-system user, which is above any superuser.
        "pg_execute_server_program" | "pg_write_server_files" => PrivilegeLevel::Admin,
        // Reads pg_authid; reads its file.
        "pg_read_all_data" | "pg_read_server_files" => PrivilegeLevel::Sensitive,
        // Subscriptions carry passwords; ending sessions is an outage.
        "pg_create_subscription"
        | "pg_write_all_data"
        | "pg_signal_backend"
        | "pg_checkpoint"
        | "pg_maintain"
        | "pg_use_reserved_connections"
        | "pg_signal_autovacuum_worker" => PrivilegeLevel::Write,
        "pg_monitor" | "pg_read_all_settings" | "pg_read_all_stats" | "pg_stat_scan_tables" => {
            PrivilegeLevel::Read
        }
        _ => return None,
    })
}

/// The memberships of these roles, each with what it gives at most. A membership through another role is one too: `SET ROLE` follows the chain.
pub(crate) async fn of_memberships(
    session: &Session,
    client: &Client,
    server: Server,
    backend: &str,
    roles: &[Role],
) -> Result<Vec<ObservedGrant>> {
    // The shortest chain to each role is kept. Loops are not possible in pg_auth_members; the depth is bounded all the same.
    const SQL: &str = "WITH RECURSIVE chain AS (
            SELECT m.member AS login, m.roleid, m.admin_option, ARRAY[]::oid[] AS via, 1 AS depth
              FROM pg_auth_members m WHERE m.member = ANY ($1)
            UNION
            SELECT c.login, m.roleid, m.admin_option, c.via || c.roleid, c.depth + 1
              FROM chain c JOIN pg_auth_members m ON m.member = c.roleid WHERE c.depth < 32)
        SELECT DISTINCT ON (c.login, r.rolname) c.login, r.rolname::text, c.admin_option,
            (SELECT coalesce(array_agg(v.rolname::text ORDER BY u.n), ARRAY[]::text[])
               FROM unnest(c.via) WITH ORDINALITY u (oid, n) JOIN pg_roles v ON v.oid = u.oid),
            r.rolsuper, r.rolcreaterole, r.rolreplication, r.rolbypassrls, r.rolcreatedb
        FROM chain c JOIN pg_roles r ON r.oid = c.roleid
        ORDER BY c.login, r.rolname, c.depth, c.admin_option DESC, c.via";
    let names: BTreeMap<u32, &str> = roles.iter().map(|role| (role.oid, role.name.as_str())).collect();
    let oids: Vec<u32> = names.keys().copied().collect();
    let rows = session.query(client, "inventory", SQL, &[(&oids, Type::OID_ARRAY)]).await?;
    let mut grants = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(member) = names.get(&row.get::<_, u32>(0)) else { continue };
        let granted: String = row.get(1);
        let admin_option: bool = row.get(2);
        let via: Vec<String> = row.get(3);
        let has = |column: usize| row.get::<_, bool>(column);
        let level = if has(4) || (has(5) && server.version < CREATEROLE_TAMED) {
            PrivilegeLevel::Admin
        } else if let Some(level) = predefined(&granted) {
            level
        } else if has(6) || has(7) {
            PrivilegeLevel::Sensitive
        } else if has(5) || has(8) {
            PrivilegeLevel::Write
        } else {
            // What the role owns and was granted in each database is not read here.
            PrivilegeLevel::Unknown
        };
        let mut attributes = Attributes::from([("admin_option".to_owned(), json!(admin_option))]);
        if !via.is_empty() {
            attributes.insert("via".to_owned(), json!(via));
        }
        grants.push(ObservedGrant {
            identity: role_ref(backend, member),
            source: role_ref(backend, &granted),
            privilege: granted,
            reach: "*".to_owned(),
            level,
            attributes,
        });
    }
    Ok(grants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_that_run_code_count_as_admin_and_readers_of_verifiers_as_sensitive() {
        assert_eq!(predefined("pg_execute_server_program"), Some(PrivilegeLevel::Admin));
        assert_eq!(predefined("pg_read_all_data"), Some(PrivilegeLevel::Sensitive));
        assert_eq!(predefined("app_readers"), None);
    }
}
