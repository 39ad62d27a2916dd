//! GitHub, as far as claviger speaks to it: a stateful fake on a loopback port. It authenticates (tokens, an App's signed tokens, an application's secret), refuses what a
//! token may not see as if it were not there, counts requests, opens the boxes that secrets come in, and holds every request and every answer against GitHub's own description
//! ([`Github::violations`]).
//!
//! It is somebody's reading of GitHub, and not GitHub: what the description does not say (which refusal comes first, how long a revoked token lives on) is a guess here.
//!
//! It runs on a thread of its own, so that a test that waits for a program does not keep it waiting.

mod answer;
mod description;
mod door;
mod plant;
mod route;
mod shape;
mod state;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Extract};
use axum::response::Response;
use axum::{Router, http};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::gitea::Gitea;
use super::twin::Twin;

use self::answer::Reply;
use self::description::{Asked, Description};
use self::door::Visitor;
use self::route::Call;
use self::state::{State, TrickKind};

pub use self::plant::Alert;

/// Where an Enterprise Server has its API.
const BELOW: &str = "/api/v3";
/// No request of ours is larger.
const LARGEST: usize = 4 << 20;

/// A running fake. Dropping it ends it.
pub struct Github {
    address: String,
    shared: Arc<Shared>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

struct Shared {
    state: Mutex<State>,
    description: Description,
    base: String,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Github {
    /// Starts one, empty.
    ///
    /// # Errors
    /// [`super::assets::NotInstalled`] without the description; or when no port is to be had.
    pub fn start() -> Result<Self> {
        let description = Description::load()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("a port")?;
        listener.set_nonblocking(true)?;
        let address = format!("http://{}{BELOW}", listener.local_addr()?);
        let shared = Arc::new(Shared { state: Mutex::default(), description, base: address.clone() });
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let router = Router::new().fallback(serve).with_state(shared.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("github".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                tokio::select! {
                    _ = axum::serve(listener, router) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, shared, _stop: stop })
    }

    /// `http://127.0.0.1:PORT/api/v3`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What was asked or answered and is not as GitHub describes it. Empty at the end of each test.
    pub fn violations(&self) -> Vec<String> {
        self.shared.state().violations.clone()
    }

    /// What was asked so far: `GET /repos/acme/shop/keys`.
    pub fn requests(&self) -> Vec<String> {
        self.shared.state().requests.clone()
    }

    /// How many answers said that nothing had changed.
    pub fn unchanged(&self) -> usize {
        self.shared.state().unchanged
    }

    /// The value in a secret, as a job would be given it: `("repos/acme/shop/actions", "DB_PASSWORD")`.
    pub fn secret(&self, place: &str, name: &str) -> Option<String> {
        self.shared.state().secrets.get(place)?.get(name).map(|secret| secret.value.clone())
    }

    /// Who reads an organisation's secret: `all`, `private` or `selected`, and the numbers of those that are.
    pub fn readers(&self, place: &str, name: &str) -> Option<(String, BTreeSet<u64>)> {
        let state = self.shared.state();
        let secret = state.secrets.get(place)?.get(name)?;
        Some((secret.visibility.clone()?, secret.selected.iter().copied().collect()))
    }

    /// Lets deploy keys of `owner/name` in at this server from now on.
    ///
    /// # Errors
    /// When the repository cannot be made there.
    pub async fn lets_in_at(&self, gitea: &'static Gitea, repository: &str) -> Result<()> {
        let twin = Twin::of(gitea, repository).await?;
        self.shared.state().ssh = Some(twin);
        Ok(())
    }

    /// Title and right of the deploy keys with this public half.
    pub fn deploy_keys(&self, repository: &str, line: &str) -> Vec<(String, bool)> {
        let state = self.shared.state();
        let keys = state.deploy_keys.get(repository).into_iter().flat_map(|keys| keys.values());
        let ours = keys.filter(|key| key["key"] == line);
        ours.map(|key| (key["title"].as_str().unwrap_or_default().to_owned(), key["read_only"] == true))
            .collect()
    }

    /// Is a token let in?
    pub fn lets_in(&self, token: &str) -> bool {
        self.shared.state().tokens.contains_key(token)
    }
}

async fn serve(Extract(shared): Extract<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let bytes = to_bytes(body, LARGEST).await.unwrap_or_default();
    let path = head.uri.path().strip_prefix(BELOW).unwrap_or_default();
    let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
    let query: Vec<(String, String)> = head.uri.query().map(pairs).unwrap_or_default();
    let body: Option<Value> = serde_json::from_slice(&bytes).ok();
    let asked =
        Asked { method: head.method.as_str(), segments: &segments, query: &query, body: body.as_ref() };
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let visitor = Visitor {
        authorization: header("authorization"),
        agent: header("user-agent"),
        segments: &segments,
        writes: head.method != http::Method::GET,
    };
    let tag = header("if-none-match").map(str::to_owned);
    let mut state = shared.state();
    state.requests.push(format!("{} /{}", head.method, segments.join("/")));
    let mut wrong = shared.description.request(&asked);
    for (name, expected) in
        [("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")]
    {
        if header(name) != Some(expected) {
            wrong.push(format!("{} /{}: without `{name}: {expected}`", head.method, segments.join("/")));
        }
    }
    let trick = state
        .tricks
        .iter()
        .position(|trick| trick.method == head.method.as_str() && segments.join("/").contains(&trick.part));
    let trick = trick.and_then(|index| state.tricks.remove(index)).map(|trick| trick.kind);
    let mut reply = match &trick {
        Some(TrickKind::Refuse { status, headers, message }) => {
            Reply { headers: headers.clone(), ..Reply::error(*status, message) }
        }
        _ => answered(&mut state, &shared.base, &asked, &visitor),
    };
    if let Some(TrickKind::Elsewhere(origin)) = &trick {
        reply.headers = vec![("link", format!("<{origin}/{}?page=2>; rel=\"next\"", segments.join("/")))];
    }
    if reply.status == 200 && asked.method == "GET" {
        let etag = format!("\"{:016x}\"", digest(&reply));
        if tag.as_deref() == Some(etag.as_str()) {
            state.give_back();
            state.unchanged += 1;
            reply = Reply { headers: reply.headers, ..Reply::empty(304) };
        }
        reply.headers.push(("etag", etag));
    }
    if matches!(trick, Some(TrickKind::TurnKeys)) {
        state.turn_keys();
    }
    wrong.extend(shared.description.answer(&asked, reply.status, reply.body.as_ref()));
    state.violations.extend(wrong);
    drop(state);
    sent(reply, matches!(trick, Some(TrickKind::Cut)))
}

fn answered(state: &mut State, base: &str, asked: &Asked<'_>, visitor: &Visitor<'_>) -> Reply {
    let who = match door::authenticate(state, visitor) {
        Ok(who) => who,
        Err(refusal) => return refusal,
    };
    let limits = match door::count(state) {
        Ok(limits) => limits,
        Err(refusal) => return refusal,
    };
    if let Err(refusal) = door::admit(state, &who, visitor) {
        return refusal;
    }
    let call = Call {
        method: asked.method,
        segments: asked.segments,
        query: asked.query,
        body: asked.body,
        who: &who,
        base,
    };
    let mut reply = route::handle(state, &call);
    reply.headers.extend(limits);
    reply
}

fn sent(reply: Reply, cut: bool) -> Response {
    // An answer without a body could not break off.
    let status = if cut { 200 } else { reply.status };
    let mut response = Response::builder().status(status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    if cut {
        // More is promised than comes: the connection breaks off in the middle.
        let body = futures::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("cut"))]);
        return response.body(Body::from_stream(body)).unwrap_or_default();
    }
    let body = reply.body.map(|body| body.to_string());
    if body.is_some() {
        response = response.header("content-type", "application/json; charset=utf-8");
    }
    response.body(body.map_or_else(Body::empty, Body::from)).unwrap_or_default()
}

/// Of a body and where its list goes on.
fn digest(reply: &Reply) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    reply.body.as_ref().map(Value::to_string).hash(&mut hasher);
    reply.headers.iter().filter(|(name, _)| *name == "link").for_each(|header| header.hash(&mut hasher));
    hasher.finish()
}

fn decoded(segment: &str) -> String {
    // A path has no `+` for a space.
    pairs(&format!("x={}", segment.replace('+', "%2B"))).pop().map(|(_, value)| value).unwrap_or_default()
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://localhost/?{query}"));
    url.map(|url| url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
        .unwrap_or_default()
}

fn basic(client: &str, secret: &str) -> String {
    STANDARD.encode(format!("{client}:{secret}"))
}

/// Letters and digits of a token.
fn random_text(length: usize) -> String {
    super::private::random_token()
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .cycle()
        .take(length)
        .collect()
}

fn fresh_key() -> crypto_box::SecretKey {
    let mut bytes = [0; 32];
    getrandom_fill(&mut bytes);
    crypto_box::SecretKey::from(bytes)
}

#[expect(clippy::disallowed_methods, reason = "a server has randomness of its own")]
fn getrandom_fill(bytes: &mut [u8]) {
    let _ = getrandom::fill(bytes);
}
