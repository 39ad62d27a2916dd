//! Token Secrets in a namespace of their own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_tests::lab::kubernetes::Kubernetes;
use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Secrets of one ServiceAccount.
const PER_ACCOUNT: usize = 50;
/// Tokens that are tried afterwards.
const SAMPLE: usize = 25;

/// Planted ones, and some of their tokens.
pub(crate) struct Fleet {
    namespace: &'static str,
    count: usize,
    tokens: Vec<String>,
}

/// A connection that is kept, as any fair tool keeps it.
#[derive(Clone)]
struct Caller {
    client: Client,
    url: String,
    authorization: String,
}

impl Caller {
    fn new(cluster: &Kubernetes) -> Result<Self> {
        // The lab writes its kubeconfigs as JSON.
        let kubeconfig: Value = serde_json::from_slice(&std::fs::read(cluster.kubeconfig())?)?;
        let token = kubeconfig["users"][0]["user"]["token"].as_str().context("the kubeconfig's token")?;
        let ca = Certificate::from_pem_bundle(&std::fs::read(cluster.ca())?)?;
        let client =
            Client::builder().tls_certs_only(ca).no_proxy().timeout(Duration::from_secs(60)).build()?;
        Ok(Self { client, url: cluster.url().to_owned(), authorization: format!("Bearer {token}") })
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<u16> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        request = request.header("authorization", &self.authorization);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }
}

/// One request for each number, so many at the same time.
async fn each(
    caller: &Caller,
    count: usize,
    connections: usize,
    make: impl Fn(usize) -> (Method, String, Option<Value>, u16) + Clone + Send + 'static,
) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..connections.max(1) {
        let (caller, next, make) = (caller.clone(), Arc::clone(&next), make.clone());
        tasks.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return anyhow::Ok(());
                }
                let (method, path, body, expected) = make(index);
                let status = caller.send(method, &path, body).await?;
                ensure!(status == expected, "{path}: HTTP {status}");
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

impl Fleet {
    /// Plants so many and waits until the controllers have put a token into each.
    pub(crate) async fn plant(
        cluster: &Kubernetes,
        namespace: &'static str,
        count: usize,
        connections: usize,
    ) -> Result<Self> {
        let caller = Caller::new(cluster)?;
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        ensure!(caller.send(Method::POST, "/api/v1/namespaces", Some(object)).await? == 201, "{namespace}");
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        each(&caller, count.div_ceil(PER_ACCOUNT), connections, move |index| {
            let name = format!("robot-{index}");
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
            (Method::POST, accounts.clone(), Some(account), 201)
        })
        .await?;
        let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
        each(&caller, count, connections, move |index| {
            let account = format!("robot-{}", index / PER_ACCOUNT);
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
                "metadata": {"name": format!("token-{index:05}"), "labels": {"bench": "token"},
                             "annotations": {"kubernetes.io/service-account.name": account}}});
            (Method::POST, secrets.clone(), Some(secret), 201)
        })
        .await?;
        let mut fleet = Self { namespace, count, tokens: Vec::new() };
        for _ in 0..600 {
            let list = fleet.list(cluster).await?;
            let tokens: Vec<&str> =
                list.iter().filter_map(|secret| secret["data"]["token"].as_str()).collect();
            if tokens.len() == count {
                let step = (count / SAMPLE).max(1);
                for token in tokens.iter().step_by(step) {
                    fleet.tokens.push(String::from_utf8(STANDARD.decode(token)?)?);
                }
                return Ok(fleet);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        anyhow::bail!("the controllers have not filled the Secrets of {namespace}")
    }

    async fn list(&self, cluster: &Kubernetes) -> Result<Vec<Value>> {
        let path = format!("/api/v1/namespaces/{}/secrets?labelSelector=bench%3Dtoken", self.namespace);
        let list = cluster.request(Method::GET, &path, None).await?.good("a list")?;
        Ok(list["items"].as_array().context("items")?.clone())
    }

    /// Deletes them and proves nothing.
    pub(crate) async fn delete(&self, cluster: &Kubernetes, connections: usize) -> Result<()> {
        let namespace = self.namespace;
        each(&Caller::new(cluster)?, self.count, connections, move |index| {
            let path = format!("/api/v1/namespaces/{namespace}/secrets/token-{index:05}");
            (Method::DELETE, path, None, 200)
        })
        .await
    }

    /// Fails where one is left.
    pub(crate) async fn is_gone(&self, cluster: &Kubernetes) -> Result<()> {
        let left = self.list(cluster).await?.len();
        ensure!(left == 0, "{left} are left in {}", self.namespace);
        Ok(())
    }

    /// Fails where one of the sampled tokens is accepted.
    pub(crate) async fn is_refused(&self, cluster: &Kubernetes) -> Result<()> {
        for token in &self.tokens {
            let status = cluster.request_as(token, Method::GET, "/api/v1/namespaces", None).await?.status;
            ensure!(status == 401, "a token that is proven dead gets HTTP {status}");
        }
        Ok(())
    }
}

/// The time since 1970 of `2026-01-02T03:04:05.678901Z` (RFC 3339, UTC). `None`: it is none.
pub(crate) fn instant(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut time = time.split(':');
    let (hours, minutes): (f64, f64) = (time.next()?.parse().ok()?, time.next()?.parse().ok()?);
    let seconds: f64 = time.next()?.parse().ok()?;
    // Days of the proleptic Gregorian calendar, the year beginning in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let whole = Duration::from_secs(u64::try_from(days).ok()? * 86_400);
    Some(whole + Duration::from_secs_f64(hours * 3600.0 + minutes * 60.0 + seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read() {
        assert_eq!(instant("1970-01-01T00:00:00Z"), Some(Duration::ZERO));
        assert_eq!(instant("2024-03-01T00:00:01Z"), Some(Duration::from_secs(1_709_251_201)));
        assert_eq!(instant("2026-02-28T23:59:59.500Z").map(|it| it.as_millis()), Some(1_772_323_199_500));
        assert_eq!(instant("soon"), None);
    }
}
