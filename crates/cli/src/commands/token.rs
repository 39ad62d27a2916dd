//! `token`: who may do what over the API.

use claviger_core::{audit::AuditKind, model::Labels};
use claviger_server::access::{Role, token};
use claviger_store::{ApiToken, Tokens as _};
use serde_json::{Value, json};

use crate::{
    args::{Format, Global, TokenArgs, TokenCommand},
    compose::{Composed, Needs, compose},
    config,
    error::{Exit, Failure, Result},
    output::{self, Column, Shown},
};

const COLUMNS: &[Column] = &[
    Column::new("handle", "HANDLE"),
    Column::new("name", "NAME"),
    Column::new("role", "ROLE"),
    Column::new("state", "STATE"),
    Column::new("backends", "BACKENDS"),
    Column::new("expires_at", "EXPIRES").shown(Shown::Time),
    Column::new("last_used_at", "USED").shown(Shown::Time),
    Column::new("created_at", "CREATED").shown(Shown::Time).wide(),
    Column::new("created_by", "BY").wide(),
    Column::new("labels", "LABELS").wide(),
];

/// Makes, lists, revokes.
pub(super) async fn run(global: &Global, args: &TokenArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    match &args.command {
        TokenCommand::Create { name, role, backend, label, expires } => {
            let scope = (backend.clone(), labels(label)?);
            create(global, &composed, name, role, scope, expires).await
        }
        TokenCommand::List => {
            let now = composed.engine.clock.now();
            let tokens = composed.store.tokens().await?;
            let items: Vec<Value> = tokens.iter().map(|token| told(token, now)).collect();
            output::list(global, "tokens", COLUMNS, &items)?;
            Ok(Exit::Done)
        }
        TokenCommand::Revoke { token } => revoke(global, &composed, token).await,
    }
}

async fn create(
    global: &Global,
    composed: &Composed,
    name: &str,
    role: &str,
    (backends, labels): (Vec<String>, Labels),
    expires: &str,
) -> Result<Exit> {
    let engine = &composed.engine;
    // It stands before the `@` of whoever acts.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        return Err(Failure::config(631, format!("`{name}` cannot be a token's name"))
            .hint("up to 64 letters, digits, `-`, `_` and `.`"));
    }
    let role = Role::parse(role).ok_or_else(|| Failure::config(631, format!("`{role}` is no role")))?;
    let now = engine.clock.now();
    let expires_at =
        match expires {
            "never" => None,
            age => {
                let ends = now.checked_add_signed(config::age(age)?).filter(|ends| *ends > now);
                Some(ends.ok_or_else(|| {
                    Failure::config(631, format!("`{age}` is no time that a token could hold"))
                })?)
            }
        };
    let fresh = token::generate(engine.random.as_ref());
    let kept = ApiToken {
        handle: fresh.handle,
        name: name.to_owned(),
        hash: fresh.hash.to_vec(),
        role: role.as_str().to_owned(),
        backends,
        labels,
        created_at: now,
        created_by: engine.actor.clone(),
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    let detail = json!({
        "change": "token-created", "handle": kept.handle, "role": kept.role, "backends": kept.backends, "labels": kept.labels,
        "expires_at": kept.expires_at,
    });
    let draft = engine.said(AuditKind::AccessChanged, name, detail);
    if !composed.store.create_token(&kept, draft).await? {
        return Err(Failure::new(631, Exit::Refused, format!("a token called `{name}` is in force"))
            .hint(format!("`claviger token revoke {name}` ends it; each has a name of its own, as the audit log names them")));
    }
    let text = fresh.text.expose_text().unwrap_or_default();
    if matches!(global.output, Format::Table | Format::Wide) {
        output::text(&format!("{text}\n"));
        output::remark(global, "it is not shown again: only a hash of it is kept");
    } else {
        let mut document = told(&kept, now);
        document["token"] = text.into();
        output::stamp(&mut document, "token");
        output::document(global, &document)?;
    }
    Ok(Exit::Done)
}

async fn revoke(global: &Global, composed: &Composed, named: &str) -> Result<Exit> {
    let engine = &composed.engine;
    let tokens = composed.store.tokens().await?;
    let mut found = tokens
        .iter()
        .filter(|token| token.revoked_at.is_none() && (token.name == named || token.handle == named));
    let absent = || {
        Failure::new(630, Exit::Failed, format!("no token that holds is called `{named}`"))
            .hint("`claviger token list` shows them")
    };
    let token = found.next().ok_or_else(absent)?;
    let detail = json!({ "change": "token-revoked", "handle": token.handle, "role": token.role });
    let draft = engine.said(AuditKind::AccessChanged, &token.name, detail);
    if !composed.store.revoke_token(&token.handle, &engine.actor, draft).await? {
        return Err(absent());
    }
    if matches!(global.output, Format::Table | Format::Wide) {
        output::text("revoked\n");
    } else {
        let revoked = ApiToken { revoked_at: Some(engine.clock.now()), ..token.clone() };
        let mut document = told(&revoked, engine.clock.now());
        output::stamp(&mut document, "token");
        output::document(global, &document)?;
    }
    Ok(Exit::Done)
}

/// What may be told of one: everything but its hash.
fn told(token: &ApiToken, now: chrono::DateTime<chrono::Utc>) -> Value {
    let state = match (token.revoked_at, token.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(ends)) if ends <= now => "expired",
        _ => "active",
    };
    json!({
        "handle": token.handle, "name": token.name, "role": token.role, "state": state, "backends": token.backends, "labels": token.labels,
        "created_at": token.created_at, "created_by": token.created_by, "expires_at": token.expires_at, "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
    })
}

fn labels(pairs: &[String]) -> Result<Labels> {
    pairs
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(Failure::config(631, format!("`{pair}` is no label")).hint("write KEY=VALUE")),
        })
        .collect()
}
