//! Workloads that read credentials by environment, volume, projection and pull secret, and two that carry them.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::Context;
use super::super::planted::Planted;
use crate::lab::kubernetes::Kubernetes;

/// Plants them.
pub async fn plant(server: &Kubernetes, context: &Context<'_>, planted: &mut Planted) -> Result<()> {
    payments(server, planted)?;
    web(server, context, planted)?;
    ops(server, context, planted)?;
    literals(server, context, planted).await
}

fn payments(server: &Kubernetes, planted: &mut Planted) -> Result<()> {
    let key = |secret: &str, key: &str| json!({"secretKeyRef": {"name": secret, "key": key}});
    let url = json!({"configMapKeyRef": {"name": "app", "key": "database-url"}});
    let api = json!({"serviceAccountName": "api", "containers": [container("api", json!({"env": [
        {"name": "DB_PASSWORD", "valueFrom": key("db", "password")}, {"name": "DATABASE_URL", "valueFrom": url}]}))]});
    let worker = json!({"containers": [container("worker", json!({"envFrom": [{"secretRef": {"name": "db"}}]}))],
        "initContainers": [container("migrate", json!({"env": [{"name": "PGPASSWORD", "valueFrom": key("db", "password")}]}))]});
    let reader = json!({"containers": [container("reader", json!({"volumeMounts": [{"name": "db", "mountPath": "/etc/db"}]}))],
        "volumes": [{"name": "db", "secret": {"secretName": "db"}}]});
    let reconcile = json!({"restartPolicy": "Never", "containers": [container("reconcile",
        json!({"env": [{"name": "PGPASSWORD", "valueFrom": key("batch-db", "DB_PASSWORD")}]}))]});
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "reconcile", "namespace": "payments"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": reconcile}}}}});
    server.create(&[
        deployment("payments", "api", api),
        deployment("payments", "worker", worker),
        deployment("payments", "reader", reader),
        cron,
    ])?;
    let db = "prod/payments/Secret/db#password";
    planted
        .credential("db-app", "password")
        .consumer("prod/payments/Deployment/api", db, "env", "api")
        .consumer("prod/payments/Deployment/api", "prod/payments/ConfigMap/app#database-url", "env", "api")
        .consumer("prod/payments/Deployment/worker", db, "env-from", "worker")
        .consumer("prod/payments/Deployment/worker", db, "env", "migrate")
        .consumer("prod/payments/Deployment/reader", db, "volume", "reader");
    planted.credential("db-batch-admin", "password").consumer(
        "prod/payments/CronJob/reconcile",
        "prod/payments/Secret/batch-db#DB_PASSWORD",
        "env",
        "reconcile",
    );
    Ok(())
}

fn web(server: &Kubernetes, context: &Context<'_>, planted: &mut Planted) -> Result<()> {
    let mounts = json!({"volumeMounts": [{"name": "tls", "mountPath": "/etc/tls"}]});
    let shop = json!({"serviceAccountName": "web", "imagePullSecrets": [{"name": "pull"}],
        "containers": [container("shop", mounts)], "volumes": [{"name": "tls", "secret": {"secretName": "shop-tls"}}]});
    // A token for another audience, and a Secret, in one projected volume.
    let projected = json!([{"serviceAccountToken": {"path": "vault", "audience": "vault", "expirationSeconds": 3600}},
                           {"secret": {"name": "metrics"}}]);
    let cache = json!({"serviceAccountName": "uploader",
        "containers": [container("cache", json!({"volumeMounts": [{"name": "tokens", "mountPath": "/var/run/tokens"}]}))],
        "volumes": [{"name": "tokens", "projected": {"sources": projected}}]});
    let stateful = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "cache", "namespace": "web"},
        "spec": {"serviceName": "cache", "replicas": 1, "selector": {"matchLabels": {"app": "cache"}},
                 "template": {"metadata": {"labels": {"app": "cache"}}, "spec": cache}}});
    server.create(&[deployment("web", "shop", shop), stateful])?;
    planted.credential("registry", "registry").consumer(
        "prod/web/Deployment/shop",
        "prod/web/Secret/pull#.dockerconfigjson",
        "image-pull",
        "",
    );
    planted.credential("tls-shop", "certificate").consumer(
        "prod/web/Deployment/shop",
        "prod/web/Secret/shop-tls#tls.key",
        "volume",
        "shop",
    );
    planted.credential("metrics", "password").consumer(
        "prod/web/StatefulSet/cache",
        "prod/web/Secret/metrics#password",
        "projected",
        "cache",
    );
    if context.aws.is_some() {
        let environment = json!({"envFrom": [{"secretRef": {"name": "aws"}}]});
        for namespace in ["web", "sandbox"] {
            let spec = json!({"containers": [container("uploader", environment.clone())]});
            server.create(&[deployment(namespace, "uploader", spec)])?;
            planted.credential("aws-deployer", "access-key").consumer(
                &format!("prod/{namespace}/Deployment/uploader"),
                &format!("prod/{namespace}/Secret/aws#AWS_SECRET_ACCESS_KEY"),
                "env-from",
                "uploader",
            );
        }
        let environment = json!({"envFrom": [{"secretRef": {"name": "media-aws"}}]});
        server.create(&[deployment(
            "web",
            "media",
            json!({"containers": [container("media", environment)]}),
        )])?;
        planted.credential("aws-media", "access-key").consumer(
            "prod/web/Deployment/media",
            "prod/web/Secret/media-aws#AWS_SECRET_ACCESS_KEY",
            "env-from",
            "media",
        );
    }
    Ok(())
}

fn ops(server: &Kubernetes, context: &Context<'_>, planted: &mut Planted) -> Result<()> {
    let batch = json!({"containers": [container("batch", json!({"env": [{"name": "PGPASSWORD",
        "valueFrom": {"secretKeyRef": {"name": "batch-db", "key": "DB_PASSWORD"}}}]}))]});
    server.create(&[deployment("ops", "batch", batch)])?;
    planted.credential("db-batch-admin", "password").consumer(
        "prod/ops/Deployment/batch",
        "prod/ops/Secret/batch-db#DB_PASSWORD",
        "env",
        "batch",
    );
    if context.vault.is_some() {
        let runner = json!({"containers": [container("runner", json!({"envFrom": [{"secretRef": {"name": "ci-approle"}}]}))]});
        server.create(&[deployment("ops", "runner", runner)])?;
        planted.credential("approle-ci-stored", "secret-id").consumer(
            "prod/ops/Deployment/runner",
            "prod/ops/Secret/ci-approle#secret_id",
            "env-from",
            "runner",
        );
    }
    Ok(())
}

/// A password in the pod template's environment (its ReplicaSet of before still holds the former one), a token among the
/// arguments.
async fn literals(server: &Kubernetes, context: &Context<'_>, planted: &mut Planted) -> Result<()> {
    let values = context.values;
    let spec = |password: &str| {
        let environment =
            json!([{"name": "DB_PASSWORD", "value": password}, {"name": "LOG_LEVEL", "value": "debug"}]);
        let token = format!("--api-token={}", values.argument.expose());
        let arguments = json!(["--listen=:8080", token]);
        json!({"containers": [container("legacy", json!({"env": environment, "args": arguments}))]})
    };
    server.create(&[deployment("web", "legacy", spec(values.literal[1].expose()))])?;
    server.rolled_out("web").await?;
    let change = json!({"spec": {"template": {"spec": spec(values.literal[0].expose())}}});
    let path = "/apis/apps/v1/namespaces/web/deployments/legacy";
    server.request(Method::PATCH, path, Some(&change)).await?.good("the new literal")?;

    let workload = "prod/web/Deployment/legacy";
    let environment = format!("{workload}#containers/legacy/env/DB_PASSWORD");
    planted
        .credential("literal", "password")
        .value(&values.literal[0])
        .former(&values.literal[1])
        .copy(&environment)
        .former_copy(&environment)
        .consumer(workload, &environment, "literal", "legacy")
        .finding("k8s-literal-in-podspec");
    let argument = format!("{workload}#containers/legacy/args/1");
    planted
        .credential("argument", "api-key")
        .value(&values.argument)
        .copy(&argument)
        .consumer(workload, &argument, "literal", "legacy")
        .finding("k8s-literal-in-podspec");
    planted.decoys.push(format!("{workload}#containers/legacy/env/LOG_LEVEL"));
    planted.decoys.push(format!("{workload}#containers/legacy/args/0"));
    Ok(())
}

fn container(name: &str, mut rest: Value) -> Value {
    rest["name"] = name.into();
    rest["image"] = format!("registry.lab.internal/{name}:1").into();
    rest
}

fn deployment(namespace: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
           "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}},
                    "template": {"metadata": {"labels": {"app": name}}, "spec": spec}}})
}
