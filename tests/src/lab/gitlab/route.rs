//! Which call is which. Segments are told apart before they are decoded: a path of groups is one segment.

use axum::{
    body::Body,
    http::{Response, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    access::{self, Caller, Refusal, refusal},
    keys,
    page::{self, Query, decoded, headed, listed, whole},
    state::{Home, Seen, State, User},
    tokens, variables,
};

type Outcome = Result<Response<Body>, Refusal>;

pub(super) fn answer(state: &mut State, parts: &Parts, body: &[u8]) -> Response<Body> {
    let path = parts.uri.path().strip_prefix("/api/v4/").unwrap_or_default();
    let text = parts.uri.query().unwrap_or_default();
    let method = parts.method.as_str();
    state.seen.push(Seen { method: method.to_owned(), path: path.to_owned(), query: text.to_owned() });
    if state.throttle.0 > 0 {
        state.throttle.0 -= 1;
        let after = state.throttle.1.to_string();
        let headers = [("retry-after", after), ("ratelimit-reset", "1790000000".to_owned())];
        return headed(429, &json!({ "message": "429 Too Many Requests" }), &headers);
    }
    let segments: Vec<String> = path.split('/').map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let query = page::query(text);
    let body = serde_json::from_slice(body).unwrap_or(Value::Null);
    let outcome = access::authenticate(state, &parts.headers)
        .and_then(|caller| called(state, &caller, (method, &segments), &query, &body));
    let answer = outcome.unwrap_or_else(|(status, words)| whole(status, &words));
    if let Some((_, left)) = state.lose.as_mut().filter(|(lost, left)| lost == method && *left > 0) {
        *left -= 1;
        // Whatever it was, nobody hears of it.
        return whole(502, &json!({ "message": "502 Bad Gateway" }));
    }
    answer
}

fn called(
    state: &mut State,
    caller: &Caller,
    (method, segments): (&str, &[&str]),
    query: &Query,
    body: &Value,
) -> Outcome {
    // Any token may ask what it is, and end itself.
    match (method, segments) {
        ("GET", ["personal_access_tokens", "self"]) => {
            let token = state.by_number(caller.token).ok_or_else(|| refusal(401, "Unauthorized"))?;
            return Ok(whole(200, &tokens::shown(state, token)));
        }
        ("DELETE", ["personal_access_tokens", "self"]) => return Ok(tokens::revoke(state, caller.token)),
        ("POST", ["personal_access_tokens", "self", "rotate"]) => {
            return Ok(tokens::rotate(state, caller.token));
        }
        _ => {}
    }
    caller.may(method == "GET")?;
    match segments {
        ["projects", id, rest @ ..] if !rest.is_empty() => {
            of_home(state, caller, (method, true, id, rest), query, body)
        }
        ["groups", id, rest @ ..] if !rest.is_empty() => {
            of_home(state, caller, (method, false, id, rest), query, body)
        }
        _ => of_instance(state, caller, (method, segments), query, body),
    }
}

fn shown_user(user: &User, to: &Caller) -> Value {
    let mut shown = json!({ "id": user.id, "username": user.username, "state": "active",
        "created_at": "2026-01-01T00:00:00.000Z", "bot": user.bot });
    if to.admin {
        shown["is_admin"] = json!(user.admin);
    }
    shown
}

fn shown_home(home: &Home) -> Value {
    if home.project {
        json!({ "id": home.id, "path_with_namespace": home.path, "default_branch": "main", "ci_config_path": null,
            "ssh_url_to_repo": home.ssh })
    } else {
        json!({ "id": home.id, "full_path": home.path })
    }
}

fn of_instance(
    state: &mut State,
    caller: &Caller,
    (method, segments): (&str, &[&str]),
    query: &Query,
    body: &Value,
) -> Outcome {
    let gone = || refusal(404, "Not Found");
    match (method, segments) {
        ("GET", ["user"]) => {
            let user = state.users.iter().find(|user| user.id == caller.user).ok_or_else(gone)?;
            Ok(whole(200, &shown_user(user, caller)))
        }
        ("GET", ["users"]) => {
            let wanted = query.get("username");
            let people = query.get("without_project_bots").is_some_and(|text| text == "true");
            let users = state.users.iter().filter(|user| wanted.is_none_or(|name| user.username == *name));
            let users = users.filter(|user| !(people && user.bot)).map(|user| shown_user(user, caller));
            Ok(listed(state, query, users.collect()))
        }
        ("GET", ["users", id]) => {
            let user = state.users.iter().find(|user| user.id.to_string() == **id).ok_or_else(gone)?;
            Ok(whole(200, &shown_user(user, caller)))
        }
        ("GET", ["projects"]) => {
            let homes = state.homes.iter().filter(|home| home.project && caller.sees(state, &home.path));
            Ok(listed(state, query, homes.map(shown_home).collect()))
        }
        ("GET", ["groups"]) => {
            let homes = state.homes.iter().filter(|home| !home.project && caller.sees(state, &home.path));
            Ok(listed(state, query, homes.map(shown_home).collect()))
        }
        ("GET", ["projects" | "groups", id]) => {
            let home = caller.home(state, (segments[0] == "projects", id), 0)?;
            Ok(whole(200, &shown_home(&home)))
        }
        ("GET", ["personal_access_tokens"]) => {
            let wanted = query.get("user_id");
            if !caller.admin && wanted.is_some_and(|id| *id != caller.user.to_string()) {
                return Err(refusal(401, "Unauthorized"));
            }
            let own = |user: u64| caller.admin || user == caller.user;
            let found = state.tokens.iter().filter(|token| !token.impersonation && own(token.user));
            let found = found.filter(|token| wanted.is_none_or(|id| *id == token.user.to_string()));
            Ok(listed(state, query, found.map(|token| tokens::shown(state, token)).collect()))
        }
        ("DELETE", ["personal_access_tokens", id]) | ("POST", ["personal_access_tokens", id, "rotate"]) => {
            let token = state.tokens.iter().find(|token| token.id.to_string() == **id).ok_or_else(gone)?;
            if !caller.admin && token.user != caller.user {
                return Err(refusal(401, "Unauthorized"));
            }
            let id = token.id;
            Ok(if method == "DELETE" { tokens::revoke(state, id) } else { tokens::rotate(state, id) })
        }
        ("POST", ["users", user, kind @ ("personal_access_tokens" | "impersonation_tokens")]) => {
            caller.must_be_admin()?;
            let user = state.users.iter().find(|one| one.id.to_string() == **user).ok_or_else(gone)?.id;
            tokens::make(state, caller, (Some(user), None, *kind == "impersonation_tokens"), body)
        }
        ("GET", ["users", user, "impersonation_tokens"]) => {
            caller.must_be_admin()?;
            let found = state.tokens.iter().filter(|token| token.impersonation);
            let found = found.filter(|token| token.user.to_string() == **user);
            Ok(listed(state, query, found.map(|token| tokens::shown(state, token)).collect()))
        }
        ("DELETE", ["users", _, "impersonation_tokens", id]) => {
            caller.must_be_admin()?;
            Ok(tokens::revoke(state, id.parse().map_err(|_| gone())?))
        }
        ("POST", ["admin", "token"]) => {
            caller.must_be_admin()?;
            let value = body["token"].as_str().unwrap_or_default();
            let token = state.tokens.iter().find(|token| token.value == value).ok_or_else(gone)?;
            let mut shown = tokens::shown(state, token);
            shown["impersonation"] = json!(token.impersonation);
            Ok(whole(200, &shown))
        }
        ("GET", ["admin", "ci", "variables"]) => {
            caller.must_be_admin()?;
            Ok(variables::list(state, query, "-"))
        }
        (_, ["admin", "ci", "variables", key]) => {
            caller.must_be_admin()?;
            Ok(variables::one(state, method, ("-", key), &Query::new(), body))
        }
        ("GET", ["runners", "all"]) => {
            caller.must_be_admin()?;
            Ok(rest(state, query, "runners", None))
        }
        ("GET", ["runners"]) => Ok(rest(state, query, "runners", Some("none"))),
        _ => Err(gone()),
    }
}

fn rest(state: &State, query: &Query, kind: &str, home: Option<&str>) -> Response<Body> {
    let items =
        state.listed.iter().filter(|one| one.kind == kind && home.is_none_or(|home| one.home == home));
    listed(state, query, items.map(|one| one.shown.clone()).collect())
}

/// Maintainers see what a project has, owners what a group has.
fn least(project: bool) -> u32 {
    if project { 40 } else { 50 }
}

fn of_home(
    state: &mut State,
    caller: &Caller,
    (method, project, id, segments): (&str, bool, &str, &[&str]),
    query: &Query,
    body: &Value,
) -> Outcome {
    let gone = || refusal(404, "Not Found");
    let least = if segments.first() == Some(&"repository") { 20 } else { least(project) };
    let path = caller.home(state, (project, id), least)?.path;
    match (method, segments) {
        ("GET", ["variables"]) => Ok(variables::list(state, query, &path)),
        (_, ["variables", key]) => Ok(variables::one(state, method, (&path, key), query, body)),
        ("GET", ["access_tokens"]) => {
            let here = |token: &&super::Token| token.of.as_ref().is_some_and(|(at, _)| *at == path);
            let found = state.tokens.iter().filter(here).map(|token| tokens::shown(state, token));
            Ok(listed(state, query, found.collect()))
        }
        ("POST", ["access_tokens"]) => tokens::make(state, caller, (None, Some(&path), false), body),
        ("DELETE", ["access_tokens", id]) => Ok(tokens::revoke(state, id.parse().map_err(|_| gone())?)),
        ("POST", ["access_tokens", id, "rotate"]) => {
            Ok(tokens::rotate(state, id.parse().map_err(|_| gone())?))
        }
        ("POST", ["deploy_keys"]) if project => keys::add(state, &path, body),
        ("GET", [kind @ ("deploy_tokens" | "deploy_keys" | "triggers")]) => {
            Ok(rest(state, query, kind, Some(&path)))
        }
        (_, [kind @ ("deploy_tokens" | "deploy_keys" | "triggers"), id]) => {
            let is_it = |one: &super::state::Listed| {
                one.kind == *kind && one.home == path && one.id.to_string() == **id
            };
            let at = state.listed.iter().position(is_it).ok_or_else(gone)?;
            if method == "DELETE" {
                let gone = state.listed.remove(at);
                state.changes += 1;
                if gone.kind == "deploy_keys" {
                    keys::removed(state, &path, gone.id);
                }
                return Ok(whole(204, &Value::Null));
            }
            Ok(whole(200, &state.listed[at].shown))
        }
        ("GET", ["repository", "files", name]) => {
            let text = state.files.get(&(path, (*name).to_owned()));
            let text = text.ok_or_else(|| refusal(404, "File Not Found"))?;
            Ok(whole(
                200,
                &json!({ "file_name": name, "encoding": "base64", "content": STANDARD.encode(text) }),
            ))
        }
        _ => Err(gone()),
    }
}
