//! What each operation does.

mod organisation;
mod repository;
mod secret;
mod token;

use serde_json::{Value, json};

use super::answer::{List, Reply};
use super::door::Who;
use super::shape;
use super::state::State;

pub(super) use self::repository::deploy_key;

/// A request that has come in.
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    pub(super) segments: &'a [String],
    pub(super) query: &'a [(String, String)],
    pub(super) body: Option<&'a Value>,
    pub(super) who: &'a Who,
    /// `http://127.0.0.1:PORT/api/v3`.
    pub(super) base: &'a str,
}

impl Call<'_> {
    fn text(&self, key: &str) -> String {
        self.body.and_then(|body| body[key].as_str()).unwrap_or_default().to_owned()
    }

    fn sees(&self, owner: &str) -> bool {
        matches!(self.who, Who::Token(token) if token.sees.contains(owner))
    }
}

/// An answer that is whole, or a list of which a page was asked for.
pub(super) enum Found {
    Whole(Reply),
    List(List),
}

impl From<Reply> for Found {
    fn from(reply: Reply) -> Self {
        Self::Whole(reply)
    }
}

/// Does what was asked.
pub(super) fn handle(state: &mut State, call: &Call<'_>) -> Reply {
    let parts: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let most = match parts.last() {
        Some(&"variables") => 30,
        _ => 100,
    };
    let most = state.most.map_or(most, |least| least.min(most));
    let found = match parts.as_slice() {
        [rest @ .., what @ ("secrets" | "variables" | "organization-secrets")] => {
            secret::list(state, rest, what)
        }
        [place @ .., "secrets", "public-key"] => secret::public_key(state, place),
        [place @ .., "secrets", name] => secret::one(state, call, place, name),
        ["orgs", .., "secrets", name, "repositories"] => {
            secret::readers(state, &parts[..parts.len() - 3], name)
        }
        [place @ .., "variables", name] => secret::variable(state, place, name),
        ["repos", owner, name, rest @ ..] => {
            repository::handle(state, call, &format!("{owner}/{name}"), rest)
        }
        ["orgs", organisation, rest @ ..] => organisation::handle(state, call, organisation, rest),
        ["user"] => whoever(call),
        ["user", "orgs"] => {
            let seen = state.organisations.keys().filter(|one| call.sees(one));
            Found::List(List::of(seen.map(|one| shape::organisation(one)).collect()))
        }
        ["user", "repos"] => Found::List(List::of(repositories(state, call))),
        ["installation", "repositories"] => {
            Found::List(List::keyed("repositories", repositories(state, call)))
        }
        ["app", "installations", rest @ ..] => token::of_app(state, rest),
        ["applications", _, "token"] => token::of_application(state, call),
        ["credentials", "revoke"] => token::exposed(state, call),
        _ => Reply::missing().into(),
    };
    match found {
        Found::Whole(reply) => reply,
        // The address has numbers in place of names, as GitHub's own has.
        Found::List(list) => {
            let at = match parts.as_slice() {
                ["repos", owner, name, rest @ ..] => {
                    let id = state.repositories.get(&format!("{owner}/{name}")).copied().unwrap_or_default();
                    format!("{}/repositories/{id}/{}", call.base, rest.join("/"))
                }
                _ => format!("{}/{}", call.base, parts.join("/")),
            };
            list.page(call.query, most, &at)
        }
    }
}

fn whoever(call: &Call<'_>) -> Found {
    match call.who {
        Who::Token(token) => Reply::ok(shape::user(&token.login)).into(),
        _ => Reply::error(403, "Resource not accessible by integration").into(),
    }
}

fn repositories(state: &State, call: &Call<'_>) -> Vec<Value> {
    let owner = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
    let seen = state.repositories.iter().filter(|(name, _)| call.sees(&owner(name)));
    seen.map(|(name, id)| shape::repository(name, *id, state.organisations.contains_key(&owner(name))))
        .collect()
}

/// A value in base64, as GitHub breaks it into lines.
fn lines(text: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let whole = STANDARD.encode(text);
    let lines: Vec<String> =
        whole.as_bytes().chunks(60).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    lines.join("\n") + "\n"
}

/// Of an organisation or a repository without one: the forge's own form.
fn default_claim(of_repository: bool) -> Value {
    if of_repository {
        json!({"use_default": true})
    } else {
        json!({"include_claim_keys": ["repo", "context"]})
    }
}
