//! Who asks? Nobody is let in without having shown it.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use claviger_engine::fault::{Fault, Kind};
use claviger_store::ApiToken;

use super::{
    Context, Problem,
    problem::Answer,
    route::{self, Route},
};
use crate::access::{Grant, Principal, Role, Scope, token};

/// Why somebody is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// It is no token of this kind: another one may know it.
    NotOurs,
    /// It is one, and is not good: for the log, never for whoever sent it.
    Wrong(String),
    /// It cannot be found out now.
    Unavailable(String),
}

/// Says who sent a token.
#[async_trait]
pub trait Bearer: Send + Sync {
    /// Whose is it, and what may they do?
    ///
    /// # Errors
    /// Why that is not known.
    async fn identify(&self, token: &str) -> Result<Principal, Unknown>;
}

/// Lets a request through to its handler, with who sent it.
pub(super) async fn let_in(State(context): State<Context>, mut request: Request, next: Next) -> Response {
    let admitted = {
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let route = route::find(request.method().as_str(), path);
        let token = bearer(request.headers()).map(str::to_owned);
        async move { admitted(&context, &token?, route).await }
    };
    match admitted.await {
        Ok(principal) => {
            request.extensions_mut().insert(Arc::new(principal));
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn admitted(context: &Context, token: &str, route: Option<&Route>) -> Answer<Principal> {
    let principal = identify(context, token).await?;
    let route = route.ok_or_else(|| Problem::forbidden("nobody is let in here"))?;
    if !route.verbs.iter().any(|verb| principal.may_somewhere(*verb)) {
        let wanted: Vec<_> = route.verbs.iter().map(|verb| format!("`{verb}`")).collect();
        let message = format!("{} has no role that allows {}", principal.actor, wanted.join(" or "));
        return Err(Problem::forbidden(message));
    }
    Ok(principal)
}

/// The token of the one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Answer<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        let fault = Fault::new(
            629,
            Kind::Refused,
            "who asks has to show it: there is no `Authorization: Bearer …`, or more than one",
        )
        .hint("`claviger token create` makes a token");
        return Err(Problem::new(StatusCode::UNAUTHORIZED, fault));
    };
    let text = value.to_str().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(wrong());
    }
    Ok(token.trim())
}

fn wrong() -> Problem {
    let fault = Fault::new(
        620,
        Kind::Refused,
        "this token lets nobody in: it is not known, has ended, or was revoked",
    )
    .hint("`claviger token list` shows those of this installation");
    Problem::new(StatusCode::UNAUTHORIZED, fault)
}

async fn identify(context: &Context, given: &str) -> Answer<Principal> {
    if let Some(handle) = token::handle(given) {
        return local(context, handle, given).await;
    }
    for other in &context.api.bearers {
        match other.identify(given).await {
            Ok(principal) => return Ok(principal),
            Err(Unknown::NotOurs) => {}
            Err(Unknown::Wrong(why)) => {
                tracing::info!(why, "a token was refused");
                return Err(wrong());
            }
            Err(Unknown::Unavailable(why)) => {
                let fault =
                    Fault::new(628, Kind::Unavailable, format!("who asks cannot be found out now: {why}"))
                        .hint("try again; a local token needs nobody else");
                return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, fault));
            }
        }
    }
    Err(wrong())
}

/// A token of our own.
async fn local(context: &Context, handle: &str, given: &str) -> Answer<Principal> {
    let now = context.scheduler().engine.clock.now();
    let kept = context.api.tokens.token(handle).await?;
    let principal = judge(kept, given, now).ok_or_else(wrong)?;
    // That it was used is for people: a database that takes nothing now is told by what is asked of it.
    if let Err(error) = context.api.tokens.token_used(handle, now).await {
        tracing::debug!(%error, "a token's use was not noted");
    }
    Ok(principal)
}

/// Whose token is this, if it is one that holds?
fn judge(kept: Option<ApiToken>, given: &str, now: DateTime<Utc>) -> Option<Principal> {
    // One that is not there is compared too: that takes as long.
    let hash = kept.as_ref().map_or(&[0; 32][..], |kept| kept.hash.as_slice());
    let fits = token::fits(given, hash);
    let kept = kept.filter(|_| fits)?;
    if kept.revoked_at.is_some() || kept.expires_at.is_some_and(|ends| ends <= now) {
        return None;
    }
    let role = Role::parse(&kept.role)?;
    let scope = Scope { backends: kept.backends, labels: kept.labels };
    Some(Principal {
        actor: format!("{}@token", kept.name),
        grants: vec![Grant { role, scope }],
        vouched: false,
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use claviger_core::{model::Labels, random::SeededRandom};

    use super::*;

    #[test]
    fn only_the_token_that_was_made_lets_in_and_only_while_it_holds() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let fresh = token::generate(&SeededRandom::new(3));
        let text = fresh.text.expose_text().expect("text");
        let kept = ApiToken {
            handle: fresh.handle.clone(),
            name: "ci".to_owned(),
            hash: fresh.hash.to_vec(),
            role: "operator".to_owned(),
            backends: vec!["db".to_owned()],
            labels: Labels::new(),
            created_at: now,
            created_by: "root@desk".to_owned(),
            expires_at: Some(now + TimeDelta::seconds(1)),
            last_used_at: None,
            revoked_at: None,
        };
        let principal = judge(Some(kept.clone()), text, now).expect("it holds");
        assert_eq!((principal.actor.as_str(), principal.vouched), ("ci@token", false));
        assert_eq!(principal.grants[0].role, Role::Operator);
        assert_eq!(principal.grants[0].scope.backends, ["db"]);
        assert_eq!(judge(Some(kept.clone()), text, now + TimeDelta::seconds(1)), None, "it has ended");
        let other = token::generate(&SeededRandom::new(4));
        // The handle finds the row; another secret behind it opens nothing.
        let forged = format!("{}{}", &text[..21], &other.text.expose_text().expect("text")[21..]);
        assert_eq!(token::handle(&forged), Some(fresh.handle.as_str()));
        for wrong in [
            judge(None, text, now),
            judge(Some(kept.clone()), &forged, now),
            judge(Some(ApiToken { hash: Vec::new(), ..kept.clone() }), text, now),
            judge(Some(ApiToken { revoked_at: Some(now), ..kept.clone() }), text, now),
            judge(Some(ApiToken { role: "emperor".to_owned(), ..kept.clone() }), text, now),
        ] {
            assert_eq!(wrong, None);
        }
        let forever = ApiToken { expires_at: None, ..kept };
        assert!(judge(Some(forever), text, now + TimeDelta::days(9_999)).is_some());
    }

    #[test]
    fn the_one_header_is_read_and_nothing_else() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().expect("a header"));
            }
            headers
        };
        assert_eq!(bearer(&headers(&["bearer abc"])).ok(), Some("abc"));
        for bad in [&[][..], &["abc"], &["Basic abc"], &["Bearer "], &["Bearer a", "Bearer b"]] {
            let problem = bearer(&headers(bad)).expect_err("refused");
            assert_eq!(problem.status, StatusCode::UNAUTHORIZED, "{bad:?}");
        }
    }
}
