//! What else an organisation has.

use super::super::answer::{List, Reply};
use super::super::shape;
use super::super::state::State;
use super::{Call, Found, default_claim};

pub(super) fn handle(state: &mut State, call: &Call<'_>, name: &str, rest: &[&str]) -> Found {
    match rest {
        ["hooks"] => {
            Found::List(List::of(state.hooks.get(&format!("orgs/{name}")).cloned().unwrap_or_default()))
        }
        ["installations"] => Found::List(List::keyed(
            "installations",
            state.installations.get(name).cloned().unwrap_or_default(),
        )),
        ["personal-access-tokens"] => {
            let all = state.grants.get(name).into_iter().flatten();
            Found::List(List::of(all.map(|(grant, _)| grant.clone()).collect()))
        }
        // The door is shut; the token works on elsewhere.
        ["personal-access-tokens", id] if call.text("action") == "revoke" => {
            let grants = state.grants.entry(name.to_owned()).or_default();
            let before = grants.len();
            grants.retain(|(grant, _)| grant["id"].as_u64() != id.parse().ok());
            if grants.len() < before { Reply::empty(204).into() } else { Reply::missing().into() }
        }
        // Without single sign-on there is no such list.
        ["credential-authorizations", ..] if state.organisations.get(name) != Some(&true) => {
            Reply::missing().into()
        }
        ["credential-authorizations"] => {
            let all = state.authorizations.get(name).into_iter().flatten();
            Found::List(List::of(all.map(|(one, _)| one.clone()).collect()))
        }
        ["credential-authorizations", id] if call.method == "DELETE" => {
            let all = state.authorizations.entry(name.to_owned()).or_default();
            let before = all.len();
            all.retain(|(one, _)| one["credential_id"].as_u64() != id.parse().ok());
            if all.len() < before { Reply::empty(204).into() } else { Reply::missing().into() }
        }
        ["actions", "oidc", "customization", "sub"] => {
            let claim = state.claims.get(&format!("orgs/{name}")).cloned();
            Reply::ok(claim.unwrap_or_else(|| default_claim(false))).into()
        }
        ["secret-scanning", "alerts"] => {
            let of = |repository: &str| repository.split('/').next() == Some(name);
            let all = state.alerts.iter().filter(|(repository, _)| of(repository));
            let items = all.flat_map(|(repository, alerts)| {
                let id = state.repositories.get(repository).copied().unwrap_or_default();
                alerts.iter().map(move |alert| {
                    let mut alert = alert.clone();
                    alert["repository"] = shape::minimal_repository(repository, id, true);
                    alert
                })
            });
            Found::List(List::of(items.collect()))
        }
        _ => Reply::missing().into(),
    }
}
