//! Access tokens of users, groups and projects.
//!
//! GitLab can rotate one in a single call (`POST …/rotate`): the old one ends at once, so that whoever loses the answer has neither, and a second call with
//! the old one revokes the new one too, with all that came from it. That call is never made here. Another token is made beside the old one, under a
//! name that carries the operation's key, and the old one is ended when it is no longer needed: whoever loses an answer looks for the name.

use chrono::TimeDelta;
use claviger_backend::{
    Effect, Error, ErrorKind, Identified, Issued, Operation, Presence, Probe, Prospect, Result, Verdict,
};
use claviger_core::{format::vendor, reference::Ref, secret::SecretValue};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    backend::GitlabBackend,
    names::Holder,
    wire::{Made, Token, User},
};
use crate::{
    client::{Answer, As, Request, shown},
    naming::{mark, successor},
};

/// Longest life of a token, unless an administrator allows more (GitLab's documents on token expiration).
const LONGEST: i64 = 365;
/// What a value is sent to: it says which token it is, whatever the token may do.
const SELF: [&str; 2] = ["personal_access_tokens", "self"];

/// How GitLab's API says no: one way by itself, another where it is asked as an OAuth server.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

/// Is it an error as this API writes it, not a page of something in between?
fn is_the_apis(answer: &Answer) -> bool {
    serde_json::from_slice::<Refusal>(&answer.body)
        .is_ok_and(|refusal| refusal.message.is_some() || refusal.error.is_some())
}

/// Where the tokens of a holder are listed and made.
enum Place {
    /// Of this user.
    Personal(u64),
    /// Of this user, made by an administrator.
    Impersonation(u64),
    /// Of a group or project.
    Home(super::backend::Home),
}

impl GitlabBackend {
    async fn user(&self, operation: &'static str, name: &str) -> Result<Option<User>> {
        let query = [("username", name)];
        let found: Vec<User> =
            self.api.one(operation, Request { query: &query, ..Request::get(&["users"]) }).await?;
        Ok(found.into_iter().find(|user| user.username.eq_ignore_ascii_case(name)))
    }

    async fn place(&self, operation: &'static str, holder: &Holder) -> Result<Option<Place>> {
        Ok(match holder {
            Holder::Personal(user) => self.user(operation, user).await?.map(|user| Place::Personal(user.id)),
            Holder::Impersonation(user) => {
                self.user(operation, user).await?.map(|user| Place::Impersonation(user.id))
            }
            Holder::Path(path) => self.home(operation, path).await?.map(Place::Home),
        })
    }

    async fn tokens_at(&self, operation: &'static str, place: &Place) -> Result<Vec<Token>> {
        match place {
            Place::Personal(user) => self.tokens_of_user(operation, *user).await,
            Place::Impersonation(user) => self.impersonations_of(operation, *user).await,
            Place::Home(home) => self.list(operation, &home.of("access_tokens"), &[]).await,
        }
    }

    pub(super) async fn tokens_of_user(&self, operation: &'static str, user: u64) -> Result<Vec<Token>> {
        let user = user.to_string();
        self.list(operation, &["personal_access_tokens"], &[("user_id", user.as_str())]).await
    }

    pub(super) async fn impersonations_of(&self, operation: &'static str, user: u64) -> Result<Vec<Token>> {
        let user = user.to_string();
        self.list(operation, &["users", &user, "impersonation_tokens"], &[]).await
    }

    /// The token as it is listed, whether it lives or not.
    async fn token(
        &self,
        operation: &'static str,
        holder: &Holder,
        id: u64,
    ) -> Result<Option<(Place, Token)>> {
        let Some(place) = self.place(operation, holder).await? else { return Ok(None) };
        let all = self.tokens_at(operation, &place).await?;
        Ok(all.into_iter().find(|token| token.id == id).map(|token| (place, token)))
    }

    /// The same, if it lives.
    pub(super) async fn living(
        &self,
        operation: &'static str,
        holder: &Holder,
        id: u64,
    ) -> Result<Option<Token>> {
        let found = self.token(operation, holder, id).await?;
        Ok(found.map(|(_, token)| token).filter(Token::lives))
    }

    pub(super) async fn token_prospect(&self, at: &Ref, holder: &Holder, id: u64) -> Result<Prospect> {
        let Some(token) = self.living("prospect", holder, id).await? else {
            let text = format!("{at} is no longer there, or is revoked or expired: scan again");
            return Ok(Prospect::refuse("already-gone", text));
        };
        if token.scopes.is_empty() {
            let text = format!("{at} has no scopes that another one could be given");
            return Ok(Prospect::refuse("no-scopes", text));
        }
        if !matches!(holder, Holder::Path(_)) && self.ourselves("prospect").await?.is_admin != Some(true) {
            let text = "only an administrator's token can make another one for a user: GitLab lets users make their own in the browser alone";
            return Ok(Prospect::refuse("not-administrator", text));
        }
        if let Some(why) = self.may_write("prospect").await? {
            return Ok(Prospect::refuse("no-scope", why));
        }
        let mut notes = vec![format!("the new one has the same scopes: {}", token.scopes.join(", "))];
        if let Holder::Path(path) = holder {
            notes.push(format!(
                "the new one has a bot user of its own in {path}: what was granted to the old one's beyond its role is not"
            ));
        }
        if let Some(ends) = self.next_end(&token) {
            notes.push(format!("the new one ends on {ends}, after as long as the old one was made for"));
        }
        Ok(Prospect { notes, ..Prospect::default() })
    }

    /// As long from now as the old one was made for, in whole days.
    fn next_end(&self, token: &Token) -> Option<chrono::NaiveDate> {
        let life = token.ends()?.signed_duration_since(token.made()?).num_days().clamp(1, LONGEST - 1);
        Some((self.clock.now() + TimeDelta::days(life)).date_naive())
    }

    /// Another token of the same holder with the same scopes and role.
    pub(super) async fn make_token(
        &self,
        op: &Operation,
        at: &Ref,
        holder: &Holder,
        id: u64,
    ) -> Result<Issued> {
        let gone = || Error::new(ErrorKind::NotFound, "issue", format!("{at} is no longer there"));
        let (place, token) = self.token("issue", holder, id).await?.ok_or_else(gone)?;
        if !token.lives() {
            return Err(gone());
        }
        let name = successor(&token.name, op);
        let mut body = json!({ "name": name, "scopes": token.scopes });
        if let Some(ends) = self.next_end(&token) {
            body["expires_at"] = json!(ends.to_string());
        }
        if let Some(level) = token.access_level {
            body["access_level"] = json!(level);
        }
        let body = body.to_string();
        let user;
        let path = match &place {
            Place::Personal(id) => {
                user = id.to_string();
                vec!["users", user.as_str(), "personal_access_tokens"]
            }
            Place::Impersonation(id) => {
                user = id.to_string();
                vec!["users", user.as_str(), "impersonation_tokens"]
            }
            Place::Home(home) => home.of("access_tokens"),
        };
        let request = Request {
            method: &Method::POST,
            path: &path,
            query: &[],
            who: As::Us,
            body: Some(body.as_bytes()),
        };
        let what = shown(request);
        let call = self.api.call("issue", &what, true);
        let work = async { self.api.send(call, request).await?.good(call)?.json::<Made>(call) };
        let made = tokio::time::timeout(op.deadline, work).await.map_err(|_| {
            Error::new(ErrorKind::Unavailable, "issue", format!("{what}: no answer by the deadline"))
                .with_effect(Effect::Unknown)
        })??;
        Ok(Issued {
            at: self.names.token(holder, made.id),
            minted: Some(SecretValue::from_text(made.token)),
            public_half: None,
        })
    }

    pub(super) async fn tokens_made_by(&self, op: &Operation, holder: &Holder) -> Result<Vec<Ref>> {
        let Some(place) = self.place("made_by", holder).await? else { return Ok(Vec::new()) };
        let mark = mark(op);
        let all = self.tokens_at("made_by", &place).await?;
        let made = all.into_iter().filter(|token| token.lives() && token.name.contains(&mark));
        Ok(made.map(|token| self.names.token(holder, token.id)).collect())
    }

    pub(super) async fn token_presence(&self, holder: &Holder, id: u64) -> Result<Presence> {
        let token = self.living("presence", holder, id).await?;
        Ok(token.map_or(Presence::Absent, |token| {
            Presence::Present(format!("{id} {}", token.created_at.unwrap_or_default()))
        }))
    }

    pub(super) async fn end_token(&self, holder: &Holder, id: u64) -> Result<()> {
        let Some(place) = self.place("revoke", holder).await? else { return Ok(()) };
        let id = id.to_string();
        let user;
        let path = match &place {
            Place::Personal(_) => vec!["personal_access_tokens", id.as_str()],
            Place::Impersonation(of) => {
                user = of.to_string();
                vec!["users", user.as_str(), "impersonation_tokens", id.as_str()]
            }
            Place::Home(home) => {
                let mut path = home.of("access_tokens");
                path.push(&id);
                path
            }
        };
        self.delete(&path).await
    }

    /// Deletes; what is not there any more is as it should be.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<()> {
        let request = Request { method: &Method::DELETE, path, query: &[], who: As::Us, body: None };
        let what = shown(request);
        let call = self.api.call("revoke", &what, true);
        let answer = self.api.send(call, request).await?;
        if answer.status == 404 { Ok(()) } else { answer.good(call).map(drop) }
    }

    /// Asks which token a value is. Any token may ask that of itself, whatever its scopes.
    pub(super) async fn try_token(&self, id: u64, value: &SecretValue) -> Result<Probe> {
        let path = format!("GET {}/api/v4/{} as bearer", self.api.address(), SELF.join("/"));
        let call = self.api.call("verify", &path, false);
        let answer = match self.api.send(call, Request::get(&SELF).by(As::Holder(value))).await {
            Ok(answer) => answer,
            Err(error) if error.kind() == ErrorKind::Invalid => {
                return Ok(Probe { verdict: Verdict::Inconclusive(error.message().to_owned()), path });
            }
            Err(error) => return Err(error),
        };
        let verdict = match answer.status {
            200 => match answer.json::<Token>(call) {
                Ok(found) if found.id == id => Verdict::Accepted,
                Ok(found) => Verdict::Inconclusive(format!("it is another token, number {}", found.id)),
                Err(_) => Verdict::Inconclusive("the answer is not GitLab's".to_owned()),
            },
            401 if is_the_apis(&answer) => self.refusal().await?,
            429 => return Err(answer.good(call).err().unwrap_or_else(|| call.unreadable())),
            status => Verdict::Inconclusive(format!("HTTP {status}")),
        };
        Ok(Probe { verdict, path })
    }

    /// A server that refuses everybody refuses nobody: our own token must be let in at the same place.
    async fn refusal(&self) -> Result<Verdict> {
        let call = self.api.call("verify", "GET personal_access_tokens/self", false);
        let ours = self.api.send(call, Request::get(&SELF)).await?;
        Ok(if ours.status == 200 {
            Verdict::Refused("HTTP 401, while our own token is accepted there".to_owned())
        } else {
            Verdict::Inconclusive(format!("HTTP 401, and our own token gets HTTP {}", ours.status))
        })
    }

    /// Which token a value is, as GitLab's own look-up for administrators says, which counts as no use. Only what GitLab's prefix marks as one of its
    /// tokens is sent there: other values are none of its business.
    pub(super) async fn whose(&self, value: &SecretValue) -> Result<Option<Identified>> {
        let Some(text) = value.expose_text().filter(|text| is_one(text)) else { return Ok(None) };
        let body = Zeroizing::new(json!({ "token": text }).to_string());
        let path = ["admin", "token"];
        let request = Request {
            method: &Method::POST,
            path: &path,
            query: &[],
            who: As::Us,
            body: Some(body.as_bytes()),
        };
        let call = self.api.call("identify", "POST admin/token", false);
        let answer = self.api.send(call, request).await?;
        match answer.status {
            // Not known there; or a server before 17.5, which does not know the question.
            404 if is_the_apis(&answer) => return Ok(None),
            401 | 403 => {
                return Err(
                    call.error(ErrorKind::Denied, "only an administrator's token may ask whose a token is")
                );
            }
            _ => {}
        }
        let found: Found = answer.good(call)?.json(call)?;
        let Some(user) = self.user_by_number(found.user_id).await? else { return Ok(None) };
        if found.impersonation {
            let at = self.names.token(&Holder::Impersonation(user.username), found.id);
            return Ok(Some(Identified { at }));
        }
        match bot_of(&user.username) {
            None => Ok(Some(Identified { at: self.names.token(&Holder::Personal(user.username), found.id) })),
            Some((kind, number)) => {
                let path = self.path_of_bot(kind, number).await?;
                Ok(path.map(|path| Identified { at: self.names.token(&Holder::Path(path), found.id) }))
            }
        }
    }

    async fn user_by_number(&self, id: u64) -> Result<Option<User>> {
        let id = id.to_string();
        self.api.maybe("identify", Request::get(&["users", &id])).await
    }

    async fn path_of_bot(&self, kind: &str, number: u64) -> Result<Option<String>> {
        let number = number.to_string();
        if kind == "project" {
            let found: Option<super::wire::Project> =
                self.api.maybe("identify", Request::get(&["projects", &number])).await?;
            return Ok(found.map(|found| found.path_with_namespace));
        }
        let path = ["groups", number.as_str()];
        let request = Request { query: &[("with_projects", "false")], ..Request::get(&path) };
        let found: Option<super::wire::Group> = self.api.maybe("identify", request).await?;
        Ok(found.map(|found| found.full_path))
    }
}

/// What the look-up of a token tells.
#[derive(Deserialize)]
struct Found {
    id: u64,
    user_id: u64,
    #[serde(default)]
    impersonation: bool,
}

/// `project_7_bot_…` and `group_7_bot_…`, as GitLab names the users of project and group access tokens.
fn bot_of(username: &str) -> Option<(&str, u64)> {
    let (kind, rest) = username.split_once('_').filter(|(kind, _)| matches!(*kind, "project" | "group"))?;
    let (number, bot) = rest.split_once('_')?;
    if bot.starts_with("bot") { Some((kind, number.parse().ok()?)) } else { None }
}

/// A personal, group or project access token by its prefix.
fn is_one(text: &str) -> bool {
    vendor::parse(text).is_some_and(|found| found.name == "gitlab" && found.form == "personal-access-token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_that_it_is_gitlabs_is_sent_there() {
        assert!(is_one("glpat-abcdefghij0123456789"));
        for text in [
            "",
            "abcdefghij0123456789",
            "glrt-abcdefghij0123456789",
            "ghp_abcdefghij0123456789abcdefghij012345",
        ] {
            assert!(!is_one(text), "{text}");
        }
    }

    #[test]
    fn users_of_project_and_group_tokens_are_known_by_their_names() {
        assert_eq!(bot_of("project_7_bot_0a1b2c"), Some(("project", 7)));
        assert_eq!(bot_of("group_12_bot"), Some(("group", 12)));
        for person in ["dana", "project_lead", "project_x_bot", "group_7_admin", "team_7_bot"] {
            assert_eq!(bot_of(person), None, "{person}");
        }
    }
}
