//! Variables: one key once for each environment scope.

use axum::{body::Body, http::Response};
use serde_json::{Value, json};

use super::{
    access::refusal,
    page::{Query, listed, whole},
    state::{State, Variable},
};

fn shown(variable: &Variable) -> Value {
    let mut shown = json!({
        "variable_type": "env_var",
        "key": variable.key,
        "value": if variable.hidden { Value::Null } else { json!(variable.value) },
        "protected": false,
        "masked": variable.masked || variable.hidden,
        "raw": variable.raw,
        "description": variable.description,
    });
    // The instance has neither.
    if variable.home != "-" {
        shown["hidden"] = json!(variable.hidden);
        shown["environment_scope"] = json!(variable.scope);
    }
    shown
}

pub(super) fn list(state: &State, query: &Query, home: &str) -> Response<Body> {
    let items = state.variables.iter().filter(|one| one.home == home).map(shown).collect();
    listed(state, query, items)
}

/// `GET`, `PUT` and `DELETE` of one.
pub(super) fn one(
    state: &mut State,
    method: &str,
    (home, key): (&str, &str),
    query: &Query,
    body: &Value,
) -> Response<Body> {
    let wanted = query.get("filter[environment_scope]");
    let fits =
        |one: &Variable| one.home == home && one.key == key && wanted.is_none_or(|scope| one.scope == *scope);
    let mut found: Vec<usize> = (0..state.variables.len()).filter(|at| fits(&state.variables[*at])).collect();
    let Some(at) = found.pop() else {
        let (status, words) = refusal(404, "Variable Not Found");
        return whole(status, &words);
    };
    if !found.is_empty() {
        let words =
            "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'.";
        return whole(409, &json!({ "message": words }));
    }
    match method {
        "GET" => whole(200, &shown(&state.variables[at])),
        "DELETE" => {
            state.variables.remove(at);
            state.changes += 1;
            whole(204, &Value::Null)
        }
        "PUT" => {
            let Some(value) = body["value"].as_str() else {
                return whole(400, &json!({ "error": "value is missing" }));
            };
            let variable = &mut state.variables[at];
            let plain = value.chars().count() >= 8 && !value.chars().any(char::is_whitespace);
            if (variable.masked || variable.hidden) && !plain {
                return whole(400, &json!({ "message": { "value": ["is invalid"] } }));
            }
            if let Some(text) = body.get("description") {
                if text.as_str().is_some_and(|text| text.chars().count() > 255) {
                    return whole(400, &json!({ "message": { "description": ["is too long"] } }));
                }
                variable.description = text.as_str().map(str::to_owned);
            }
            variable.value = value.to_owned();
            let shown = shown(variable);
            state.changes += 1;
            whole(200, &shown)
        }
        _ => whole(405, &json!({ "error": "405 Not Allowed" })),
    }
}
