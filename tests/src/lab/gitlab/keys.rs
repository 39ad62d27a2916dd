//! Deploy keys of projects: a public half is taken once for each, and joined to others where it is known already.

use axum::{body::Body, http::Response};
use serde_json::{Value, json};

use super::{access::Refusal, page::whole, state::State};

/// Algorithm and key, without the comment.
fn bare(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

impl State {
    /// Registers a deploy key by its public half; its number.
    pub fn deploy_key(&mut self, home: &str, title: &str, line: &str, can_push: bool) -> u64 {
        let shown = json!({ "title": title, "key": line, "can_push": can_push, "created_at": self.now(), "expires_at": null });
        let id = self.list("deploy_keys", home, shown);
        if let Some(ssh) = &self.ssh {
            ssh.registered(home, id, &bare(line), !can_push);
        }
        id
    }

    /// The deploy keys of a project, as GitLab shows them.
    pub fn deploy_keys(&self, home: &str) -> Vec<Value> {
        let here = self.listed.iter().filter(|one| one.kind == "deploy_keys" && one.home == home);
        here.map(|one| one.shown.clone()).collect()
    }
}

pub(super) fn add(state: &mut State, home: &str, body: &Value) -> Result<Response<Body>, Refusal> {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let (title, line) = (text("title"), text("key"));
    if title.is_empty() || !line.starts_with("ssh-") {
        return Err((400, json!({ "error": "title is missing, key is missing" })));
    }
    let known = state.listed.iter().find(|one| {
        one.kind == "deploy_keys" && one.shown["key"].as_str().is_some_and(|key| bare(key) == bare(&line))
    });
    if known.is_some_and(|known| known.home != home) {
        // As for somebody who does not see the other project.
        return Err((
            400,
            json!({ "message": { "deploy_key.fingerprint_sha256": ["has already been taken"] } }),
        ));
    }
    let id = state.deploy_key(home, &title, &line, body["can_push"] == true);
    state.changes += 1;
    let at = state.listed.iter_mut().find(|one| one.id == id);
    let shown = at.map(|one| {
        if body["expires_at"].is_string() {
            one.shown["expires_at"] = body["expires_at"].clone();
        }
        one.shown.clone()
    });
    Ok(whole(201, &shown.unwrap_or_default()))
}

pub(super) fn removed(state: &State, home: &str, id: u64) {
    if let Some(ssh) = &state.ssh {
        ssh.removed(home, id);
    }
}
