//! Who comes in: authentication, rights, and how often.

use chrono::{DateTime, TimeDelta};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

use super::answer::Reply;
use super::state::{App, State, Token, now};

/// What the door wants to know of a request.
pub(super) struct Visitor<'a> {
    pub(super) authorization: Option<&'a str>,
    pub(super) agent: Option<&'a str>,
    pub(super) segments: &'a [String],
    pub(super) writes: bool,
}

/// As whom somebody comes in.
pub(super) enum Who {
    /// With a token.
    Token(Token),
    /// As the App itself, with a token that it has signed.
    App,
    /// As an application, with its secret.
    Application(String),
    /// As nobody.
    Nobody,
}

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    exp: i64,
    iss: String,
}

/// # Errors
/// The refusal.
pub(super) fn authenticate(state: &State, visitor: &Visitor<'_>) -> Result<Who, Reply> {
    if visitor.agent.is_none_or(str::is_empty) {
        return Err(Reply::error(
            403,
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
        ));
    }
    let bad = || Reply::error(401, "Bad credentials");
    let first = |index: usize| visitor.segments.get(index).map_or("", String::as_str);
    let Some(given) = visitor.authorization else {
        return if first(0) == "credentials" {
            Ok(Who::Nobody)
        } else {
            Err(Reply::error(401, "Requires authentication"))
        };
    };
    if first(0) == "credentials" {
        return Err(Reply::error(403, "Authenticated requests are not allowed here"));
    }
    if let Some(pair) = given.strip_prefix("Basic ") {
        let expected =
            state.applications.iter().find(|(client, secret)| pair == super::basic(client, secret));
        return expected.map(|(client, _)| Who::Application(client.clone())).ok_or_else(bad);
    }
    let value = given.strip_prefix("Bearer ").or_else(|| given.strip_prefix("token ")).ok_or_else(bad)?;
    if first(0) == "app" {
        let app = state.app.as_ref().ok_or_else(bad)?;
        return signed(app, value).map(|()| Who::App);
    }
    let token = state.tokens.get(value).ok_or_else(bad)?;
    if token.expires_at.is_some_and(|at| at <= now()) {
        return Err(bad());
    }
    Ok(Who::Token(token.clone()))
}

/// RS256, made at most a minute in the future, and ending within ten minutes.
fn signed(app: &App, value: &str) -> Result<(), Reply> {
    let mut rules = Validation::new(Algorithm::RS256);
    // The two times are looked at below, with GitHub's own messages.
    rules.validate_exp = false;
    rules.required_spec_claims.clear();
    let key = DecodingKey::from_rsa_pem(app.public_key.as_bytes());
    let claims = key.and_then(|key| decode::<Claims>(value, &key, &rules));
    let claims = claims.map_err(|_| Reply::error(401, "A JSON web token could not be decoded"))?.claims;
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    let now = now();
    if claims.iss != app.id {
        return Err(Reply::error(401, "'Issuer' claim ('iss') must be the app's id"));
    }
    if at(claims.iat) > now + TimeDelta::seconds(5) {
        return Err(Reply::error(
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        ));
    }
    if at(claims.exp) <= now || at(claims.exp) > now + TimeDelta::minutes(10) {
        return Err(Reply::error(
            401,
            "'Expiration time' claim ('exp') is too far in the future or has passed",
        ));
    }
    Ok(())
}

/// # Errors
/// 404 for what the token may not see, 403 for what it sees and may not do.
pub(super) fn admit(state: &State, who: &Who, visitor: &Visitor<'_>) -> Result<(), Reply> {
    let parts: Vec<&str> = visitor.segments.iter().map(String::as_str).collect();
    let (owner, right) = match (who, parts.as_slice()) {
        (Who::App, ["app", ..]) | (Who::Nobody, ["credentials", ..]) => return Ok(()),
        (Who::Application(client), ["applications", named, ..]) if client == named => return Ok(()),
        (Who::Token(token), ["user", ..]) if !token.is_app => return Ok(()),
        (Who::Token(token), ["installation", ..]) if token.is_app => return Ok(()),
        (Who::Token(_), ["repos", owner, name, rest @ ..]) => {
            if !state.repositories.contains_key(&format!("{owner}/{name}")) {
                return Err(Reply::missing());
            }
            (*owner, of_repository(rest))
        }
        (Who::Token(token), ["orgs", owner, rest @ ..]) => {
            if !state.organisations.contains_key(*owner) {
                return Err(Reply::missing());
            }
            // Which fine-grained tokens there are is told to Apps alone.
            if rest.first() == Some(&"personal-access-tokens") && !token.is_app {
                return Err(Reply::error(403, "Resource not accessible by personal access token"));
            }
            (*owner, of_organisation(rest))
        }
        _ => return Err(Reply::error(403, "Resource not accessible by this credential")),
    };
    let Who::Token(token) = who else { return Err(Reply::missing()) };
    if !token.sees.contains(owner) {
        return Err(Reply::missing());
    }
    if token.may(right, visitor.writes) {
        Ok(())
    } else {
        Err(Reply::error(403, "Resource not accessible by this credential"))
    }
}

fn of_repository(rest: &[&str]) -> &'static str {
    match rest {
        ["actions", "secrets" | "organization-secrets", ..] => "secrets",
        ["dependabot", ..] => "dependabot_secrets",
        ["codespaces", ..] => "codespaces_secrets",
        ["actions", "variables", ..] => "actions_variables",
        ["environments", ..] => "environments",
        ["keys", ..] => "administration",
        ["hooks", ..] => "repository_hooks",
        ["contents", ..] => "contents",
        ["secret-scanning", ..] => "secret_scanning_alerts",
        _ => "actions",
    }
}

fn of_organisation(rest: &[&str]) -> &'static str {
    match rest {
        ["actions", "secrets", ..] => "organization_secrets",
        ["dependabot", ..] => "organization_dependabot_secrets",
        ["codespaces", ..] => "organization_codespaces_secrets",
        ["actions", "variables", ..] => "organization_actions_variables",
        ["hooks", ..] => "organization_hooks",
        ["personal-access-tokens", ..] => "organization_personal_access_tokens",
        ["secret-scanning", ..] => "secret_scanning_alerts",
        _ => "organization_administration",
    }
}

/// One request less; one of which the answer still held is none.
///
/// # Errors
/// The refusal when none is left.
pub(super) fn count(state: &mut State) -> Result<Vec<(&'static str, String)>, Reply> {
    let Some((left, until)) = &mut state.budget else { return Ok(Vec::new()) };
    let spent = *left == 0 && *until > now();
    *left = left.saturating_sub(1);
    let headers = vec![
        ("x-ratelimit-limit", "5000".to_owned()),
        ("x-ratelimit-remaining", left.to_string()),
        ("x-ratelimit-reset", until.timestamp().to_string()),
    ];
    if spent {
        let mut reply = Reply::error(403, "API rate limit exceeded");
        reply.headers = headers;
        return Err(reply);
    }
    Ok(headers)
}
