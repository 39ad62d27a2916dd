//! The one way to the server: an HTTP client with time-outs, our token, and errors of the contract.
//!
//! vaultrs makes the calls whose answers carry no secret value and that it types as both Vault and OpenBao answer them ([`Api::typed`]).
//! The rest goes through [`Api::get`], [`Api::list`] and [`Api::post`]: values, which must be zeroized; lists, which OpenBao can give page
//! by page; and answers that vaultrs has no field for (a token's `period`) or insists on more than servers send.

mod fault;
mod path;
mod session;

use std::{sync::Arc, time::Duration};

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::clock::Clock;
use reqwest::{Method, Url};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Mutex;
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};
use zeroize::Zeroizing;

pub(crate) use self::{
    fault::Call,
    path::{ApiPath, parse_address, query_value},
    session::Held,
};
use crate::config::VaultAuth;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Names asked for at once in a list. Vault ignores it and sends all.
const LIST_PAGE: usize = 1000;

/// A server, one namespace of it, and our login there.
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
    shown: String,
    namespace: Option<String>,
    auth: VaultAuth,
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Arc<Held>>>,
}

/// An answer of any status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// May hold secrets, so it is zeroized.
    pub(crate) body: Zeroizing<Vec<u8>>,
    retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

/// What most answers are wrapped in.
#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<T>,
}

#[derive(Deserialize)]
struct Keys {
    #[serde(default)]
    keys: Vec<String>,
}

impl Answer {
    /// The server's error texts, to tell cases apart. Never printed.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.errors().iter().any(|error| error.contains(text))
    }

    fn errors(&self) -> Vec<String> {
        serde_json::from_slice::<Refusal>(&self.body).map(|refusal| refusal.errors).unwrap_or_default()
    }

    /// Itself when the status is 2xx.
    pub(crate) fn good(self, call: Call<'_>) -> Result<Self> {
        if (200..300).contains(&self.status) {
            Ok(self)
        } else {
            Err(call.refused(self.status, &self.errors(), self.retry_after))
        }
    }

    /// The `data` of the answer; `None` for an empty one.
    pub(crate) fn data<'a, T: Deserialize<'a>>(&'a self, call: Call<'_>) -> Result<Option<T>> {
        if self.body.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice::<Envelope<T>>(&self.body)
            .map(|envelope| envelope.data)
            .map_err(|_| call.unreadable())
    }
}

impl Api {
    /// # Errors
    /// `Config` for an address or an authority that cannot be used. Nothing is sent.
    pub(crate) fn new(
        address: &str,
        ca: Option<&[u8]>,
        namespace: Option<String>,
        auth: VaultAuth,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let base = parse_address(address)?;
        let wrong = |message: &str| Error::new(ErrorKind::Config, "connect", message);
        if namespace.as_deref().is_some_and(|name| !name.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(wrong("the namespace has characters that no namespace has"));
        }
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .retry(reqwest::retry::never())
            // A redirect would carry the token to a host that nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let builder = match ca {
            Some(pem) => {
                let authorities = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
                if authorities.is_empty() {
                    return Err(wrong("`ca` holds no certificate in PEM form")
                        .with_hint("it must be a file with BEGIN CERTIFICATE"));
                }
                builder.tls_certs_only(authorities)
            }
            // Without TLS there is no reason to fail because the machine has no authorities.
            None if base.scheme() == "http" => builder.tls_certs_only(Vec::new()),
            None => builder,
        };
        let http = builder.build().map_err(|_| {
            wrong("no TLS client could be made")
                .with_hint("set `ca`, or install the machine's certificate authorities")
        })?;
        let shown = base.as_str().trim_end_matches('/').to_owned();
        let namespace =
            namespace.map(|name| name.trim_matches('/').to_owned()).filter(|name| !name.is_empty());
        Ok(Self { http, base, shown, namespace, auth, clock, held: Mutex::new(None) })
    }

    /// The address without user and password, as it may be printed.
    pub(crate) fn address(&self) -> &str {
        &self.shown
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Names a call for error messages.
    pub(crate) fn call<'a>(&'a self, operation: &'static str, what: &'a str, writes: bool) -> Call<'a> {
        Call { operation, what, address: &self.shown, writes }
    }

    /// Runs a call of vaultrs and maps its error.
    ///
    /// vaultrs logs what servers answer to a refused call. Such texts are not ours to publish, so it runs without a subscriber.
    pub(crate) async fn typed<T>(
        &self,
        call: Call<'_>,
        answer: impl Future<Output = Result<T, vaultrs::error::ClientError>>,
    ) -> Result<T> {
        answer.with_subscriber(NoSubscriber::default()).await.map_err(|error| call.typed_failed(&error))
    }

    /// Sends one request, with our token unless `token` is another; any status is an answer.
    pub(crate) async fn send(
        &self,
        call: Call<'_>,
        method: Method,
        path: &ApiPath,
        query: &str,
        token: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Answer> {
        let held = match token {
            Some(_) => None,
            None => Some(self.held().await?),
        };
        let token =
            token.or_else(|| held.as_ref().and_then(|held| held.token.expose_text())).unwrap_or_default();
        let mut request =
            self.http.request(method, path.url(&self.base, query)).header("x-vault-request", "true");
        if !token.is_empty() {
            let mut value = reqwest::header::HeaderValue::from_str(token).map_err(|_| {
                Error::new(ErrorKind::Invalid, call.operation, "the value cannot be sent as a token")
            })?;
            value.set_sensitive(true);
            request = request.header("x-vault-token", value);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let mut response = request.send().await.map_err(|error| call.unanswered(&error))?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity(response.content_length())));
        while let Some(chunk) = response.chunk().await.map_err(|error| call.unanswered(&error))? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body: bytes, retry_after })
    }

    /// `GET`; `None` when it is not there.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
    ) -> Result<Option<T>> {
        let what = format!("GET {path}");
        let call = self.call(operation, &what, false);
        let answer = self.send(call, Method::GET, &ApiPath::new(operation, path)?, "", None, None).await?;
        if answer.status == 404 { Ok(None) } else { answer.good(call)?.data(call) }
    }

    /// `POST` of a question that changes nothing, or of a command.
    pub(crate) async fn post(
        &self,
        operation: &'static str,
        path: &str,
        body: &serde_json::Value,
        writes: bool,
    ) -> Result<Answer> {
        let what = format!("POST {path}");
        let call = self.call(operation, &what, writes);
        self.send(
            call,
            Method::POST,
            &ApiPath::new(operation, path)?,
            "",
            None,
            Some(body.to_string().into_bytes()),
        )
        .await
    }

    /// `LIST`, page by page where the server can; empty when there is nothing. Names of folders end with a slash.
    ///
    /// OpenBao takes `limit` and `after`; Vault ignores both and answers with everything each time, which shows by
    /// a second page that begins like the first.
    pub(crate) async fn list(&self, operation: &'static str, path: &str) -> Result<Vec<String>> {
        let what = format!("LIST {path}");
        let call = self.call(operation, &what, false);
        let encoded = ApiPath::new(operation, path)?;
        let mut names: Vec<String> = Vec::new();
        loop {
            let query = match names.last() {
                None => format!("list=true&limit={LIST_PAGE}"),
                Some(last) => format!("list=true&limit={LIST_PAGE}&after={}", query_value(last)),
            };
            let answer = self.send(call, Method::GET, &encoded, &query, None, None).await?;
            if answer.status == 404 {
                return Ok(names);
            }
            let page = answer.good(call)?.data::<Keys>(call)?.map(|keys| keys.keys).unwrap_or_default();
            let repeats = !names.is_empty() && page.first() == names.first();
            if repeats {
                return Ok(names);
            }
            let length = page.len();
            names.extend(page);
            if length != LIST_PAGE {
                return Ok(names);
            }
        }
    }
}

/// A buffer that need not grow leaves no copies of a value behind; a server's claim is believed up to 4 MiB.
fn capacity(claimed: Option<u64>) -> usize {
    claimed.and_then(|length| usize::try_from(length).ok()).unwrap_or(16 * 1024).min(4 * 1024 * 1024)
}
