//! JSON over HTTP to the lab's own servers.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Certificate, Client, Method};
use serde_json::Value;

/// A client that trusts `ca` (PEM) only, or speaks plain HTTP when there is none.
///
/// Idle connections are not kept: each test has its own runtime, and a connection dies with the runtime that made it.
///
/// # Errors
/// When the certificate cannot be read.
pub fn client(ca: Option<&[u8]>) -> Result<Client> {
    let builder = Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(60)).no_proxy();
    let builder = match ca {
        Some(pem) => builder.tls_certs_only(Certificate::from_pem_bundle(pem)?),
        None => builder,
    };
    builder.build().context("an HTTP client")
}

/// An answer: the status, and the body where it is JSON (else null).
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: Value,
}

impl Answer {
    /// The body of a 2xx answer.
    ///
    /// # Errors
    /// Another status. The message carries `what` and the status, not the body.
    pub fn good(self, what: &str) -> Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        // These servers hold nothing but the lab's own values, yet a message travels: the reason alone.
        let reason = self.body["message"].as_str().or(self.body["errors"][0].as_str()).unwrap_or_default();
        bail!("{what}: HTTP {} {}", self.status, reason.chars().take(200).collect::<String>())
    }
}

/// Sends one request; any status is an answer.
///
/// # Errors
/// When there is no answer.
pub async fn send(
    client: &Client,
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<Answer> {
    let mut request = client.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
        request = request.body(serde_json::to_vec(body)?);
    }
    let response = request.send().await?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await?;
    Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
}
