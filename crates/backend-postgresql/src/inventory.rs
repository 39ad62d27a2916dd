//! The scan: roles page by page.

use chrono::{DateTime, SecondsFormat, Utc};
use claviger_backend::{Error, ErrorKind, Result, ScanSink};
use claviger_core::{
    model::{Attributes, CredentialKind, CredentialState, IdentityKind, Labels, Scope, ScopeStatus},
    observation::{Observation, ObservedCredential, ObservedIdentity, Verifier},
};
use serde_json::json;

use crate::{
    privilege,
    role::{Role, Server, Stored, ValidUntil, role_ref},
    session::Session,
    statement::Method,
};

/// Roles a page: with verifier and grants about half a MiB.
const PAGE: i64 = 500;

/// Reads all roles into the sink. See the crate's documentation for scopes and attributes.
///
/// # Errors
/// Nothing could be read at all, or the reader is gone.
pub(crate) async fn read(
    backend: &str,
    session: &Session,
    now: DateTime<Utc>,
    sink: &mut ScanSink,
) -> Result<()> {
    let client = session.client("inventory").await?;
    let server = Server::ask(session, &client, "inventory").await?;
    let roles = Scope::new("roles", "");
    let mut after = String::new();
    loop {
        let read = async {
            let page = Role::page(session, &client, server, &after, PAGE).await?;
            let grants = privilege::of_memberships(session, &client, server, backend, &page).await?;
            Ok::<_, Error>((page, grants))
        };
        let (page, grants) = match read.await {
            Ok(read) => read,
            Err(error) => {
                let status =
                    if error.kind() == ErrorKind::Denied { ScopeStatus::Denied } else { ScopeStatus::Failed };
                sink.end(&roles, status, Some(error.message().to_owned())).await?;
                return Ok(());
            }
        };
        let Some(last) = page.last() else { break };
        after.clone_from(&last.name);
        let full = page.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
        let mut items = Vec::with_capacity(page.len() * 2 + grants.len());
        for role in page {
            items
                .extend(privilege::of_attributes(backend, &role, server).into_iter().map(Observation::Grant));
            observe(backend, role, now, &mut items);
        }
        items.extend(grants.into_iter().map(Observation::Grant));
        sink.page(&roles, items).await?;
        if !full {
            break;
        }
    }
    sink.complete(&roles).await?;
    let verifiers = Scope::new("roles", "verifiers");
    if server.verifiers {
        return sink.complete(&verifiers).await;
    }
    sink.end(&verifiers, ScopeStatus::Denied, Some(missing_grant(session))).await
}

/// Why verifiers are not read, and the statement that changes it.
pub(crate) fn missing_grant(session: &Session) -> String {
    let user = session.target.user.replace('"', "\"\"");
    format!(
        "pg_authid may not be read: passwords are not matched with copies, and roles without one are not told apart; a superuser can run, in this database, \
         GRANT SELECT (rolname, rolpassword) ON pg_authid TO \"{user}\""
    )
}

/// One role as an identity and, where it has or may have a password, as a credential.
fn observe(backend: &str, role: Role, now: DateTime<Utc>, items: &mut Vec<Observation>) {
    let at = role_ref(backend, &role.name);
    let attributes = attributes(&role);
    items.push(Observation::Identity(ObservedIdentity {
        at: at.clone(),
        kind: IdentityKind::DatabaseRole,
        created_at: None,
        last_used_at: None,
        disabled: !role.can_login,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: attributes.clone(),
    }));
    // One of two roles that take turns is a credential while it rests too: its turn comes again.
    if matches!(role.stored, Stored::None) && role.takes_turns_with.is_none() {
        return;
    }
    let expires_at = match role.valid_until {
        ValidUntil::At(instant) => Some(instant),
        ValidUntil::Unset | ValidUntil::Never | ValidUntil::Always => None,
    };
    let expired = role.valid_until == ValidUntil::Always || expires_at.is_some_and(|instant| instant <= now);
    let rests = !role.can_login || matches!(role.stored, Stored::None);
    let state = match (!rests, expired) {
        (false, _) => CredentialState::Suspended,
        (true, true) => CredentialState::Expired,
        (true, false) => CredentialState::Active,
    };
    let method = role.stored.method();
    let verifier = match (role.stored, method) {
        (Stored::Verifier(text), Some(Method::Scram(_))) => Some(Verifier::ScramSha256(text)),
        (Stored::Verifier(text), Some(Method::Md5)) => Some(Verifier::PostgresMd5(text, role.name)),
        _ => None,
    };
    items.push(Observation::Credential(ObservedCredential {
        at: at.clone(),
        kind: CredentialKind::Password,
        identity: Some(at),
        state,
        created_at: None,
        rotated_at: None,
        expires_at,
        last_used_at: None,
        handle: None,
        verifier,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes,
    }));
}

fn attributes(role: &Role) -> Attributes {
    let mut attributes: Attributes = [
        ("superuser", json!(role.superuser)),
        ("createrole", json!(role.createrole)),
        ("createdb", json!(role.createdb)),
        ("replication", json!(role.replication)),
        ("bypassrls", json!(role.bypassrls)),
        ("bootstrap", json!(role.bootstrap())),
        ("own", json!(role.own)),
        ("connection_limit", json!(role.connection_limit)),
        ("password_method", json!(role.stored.word())),
        ("password_known", json!(!matches!(role.stored, Stored::Unread))),
        ("sessions", json!(role.sessions)),
        ("owns_objects", json!(role.owns_objects)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    let valid_until = match role.valid_until {
        ValidUntil::Unset => None,
        ValidUntil::Never => Some("infinity".to_owned()),
        ValidUntil::Always => Some("-infinity".to_owned()),
        ValidUntil::At(instant) => Some(instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
    };
    if let Some(partner) = &role.takes_turns_with {
        attributes.insert("takes_turns_with".to_owned(), json!(partner));
    }
    if let Some(text) = valid_until {
        attributes.insert("valid_until".to_owned(), json!(text));
    }
    if let Some(Method::Scram(iterations)) = role.stored.method() {
        attributes.insert("scram_iterations".to_owned(), json!(iterations));
    }
    attributes
}
