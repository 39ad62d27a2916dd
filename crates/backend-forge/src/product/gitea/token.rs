//! Access tokens. Their API takes user and password only: of the user's own, and as a site administrator of everybody's.

use std::time::Duration;

use claviger_backend::{
    Effect, Error, ErrorKind, Identified, Issued, Operation, Presence, Probe, Prospect, Result, Verdict,
};
use claviger_core::{reference::Ref, secret::SecretValue};
use reqwest::Method;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    backend::GiteaBackend,
    wire::{Token, User},
};
use crate::{
    client::{As, Request, shown},
    naming::{mark, successor},
};

/// How long the list of all users' tokens is believed when a value is not in it.
const FRESH: Duration = Duration::from_secs(5);

/// The tokens of all users whom we may ask about, by their last eight characters.
pub(crate) struct Listed {
    at: Instant,
    tokens: Vec<(String, u64, String)>,
}

/// What makes a token, its value among it.
#[derive(Deserialize)]
struct Made {
    id: u64,
    sha1: String,
}

impl GiteaBackend {
    pub(super) async fn tokens_of(&self, operation: &'static str, user: &str) -> Result<Vec<Token>> {
        self.api.all(operation, Request::get(&["users", user, "tokens"]).by(As::User)).await
    }

    pub(super) async fn token(&self, operation: &'static str, user: &str, id: u64) -> Result<Option<Token>> {
        match self.tokens_of(operation, user).await {
            Ok(all) => Ok(all.into_iter().find(|token| token.id == id)),
            // Nobody of that name has tokens.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn token_prospect(&self, at: &Ref, user: &str, id: u64) -> Result<Prospect> {
        if self.api.user().is_none() {
            let text =
                "tokens are made with user and password only: set `user` and `password` for this backend";
            return Ok(Prospect::refuse("no-login", text));
        }
        let Some(token) = self.token("prospect", user, id).await? else {
            return Ok(Prospect::refuse("already-gone", format!("{at} is no longer there: scan again")));
        };
        if token.scopes.is_empty() {
            return Ok(Prospect::refuse(
                "no-scopes",
                format!("{at} has no scopes that another one could be given"),
            ));
        }
        let note = format!("the new one is of {user} too, with the same scopes: {}", token.scopes.join(", "));
        Ok(Prospect { notes: vec![note], ..Prospect::default() })
    }

    /// Another token of the same user with the same scopes. Its name carries the operation's key.
    pub(super) async fn make_token(&self, op: &Operation, at: &Ref, user: &str, id: u64) -> Result<Issued> {
        let token = self
            .token("issue", user, id)
            .await?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "issue", format!("{at} is no longer there")))?;
        let name = successor(&token.name, op);
        let body = serde_json::json!({ "name": name, "scopes": token.scopes }).to_string();
        let path = ["users", user, "tokens"];
        let request = Request {
            method: &Method::POST,
            path: &path,
            query: &[],
            who: As::User,
            body: Some(body.as_bytes()),
        };
        let what = shown(request);
        let call = self.api.call("issue", &what, true);
        let work = async {
            let answer = self.api.send(call, request).await?;
            if answer.status == 400 && answer.says("name has been used already") {
                return Err(call.error(ErrorKind::Conflict, "this operation has made one already"));
            }
            answer.good(call)?.json::<Made>(call)
        };
        let made = tokio::time::timeout(op.deadline, work).await.map_err(|_| {
            Error::new(ErrorKind::Unavailable, "issue", format!("{what}: no answer by the deadline"))
                .with_effect(Effect::Unknown)
        })??;
        Ok(Issued {
            at: self.names.token(user, made.id),
            minted: Some(SecretValue::from_text(made.sha1)),
            public_half: None,
        })
    }

    pub(super) async fn tokens_made_by(&self, op: &Operation, user: &str) -> Result<Vec<Ref>> {
        let mark = mark(op);
        let all = self.tokens_of("made_by", user).await?;
        let made = all.into_iter().filter(|token| token.name.contains(&mark));
        Ok(made.map(|token| self.names.token(user, token.id)).collect())
    }

    pub(super) async fn token_presence(&self, user: &str, id: u64) -> Result<Presence> {
        let token = self.token("presence", user, id).await?;
        Ok(token.map_or(Presence::Absent, |token| Presence::Present(format!("{id} {}", token.created_at))))
    }

    pub(super) async fn end_token(&self, user: &str, id: u64) -> Result<()> {
        let id = id.to_string();
        self.delete(&["users", user, "tokens", &id], As::User).await
    }

    /// Deletes; what is not there any more is as it should be.
    pub(super) async fn delete(&self, path: &[&str], who: As<'_>) -> Result<()> {
        let request = Request { method: &Method::DELETE, path, query: &[], who, body: None };
        let what = shown(request);
        let call = self.api.call("revoke", &what, true);
        let answer = self.api.send(call, request).await?;
        if answer.status == 404 { Ok(()) } else { answer.good(call).map(drop) }
    }

    /// Asks who a token is. One that may not ask that says so in a 403 that names scopes: it is let in.
    pub(super) async fn try_token(&self, user: &str, value: &SecretValue) -> Result<Probe> {
        let path = format!("GET {}/api/v1/user as token", self.api.address());
        let request = Request::get(&["user"]).by(As::Holder(value));
        let call = self.api.call("verify", &path, false);
        let answer = match self.api.send(call, request).await {
            Ok(answer) => answer,
            Err(error) if error.kind() == ErrorKind::Invalid => {
                return Ok(Probe { verdict: Verdict::Inconclusive(error.message().to_owned()), path });
            }
            Err(error) => return Err(error),
        };
        let verdict = match answer.status {
            200 => match answer.json::<User>(call) {
                Ok(found) if found.login.eq_ignore_ascii_case(user) => Verdict::Accepted,
                Ok(_) => Verdict::Inconclusive("it is a token of another user".to_owned()),
                Err(_) => Verdict::Inconclusive("the answer is not the forge's".to_owned()),
            },
            403 if answer.says("scope") => Verdict::Accepted,
            401 if answer.is_the_apis() => self.refusal().await?,
            status => Verdict::Inconclusive(format!("HTTP {status}")),
        };
        Ok(Probe { verdict, path })
    }

    /// A server that refuses everybody refuses nobody: our own credential must be let in at the same place.
    async fn refusal(&self) -> Result<Verdict> {
        let call = self.api.call("verify", "GET user", false);
        let ours = self.api.send(call, Request::get(&["user"])).await?;
        let let_in = ours.status == 200 || (ours.status == 403 && ours.says("scope"));
        Ok(if let_in {
            Verdict::Refused("HTTP 401, while our own credential is accepted there".to_owned())
        } else {
            Verdict::Inconclusive(format!("HTTP 401, and our own credential gets HTTP {}", ours.status))
        })
    }

    /// The token that ends in the same eight characters and is as long: one in four billion other values would be taken for it, and a login shows
    /// that before anything is revoked. No login is made here, as each one counts as a use.
    pub(super) async fn whose(&self, value: &SecretValue) -> Result<Option<Identified>> {
        let Some(text) = value.expose_text().filter(|text| is_one(text)) else { return Ok(None) };
        let end = &text[text.len() - 8..];
        let mut listed = self.listed.lock().await;
        let find = |listed: &Listed| {
            let found = listed.tokens.iter().find(|(_, _, last)| last == end);
            found.map(|(user, id, _)| Identified { at: self.names.token(user, *id) })
        };
        if let Some(known) = &*listed {
            match find(known) {
                Some(found) => return Ok(Some(found)),
                None if known.at.elapsed() < FRESH => return Ok(None),
                None => {}
            }
        }
        let mut tokens = Vec::new();
        for user in self.users("identify").await?.all {
            match self.tokens_of("identify", &user.login).await {
                Ok(found) => {
                    let found = found.into_iter().filter(|token| token.token_last_eight.len() == 8);
                    tokens.extend(found.map(|token| (user.login.clone(), token.id, token.token_last_eight)));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let fresh = Listed { at: Instant::now(), tokens };
        let found = find(&fresh);
        *listed = Some(fresh);
        Ok(found)
    }

    /// Is this the token that we work with?
    pub(super) fn is_own(&self, token: &Token) -> bool {
        let own = self.api.token().and_then(SecretValue::expose_text).filter(|own| is_one(own));
        own.is_some_and(|own| own.ends_with(&token.token_last_eight) && token.token_last_eight.len() == 8)
    }
}

/// 20 bytes in lower-case hex, as Gitea makes them.
fn is_one(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_gitea_makes_is_looked_up() {
        assert!(is_one(&"0a".repeat(20)));
        for text in ["", "deadbeef", &"0A".repeat(20), &"0a".repeat(21), &"0g".repeat(20)] {
            assert!(!is_one(text), "{text}");
        }
    }
}
