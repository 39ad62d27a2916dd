//! A fake of Jenkins with its Credentials plugin, as the plugin's own documents describe it (`docs/user.adoc`): **no Jenkins was there to compare it with**.
//!
//! It authenticates, wants a crumb of the same session with each change, keeps credentials as XML, redacts their secrets when it shows them, and takes what is
//! written for what it is: a redaction that is written back is an empty secret. A test sees what is in it through [`Jenkins::state`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use axum::{
    Router,
    body::Body,
    extract::State as Shared,
    http::{Request, Response, StatusCode, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// The user whom the fake knows, with every right.
pub const USER: &str = "claviger";
/// One who sees and changes nothing.
pub const READER: &str = "reader";
const REDACTED: &str = "<secret-redacted/>";

/// Everything.
#[derive(Default)]
pub struct State {
    /// Passwords or API tokens, by user.
    pub users: BTreeMap<String, String>,
    /// Whole names of folders, `team/web`.
    pub folders: BTreeSet<String>,
    /// XML by store (`system`, or a folder's whole name), domain and id; secrets stand in it as they are.
    pub credentials: BTreeMap<(String, String, String), String>,
    /// Changes refused for want of a crumb, or for one of another session.
    pub crumbless: u64,
    /// How often anything was changed.
    pub changes: u64,
    /// So many answers to a change are lost after their effect.
    pub lose: u32,
    sessions: u64,
}

/// Elements that hold a secret.
const SECRETS: [&str; 4] = ["secret", "password", "privateKey", "passphrase"];

impl State {
    /// A secret text.
    pub fn text(&mut self, store: &str, id: &str, secret: &str, description: &str) {
        let xml = format!(
            "<org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl plugin=\"plain-credentials@1\">\n  <scope>GLOBAL</scope>\n  <id>{id}</id>\n  <description>{description}</description>\n  <secret>{secret}</secret>\n</org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl>"
        );
        self.credentials.insert((store.to_owned(), "_".to_owned(), id.to_owned()), xml);
    }

    /// A user and a password.
    pub fn login(&mut self, store: &str, id: &str, user: &str, password: &str) {
        let xml = format!(
            "<com.cloudbees.plugins.credentials.impl.UsernamePasswordCredentialsImpl>\n  <scope>GLOBAL</scope>\n  <id>{id}</id>\n  <username>{user}</username>\n  <password>{password}</password>\n</com.cloudbees.plugins.credentials.impl.UsernamePasswordCredentialsImpl>"
        );
        self.credentials.insert((store.to_owned(), "_".to_owned(), id.to_owned()), xml);
    }

    /// A key with a passphrase: two secrets in one.
    pub fn key(&mut self, store: &str, id: &str, key: &str, passphrase: &str) {
        let xml = format!(
            "<com.cloudbees.jenkins.plugins.sshcredentials.impl.BasicSSHUserPrivateKey>\n  <id>{id}</id>\n  <privateKeySource class=\"x\">\n    <privateKey>{key}</privateKey>\n  </privateKeySource>\n  <passphrase>{passphrase}</passphrase>\n</com.cloudbees.jenkins.plugins.sshcredentials.impl.BasicSSHUserPrivateKey>"
        );
        self.credentials.insert((store.to_owned(), "_".to_owned(), id.to_owned()), xml);
    }

    /// The content of an element of a credential in the global domain, as a job would be given it.
    pub fn holds(&self, store: &str, id: &str, element: &str) -> Option<String> {
        let xml = self.credentials.get(&(store.to_owned(), "_".to_owned(), id.to_owned()))?;
        content(xml, element).map(|text| {
            let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            text.replace("&apos;", "'").replace("&amp;", "&")
        })
    }
}

/// What lies between the first two tags of this name.
fn content<'x>(xml: &'x str, element: &str) -> Option<&'x str> {
    let (_, rest) = xml.split_once(&format!("<{element}>"))?;
    Some(rest.split_once(&format!("</{element}>"))?.0)
}

fn redacted(xml: &str) -> String {
    let mut shown = xml.to_owned();
    for element in SECRETS {
        if let Some(held) = content(xml, element).filter(|held| !held.is_empty()) {
            let (open, close) = (format!("<{element}>"), format!("</{element}>"));
            shown =
                shown.replace(&format!("{open}{held}{close}"), &format!("{open}\n    {REDACTED}\n  {close}"));
        }
    }
    shown
}

/// As it is taken: a redaction stands for nothing.
fn taken(xml: &str) -> Option<String> {
    let trimmed = xml.trim();
    let name = trimmed.strip_prefix('<')?.split([' ', '>']).next()?;
    trimmed.ends_with(&format!("</{name}>")).then_some(())?;
    let mut taken = trimmed.to_owned();
    for element in SECRETS {
        if let Some(held) = content(trimmed, element).filter(|held| held.trim() == REDACTED) {
            taken =
                taken.replace(&format!("<{element}>{held}</{element}>"), &format!("<{element}></{element}>"));
        }
    }
    Some(taken)
}

/// A running fake. It ends with this.
pub struct Jenkins {
    address: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Jenkins {
    /// Starts one that knows [`USER`] and [`READER`].
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let mut state = State::default();
        for user in [USER, READER] {
            state.users.insert(user.to_owned(), format!("11{}", super::private::random_token()?));
        }
        let state = Arc::new(Mutex::new(state));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let task = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, state, task })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What is in it, to be planted and to be looked at.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API token of a user.
    pub fn token(&self, user: &str) -> String {
        self.state().users.get(user).cloned().unwrap_or_default()
    }
}

impl Drop for Jenkins {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(Shared(state): Shared<Arc<Mutex<State>>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    respond(&mut state, &parts, &body)
}

fn plain(status: u16, kind: &str, text: String) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let built = Response::builder().status(status).header("content-type", kind).body(Body::from(text));
    built.unwrap_or_default()
}

fn page(status: u16) -> Response<Body> {
    plain(status, "text/html", "<html><body>Jenkins</body></html>".to_owned())
}

fn json(value: &Value) -> Response<Body> {
    plain(200, "application/json", value.to_string())
}

fn header<'p>(parts: &'p Parts, name: &str) -> &'p str {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// `None`: nobody. Wrong credentials are refused whatever is asked for.
fn caller(state: &State, parts: &Parts) -> Result<Option<String>, ()> {
    let Some(encoded) = header(parts, "authorization").strip_prefix("Basic ") else { return Ok(None) };
    let pair = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(())?;
    let (user, password) = pair.split_once(':').ok_or(())?;
    if state.users.get(user).is_some_and(|known| known == password) {
        Ok(Some(user.to_owned()))
    } else {
        Err(())
    }
}

fn respond(state: &mut State, parts: &Parts, body: &[u8]) -> Response<Body> {
    let Ok(user) = caller(state, parts) else { return page(401) };
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    let reads = parts.method == "GET";
    if path == ["whoAmI", "api", "json"] {
        let name = user.as_deref().unwrap_or("anonymous");
        return json(&json!({ "anonymous": user.is_none(), "authenticated": true, "name": name }));
    }
    let Some(user) = user else { return page(403) };
    if path == ["crumbIssuer", "api", "json"] {
        state.sessions += 1;
        let session = state.sessions;
        let mut given =
            json(&json!({ "crumb": format!("crumb-{session}"), "crumbRequestField": "Jenkins-Crumb" }));
        if let Ok(cookie) = format!("JSESSIONID.x=session-{session}; Path=/; HttpOnly").parse() {
            given.headers_mut().insert("set-cookie", cookie);
        }
        return given;
    }
    if !reads {
        let crumb = header(parts, "jenkins-crumb").strip_prefix("crumb-").unwrap_or_default();
        if crumb.is_empty() || header(parts, "cookie") != format!("JSESSIONID.x=session-{crumb}") {
            state.crumbless += 1;
            return page(403);
        }
    }
    // Folders come first, each behind a `job`.
    let mut folder: Vec<&str> = Vec::new();
    let mut rest = path.as_slice();
    while let ["job", name, more @ ..] = rest {
        folder.push(name);
        rest = more;
    }
    let folder = folder.join("/");
    if !folder.is_empty() && !state.folders.contains(&folder) {
        return page(404);
    }
    match rest {
        ["api", "json"] => json(&jobs(state, &folder)),
        ["credentials", "store", kind, rest @ ..] => {
            if (*kind == "system") != folder.is_empty() {
                return page(404);
            }
            let store = if folder.is_empty() { "system".to_owned() } else { folder };
            stored(state, (&store, &user), (parts.method.as_str(), rest), body)
        }
        _ => page(404),
    }
}

fn jobs(state: &State, folder: &str) -> Value {
    let below = |name: &String| {
        let rest =
            if folder.is_empty() { Some(name.as_str()) } else { name.strip_prefix(&format!("{folder}/")) };
        rest.filter(|rest| !rest.contains('/')).map(str::to_owned)
    };
    let mut jobs: Vec<Value> = state
        .folders
        .iter()
        .filter_map(below)
        .map(|name| json!({ "_class": "com.cloudbees.hudson.plugins.folder.Folder", "name": name }))
        .collect();
    jobs.push(json!({ "_class": "org.jenkinsci.plugins.workflow.job.WorkflowJob", "name": "build" }));
    json!({ "_class": "hudson.model.Hudson", "jobs": jobs })
}

fn stored(
    state: &mut State,
    (store, user): (&str, &str),
    (method, path): (&str, &[&str]),
    body: &[u8],
) -> Response<Body> {
    match path {
        ["api", "json"] => {
            let mut names: BTreeSet<&str> = BTreeSet::from(["_"]);
            names.extend(
                state.credentials.keys().filter(|(at, ..)| at == store).map(|(_, domain, _)| domain.as_str()),
            );
            let domains: serde_json::Map<String, Value> =
                names.into_iter().map(|name| (name.to_owned(), json!({ "urlName": name }))).collect();
            json(&json!({ "domains": domains }))
        }
        ["domain", domain, "api", "json"] => {
            let here = state.credentials.keys().filter(|(at, of, _)| at == store && of == domain);
            let listed: Vec<Value> = here.map(|(_, _, id)| json!({ "id": id })).collect();
            json(&json!({ "credentials": listed }))
        }
        ["domain", domain, "credential", id, "config.xml"] => {
            let at = (store.to_owned(), (*domain).to_owned(), (*id).to_owned());
            let Some(held) = state.credentials.get(&at) else { return page(404) };
            match method {
                "GET" => plain(200, "application/xml", redacted(held)),
                _ if user != USER => page(403),
                "POST" => {
                    let Some(written) = std::str::from_utf8(body).ok().and_then(taken) else {
                        return page(500);
                    };
                    state.credentials.insert(at, written);
                    state.changes += 1;
                    if state.lose > 0 {
                        state.lose -= 1;
                        return page(502);
                    }
                    page(200)
                }
                _ => page(405),
            }
        }
        _ => page(404),
    }
}
