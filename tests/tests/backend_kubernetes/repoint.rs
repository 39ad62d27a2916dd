//! Workloads that are made to read another Secret.

use claviger_backend::{Adoption, ErrorKind, Runtime as _, StoreState};
use claviger_tests::{lab::daemon::eventually, require_lab};

use super::*;
use crate::runtime::workload;

/// A pod that names the Secret in each way, and a ConfigMap and a literal of the same name.
fn reading(secret: &str) -> Value {
    let key = json!({"secretKeyRef": {"name": secret, "key": "token"}});
    json!({
        "containers": [{"name": "c", "image": "i", "envFrom": [{"configMapRef": {"name": "tok", "optional": true}}, {"secretRef": {"name": secret}}],
            "env": [{"name": "PLAIN", "value": "tok"}, {"name": "TOKEN", "valueFrom": key}],
            "volumeMounts": [{"name": "token", "mountPath": "/token"}, {"name": "all", "mountPath": "/all"}]}],
        "initContainers": [{"name": "i", "image": "i", "env": [{"name": "TOKEN", "valueFrom": key}]}],
        "volumes": [
            {"name": "token", "secret": {"secretName": secret, "items": [{"key": "token", "path": "t"}]}},
            {"name": "all", "projected": {"sources": [{"configMap": {"name": "tok", "optional": true}}, {"secret": {"name": secret}}]}},
        ],
    })
}

async fn get(cluster: &Kubernetes, path: &str) -> Value {
    cluster
        .request(reqwest::Method::GET, path, None)
        .await
        .expect("an answer")
        .good("get")
        .expect("an object")
}

/// The specification with one name in the place of another: what must come out, and nothing else.
fn renamed(template: &Value) -> Value {
    let text = template["spec"].to_string();
    let places = [r#""secretName":"tok""#, r#""secret":{"name":"tok"}"#, r#""secretRef":{"name":"tok"}"#];
    let mut text = places.iter().fold(text, |text, place| text.replace(place, &place.replace("tok", "new")));
    text = text.replace(r#""key":"token","name":"tok""#, r#""key":"token","name":"new""#);
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn each_place_that_names_it_is_changed_in_one_rollout() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "repoint";
    namespace(cluster, ns, json!({}));
    let data: [(&str, &[u8]); 1] = [("token", b"t")];
    let mut objects = vec![secret(ns, "tok", "Opaque", &data), secret(ns, "new", "Opaque", &data)];
    for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
        let mut object = workload(kind, ns, "web");
        object["spec"]["template"]["metadata"]["labels"]["app"] = kind.to_lowercase().into();
        object["spec"]["selector"]["matchLabels"]["app"] = kind.to_lowercase().into();
        object["spec"]["template"]["spec"] = reading("tok");
        objects.push(object);
    }
    let mut nightly = reading("tok");
    nightly["restartPolicy"] = "Never".into();
    objects.push(
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "web", "namespace": ns},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": nightly}}}}}),
    );
    cluster.create(&objects).expect("workloads");
    cluster.rolled_out(ns).await.expect("rolled out");
    let backend = admin(cluster, &[]).await;
    let (from, to) = (at(&format!("prod/{ns}/Secret/tok")), at(&format!("prod/{ns}/Secret/new")));

    for (number, kind, path, root) in [
        (70, "Deployment", "apps/v1/namespaces/repoint/deployments/web", "/spec/template"),
        (71, "StatefulSet", "apps/v1/namespaces/repoint/statefulsets/web", "/spec/template"),
        (72, "DaemonSet", "apps/v1/namespaces/repoint/daemonsets/web", "/spec/template"),
        (73, "CronJob", "batch/v1/namespaces/repoint/cronjobs/web", "/spec/jobTemplate/spec/template"),
    ] {
        let (consumer, path) = (at(&format!("prod/{ns}/{kind}/web")), format!("/apis/{path}"));
        assert_eq!(
            backend.repointable(&consumer, &from).await.expect("an answer"),
            StoreState::Writable,
            "{kind}"
        );
        let before = get(cluster, &path).await;
        let op = operation(number);
        assert!(!backend.repointed(&op, &consumer).await.expect("an answer"), "{kind}");
        backend.repoint(&op, &consumer, &from, &to).await.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        assert!(backend.repointed(&op, &consumer).await.expect("an answer"), "{kind}");
        let after = get(cluster, &path).await;
        let template = |object: &Value| object.pointer(root).expect("a template").clone();
        assert_eq!(template(&after)["spec"], renamed(&template(&before)), "{kind}");
        assert!(template(&after)["spec"].to_string().matches(r#""new""#).count() == 5, "{kind}: {after}");

        let generation = after["metadata"]["generation"].clone();
        backend.repoint(&op, &consumer, &from, &to).await.expect("again");
        assert_eq!(
            get(cluster, &path).await["metadata"]["generation"],
            generation,
            "{kind}: the repeat changed it"
        );
        eventually("the rollout to be adopted", || async {
            match backend.adopted(&op, &consumer).await.expect("an answer") {
                Adoption::Adopted(_) => Some(()),
                Adoption::Pending(_) => None,
                Adoption::Failing(why) => panic!("{kind}: {why}"),
            }
        })
        .await
        .expect("adopted");
    }
}

#[tokio::test]
async fn what_cannot_be_made_to_read_another_secret_says_why() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "repoint-refused";
    namespace(cluster, ns, json!({}));
    let mut helm = workload("Deployment", ns, "helm");
    helm["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
    helm["metadata"]["annotations"] = json!({"meta.helm.sh/release-name": "shop"});
    let mut paused = workload("Deployment", ns, "paused");
    paused["spec"]["paused"] = true.into();
    let mut by_hand = workload("StatefulSet", ns, "by-hand");
    by_hand["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    let pod = json!({"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"});
    let bare = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": ns}, "spec": pod});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": ns},
        "spec": {"template": {"spec": pod}}});
    let account = |ns: &str| format!("/api/v1/namespaces/{ns}/serviceaccounts/default");
    eventually("a ServiceAccount", || async {
        let answer = cluster.request(reqwest::Method::GET, &account(ns), None).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await
    .expect("a ServiceAccount");
    cluster.create(&[helm, paused, by_hand, bare, job]).expect("workloads");
    let backend = admin(cluster, &[]).await;
    let (from, to) = (at(&format!("prod/{ns}/Secret/tok")), at(&format!("prod/{ns}/Secret/new")));
    let consumer = |text: &str| at(&format!("prod/{ns}/{text}"));

    let state = backend.repointable(&consumer("Deployment/helm"), &from).await.expect("an answer");
    assert_eq!(state, StoreState::ManagedElsewhere("helm/shop".to_owned()));
    for (text, says) in [
        ("Deployment/paused", "paused"),
        ("StatefulSet/by-hand", "OnDelete"),
        ("Pod/bare", "Pod"),
        ("Job/once", "Job"),
        ("ReplicaSet/x", "does not know"),
    ] {
        match backend.repointable(&consumer(text), &from).await.expect("an answer") {
            StoreState::Refused(why) => assert!(why.contains(says), "{text}: {why}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    for text in ["Pod/bare", "Job/once"] {
        let error = backend.repoint(&operation(74), &consumer(text), &from, &to).await.expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}");
    }
    // A pod names Secrets of its own namespace only.
    let elsewhere = at("prod/default/Secret/new");
    let error = backend.repoint(&operation(75), &consumer("Deployment/helm"), &from, &elsewhere).await;
    assert_eq!(error.expect_err("another namespace").kind(), ErrorKind::Invalid);
    backend
        .repoint(&operation(75), &consumer("Deployment/gone"), &from, &to)
        .await
        .expect("absence is no failure");
    assert_eq!(
        backend.repointable(&consumer("Deployment/gone"), &from).await.expect("an answer"),
        StoreState::Writable
    );
}
