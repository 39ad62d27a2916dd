//! The API through the real binary: who is let in, what they see, what they may do.

mod changes;
mod cluster;
mod description;
mod door;
mod lists;
mod log;
mod oidc;
mod people;
mod remote;
mod scope;
mod swap;
mod tls;
mod trace;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, header::HeaderMap};
use serde_json::Value;

use crate::house::{House, PATIENCE, Serving};

/// Somebody who asks.
pub(crate) struct Asker {
    client: reqwest::Client,
    address: String,
    token: Option<String>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Asker {
    /// With this token, or with none.
    pub(crate) fn new(service: &Serving, token: Option<&str>) -> Result<Self> {
        let client = claviger_tests::lab::http::client(None)?;
        Ok(Self { client, address: service.address.clone(), token: token.map(str::to_owned) })
    }

    /// With a token of this role that is made for it.
    pub(crate) fn with(house: &House, service: &Serving, name: &str, rest: &[&str]) -> Result<Self> {
        let made = house.json(&[&["token", "create", name], rest].concat())?;
        Self::new(service, Some(made["token"].as_str().context("a token")?))
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Answered> {
        let mut request = self.client.request(method, format!("{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answered { status, headers, text, body })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answered> {
        self.send(Method::GET, path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Answered> {
        self.send(Method::POST, path, &[], Some(&body.to_string())).await
    }

    /// All items of a list, page by page.
    pub(crate) async fn items(&self, path: &str, limit: usize) -> Result<Vec<Value>> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let more = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{more}limit={limit}{cursor}")).await?;
            ensure!(page.status == 200, "{path}: {page:?}");
            let found = page.body["items"].as_array().context("items")?;
            ensure!(found.len() <= limit, "{} items of at most {limit}", found.len());
            items.extend(found.iter().cloned().map(settled));
            match page.body["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Waits until one rotation or revocation is in this state.
    pub(crate) async fn until(&self, path: &str, state: &str) -> Result<Value> {
        let begun = std::time::Instant::now();
        loop {
            let one = self.get(path).await?;
            if one.body["state"] == state {
                return Ok(one.body);
            }
            ensure!(begun.elapsed() < PATIENCE, "{path} is not {state}: {one:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What does not change between two looks: what is due may start at the moment that is looked at.
pub(crate) fn settled(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            if map.get("due") == Some(&Value::Bool(true)) {
                map.remove("starts_at");
            }
            map.values_mut().for_each(|one| *one = settled(one.take()));
        }
        Value::Array(all) => all.iter_mut().for_each(|one| *one = settled(one.take())),
        _ => {}
    }
    value
}

impl Answered {
    /// It must be a problem with this status and code.
    pub(crate) fn must_be(&self, status: u16, code: &str) -> Result<()> {
        ensure!(self.status == status && self.body["code"] == code, "not {status} {code}: {self:?}");
        ensure!(self.headers["content-type"] == "application/problem+json", "{self:?}");
        ensure!(
            self.body["status"] == status
                && self.body["detail"].is_string()
                && self.body["title"].is_string(),
            "{self:?}"
        );
        Ok(())
    }
}
