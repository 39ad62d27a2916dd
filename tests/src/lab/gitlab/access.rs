//! Who asks, and what they may.

use axum::http::HeaderMap;

use super::state::{Home, State};

/// Whoever asks.
pub(super) struct Caller {
    /// The token's number.
    pub(super) token: u64,
    /// The user's number.
    pub(super) user: u64,
    pub(super) admin: bool,
    pub(super) bot: bool,
    pub(super) scopes: Vec<String>,
}

/// Why somebody is not let in: status, and GitLab's words.
pub(super) type Refusal = (u16, serde_json::Value);

pub(super) fn refusal(status: u16, text: &str) -> Refusal {
    (status, serde_json::json!({ "message": format!("{status} {text}") }))
}

/// `PRIVATE-TOKEN: …` or `Authorization: Bearer …`.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    text("private-token").or_else(|| text("authorization")?.strip_prefix("Bearer "))
}

pub(super) fn authenticate(state: &mut State, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let now = state.now();
    let shut = state.shut;
    let refused = |text: &str| {
        let words = serde_json::json!({ "error": "invalid_token", "error_description": text });
        Err((401, words))
    };
    let value = presented(headers).ok_or_else(|| refusal(401, "Unauthorized"))?;
    let Some(token) = state.tokens.iter_mut().find(|token| token.value == value).filter(|_| !shut) else {
        return Err(refusal(401, "Unauthorized"));
    };
    if token.revoked {
        return refused("Token was revoked. You have to re-authorize from the user.");
    }
    if token.expires_at.as_deref().is_some_and(|day| day <= &now[..10]) {
        return refused("Token is expired. You can either do re-authorization or token refresh.");
    }
    token.last_used_at = Some(now);
    let (number, user, scopes) = (token.id, token.user, token.scopes.clone());
    let user = state.users.iter().find(|one| one.id == user).ok_or_else(|| refusal(401, "Unauthorized"))?;
    Ok(Caller { token: number, user: user.id, admin: user.admin, bot: user.bot, scopes })
}

impl Caller {
    /// Is this what the token is for?
    pub(super) fn may(&self, reads: bool) -> Result<(), Refusal> {
        let has = |name: &str| self.scopes.iter().any(|scope| scope == name);
        if has("api") || (reads && has("read_api")) {
            return Ok(());
        }
        Err((403, serde_json::json!({ "error": "insufficient_scope", "scope": "api read_api" })))
    }

    /// The role at a path: the highest there or above it.
    fn role(&self, state: &State, path: &str) -> u32 {
        if self.admin {
            return 50;
        }
        let holds = |at: &str| path == at || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'));
        let roles = state.members.iter().filter(|((user, at), _)| *user == self.user && holds(at));
        roles.map(|(_, role)| *role).max().unwrap_or(0)
    }

    /// May this be seen at all?
    pub(super) fn sees(&self, state: &State, path: &str) -> bool {
        self.role(state, path) > 0
    }

    /// The group or project with this path or number, for somebody with at least this role. What one may not see is not there.
    pub(super) fn home(
        &self,
        state: &State,
        (project, id): (bool, &str),
        least: u32,
    ) -> Result<Home, Refusal> {
        let is_it = |home: &&Home| {
            home.project == project && (home.path.eq_ignore_ascii_case(id) || home.id.to_string() == id)
        };
        let word = if project { "Project Not Found" } else { "Group Not Found" };
        let found = state.homes.iter().find(is_it).filter(|home| self.sees(state, &home.path));
        let found = found.ok_or_else(|| refusal(404, word))?;
        if self.role(state, &found.path) < least {
            return Err(refusal(403, "Forbidden"));
        }
        Ok(found.clone())
    }

    pub(super) fn must_be_admin(&self) -> Result<(), Refusal> {
        if self.admin { Ok(()) } else { Err(refusal(403, "Forbidden")) }
    }
}
