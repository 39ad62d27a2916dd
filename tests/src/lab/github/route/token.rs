//! Tokens: those of installations are made here, those of people are ended.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::super::answer::{List, Reply};
use super::super::state::{State, Token, now, written};
use super::super::{random_text, shape};
use super::{Call, Found};

pub(super) fn of_app(state: &mut State, rest: &[&str]) -> Found {
    let Some(app) = &state.app else { return Reply::missing().into() };
    match rest {
        [] => {
            let permissions = json!({"metadata": "read"});
            let mut one = shape::installation(app.installation, ("claviger", 7), &app.account, &permissions);
            // Here, and here alone, the description wants an account to be an enterprise as well.
            for (key, value) in [
                ("name", app.account.as_str()),
                ("slug", &app.account),
                ("created_at", "2020-01-01T00:00:00Z"),
                ("updated_at", "2020-01-01T00:00:00Z"),
            ] {
                one["account"][key] = json!(value);
            }
            Found::List(List::of(vec![one]))
        }
        [id, "access_tokens"] if *id == app.installation.to_string() => {
            let expires_at = now() + TimeDelta::seconds(app.lifetime);
            let token = Token {
                login: "app/claviger".to_owned(),
                sees: [app.account.clone()].into(),
                rights: app.rights.clone(),
                is_app: true,
                expires_at: Some(expires_at),
            };
            let value = format!("ghs_{}", random_text(36));
            state.tokens.insert(value.clone(), token);
            Reply::made(json!({"token": value, "expires_at": written(expires_at)})).into()
        }
        _ => Reply::missing().into(),
    }
}

pub(super) fn of_application(state: &mut State, call: &Call<'_>) -> Found {
    let value = call.text("access_token");
    let own = value.starts_with("gho_") || value.starts_with("ghu_");
    if !own || state.tokens.remove(&value).is_none() {
        return Reply::invalid("No such token of this application").into();
    }
    forget(state, &value);
    Reply::empty(204).into()
}

pub(super) fn exposed(state: &mut State, call: &Call<'_>) -> Found {
    let given = call.body.and_then(|body| body["credentials"].as_array()).cloned().unwrap_or_default();
    for value in given.iter().filter_map(Value::as_str) {
        let taken = ["ghp_", "github_pat_", "gho_", "ghu_"].iter().any(|prefix| value.starts_with(prefix));
        if taken && state.tokens.remove(value).is_some() {
            forget(state, value);
        }
    }
    // Whether one of them was known is told to nobody.
    Reply { status: 202, headers: Vec::new(), body: Some(json!({})) }.into()
}

fn forget(state: &mut State, value: &str) {
    for grants in state.grants.values_mut() {
        grants.retain(|(_, of)| of != value);
    }
    for all in state.authorizations.values_mut() {
        all.retain(|(_, of)| of != value);
    }
}
