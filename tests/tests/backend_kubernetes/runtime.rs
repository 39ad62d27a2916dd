//! Rollouts.

use claviger_backend::{Adoption, ErrorKind, Runtime as _};
use claviger_core::model::ConsumerHow;
use claviger_tests::{lab::daemon::eventually, require_lab};

use super::*;

pub(super) fn workload(kind: &str, ns: &str, name: &str) -> Value {
    let labels = json!({"app": name});
    let mut object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": ns},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    if kind != "DaemonSet" {
        object["spec"]["replicas"] = 2.into();
    }
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = name.into();
    }
    object
}

async fn pods(cluster: &Kubernetes, ns: &str) -> Vec<String> {
    let path = format!("/api/v1/namespaces/{ns}/pods");
    let body = cluster
        .request(reqwest::Method::GET, &path, None)
        .await
        .expect("an answer")
        .good("pods")
        .expect("pods");
    body["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned))
        .collect()
}

async fn adopts(backend: &KubernetesBackend, number: u128, consumer: &Ref) {
    eventually("the rollout to be adopted", || async {
        match backend.adopted(&operation(number), consumer).await.expect("an answer") {
            Adoption::Adopted(_) => Some(()),
            Adoption::Pending(_) => None,
            Adoption::Failing(why) => panic!("{consumer}: {why}"),
        }
    })
    .await
    .expect("adopted");
}

#[tokio::test]
async fn a_rollout_replaces_every_pod_once() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let backend = admin(cluster, &[]).await;
    for (number, kind) in [(20, "Deployment"), (30, "StatefulSet"), (40, "DaemonSet")] {
        let ns = format!("rollout-{}", kind.to_lowercase());
        namespace(cluster, &ns, json!({}));
        cluster.create(&[workload(kind, &ns, "web")]).expect("a workload");
        cluster.rolled_out(&ns).await.expect("rolled out");
        eventually("its first pods", || async { (!pods(cluster, &ns).await.is_empty()).then_some(()) })
            .await
            .expect("pods");
        let before = pods(cluster, &ns).await;
        let consumer = at(&format!("prod/{ns}/{kind}/web"));

        assert!(
            matches!(backend.adopted(&operation(number), &consumer).await, Ok(Adoption::Pending(_))),
            "not restarted yet"
        );
        backend.refresh(&operation(number), &consumer, ConsumerHow::Env).await.expect("restarted");
        adopts(&backend, number, &consumer).await;
        let after = pods(cluster, &ns).await;
        assert!(
            !after.is_empty() && !after.iter().any(|pod| before.contains(pod)),
            "{kind}: {before:?} {after:?}"
        );

        backend.refresh(&operation(number), &consumer, ConsumerHow::Volume).await.expect("again");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(pods(cluster, &ns).await, after, "{kind}: the same operation restarts nothing");

        // A later operation restarts it anew, and serves the earlier one as well.
        backend.refresh(&operation(number + 1), &consumer, ConsumerHow::Env).await.expect("restarted");
        adopts(&backend, number + 1, &consumer).await;
        adopts(&backend, number, &consumer).await;
    }
}

#[tokio::test]
async fn what_cannot_be_rolled_out_says_so() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "rollout-other";
    namespace(cluster, ns, json!({}));
    let mut paused = workload("Deployment", ns, "paused");
    paused["spec"]["paused"] = true.into();
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly", "namespace": ns},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "j", "image": "i"}]}}}}}});
    cluster.create(&[paused, cron]).expect("workloads");
    let backend = admin(cluster, &[]).await;
    let at = |text: &str| at(&format!("prod/{ns}/{text}"));
    let op = operation(50);

    backend.refresh(&op, &at("Deployment/gone"), ConsumerHow::Env).await.expect("absence is no failure");
    assert!(matches!(backend.adopted(&op, &at("Deployment/gone")).await, Ok(Adoption::Adopted(_))));
    backend.refresh(&op, &at("CronJob/nightly"), ConsumerHow::Env).await.expect("its next run reads anew");
    assert!(matches!(backend.adopted(&op, &at("CronJob/nightly")).await, Ok(Adoption::Adopted(_))));
    backend.refresh(&op, &at("Deployment/paused"), ConsumerHow::Env).await.expect("noted");
    assert!(matches!(backend.adopted(&op, &at("Deployment/paused")).await, Ok(Adoption::Failing(_))));
    for (text, how) in [("Pod/bare", ConsumerHow::Env), ("Deployment/paused", ConsumerHow::Literal)] {
        let error = backend.refresh(&op, &at(text), how).await.expect_err("no rollout");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}");
    }
}
