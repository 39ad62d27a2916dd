//! The Secrets that are planted, and the read that does nothing but read.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use claviger_tests::lab::kubernetes::Kubernetes;
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Items of a page of the bare read: what kubectl asks for.
pub(crate) const PAGE: usize = 500;
/// Where the heavy Secrets lie.
pub(crate) const HEAVY: &str = "bench-heavy";
/// What passwords are made of; no value is base64, hex or a document by chance.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";

/// The API server over connections that stay open.
pub(crate) struct Cluster {
    client: Client,
    url: String,
    authorization: String,
    connections: usize,
}

/// A bare read of all Secrets.
pub(crate) struct Read {
    pub(crate) wall: Duration,
    pub(crate) bytes: u64,
    pub(crate) pages: usize,
}

impl Cluster {
    pub(crate) fn new(server: &Kubernetes, connections: usize) -> Result<Self> {
        // The lab writes its kubeconfigs as JSON.
        let kubeconfig: Value = serde_json::from_slice(&std::fs::read(server.kubeconfig())?)?;
        let token = kubeconfig["users"][0]["user"]["token"].as_str().context("the kubeconfig's token")?;
        let ca = Certificate::from_pem_bundle(&std::fs::read(server.ca())?)?;
        let client = Client::builder()
            .tls_certs_only(ca)
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self {
            client,
            url: server.url().to_owned(),
            authorization: format!("Bearer {token}"),
            connections: connections.max(1),
        })
    }

    /// Plants the Secrets of these numbers, each with one value of `bytes`.
    pub(crate) async fn plant(
        &self,
        numbers: Range<usize>,
        bytes: usize,
        namespaces: usize,
    ) -> Result<Duration> {
        let namespace = move |number: usize| format!("bench-{:02}", number % namespaces.max(1));
        for number in 0..namespaces.max(1) {
            self.namespace(&namespace(number)).await?;
        }
        self.create(numbers, bytes, namespace).await
    }

    /// Plants heavy Secrets.
    pub(crate) async fn plant_heavy(&self, count: usize, bytes: usize) -> Result<Duration> {
        self.namespace(HEAVY).await?;
        self.create(0..count, bytes, |_| HEAVY.to_owned()).await
    }

    async fn namespace(&self, name: &str) -> Result<()> {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let request = self.client.post(format!("{}/api/v1/namespaces", self.url));
        let status = post(request, &self.authorization, &object).await?;
        ensure!(status == 201 || status == 409, "create the namespace {name}: HTTP {status}");
        Ok(())
    }

    async fn create(
        &self,
        numbers: Range<usize>,
        bytes: usize,
        namespace: impl Fn(usize) -> String + Clone + Send + Sync + 'static,
    ) -> Result<Duration> {
        let begun = Instant::now();
        let next = Arc::new(AtomicUsize::new(numbers.start));
        let mut workers = JoinSet::new();
        for _ in 0..self.connections {
            let (client, url, authorization) =
                (self.client.clone(), self.url.clone(), self.authorization.clone());
            let (next, namespace, end) = (Arc::clone(&next), namespace.clone(), numbers.end);
            workers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return Ok::<_, anyhow::Error>(());
                    }
                    let namespace = namespace(number);
                    let request = client.post(format!("{url}/api/v1/namespaces/{namespace}/secrets"));
                    let status = post(request, &authorization, &secret(number, bytes)).await?;
                    ensure!(status == 201, "create Secret {number} in {namespace}: HTTP {status}");
                }
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker??;
        }
        Ok(begun.elapsed())
    }

    /// Reads all Secrets page by page, and throws the bytes away.
    pub(crate) async fn bare_read(&self) -> Result<Read> {
        let begun = Instant::now();
        let mut read = Read { wall: Duration::ZERO, bytes: 0, pages: 0 };
        let mut token = String::new();
        loop {
            let url = format!("{}/api/v1/secrets?limit={PAGE}&continue={token}", self.url);
            let request = self.client.get(url).header("authorization", &self.authorization);
            let mut answer = request.send().await?.error_for_status()?;
            let mut head = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                read.bytes += chunk.len() as u64;
                if head.len() < 1 << 10 {
                    head.extend_from_slice(&chunk);
                }
            }
            read.pages += 1;
            match next_page(&head) {
                Some(next) => token = next,
                None => break,
            }
        }
        read.wall = begun.elapsed();
        Ok(read)
    }
}

async fn post(request: reqwest::RequestBuilder, authorization: &str, object: &Value) -> Result<u16> {
    let request = request.header("authorization", authorization).json(object);
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    // Read to its end, else the connection is not used again.
    answer.bytes().await?;
    Ok(status)
}

/// The continue token, which stands before the items.
fn next_page(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let metadata = text.split("\"items\"").next()?;
    let token = metadata.split("\"continue\":\"").nth(1)?.split('"').next()?;
    // It is base64url: what might stand in it is the padding.
    (!token.is_empty()).then(|| token.replace('=', "%3D"))
}

fn secret(number: usize, bytes: usize) -> Value {
    let name = format!("credential-{number:06}");
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": format!("service-{}", number % 500)}},
        "data": {"password": STANDARD.encode(value(number as u64, bytes))},
    })
}

/// A value that looks random and is another one for each number (SplitMix64, whose outputs never repeat within a run).
fn value(number: u64, bytes: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66_D1B5_4A32;
    let mut value = Vec::with_capacity(bytes + 10);
    while value.len() < bytes {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^= word >> 31;
        value.extend((0..10).map(|place| ALPHABET[(word >> (6 * place)) as usize & 63]));
    }
    value.truncate(bytes);
    value
}
