//! Secrets, which are opened here and shown to nobody, and variables, which are.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto_box::SecretKey;
use serde_json::{Value, json};

use super::super::answer::{List, Reply};
use super::super::shape;
use super::super::state::{Secret, State, now, written};
use super::{Call, Found};

fn shown(name: &str, secret: &Secret, place: &[&str]) -> Value {
    let mut whole = json!({"name": name, "created_at": written(secret.created_at), "updated_at": written(secret.updated_at)});
    if let Some(visibility) = &secret.visibility {
        whole["visibility"] = json!(visibility);
        if visibility == "selected" {
            let at = format!("https://api.github.example/{}/secrets/{name}/repositories", place.join("/"));
            whole["selected_repositories_url"] = json!(at);
        }
    }
    whole
}

pub(super) fn list(state: &State, place: &[&str], what: &str) -> Found {
    let items = match what {
        "variables" => {
            let all = state.variables.get(&place.join("/")).into_iter().flatten();
            return Found::List(List::keyed(
                "variables",
                all.map(|(name, value)| variable_shown(place, name, value)).collect(),
            ));
        }
        // What the organisation gives this repository.
        "organization-secrets" => {
            let (owner, repository) =
                (place.get(1).copied().unwrap_or_default(), place.get(2).copied().unwrap_or_default());
            let id = state.repositories.get(&format!("{owner}/{repository}")).copied().unwrap_or_default();
            let all = state.secrets.get(&format!("orgs/{owner}/actions")).into_iter().flatten();
            let given = all.filter(|(_, secret)| {
                secret.visibility.as_deref() != Some("selected") || secret.selected.contains(&id)
            });
            given
                .map(|(name, secret)| shown(name, &Secret { visibility: None, ..secret.clone() }, place))
                .collect()
        }
        _ => {
            let all = state.secrets.get(&place.join("/")).into_iter().flatten();
            all.map(|(name, secret)| shown(name, secret, place)).collect()
        }
    };
    Found::List(List::keyed("secrets", items))
}

pub(super) fn public_key(state: &mut State, place: &[&str]) -> Found {
    let (id, key) = key_of(state, &place.join("/"));
    let whole = json!({"key_id": id, "key": STANDARD.encode(key.public_key().as_bytes())});
    Reply::ok(whole).into()
}

/// The key of a place; made when it is first asked for.
fn key_of(state: &mut State, place: &str) -> (String, SecretKey) {
    if let Some(found) = state.keys.get(place) {
        return found.clone();
    }
    let made = (state.number().to_string(), super::super::fresh_key());
    state.keys.insert(place.to_owned(), made.clone());
    made
}

pub(super) fn one(state: &mut State, call: &Call<'_>, place: &[&str], name: &str) -> Found {
    if call.method == "PUT" {
        return put(state, call, place, name).into();
    }
    let found = state.secrets.get(&place.join("/")).and_then(|all| all.get(name));
    found.map_or_else(Reply::missing, |secret| Reply::ok(shown(name, secret, place))).into()
}

fn put(state: &mut State, call: &Call<'_>, place: &[&str], name: &str) -> Reply {
    let path = place.join("/");
    if name.to_uppercase().starts_with("GITHUB_") {
        return Reply::invalid("Secret names must not start with GITHUB_");
    }
    let (id, key) = key_of(state, &path);
    if call.text("key_id") != id {
        return Reply::invalid("The key id is not the one of the public key");
    }
    let sealed = STANDARD.decode(call.text("encrypted_value")).ok();
    let opened =
        sealed.and_then(|sealed| key.unseal(&sealed).ok()).and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(value) = opened else { return Reply::invalid("The value could not be decrypted") };
    let is_new = state.secrets.get(&path).is_none_or(|all| !all.contains_key(name));
    state.put(&path, name, &value);
    if let Some(secret) = state.secrets.get_mut(&path).and_then(|all| all.get_mut(name))
        && let Some(body) = call.body
        && let Some(visibility) = body["visibility"].as_str()
    {
        secret.visibility = Some(visibility.to_owned());
        // Whoever names nobody lets nobody in.
        let named = body["selected_repository_ids"].as_array();
        secret.selected = named.into_iter().flatten().filter_map(Value::as_u64).collect();
        secret.updated_at = now();
    }
    if is_new { Reply::made(json!({})) } else { Reply::empty(204) }
}

pub(super) fn readers(state: &State, place: &[&str], name: &str) -> Found {
    let found = state.secrets.get(&place.join("/")).and_then(|all| all.get(name));
    let Some(secret) = found else { return Reply::missing().into() };
    let all = state.repositories.iter().filter(|(_, id)| secret.selected.contains(id));
    let items = all.map(|(name, id)| shape::minimal_repository(name, *id, true)).collect();
    Found::List(List::keyed("repositories", items))
}

fn variable_shown(place: &[&str], name: &str, value: &str) -> Value {
    let mut whole = json!({"name": name, "value": value, "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-06-01T00:00:00Z"});
    if place.first() == Some(&"orgs") {
        whole["visibility"] = json!("private");
    }
    whole
}

pub(super) fn variable(state: &State, place: &[&str], name: &str) -> Found {
    let found = state.variables.get(&place.join("/")).and_then(|all| all.get(name));
    found.map_or_else(Reply::missing, |value| Reply::ok(variable_shown(place, name, value))).into()
}
