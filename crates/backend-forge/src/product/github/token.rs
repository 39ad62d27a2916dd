//! Tokens of people: fine-grained ones as the organisations list them that let them in, classic ones as those with single sign-on do.
//!
//! A token is ended by its value (`POST /credentials/revoke`, which takes what was found exposed and asks nobody who he is). Whoever does not hold
//! the value can take it the organisation's door: that is the organisation's word, and no end of the token.

use std::time::Duration;

use claviger_backend::{Effect, ErrorKind, Identified, Presence, Probe, Result, Verdict};
use claviger_core::{reference::Ref, secret::SecretValue};
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{
    backend::GithubBackend,
    names::{Names, Subject},
    wire::{Account, Authorisation, Grant},
};
use crate::client::{Answer, As, Request, shown};

/// How long the lists are believed when a value is not in them.
const FRESH: Duration = Duration::from_secs(5);

/// Classic tokens of all organisations, by their last eight characters.
pub(super) struct Listed {
    at: Instant,
    tokens: Vec<(Ref, String)>,
}

/// A token as an organisation lists it.
pub(super) struct Known {
    user: String,
    last_eight: Option<String>,
    presence: String,
}

impl Known {
    /// Could the value be this token's, as far as is shown of it?
    fn ends_like(&self, value: &SecretValue) -> bool {
        let text = value.expose_text().unwrap_or_default();
        self.last_eight.as_deref().is_none_or(|end| text.ends_with(end))
    }
}

impl GithubBackend {
    pub(super) async fn grants(&self, operation: &'static str, organisation: &str) -> Result<Vec<Grant>> {
        let path = ["orgs", organisation, "personal-access-tokens"];
        self.access.all::<Grant, Vec<Grant>>(operation, Request::get(&path)).await
    }

    pub(super) async fn authorisations(
        &self,
        operation: &'static str,
        organisation: &str,
    ) -> Result<Vec<Authorisation>> {
        let path = ["orgs", organisation, "credential-authorizations"];
        self.access.all::<Authorisation, Vec<Authorisation>>(operation, Request::get(&path)).await
    }

    /// The token as it is listed. `None`: it is not, or the organisation is not there.
    pub(super) async fn known(&self, operation: &'static str, subject: &Subject) -> Result<Option<Known>> {
        let found = match subject {
            Subject::Grant { organisation, id } => self.grants(operation, organisation).await.map(|all| {
                all.into_iter().find(|one| one.id == *id).map(|one| Known {
                    user: one.owner.login,
                    last_eight: None,
                    presence: format!("{id} {}", one.access_granted_at),
                })
            }),
            Subject::Authorisation { organisation, id } => {
                self.authorisations(operation, organisation).await.map(|all| {
                    all.into_iter().find(|one| one.credential_id == *id).map(|one| Known {
                        user: one.login,
                        last_eight: one.token_last_eight,
                        presence: format!("{id} {}", one.credential_authorized_at),
                    })
                })
            }
            _ => return Ok(None),
        };
        match found {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            found => found,
        }
    }

    pub(super) async fn token_presence(&self, subject: &Subject) -> Result<Presence> {
        let known = self.known("presence", subject).await?;
        Ok(known.map_or(Presence::Absent, |known| Presence::Present(known.presence)))
    }

    /// Takes it the organisation's door.
    pub(super) async fn shut_out(&self, subject: &Subject) -> Result<()> {
        match subject {
            Subject::Grant { organisation, id } => {
                let id = id.to_string();
                let path = ["orgs", organisation, "personal-access-tokens", &id];
                let body = json!({"action": "revoke"}).to_string();
                let request = Request {
                    method: &Method::POST,
                    path: &path,
                    query: &[],
                    who: As::Us,
                    body: Some(body.as_bytes()),
                };
                self.end(request).await
            }
            Subject::Authorisation { organisation, id } => {
                self.delete(&["orgs", organisation, "credential-authorizations", &id.to_string()]).await
            }
            _ => Ok(()),
        }
    }

    /// Tells GitHub that the value is exposed; it ends it, whoever's it is. Repeat, and a value that it does not know: the same answer.
    pub(super) async fn report(&self, value: &SecretValue) -> Result<()> {
        let request = Request {
            method: &Method::POST,
            path: &["credentials", "revoke"],
            query: &[],
            who: As::Nobody,
            body: None,
        };
        let what = shown(request);
        let call = self.access.call("revoke", &what, true);
        let text = value
            .expose_text()
            .ok_or_else(|| call.error(ErrorKind::Invalid, "the value is no text, and so no token"))?;
        let body = Zeroizing::new(
            serde_json::to_vec(&json!({"credentials": [text]}))
                .map_err(|_| call.error(ErrorKind::Invalid, "the value cannot be sent"))?,
        );
        let answer = self.access.send(call, Request { body: Some(&body), ..request }).await?;
        if answer.status == 404 {
            return Err(call
                .error(ErrorKind::Unsupported, "this server takes no reports of exposed tokens")
                .with_hint("its owner ends the token in the settings"));
        }
        answer.good(call).map(drop)
    }

    /// Ends one token of an application's user by its value. `false`: it is none of the application's.
    pub(super) async fn end_of_application(&self, client: &str, value: &SecretValue) -> Result<bool> {
        let path = ["applications", client, "token"];
        let request = Request { method: &Method::DELETE, path: &path, query: &[], who: As::User, body: None };
        let what = shown(request);
        let call = self.access.call("revoke", &what, true);
        let text = value.expose_text().unwrap_or_default();
        let body = Zeroizing::new(
            serde_json::to_vec(&json!({"access_token": text}))
                .map_err(|_| call.error(ErrorKind::Invalid, "the value cannot be sent"))?,
        );
        let answer = self.access.send(call, Request { body: Some(&body), ..request }).await?;
        match answer.status {
            404 | 422 => Ok(false),
            _ => answer.good(call).map(|_| true),
        }
    }

    /// Deletes; what is not there any more is as it should be.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<()> {
        self.end(Request { method: &Method::DELETE, path, query: &[], who: As::Us, body: None }).await
    }

    async fn end(&self, request: Request<'_>) -> Result<()> {
        let what = shown(request);
        let call = self.access.call("revoke", &what, true);
        let answer = self.access.send(call, request).await?;
        if answer.status == 404 { Ok(()) } else { answer.good(call).map(drop) }
    }

    /// Asks who a token is.
    pub(super) async fn try_token(&self, subject: &Subject, value: &SecretValue) -> Result<Probe> {
        let path = format!("GET {}/user as token", self.access.address());
        let inconclusive =
            |why: &str| Probe { verdict: Verdict::Inconclusive(why.to_owned()), path: path.clone() };
        let known = self.known("verify", subject).await?;
        let call = self.access.call("verify", &path, false);
        let answer = match self.access.send(call, Request::get(&["user"]).by(As::Holder(value))).await {
            Ok(answer) => answer,
            Err(error) if error.kind() == ErrorKind::Invalid => return Ok(inconclusive(error.message())),
            Err(error) => return Err(error),
        };
        let verdict = match answer.status {
            200 => match answer.json::<Account>(call) {
                Ok(_) if known.as_ref().is_some_and(|known| !known.ends_like(value)) => {
                    Verdict::Inconclusive(
                        "it is another token: its end is not the one that is listed".to_owned(),
                    )
                }
                Ok(found) if known.is_none_or(|known| known.user.eq_ignore_ascii_case(&found.login)) => {
                    Verdict::Accepted
                }
                Ok(_) => Verdict::Inconclusive("it is a token of another user".to_owned()),
                Err(_) => Verdict::Inconclusive("the answer is not the forge's".to_owned()),
            },
            401 if answer.is_the_apis() => self.refusal().await?,
            // Too many requests are no word about the token; nor is a 403, which also a policy or a blocked address gives.
            status => match answer.good(call) {
                Err(error) if error.kind() == ErrorKind::RateLimited => {
                    return Err(error.with_effect(Effect::NotApplied));
                }
                _ => Verdict::Inconclusive(format!("HTTP {status}")),
            },
        };
        Ok(Probe { verdict, path })
    }

    /// A server that refuses everybody refuses nobody: our own credential must be let in.
    async fn refusal(&self) -> Result<Verdict> {
        let answer = self.ourselves("verify").await?;
        Ok(if answer.status == 200 {
            Verdict::Refused("HTTP 401, while our own credential is accepted there".to_owned())
        } else {
            Verdict::Inconclusive(format!("HTTP 401, and our own credential gets HTTP {}", answer.status))
        })
    }

    /// Asks for something that our credential may always see: an App is no user.
    pub(super) async fn ourselves(&self, operation: &'static str) -> Result<Answer> {
        let one = [("per_page", "1")];
        let request = if self.access.is_app() {
            Request { query: &one, ..Request::get(&["installation", "repositories"]) }
        } else {
            Request::get(&["user"])
        };
        let what = shown(request);
        self.access.send(self.access.call(operation, &what, false), request).await
    }

    /// The classic token that ends in the same eight characters: one in 200 trillion others would be taken for it, and a login shows that before anything is
    /// revoked. No login is made here, as it would count as a use. Of fine-grained ones nothing of the value is shown: nobody can look them up.
    pub(super) async fn whose(&self, value: &SecretValue) -> Result<Option<Identified>> {
        let Some(text) = value.expose_text().filter(|text| is_one(text)) else { return Ok(None) };
        let end = &text[text.len() - 8..];
        let mut listed = self.listed.lock().await;
        let find = |listed: &Listed| {
            let found = listed.tokens.iter().find(|(_, last)| last == end);
            found.map(|(at, _)| Identified { at: at.clone() })
        };
        if let Some(known) = &*listed {
            match find(known) {
                Some(found) => return Ok(Some(found)),
                None if known.at.elapsed() < FRESH => return Ok(None),
                None => {}
            }
        }
        let mut tokens = Vec::new();
        let (organisations, _) = self.organisations("identify").await?;
        for organisation in organisations {
            match self.authorisations("identify", &organisation).await {
                Ok(found) => tokens.extend(found.into_iter().filter_map(|one| {
                    let path = format!("orgs/{organisation}/credential-authorizations/{}", one.credential_id);
                    let end = one.token_last_eight.filter(|end| end.len() == 8)?;
                    Some((self.names.object(&path), end))
                })),
                // Without single sign-on there is no such list.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Denied) => {}
                Err(error) => return Err(error),
            }
        }
        let fresh = Listed { at: Instant::now(), tokens };
        let found = find(&fresh);
        *listed = Some(fresh);
        Ok(found)
    }

    /// Is this the token that we work with?
    pub(super) fn is_own(&self, last_eight: Option<&str>) -> bool {
        let own = self.access.own_token().and_then(SecretValue::expose_text);
        own.zip(last_eight).is_some_and(|(own, end)| end.len() == 8 && is_one(own) && own.ends_with(end))
    }
}

/// `ghp_`, `gho_`, `ghu_` with 36 characters behind it, as GitHub makes them since 2021.
pub(super) fn is_one(text: &str) -> bool {
    let prefixed = ["ghp_", "gho_", "ghu_"].iter().any(|prefix| text.starts_with(prefix));
    prefixed && text.len() == 40 && text.bytes().skip(4).all(|byte| byte.is_ascii_alphanumeric())
}

/// Is it a token that an application got for a user?
pub(super) fn is_of_application(value: &SecretValue) -> bool {
    value.expose_text().is_some_and(|text| text.starts_with("gho_") || text.starts_with("ghu_"))
}

/// What is said of a ref that stands for no token.
pub(super) fn is_token(at: &Ref) -> bool {
    matches!(Names::subject(at), Subject::Grant { .. } | Subject::Authorisation { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_github_makes_is_looked_up() {
        assert!(is_one(&format!("ghp_{}", "aB3".repeat(12))));
        for text in ["", "ghp_short", &format!("ghs_{}", "a".repeat(36)), &format!("ghp_{}", "-".repeat(36))]
        {
            assert!(!is_one(text), "{text}");
        }
    }
}
