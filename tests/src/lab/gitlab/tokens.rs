//! Access tokens: made, listed, rotated, revoked.

use axum::{body::Body, http::Response};
use serde_json::{Value, json};

use super::{
    access::{Caller, Refusal, refusal},
    page::whole,
    state::{State, Token},
};

pub(super) fn shown(state: &State, token: &Token) -> Value {
    let expired = token.expires_at.as_deref().is_some_and(|day| day <= &state.now()[..10]);
    let mut shown = json!({
        "id": token.id,
        "name": token.name,
        "revoked": token.revoked,
        "created_at": token.created_at,
        "description": null,
        "scopes": token.scopes,
        "user_id": token.user,
        "last_used_at": token.last_used_at,
        "active": !token.revoked && !expired,
        "expires_at": token.expires_at,
    });
    if let Some((_, level)) = &token.of {
        shown["access_level"] = json!(level);
    }
    if token.impersonation {
        shown["impersonation"] = json!(true);
    }
    shown
}

/// The same with its value, which is told once.
fn told(state: &State, id: u64) -> Value {
    let Some(token) = state.by_number(id) else { return Value::Null };
    let mut shown = shown(state, token);
    shown["token"] = json!(token.value);
    shown
}

/// What a request for another token says.
struct Wanted {
    name: String,
    scopes: Vec<String>,
    ends: Option<String>,
    level: u32,
}

fn wanted(body: &Value) -> Option<Wanted> {
    let scopes = body["scopes"].as_array()?.iter().filter_map(|scope| scope.as_str().map(str::to_owned));
    let scopes: Vec<String> = scopes.collect();
    (!scopes.is_empty()).then_some(())?;
    let level = body["access_level"].as_u64().and_then(|level| u32::try_from(level).ok()).unwrap_or(40);
    let ends = body["expires_at"].as_str().map(str::to_owned);
    Some(Wanted { name: body["name"].as_str()?.to_owned(), scopes, ends, level })
}

/// Makes one for a user, or for a group or project.
pub(super) fn make(
    state: &mut State,
    caller: &Caller,
    (user, home, impersonation): (Option<u64>, Option<&str>, bool),
    body: &Value,
) -> Result<Response<Body>, Refusal> {
    if caller.bot {
        return Err(refusal(401, "Unauthorized"));
    }
    let wanted =
        wanted(body).ok_or_else(|| (400, json!({ "error": "name is missing, scopes is missing" })))?;
    let scopes: Vec<&str> = wanted.scopes.iter().map(String::as_str).collect();
    let id = match (user, home) {
        (Some(user), _) => state.personal(user, &wanted.name, &scopes),
        (None, Some(path)) => state.of_home(path, &wanted.name, &scopes, wanted.level),
        (None, None) => return Err(refusal(404, "Not Found")),
    };
    if let Some(token) = state.tokens.iter_mut().find(|token| token.id == id) {
        token.expires_at = wanted.ends.or_else(|| Some("2027-11-28".to_owned()));
        token.impersonation = impersonation;
    }
    state.changes += 1;
    Ok(whole(201, &told(state, id)))
}

pub(super) fn revoke(state: &mut State, id: u64) -> Response<Body> {
    match state.tokens.iter_mut().find(|token| token.id == id) {
        Some(token) => {
            token.revoked = true;
            state.changes += 1;
            whole(204, &Value::Null)
        }
        None => {
            let (status, words) = refusal(404, "Not Found");
            whole(status, &words)
        }
    }
}

/// Ends one and makes the next. One that has ended already is taken for stolen: all that came from it end.
pub(super) fn rotate(state: &mut State, id: u64) -> Response<Body> {
    let Some(old) = state.by_number(id).cloned() else {
        let (status, words) = refusal(404, "Not Found");
        return whole(status, &words);
    };
    state.changes += 1;
    if old.revoked {
        state
            .tokens
            .iter_mut()
            .filter(|token| token.family == old.family)
            .for_each(|token| token.revoked = true);
        let (status, words) = refusal(401, "Unauthorized");
        return whole(status, &words);
    }
    state.tokens.iter_mut().filter(|token| token.id == id).for_each(|token| token.revoked = true);
    let scopes: Vec<&str> = old.scopes.iter().map(String::as_str).collect();
    let new = state.token(old.user, &old.name, &scopes, old.of.clone());
    state.tokens.iter_mut().filter(|token| token.id == new).for_each(|token| token.family = old.family);
    whole(200, &told(state, new))
}
