//! One service, asked in JSON.

use std::{path::Path, time::Duration};

use claviger_core::{clock::SystemClock, id::new_id, random::OsRandom, secret::SecretValue};
use reqwest::{Certificate, Method, StatusCode, Url, redirect};
use serde_json::Value;

use crate::{
    args::Global,
    error::{Exit, Failure, Result},
    keys,
};

/// A plan over many backends takes its time.
const TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT: Duration = Duration::from_secs(10);
/// Repeats of one request whose answer did not come.
const REPEATS: u32 = 3;
/// Code of the answer to a repeat whose first one is under way, and how many seconds that is waited for.
const UNDER_WAY: u16 = 627;
const MOST_WAITS: u32 = 120;

/// A service and the token that it is shown.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: SecretValue,
}

impl Client {
    pub(super) fn new(server: &str, global: &Global) -> Result<Self> {
        let base = Url::parse(server).ok().filter(|url| url.has_host());
        let base = base.ok_or_else(|| {
            Failure::config(633, format!("`{server}` is no address of a service"))
                .hint("e.g. `https://claviger.internal`")
        })?;
        if !is_safe(&base) {
            return Err(Failure::new(
                633,
                Exit::Refused,
                format!(
                    "`{server}` is neither https nor on this machine: the token could be read on the way"
                ),
            )
            .hint("let the service speak TLS, or something in front of it"));
        }
        // A token is shown to the service that was named, and to none that it names.
        let builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none());
        let builder = match &global.server_ca {
            Some(file) => builder.tls_certs_only(certificates(file)?),
            None => builder,
        };
        let http = builder
            .build()
            .map_err(|error| Failure::config(633, format!("no client can be made: {error}")))?;
        Ok(Self { http, base, token: token(global)? })
    }

    /// Asks for something.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value> {
        self.ask(Method::GET, path, query, Sent::Nothing).await
    }

    /// Has something done, once: a repeat of a request whose answer did not come is known as one.
    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Result<Value> {
        self.ask(Method::POST, path, &[], Sent::Once(body)).await
    }

    /// The same, with something in the query.
    pub(super) async fn post_with(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        body: &Value,
    ) -> Result<Value> {
        self.ask(Method::POST, path, query, Sent::Once(body)).await
    }

    /// Asks something that nobody keeps. It has no key, as nothing is done by it: a repeat is another question.
    pub(super) async fn ask_unkept(&self, path: &[&str], body: &SecretValue) -> Result<Value> {
        self.ask(Method::POST, path, &[], Sent::Unkept(body)).await
    }

    /// Begins to read something that is no JSON.
    pub(super) async fn open(&self, path: &[&str], query: &[(&str, String)]) -> Result<Opened> {
        let request = self.http.get(self.address(path, query));
        let request = request.bearer_auth(self.token.expose_text().unwrap_or_default());
        let answer = request.send().await.map_err(unanswered)?;
        match answer.status().is_success() {
            true => Ok(Opened(answer)),
            false => Err(read(answer).await.err().unwrap_or_else(|| strange("no success"))),
        }
    }

    fn address(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// All items of a list.
    pub(super) async fn items(&self, path: &[&str], query: &[(&str, String)]) -> Result<Vec<Value>> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut query = query.to_vec();
            query.push(("limit", "5000".to_owned()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let mut page = self.get(path, &query).await?;
            let Value::Array(found) = page["items"].take() else {
                return Err(strange("a page has no items"));
            };
            items.extend(found);
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Sent<'_>,
    ) -> Result<Value> {
        let url = self.address(path, query);
        let key = new_id(&SystemClock, &OsRandom).to_string();
        let (mut repeats, mut waited) = (0, 0);
        loop {
            let mut request = self.http.request(method.clone(), url.clone());
            request = request.bearer_auth(self.token.expose_text().unwrap_or_default());
            if !matches!(body, Sent::Nothing) {
                request = request.header("content-type", "application/json");
            }
            request = match body {
                Sent::Nothing => request,
                Sent::Once(body) => request.header("idempotency-key", &key).body(body.to_string()),
                Sent::Unkept(body) => request.body(body.expose().to_vec()),
            };
            match request.send().await {
                Ok(answer) => match read(answer).await {
                    // It had come there, and is not over yet.
                    Err(failure) if failure.is(UNDER_WAY) && repeats > 0 && waited < MOST_WAITS => {
                        waited += 1;
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    answer => return answer,
                },
                // Nobody knows whether it came there: with its key it is done once all the same.
                Err(_) if repeats < REPEATS => {
                    repeats += 1;
                    tokio::time::sleep(Duration::from_millis(300) * repeats).await;
                }
                Err(error) => return Err(unanswered(error)),
            }
        }
    }
}

/// What goes with a request.
#[derive(Clone, Copy)]
enum Sent<'b> {
    Nothing,
    /// A body under a key.
    Once(&'b Value),
    /// A body without one.
    Unkept(&'b SecretValue),
}

/// An answer that is read piece by piece.
pub(super) struct Opened(reqwest::Response);

impl Opened {
    /// The next piece; `None` at its end. One that was cut off is an error, never an end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let piece = self.0.chunk().await.map_err(cut_off)?;
        Ok(piece.map(|piece| piece.to_vec()))
    }
}

fn cut_off(error: reqwest::Error) -> Failure {
    Failure::new(633, Exit::Failed, format!("the service's answer was cut off: {}", error.without_url()))
}

fn unanswered(error: reqwest::Error) -> Failure {
    let why = error.without_url();
    Failure::new(633, Exit::Failed, format!("the service does not answer: {}", causes(&why)))
        .hint("is the address right, does it run, and is its certificate trusted (`--server-ca`)?")
}

async fn read(answer: reqwest::Response) -> Result<Value> {
    let status = answer.status();
    let text = answer.text().await.map_err(cut_off)?;
    let body: Value = serde_json::from_str(&text).map_err(|_| strange(&format!("{status}, and no JSON")))?;
    if status.is_success() {
        return Ok(body);
    }
    Err(problem(status, &body))
}

/// A problem as the failure that it is here.
fn problem(status: StatusCode, body: &Value) -> Failure {
    let code = body["code"].as_str().and_then(|code| code.strip_prefix("CLV")?.parse().ok());
    let Some(code) = code else { return strange(&status.to_string()) };
    let exit = match body["exit"].as_u64() {
        Some(2) => Exit::Usage,
        Some(4) => Exit::Refused,
        Some(5) => Exit::Stuck,
        _ => Exit::Failed,
    };
    let failure = Failure::new(code, exit, body["detail"].as_str().unwrap_or("it failed"));
    match body["hint"].as_str() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// An answer that a service of ours does not give.
pub(super) fn strange(what: &str) -> Failure {
    Failure::new(634, Exit::Failed, format!("the answer cannot be understood: {what}"))
        .hint("is it a claviger service of this version?")
}

/// A document as what it stands for.
pub(super) fn typed<T: serde::de::DeserializeOwned>(document: &Value, what: &str) -> Result<T> {
    T::deserialize(document).map_err(|error| strange(&format!("{what}: {error}")))
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn is_safe(url: &Url) -> bool {
    let local = match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && local)
}

fn certificates(file: &Path) -> Result<Vec<Certificate>> {
    let bytes = std::fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    Certificate::from_pem_bundle(&bytes)
        .map_err(|_| Failure::config(633, format!("`{}` holds no certificates in PEM", file.display())))
}

/// The token: of a file that nobody else may read, else of the environment. Never of the command line, where other users see it.
fn token(global: &Global) -> Result<SecretValue> {
    let bytes = match (&global.token_file, std::env::var("CLAVIGER_TOKEN")) {
        (Some(file), _) => keys::private(file)?,
        (None, Ok(text)) if !text.trim().is_empty() => text.into_bytes(),
        (None, _) => {
            return Err(Failure::config(633, "there is no token to show to the service")
                .hint("CLAVIGER_TOKEN or `--token-file FILE`; `claviger token create` makes one where the service runs"));
        }
    };
    let given = SecretValue::new(bytes);
    let text =
        given.expose_text().map(str::trim).filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    match text {
        Some(text) if !text.is_empty() => Ok(SecretValue::from_text(text.to_owned())),
        _ => Err(Failure::config(633, "the token is none: it is empty, or holds what no token holds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_where_nobody_reads_it_on_the_way() {
        for (address, safe) in [
            ("https://claviger.internal", true),
            ("http://127.0.0.1:8470", true),
            ("http://[::1]:8470", true),
            ("http://localhost:8470/base", true),
            ("http://claviger.internal", false),
            ("http://127.0.0.1.evil.example", false),
            ("ftp://127.0.0.1", false),
        ] {
            assert_eq!(is_safe(&Url::parse(address).expect("an address")), safe, "{address}");
        }
    }

    #[test]
    fn a_problem_ends_with_its_own_code_and_exit() {
        let body = serde_json::json!({ "code": "CLV0410", "exit": 4, "detail": "no", "hint": "ask" });
        let text = format!("{:?}", problem(StatusCode::FORBIDDEN, &body));
        assert!(text.contains("code: 410") && text.contains("Refused"), "{text}");
        let text = format!("{:?}", problem(StatusCode::BAD_GATEWAY, &Value::Null));
        assert!(text.contains("code: 634"), "{text}");
    }
}
