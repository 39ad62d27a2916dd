use std::time::Duration;

use claviger_core::webhook::{Delivery, GithubKeys, Refused, Request, receive_github};
use reqwest::{Client, Url, redirect};
use tokio::{sync::Mutex, time::Instant};

use super::Untaken;

/// Between two fetches of the list: whoever makes up key ids does not make us ask.
const FLOOR: Duration = Duration::from_secs(60);
/// A list that is older is fetched again, so that a key that was taken off it is not believed for ever.
const FRESH: Duration = Duration::from_secs(3600);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest list, in bytes.
const LONGEST: usize = 1 << 20;

/// GitHub's keys, fetched when the first request comes.
pub struct Keys {
    client: Client,
    url: Url,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    keys: GithubKeys,
    /// When they were fetched.
    fetched: Option<Instant>,
    /// When it was tried last.
    tried: Option<Instant>,
}

impl Keys {
    /// Keys that are listed there. Nothing is fetched yet.
    ///
    /// # Errors
    /// The address is neither `https` nor on this machine.
    pub fn new(url: &str) -> Result<Self, String> {
        let url = crate::address::safe(url)?;
        // Where it sends somebody to is not asked: the list's own address is believed.
        let builder =
            Client::builder().timeout(TIMEOUT).connect_timeout(TIMEOUT).redirect(redirect::Policy::none());
        let client = builder.build().map_err(|error| format!("no client can be made: {error}"))?;
        Ok(Self { client, url, known: Mutex::default() })
    }

    pub(super) async fn receive(&self, request: Request<'_>) -> Result<Delivery, Untaken> {
        // One at a time: of many who wait the first one fetches.
        let mut known = self.known.lock().await;
        let is_fresh = known.fetched.is_some_and(|at| at.elapsed() < FRESH);
        if is_fresh {
            match receive_github(request, &known.keys) {
                Err(Refused::UnknownKey) => {}
                other => return Ok(other?),
            }
        }
        if known.tried.is_none_or(|at| at.elapsed() >= FLOOR) {
            known.tried = Some(Instant::now());
            match self.fetch().await {
                Ok(keys) => {
                    known.keys = keys;
                    known.fetched = Some(Instant::now());
                }
                Err(why) if is_fresh => tracing::warn!(why, "GitHub's keys are not fetched"),
                Err(why) => return Err(Untaken::Unavailable(why)),
            }
        }
        if known.fetched.is_none_or(|at| at.elapsed() >= FRESH) {
            return Err(Untaken::Unavailable("GitHub's keys could not be fetched of late".to_owned()));
        }
        Ok(receive_github(request, &known.keys)?)
    }

    async fn fetch(&self) -> Result<GithubKeys, String> {
        let get = self.client.get(self.url.clone()).header("user-agent", "claviger");
        let mut answer = get.send().await.map_err(|error| error.without_url().to_string())?;
        if !answer.status().is_success() {
            return Err(format!("the list of keys is answered with {}", answer.status()));
        }
        let mut list = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
            if list.len() + piece.len() > LONGEST {
                return Err("the list of keys is too long".to_owned());
            }
            list.extend_from_slice(&piece);
        }
        GithubKeys::parse(&list).ok_or_else(|| "what is answered is no list of keys".to_owned())
    }
}
