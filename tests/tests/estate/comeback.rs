//! A rotation on the real servers whose consumers do not come up with the new value returns by itself.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, lab::daemon::eventually, require_lab};
use reqwest::Method;
use serde_json::json;

use crate::{Place, recovery::decoded, text};

const NS: &str = "payments";
const QUOTA: &str = "/api/v1/namespaces/payments/resourcequotas/full";

/// No new pod is let in from now on.
async fn fill(estate: &Estate) -> Result<()> {
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": NS},
        "spec": {"hard": {"pods": "0"}}});
    estate.kubernetes.create(&[quota])?;
    // It holds once its controller has counted.
    eventually("the quota to be in force", || async {
        let answer = estate.kubernetes.request(Method::GET, QUOTA, None).await.ok()?;
        answer.body["status"]["used"]["pods"].is_string().then_some(())
    })
    .await
}

/// Lets pods in again once the rotation is being taken back.
async fn free_when_taken_back(estate: Arc<Estate>, place: Arc<Place>) -> Result<()> {
    for _ in 0..600 {
        let rotations = tokio::task::block_in_place(|| place.list("rotations"))?;
        if rotations.len() == 2 {
            let answer = estate.kubernetes.request(Method::DELETE, QUOTA, None).await?;
            ensure!(answer.status == 200, "{}", answer.status);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("no second rotation was begun")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rotation_returns_by_itself_when_pods_do_not_come_up() -> Result<()> {
    let estate = Arc::new(require_lab!(Estate::start().await, Ok(())));
    let place = Arc::new(Place::new(estate.directory(), "comeback.db"));
    place.run(&["scan"], None)?.expect(3)?;
    let old = estate.planted.get("db-app").value.as_ref().context("a value")?.expose().to_owned();
    fill(&estate).await?;
    let freeing = tokio::spawn(free_when_taken_back(Arc::clone(&estate), Arc::clone(&place)));
    let done = tokio::task::block_in_place(|| {
        place.run(&["rotate", "db/role/app", "--leave-stale", "--yes", "-o", "json"], None)?.expect(1)?.json()
    })?;
    freeing.await??;

    let rotation = &done["rotations"][0];
    let reason = text(rotation, "reason");
    ensure!(rotation["state"] == "rolled-back" && reason.contains("stood well before"), "{rotation:#}");
    ensure!(reason.contains("ReplicaFailure") || reason.contains("pods are new"), "{reason}");
    ensure!(estate.postgres.accepts("app", &old).await?, "the old password does not log in");
    let path = format!("/api/v1/namespaces/{NS}/secrets/db");
    let secret = estate.kubernetes.request(Method::GET, &path, None).await?;
    ensure!(decoded(&secret.body["data"]["password"])?.trim_end_matches('\n') == old, "the Secret");
    let kv = estate.openbao.request(Method::GET, "kv/data/payments/db", None).await?;
    ensure!(kv.body["data"]["data"]["password"] == old, "OpenBao");
    estate.kubernetes.rolled_out(NS).await?;
    let rotations = place.list("rotations")?;
    let states: Vec<_> = rotations.iter().map(|rotation| text(rotation, "state")).collect();
    ensure!(states == ["done", "rolled-back"], "{states:?}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    println!("returned by itself: {reason}");
    Ok(())
}
