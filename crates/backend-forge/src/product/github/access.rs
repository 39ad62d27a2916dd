//! As whom we call, and how lists are read to their end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::{clock::Clock, secret::SecretValue};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{app::Holder, config::GithubConfig, kept::Kept};
use crate::{
    client::{Answer, Api, As, Call, Dialect, Extra, Login, Request, shown},
    owners::Owners,
};

/// Items in one page: the most that GitHub gives.
const PAGE: &str = "100";
/// A list that goes on beyond this many pages is a server that repeats itself.
const MOST_PAGES: usize = 20_000;
/// GitHub's own words; the version pins what the answers look like.
const DIALECT: Dialect = Dialect {
    scheme: "Bearer",
    accept: "application/vnd.github+json",
    headers: &[("x-github-api-version", "2022-11-28")],
};

enum Who {
    Token(SecretValue),
    App(Box<Holder>),
}

/// A server, and us there.
pub(super) struct Access {
    api: Api,
    who: Who,
    owners: Owners,
    kept: Kept,
    /// Until when the server wants no more of our requests: whoever goes on asking is shut out for longer.
    resting: Mutex<Option<Instant>>,
}

impl Access {
    /// # Errors
    /// `Config` when the address, the authorities or the credential cannot be used.
    pub(super) fn new(config: &mut GithubConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let wrong = |text: &str| Error::new(ErrorKind::Config, "connect", text);
        let who = match (config.token.take(), config.app.take()) {
            (Some(token), None) => Who::Token(token),
            (None, Some(app)) => Who::App(Box::new(Holder::new(app, clock)?)),
            (Some(_), Some(_)) => {
                return Err(wrong("there are a token and an app").with_hint("set one of `token` and `app`"));
            }
            (None, None) => {
                return Err(wrong("there is no credential to work with").with_hint("set `token` or `app`"));
            }
        };
        // The client is never asked to choose by itself: each call says as whom it is made.
        let token = match &who {
            Who::Token(token) => Some(token.duplicate()),
            Who::App(_) => Some(SecretValue::from_text(String::new())),
        };
        let login = config.application.take().map(|one| Login { user: one.client, password: one.secret });
        let api = Api::new(&config.url, "", config.ca.as_deref(), token, login)?.speaking(DIALECT);
        let owners = Owners::new(std::mem::take(&mut config.owners));
        Ok(Self { api, who, owners, kept: Kept::default(), resting: Mutex::new(None) })
    }

    pub(super) fn address(&self) -> &str {
        self.api.address()
    }

    pub(super) fn owners(&self) -> &Owners {
        &self.owners
    }

    /// True where we are an App's installation, which sees what it was given and is no user.
    pub(super) fn is_app(&self) -> bool {
        matches!(self.who, Who::App(_))
    }

    /// The token that we were given; an App has none that stays.
    pub(super) fn own_token(&self) -> Option<&SecretValue> {
        match &self.who {
            Who::Token(token) => Some(token),
            Who::App(_) => None,
        }
    }

    /// Client id of the application whose users' tokens we may end.
    pub(super) fn application(&self) -> Option<&str> {
        self.api.user()
    }

    pub(super) fn call<'a>(&'a self, operation: &'static str, what: &'a str, writes: bool) -> Call<'a> {
        self.api.call(operation, what, writes)
    }

    /// Sends one request; any status is an answer. `As::Us` is whoever we are.
    pub(super) async fn send(&self, call: Call<'_>, request: Request<'_>) -> Result<Answer> {
        if !matches!(request.who, As::Us) {
            return self.api.send(call, request).await;
        }
        let left = self.resting().and_then(|until| until.checked_duration_since(Instant::now()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            return Err(call
                .error(ErrorKind::RateLimited, "it was not asked, as it wants no more requests for a while")
                .with_retry_after(left));
        }
        let installation;
        let token = match &self.who {
            Who::Token(token) => token,
            Who::App(holder) => {
                installation = holder.token(&self.api, &self.owners).await?;
                &installation
            }
        };
        let name = Kept::name(request);
        let tag = name.as_deref().and_then(|name| self.kept.tag(name));
        let answer = self
            .api
            .send_with(
                call,
                request.by(As::Holder(token)),
                Extra { unless: tag.as_deref(), ..Extra::default() },
            )
            .await?;
        if let Some(rest) = answer.rest() {
            *self.resting() = Some(Instant::now() + rest);
        }
        Ok(match name {
            Some(name) if answer.status == 304 => match self.kept.restore(&name, answer) {
                Some(answer) => answer,
                None => self.api.send(call, request.by(As::Holder(token))).await?,
            },
            Some(name) => {
                self.kept.keep(name, &answer);
                answer
            }
            None => answer,
        })
    }

    fn resting(&self) -> MutexGuard<'_, Option<Instant>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `GET` of one thing.
    pub(super) async fn one<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: Request<'_>,
    ) -> Result<T> {
        let what = shown(request);
        let call = self.call(operation, &what, false);
        self.send(call, request).await?.good(call)?.json(call)
    }

    /// `GET` of one thing; `None` when it is not there.
    pub(super) async fn maybe<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: Request<'_>,
    ) -> Result<Option<T>> {
        let what = shown(request);
        let call = self.call(operation, &what, false);
        let answer = self.send(call, request).await?;
        if answer.status == 404 { Ok(None) } else { answer.good(call)?.json(call).map(Some) }
    }

    /// A whole list of pages `P`.
    pub(super) async fn all<T, P>(&self, operation: &'static str, request: Request<'_>) -> Result<Vec<T>>
    where
        P: DeserializeOwned + Into<Vec<T>>,
    {
        let mut all = Vec::new();
        self.pages(operation, request, |answer, call| {
            all.extend(answer.json::<P>(call)?.into());
            Ok(())
        })
        .await?;
        Ok(all)
    }

    /// Every page of a list, as it came.
    pub(super) async fn pages(
        &self,
        operation: &'static str,
        request: Request<'_>,
        mut take: impl FnMut(&Answer, Call<'_>) -> Result<()>,
    ) -> Result<()> {
        let what = shown(request);
        let call = self.call(operation, &what, false);
        let mut next: Option<Vec<(String, String)>> = None;
        for _ in 0..MOST_PAGES {
            let mut query = request.query.to_vec();
            match &next {
                // The link repeats what was asked for.
                Some(pairs) => {
                    query = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
                }
                None if query.iter().any(|(name, _)| *name == "per_page") => {}
                None => query.push(("per_page", PAGE)),
            }
            let answer = self.send(call, Request { query: &query, ..request }).await?.good(call)?;
            take(&answer, call)?;
            next = answer.next(call, &self.api)?;
            if next.is_none() {
                return Ok(());
            }
        }
        Err(call.unreadable())
    }
}
