//! A gate before ministack that does what it does not and AWS does: a web identity's signature is checked against the issuer's own keys, and `GetRole`
//! tells when somebody last became the role (`RoleLastUsed`, at once; AWS's own may come hours late).
//!
//! What passes goes on with `aud` as one text: AWS takes a list of one, which Kubernetes writes, for the same, and ministack does not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use claviger_core::clock::{Clock as _, SystemClock};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::text;

/// For whom tokens have to be made.
pub(crate) const AUDIENCE: &str = "sts.amazonaws.com";

/// A gate that listens. Dropping it ends it.
pub(crate) struct Gate {
    task: tokio::task::JoinHandle<()>,
    endpoint: String,
}

struct Behind {
    endpoint: String,
    keys: Value,
    http: reqwest::Client,
    /// When each role was last become, by its name.
    used: Mutex<BTreeMap<String, String>>,
}

impl Gate {
    /// Before this endpoint, with the issuer's keys (a JWK set).
    pub(crate) async fn start(endpoint: &str, keys: Value) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let own = format!("http://{}", listener.local_addr()?);
        let http = reqwest::Client::builder().no_proxy().build()?;
        let behind = Arc::new(Behind { endpoint: endpoint.to_owned(), keys, http, used: Mutex::default() });
        let router = Router::new().fallback(pass).with_state(behind);
        let task = tokio::spawn(async move {
            // A listener that breaks off shows in the tests that ask it.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { task, endpoint: own })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    State(behind): State<Arc<Behind>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = match checked(&behind.keys, &body) {
        Some(body) => forward(&behind, method, &uri, headers, body).await,
        None => Ok(refusal()),
    };
    answer.unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(error.to_string()));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
}

/// The body to pass on; `None`: it brings a token that the issuer did not sign.
fn checked(keys: &Value, body: &Bytes) -> Option<Bytes> {
    let Some(form) = std::str::from_utf8(body).ok().filter(|form| form.contains("WebIdentityToken=")) else {
        return Some(body.clone());
    };
    let fields = form.split('&').map(|field| match field.strip_prefix("WebIdentityToken=") {
        // A token has no character that a form would escape.
        Some(token) => {
            signed_by(token, keys).ok().filter(|signed| *signed)?;
            Some(format!("WebIdentityToken={}", with_one_audience(token).ok()?))
        }
        None => Some(field.to_owned()),
    });
    let fields: Option<Vec<String>> = fields.collect();
    Some(Bytes::from(fields?.join("&")))
}

fn refusal() -> Response {
    let text = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code>\
                <Message>The signature does not match.</Message></Error><RequestId>0</RequestId></ErrorResponse>";
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

async fn forward(
    behind: &Behind,
    method: Method,
    uri: &Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    headers.remove("content-length");
    let form = String::from_utf8_lossy(&body).into_owned();
    let url = format!("{}{uri}", behind.endpoint);
    // The host stays the one that was signed.
    let answer = behind.http.request(method, url).headers(headers).body(body).send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut answered = String::from_utf8_lossy(&answer.bytes().await?).into_owned();
    behind.told(&form, status.is_success(), &mut answered);
    let mut response = Response::new(Body::from(answered));
    *response.status_mut() = status;
    if let Some(kind) = headers.get("content-type") {
        response.headers_mut().insert("content-type", kind.clone());
    }
    Ok(response)
}

impl Behind {
    /// Notes who became a role, and tells it where a role is asked for.
    fn told(&self, form: &str, done: bool, answer: &mut String) {
        let field = |name: &str| {
            let value = form.split('&').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?;
            Some(value.replace("%2F", "/").replace("%3A", ":"))
        };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match field("Action").as_deref().filter(|_| done) {
            Some("AssumeRoleWithWebIdentity") => {
                let role = field("RoleArn").and_then(|arn| arn.rsplit('/').next().map(str::to_owned));
                used.extend(
                    role.map(|role| (role, SystemClock.now().format("%Y-%m-%dT%H:%M:%SZ").to_string())),
                );
            }
            Some("GetRole") => {
                let at = field("RoleName").and_then(|role| used.get(&role).cloned());
                let date =
                    at.map(|at| format!("<LastUsedDate>{at}</LastUsedDate><Region>us-east-1</Region>"));
                let told = format!("<RoleLastUsed>{}</RoleLastUsed></Role>", date.unwrap_or_default());
                *answer = answer.replacen("</Role>", &told, 1);
            }
            _ => {}
        }
    }
}

/// Is the token signed with one of these keys, for STS?
pub(crate) fn signed_by(token: &str, keys: &Value) -> Result<bool> {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[AUDIENCE]);
    for key in keys["keys"].as_array().context("keys")? {
        let key = DecodingKey::from_rsa_components(text(key, "n"), text(key, "e"))?;
        if jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same token with other claims, and the signature that it had.
pub(crate) fn rewritten(token: &str, change: impl FnOnce(&mut Value)) -> Result<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, signature] = parts.as_slice() else { anyhow::bail!("no token") };
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    change(&mut claims);
    Ok(format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string())))
}

fn with_one_audience(token: &str) -> Result<String> {
    rewritten(token, |claims| {
        if let Some([one]) = claims["aud"].as_array().map(Vec::as_slice) {
            claims["aud"] = json!(one);
        }
    })
}
