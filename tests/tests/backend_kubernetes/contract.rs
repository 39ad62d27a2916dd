//! The contract suite, on a real cluster.

use claviger_backend::contract::{Consumer, Fixture, Subject, Swappable, trials};
use claviger_core::model::ConsumerHow;
use claviger_tests::require_lab;

use super::*;

const NS: &str = "contract";

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let cluster = require_lab!(Kubernetes::shared().await);
    namespace(cluster, NS, json!({}));
    let token = |name: &str| {
        let mut token = secret(NS, name, "kubernetes.io/service-account-token", &[]);
        token["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "robot"});
        token
    };
    let mut web = runtime::workload("Deployment", NS, "web");
    web["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]);
    let mut bearer = runtime::workload("Deployment", NS, "bearer");
    let pod = &mut bearer["spec"]["template"]["spec"];
    pod["serviceAccountName"] = "robot".into();
    pod["volumes"] = json!([{"name": "token", "secret": {"secretName": "swapped"}}]);
    pod["containers"][0]["volumeMounts"] = json!([{"name": "token", "mountPath": "/token"}]);
    cluster
        .create(&[
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": NS}}),
            token("kept"),
            token("revoked"),
            token("followed"),
            token("swapped"),
            bearer,
            secret(NS, "db-next", "Opaque", &[("password", b"next-password")]),
            secret(NS, "db", "Opaque", &[("password", b"contract-password"), ("username", b"contract-user")]),
            web,
        ])
        .expect("objects");
    let (kept, revoked) =
        (issuer::filled(cluster, NS, "kept").await, issuer::filled(cluster, NS, "revoked").await);
    let followed = issuer::filled(cluster, NS, "followed").await;
    let swapped = issuer::filled(cluster, NS, "swapped").await;
    cluster.rolled_out(NS).await.expect("rolled out");
    let rollouts = || {
        let path = "jsonpath={.metadata.annotations.claviger\\.dev/refreshed-for}";
        let text = cluster
            .kubectl(&["-n", NS, "get", "deployment", "web", "-o", path], None)
            .expect("the Deployment");
        text.split(',').filter(|key| !key.is_empty()).count() as u64
    };
    let named = || {
        let path = "jsonpath={.spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name}";
        let name = cluster.kubectl(&["-n", NS, "get", "deployment", "web", "-o", path], None);
        at(&format!("prod/{NS}/Secret/{}", name.expect("the Deployment")))
    };
    let in_namespace = |name: &str| at(&format!("prod/{NS}/{name}"));
    let fixture = Fixture {
        credential: Some(Subject { at: in_namespace("Secret/kept"), value: value(&kept) }),
        mintable: Some(Subject { at: in_namespace("Secret/followed"), value: value(&followed) }),
        nameable: Some(Subject { at: in_namespace("Secret/followed"), value: value(&followed) }),
        revocable: Some(Subject { at: in_namespace("Secret/revoked"), value: value(&revoked) }),
        absent_credential: Some(in_namespace("Secret/nothing")),
        copy: Some(in_namespace("Secret/db#password")),
        copy_beside: Some(in_namespace("Secret/db#username")),
        absent_copy: Some(in_namespace("Secret/nothing#password")),
        consumer: Some(Consumer { at: in_namespace("Deployment/web"), how: ConsumerHow::Env }),
        absent_consumer: Some(Consumer { at: in_namespace("Deployment/nothing"), how: ConsumerHow::Env }),
        objects: Some((in_namespace("Secret/db"), in_namespace("Secret/db-next"))),
        named: Some(Box::new(named)),
        swappable: Some(Swappable {
            credential: Subject { at: in_namespace("Secret/swapped"), value: value(&swapped) },
            object: in_namespace("Secret/swapped"),
            consumer: in_namespace("Deployment/bearer"),
        }),
        rollouts: Some(Box::new(rollouts)),
        secrets: vec![value(&kept), value(&revoked), value(&followed), value("contract-password")],
        ..Fixture::default()
    };
    let trials = trials("kubernetes", Arc::new(admin(cluster, &[NS]).await), fixture);
    assert!(trials.len() > 20, "{} trials", trials.len());
    let run =
        tokio::task::spawn_blocking(|| libtest_mimic::run(&libtest_mimic::Arguments::default(), trials));
    let conclusion = run.await.expect("the suite ends");
    assert_eq!((conclusion.num_failed, conclusion.num_ignored), (0, 0));
}
