//! A GitHub App: a token that it signs itself asks for one of its installation, which works for an hour.
//!
//! Source: GitHub, "Generating a JSON Web Token (JWT) for a GitHub App": RS256, `iat` a minute in the past against drifting clocks, `exp` at most ten minutes ahead.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::{clock::Clock, secret::SecretValue};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use tokio::{sync::Mutex, time::Instant};

use super::{config::App, wire::Installation};
use crate::{
    client::{Answer, Api, As, Call, Request, shown},
    owners::Owners,
};

/// A token that ends this soon is replaced by another one.
const MARGIN: Duration = Duration::from_secs(300);
/// How long a signed token works. GitHub takes at most ten minutes.
const SIGNED: TimeDelta = TimeDelta::minutes(9);
/// How far behind our clock it says that it was made.
const DRIFT: TimeDelta = TimeDelta::minutes(1);

/// An App that calls are made as.
pub(super) struct Holder {
    id: String,
    key: EncodingKey,
    installation: Option<u64>,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    /// How far the server's clock is ahead of ours, once it has refused a token for that.
    ahead: TimeDelta,
    installation: Option<u64>,
}

struct Token {
    value: SecretValue,
    renew_at: Instant,
}

#[derive(Serialize)]
struct Claims<'a> {
    iat: i64,
    exp: i64,
    iss: &'a str,
}

/// An installation's token, its value among it.
#[derive(Deserialize)]
struct Made {
    token: String,
    expires_at: String,
}

impl Holder {
    /// # Errors
    /// `Config` for a key that is no RSA key in PEM form.
    pub(super) fn new(app: App, clock: Arc<dyn Clock>) -> Result<Self> {
        let key = EncodingKey::from_rsa_pem(app.key.expose()).map_err(|_| {
            Error::new(ErrorKind::Config, "connect", "the app's key is no RSA private key in PEM form")
                .with_hint("take the file as GitHub gave it")
        })?;
        Ok(Self { id: app.id, key, installation: app.installation, clock, held: Mutex::default() })
    }

    /// A token of the installation that works for a while yet.
    pub(super) async fn token(&self, api: &Api, owners: &Owners) -> Result<SecretValue> {
        let mut held = self.held.lock().await;
        if let Some(token) = held.token.as_ref().filter(|token| token.renew_at > Instant::now()) {
            return Ok(token.value.duplicate());
        }
        let installation = match self.installation.or(held.installation) {
            Some(installation) => installation,
            None => self.find(api, owners, &mut held).await?,
        };
        held.installation = Some(installation);
        let number = installation.to_string();
        let path = ["app", "installations", &number, "access_tokens"];
        let request = Request { method: &Method::POST, path: &path, query: &[], who: As::Us, body: None };
        let what = shown(request);
        // A second token is no harm: each ends by itself.
        let call = api.call("connect", &what, false);
        let answer = self.signed(api, call, request, &mut held).await?.good(call)?;
        let made: Made = answer.json(call)?;
        let ends = DateTime::parse_from_rfc3339(&made.expires_at).map_err(|_| call.unreadable())?;
        // By the server's own clock: ours may be wrong.
        let now = answer.date().unwrap_or_else(|| self.clock.now());
        let works = (ends.with_timezone(&Utc) - now).to_std().unwrap_or_default();
        let value = SecretValue::from_text(made.token);
        let token =
            Token { value: value.duplicate(), renew_at: Instant::now() + works.saturating_sub(MARGIN) };
        held.token = Some(token);
        Ok(value)
    }

    /// The only installation that is ours to read.
    async fn find(&self, api: &Api, owners: &Owners, held: &mut Held) -> Result<u64> {
        let request = Request { query: &[("per_page", "100")], ..Request::get(&["app", "installations"]) };
        let what = shown(request);
        let call = api.call("connect", &what, false);
        let answer = self.signed(api, call, request, held).await?.good(call)?;
        let all: Vec<Installation> = answer.json(call)?;
        let admitted: Vec<&Installation> = all
            .iter()
            .filter(|one| one.account.as_ref().is_some_and(|account| owners.admit(&account.login)))
            .collect();
        match (admitted.as_slice(), answer.header("link").is_some()) {
            ([one], false) => Ok(one.id),
            (found, _) => Err(call
                .error(
                    ErrorKind::Config,
                    &format!("the app has {} installations that could be meant", found.len()),
                )
                .with_hint("set `installation` to the number of one of them, or `owners` to its account")),
        }
    }

    /// Sends a request as the App itself. Where the server's clock is another one than ours, once more by its clock.
    async fn signed(
        &self,
        api: &Api,
        call: Call<'_>,
        request: Request<'_>,
        held: &mut Held,
    ) -> Result<Answer> {
        let token = self.sign(call, held.ahead)?;
        let answer = api.send(call, request.by(As::Holder(&token))).await?;
        let ahead = answer.date().map(|date| date - self.clock.now()).unwrap_or_default();
        if answer.status != 401 || (ahead - held.ahead).abs() < DRIFT / 2 {
            return Ok(answer);
        }
        held.ahead = ahead;
        let token = self.sign(call, ahead)?;
        api.send(call, request.by(As::Holder(&token))).await
    }

    fn sign(&self, call: Call<'_>, ahead: TimeDelta) -> Result<SecretValue> {
        let now = self.clock.now() + ahead;
        let claims =
            Claims { iat: (now - DRIFT).timestamp(), exp: (now + SIGNED).timestamp(), iss: &self.id };
        let text = encode(&Header::new(Algorithm::RS256), &claims, &self.key)
            .map_err(|_| call.error(ErrorKind::Config, "the app's key cannot sign"))?;
        Ok(SecretValue::from_text(text))
    }
}
