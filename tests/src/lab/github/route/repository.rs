//! What else a repository has.

use serde_json::{Value, json};

use super::super::answer::{List, Reply};
use super::super::shape;
use super::super::state::{State, now, written};
use super::{Call, Found, default_claim, lines};

pub(super) fn handle(state: &mut State, call: &Call<'_>, name: &str, rest: &[&str]) -> Found {
    match rest {
        ["environments"] => {
            let all = state.environments.get(name).into_iter().flatten();
            let at = format!("https://api.github.example/repos/{name}/environments");
            let items = all.map(|one| {
                json!({"id": shape::number(one), "node_id": "E", "name": one, "url": at, "html_url": at, "created_at": "2024-01-01T00:00:00Z",
                       "updated_at": "2024-01-01T00:00:00Z"})
            });
            Found::List(List::keyed("environments", items.collect()))
        }
        ["keys"] if call.method == "POST" => add_key(state, call, name).into(),
        ["keys"] => {
            let all = state.deploy_keys.get(name).into_iter().flat_map(|keys| keys.values().cloned());
            Found::List(List::of(all.collect()))
        }
        ["keys", id] => key(state, call, name, id).into(),
        ["hooks"] => {
            Found::List(List::of(state.hooks.get(&format!("repos/{name}")).cloned().unwrap_or_default()))
        }
        ["contents", path @ ..] => contents(state, name, &path.join("/")).into(),
        ["actions", "oidc", "customization", "sub"] => {
            let claim = state.claims.get(&format!("repos/{name}")).cloned();
            Reply::ok(claim.unwrap_or_else(|| default_claim(true))).into()
        }
        ["secret-scanning", "alerts"] => {
            Found::List(List::of(state.alerts.get(name).cloned().unwrap_or_default()))
        }
        _ => Reply::missing().into(),
    }
}

fn add_key(state: &mut State, call: &Call<'_>, name: &str) -> Reply {
    let text = call.text("key");
    let of = |key: &str| key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let known = state.deploy_keys.values().flat_map(|keys| keys.values());
    if known.filter_map(|key| key["key"].as_str()).any(|key| key == of(&text)) {
        // The reason stands with the field, not in the message.
        let mut reply = Reply::invalid("Validation Failed");
        if let Some(body) = &mut reply.body {
            body["errors"] = json!([{"resource": "PublicKey", "code": "custom", "field": "key", "message": "key is already in use"}]);
        }
        return reply;
    }
    let id = state.number();
    let read_only = call.body.and_then(|body| body["read_only"].as_bool()).unwrap_or(false);
    let made = deploy_key(name, id, &call.text("title"), &of(&text), read_only);
    state.deploy_keys.entry(name.to_owned()).or_default().insert(id, made.clone());
    if let Some(ssh) = &state.ssh {
        ssh.registered(name, id, &of(&text), read_only);
    }
    Reply::made(made)
}

pub(in crate::lab::github) fn deploy_key(
    name: &str,
    id: u64,
    title: &str,
    key: &str,
    read_only: bool,
) -> Value {
    json!({"id": id, "key": key, "url": format!("https://api.github.example/repos/{name}/keys/{id}"), "title": title, "verified": true,
        "created_at": written(now()), "read_only": read_only, "added_by": "dana", "last_used": null, "enabled": true})
}

fn key(state: &mut State, call: &Call<'_>, name: &str, id: &str) -> Reply {
    let id: u64 = id.parse().unwrap_or_default();
    let keys = state.deploy_keys.entry(name.to_owned()).or_default();
    if call.method == "DELETE" {
        let gone = keys.remove(&id);
        if let Some(ssh) = state.ssh.as_ref().filter(|_| gone.is_some()) {
            ssh.removed(name, id);
        }
        return gone.map_or_else(Reply::missing, |_| Reply::empty(204));
    }
    keys.get(&id).map_or_else(Reply::missing, |key| Reply::ok(key.clone()))
}

fn contents(state: &State, name: &str, path: &str) -> Reply {
    let Some(files) = state.files.get(name) else { return Reply::missing() };
    if let Some(text) = files.get(path) {
        return Reply::ok(shape::file(name, path, Some(&lines(text)), text.len()));
    }
    let below =
        files.iter().filter(|(file, _)| file.rsplit_once('/').is_some_and(|(folder, _)| folder == path));
    let items: Vec<Value> = below.map(|(file, text)| shape::file(name, file, None, text.len())).collect();
    if items.is_empty() { Reply::missing() } else { Reply::ok(json!(items)) }
}
