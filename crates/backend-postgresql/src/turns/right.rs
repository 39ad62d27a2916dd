//! May we make and change the two roles? Asked when it is planned.

use claviger_backend::Result;
use tokio_postgres::types::Type;

use super::Looked;
use crate::{
    backend::PostgresqlBackend, pair::User, privilege::CREATEROLE_TAMED, role::Role, statement::identifier,
};

/// What we lack for a pair whose first role this is, with the statement that helps.
pub(super) async fn missing_right(
    backend: &PostgresqlBackend,
    looked: &Looked,
    first: &User,
) -> Result<Option<String>> {
    let (session, client) = (&backend.session, &looked.client);
    let user = session.target.user.as_str();
    let Some(own) = Role::find(session, client, "pair", looked.server, user).await? else { return Ok(None) };
    if own.superuser {
        return Ok(None);
    }
    let me = identifier(user);
    if !own.createrole {
        return Ok(Some(format!(
            "claviger may not make roles; a superuser can run: ALTER ROLE {me} CREATEROLE"
        )));
    }
    let tamed = looked.server.version >= CREATEROLE_TAMED;
    let name = &first.role.name;
    // Before version 16 only a superuser gives these; since then whoever has them.
    let given = |has: bool, own: bool| has && !(tamed && own);
    for (needed, attribute) in [
        (given(first.role.replication, own.replication), "REPLICATION"),
        (given(first.role.bypassrls, own.bypassrls), "BYPASSRLS"),
        (tamed && first.role.createdb && !own.createdb, "CREATEDB"),
    ] {
        if needed {
            return Ok(Some(format!(
                "role `{name}` has {attribute}, which claviger's role may not give to another on this version: make the other role as a superuser, or rotate by `replace`"
            )));
        }
    }
    if tamed {
        const SQL: &str = "SELECT pg_has_role($1::oid, 'MEMBER WITH ADMIN OPTION')";
        let rows = session.query(client, "pair", SQL, &[(&first.role.oid, Type::OID)]).await?;
        if !rows.first().is_some_and(|row| row.get::<_, bool>(0)) {
            let name = identifier(name);
            return Ok(Some(format!(
                "claviger may not change the role; run: GRANT {name} TO {me} WITH ADMIN OPTION"
            )));
        }
    }
    Ok(None)
}
