//! Secrets, ConfigMaps, ServiceAccounts and workloads as an inventory.

use claviger_core::model::{ConsumerHow, CopyStage, CredentialKind, HandleScheme, IdentityKind, Place};
use claviger_tests::require_lab;

use super::*;

fn pod_template(labels: &Value, spec: Value) -> Value {
    json!({"metadata": {"labels": labels}, "spec": spec})
}

fn deployment(namespace: &str, name: &str, spec: Value) -> Value {
    let labels = json!({"app": name});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
           "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod_template(&labels, spec)}})
}

#[tokio::test]
async fn every_type_of_secret_is_read_whole() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "scan-secrets";
    namespace(cluster, ns, json!({"team": "storage"}));
    let mut db = secret(
        ns,
        "db",
        "Opaque",
        &[("username", b"app"), ("password", b"hunter2\n"), ("host", b"db.lab"), ("blob", b"\xff\x00\xfe")],
    );
    db["metadata"]["labels"] = json!({"owner": "dana", "env": "wrong"});
    db["immutable"] = true.into();
    let big = "x".repeat(1_000_000);
    cluster
        .create(&[
            db,
            secret(ns, "empty", "Opaque", &[]),
            secret(ns, "big", "Opaque", &[("value", big.as_bytes())]),
            secret(
                ns,
                "tls",
                "kubernetes.io/tls",
                &[("tls.crt", b"CERT"), ("tls.key", b"KEY"), ("ca.crt", b"CA")],
            ),
            secret(ns, "basic", "kubernetes.io/basic-auth", &[("username", b"u"), ("password", b"pw-basic")]),
            secret(ns, "ssh", "kubernetes.io/ssh-auth", &[("ssh-privatekey", b"PEM")]),
            secret(
                ns,
                "pull",
                "kubernetes.io/dockerconfigjson",
                &[(".dockerconfigjson", br#"{"auths":{"r.lab":{"auth":"dTpw"}}}"#)],
            ),
        ])
        .expect("Secrets");
    let mut release =
        secret(ns, "sh.helm.release.v1.web.v1", "helm.sh/release.v1", &[("release", b"H4sIAAAA")]);
    release["metadata"]["labels"] =
        json!({"owner": "helm", "name": "web", "status": "superseded", "version": "1"});
    cluster.create(&[release]).expect("a Helm release");
    cluster
        .apply(&[secret(ns, "applied", "Opaque", &[("token", b"first"), ("same", b"same")])])
        .expect("apply");
    let patch = json!({"data": {"token": STANDARD.encode("second")}});
    let path = format!("/api/v1/namespaces/{ns}/secrets/applied");
    cluster
        .request(reqwest::Method::PATCH, &path, Some(&patch))
        .await
        .expect("an answer")
        .good("patch")
        .expect("patched");

    let seen = scan(&admin(cluster, &[ns]).await).await;
    seen.all_complete();
    let password = seen.copy("prod/scan-secrets/Secret/db#password");
    assert_eq!(text(password), "hunter2\n");
    assert_eq!(
        (password.place, password.stage, password.kind),
        (Place::SecretStore, CopyStage::Current, None)
    );
    assert_eq!(password.bundle.user.as_deref(), Some("app"));
    assert_eq!(password.bundle.host.as_deref(), Some("db.lab"));
    assert_eq!(password.labels["env"], "lab", "the configuration wins over the object");
    assert_eq!(password.attributes["immutable"], true);
    let mut owners: Vec<_> = password
        .owners
        .iter()
        .map(|owner| (owner.owner.as_str(), owner.source.as_str(), owner.weight))
        .collect();
    owners.sort_by_key(|owner| std::cmp::Reverse(owner.2));
    assert_eq!(owners, [("dana", "label:owner", 80), ("storage", "namespace-label:team", 30)]);
    assert!(password.created_at.is_some() && password.updated_at.is_some() && password.version.is_some());
    assert!(
        matches!(&seen.copy("prod/scan-secrets/Secret/db#blob").content, Content::Value(value) if value.expose() == [0xff, 0, 0xfe])
    );
    assert_eq!(seen.text("prod/scan-secrets/Secret/big#value").len(), big.len());
    for (at, kind) in [
        ("prod/scan-secrets/Secret/tls#tls.key", Some(CredentialKind::Certificate)),
        ("prod/scan-secrets/Secret/basic#password", Some(CredentialKind::Password)),
        ("prod/scan-secrets/Secret/ssh#ssh-privatekey", Some(CredentialKind::SshKey)),
        ("prod/scan-secrets/Secret/pull#.dockerconfigjson", Some(CredentialKind::Registry)),
        ("prod/scan-secrets/Secret/sh.helm.release.v1.web.v1#release", None),
    ] {
        assert_eq!(seen.copy(at).kind, kind, "{at}");
    }
    assert_eq!(
        seen.copy("prod/scan-secrets/Secret/sh.helm.release.v1.web.v1#release").stage,
        CopyStage::Former
    );
    assert!(
        !seen
            .copies
            .iter()
            .any(|copy| copy.at.as_str().ends_with("tls#ca.crt")
                || copy.at.as_str().ends_with("basic#username"))
    );

    let applied: Vec<_> = seen
        .copies
        .iter()
        .filter(|copy| copy.at.as_str().starts_with("prod/scan-secrets/Secret/applied#"))
        .map(|copy| (copy.key.as_str(), text(copy), copy.stage))
        .collect();
    assert_eq!(
        applied,
        [
            ("same", "same", CopyStage::Current),
            ("token", "second", CopyStage::Current),
            ("token", "first", CopyStage::Former)
        ]
    );
    assert_eq!(seen.copy("prod/scan-secrets/Secret/applied#same").attributes["last_applied"], true);

    let again = scan(&admin(cluster, &[ns]).await).await;
    let print = |seen: &Seen| {
        seen.copies
            .iter()
            .map(|copy| format!("{} {:?} {:?} {:?}", copy.at, copy.version, copy.stage, copy.attributes))
            .collect::<Vec<_>>()
    };
    assert_eq!(print(&seen), print(&again), "an unchanged cluster gives the same scan");
}

#[tokio::test]
async fn token_secrets_are_credentials_of_their_accounts() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "scan-tokens";
    namespace(cluster, ns, json!({}));
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ci", "namespace": ns,
        "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/ci"}},
        "automountServiceAccountToken": false, "secrets": [{"name": "ci-listed"}]});
    let token = |name: &str| {
        let mut token = secret(ns, name, "kubernetes.io/service-account-token", &[]);
        token["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "ci"});
        token
    };
    cluster.create(&[account, token("ci-manual"), token("ci-listed")]).expect("an account and its tokens");
    issuer::filled(cluster, ns, "ci-manual").await;
    issuer::filled(cluster, ns, "ci-listed").await;
    let used = json!({"metadata": {"labels": {"kubernetes.io/legacy-token-last-used": "2026-01-02"}}});
    let path = format!("/api/v1/namespaces/{ns}/secrets/ci-manual");
    cluster
        .request(reqwest::Method::PATCH, &path, Some(&used))
        .await
        .expect("an answer")
        .good("label")
        .expect("labelled");

    let seen = scan(&admin(cluster, &[ns]).await).await;
    let identity = seen
        .identities
        .iter()
        .find(|identity| identity.at.as_str() == "prod/scan-tokens/ServiceAccount/ci")
        .expect("ci");
    assert_eq!(identity.kind, IdentityKind::KubernetesServiceAccount);
    assert_eq!(identity.attributes["cloud_provider"], "aws");
    assert_eq!(identity.attributes["cloud_role"], "arn:aws:iam::111122223333:role/ci");
    assert_eq!(identity.attributes["automount"], false);

    let credential = |name: &str| {
        let at = format!("prod/{ns}/Secret/{name}");
        seen.credentials.iter().find(|credential| credential.at.as_str() == at).expect("the credential")
    };
    let manual = credential("ci-manual");
    assert_eq!(manual.kind, CredentialKind::ServiceAccountToken);
    assert_eq!(manual.identity.as_ref(), Some(&identity.at));
    assert_eq!(manual.last_used_at.map(|at| at.to_rfc3339()).as_deref(), Some("2026-01-02T00:00:00+00:00"));
    let handle = manual.handle.as_ref().expect("a handle");
    assert_eq!(handle.scheme, HandleScheme::KubernetesLegacyToken);
    assert!(handle.value.starts_with("scan-tokens/ci-manual/"));
    assert_eq!(
        (&manual.attributes["manual"], &credential("ci-listed").attributes["manual"]),
        (&Value::from(true), &Value::from(false))
    );
    let copy = seen.copy("prod/scan-tokens/Secret/ci-manual#token");
    assert_eq!(copy.issuer.as_ref(), Some(&manual.at));
    assert!(text(copy).starts_with("ey"));
    // Certificates and namespace of the token Secret are no secrets.
    assert_eq!(
        seen.copies
            .iter()
            .filter(|copy| copy.at.as_str().starts_with("prod/scan-tokens/Secret/ci-manual#"))
            .count(),
        1
    );
}

#[tokio::test]
async fn configuration_and_literals_are_read_with_their_places() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "scan-literals";
    namespace(cluster, ns, json!({}));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app", "namespace": ns},
        "data": {"database-url": "postgres://app:s3cr3t@db:5432/app", "level": "info"}, "binaryData": {"bin": "/wA="}});
    let spec = json!({"containers": [{"name": "web", "image": "i", "env": [
            {"name": "DB_PASSWORD", "value": "literal-pw"}, {"name": "COMPOSED", "value": "$(DB_PASSWORD)"}],
            "args": ["serve", "--token=literal-token", "<script>\u{1b}[31m=1"]}],
        "initContainers": [{"name": "prepare", "image": "i", "command": ["sh", "-c", "PGPASSWORD=from-script psql"]}]});
    cluster.create(&[map, deployment(ns, "web", spec)]).expect("objects");

    let seen = scan(&admin(cluster, &[ns]).await).await;
    seen.all_complete();
    let url = seen.copy("prod/scan-literals/ConfigMap/app#database-url");
    assert_eq!((text(url), url.place), ("postgres://app:s3cr3t@db:5432/app", Place::Configuration));
    assert!(!seen.copies.iter().any(|copy| copy.at.as_str().contains("kube-root-ca.crt")));
    for (at, expected) in [
        ("prod/scan-literals/Deployment/web#containers/web/env/DB_PASSWORD", "literal-pw"),
        ("prod/scan-literals/Deployment/web#containers/web/args/1", "literal-token"),
        ("prod/scan-literals/Deployment/web#initContainers/prepare/command/2/PGPASSWORD", "from-script"),
    ] {
        assert_eq!((seen.text(at), seen.copy(at).place), (expected, Place::Literal), "{at}");
        let consumer =
            seen.consumers.iter().find(|consumer| consumer.reads.as_str() == at).expect("its consumer");
        assert_eq!(
            (consumer.how, consumer.at.as_str()),
            (ConsumerHow::Literal, "prod/scan-literals/Deployment/web")
        );
    }
    assert!(!seen.copies.iter().any(|copy| copy.at.as_str().contains("COMPOSED")));
}

#[tokio::test]
async fn a_replaced_literal_stays_as_a_former_copy_of_its_deployment() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "scan-former";
    namespace(cluster, ns, json!({}));
    let spec = |password: &str| json!({"containers": [{"name": "web", "image": "i", "env": [{"name": "DB_PASSWORD", "value": password}]}]});
    cluster.create(&[deployment(ns, "web", spec("first"))]).expect("a Deployment");
    cluster.rolled_out(ns).await.expect("rolled out");
    let path = format!("/apis/apps/v1/namespaces/{ns}/deployments/web");
    for change in [json!({"template": {"spec": spec("second")}}), json!({"replicas": 0})] {
        cluster
            .request(reqwest::Method::PATCH, &path, Some(&json!({"spec": change})))
            .await
            .expect("an answer")
            .good("the change")
            .expect("changed");
        cluster.rolled_out(ns).await.expect("rolled out");
    }

    let seen = scan(&admin(cluster, &[ns]).await).await;
    seen.all_complete();
    let at = "prod/scan-former/Deployment/web#containers/web/env/DB_PASSWORD";
    let mut copies: Vec<_> = seen
        .copies
        .iter()
        .filter(|copy| copy.place == Place::Literal)
        .map(|copy| (copy.at.as_str(), text(copy), copy.stage))
        .collect();
    copies.sort_by_key(|copy| copy.1);
    assert_eq!(copies, [(at, "first", CopyStage::Former), (at, "second", CopyStage::Current)]);
    let readers = seen.consumers.iter().filter(|consumer| consumer.reads.as_str() == at).count();
    assert_eq!(readers, 1, "nobody consumes a former value");
}

#[tokio::test]
async fn consumers_are_owners_with_every_way_of_reading() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "scan-consumers";
    namespace(cluster, ns, json!({}));
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app", "namespace": ns}, "imagePullSecrets": [{"name": "pull"}]});
    let quiet = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "quiet", "namespace": ns}, "automountServiceAccountToken": false});
    let web = json!({"serviceAccountName": "app", "containers": [{"name": "web", "image": "i",
        "env": [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password", "optional": true}}},
                {"name": "URL", "valueFrom": {"configMapKeyRef": {"name": "app", "key": "url"}}}],
        "envFrom": [{"prefix": "DB_", "secretRef": {"name": "db", "optional": true}}],
        "volumeMounts": [{"name": "files", "mountPath": "/files", "subPath": "password"}, {"name": "token", "mountPath": "/token"}]}],
        "volumes": [{"name": "files", "secret": {"secretName": "db", "optional": true, "items": [{"key": "password", "path": "password"}]}},
            {"name": "token", "projected": {"sources": [
                {"serviceAccountToken": {"audience": "vault", "expirationSeconds": 7200, "path": "t"}},
                {"secret": {"name": "db", "optional": true}}]}},
            {"name": "unused", "configMap": {"name": "app", "optional": true}}]});
    let labels = json!({"app": "agent"});
    let agent = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent", "namespace": ns},
        "spec": {"selector": {"matchLabels": labels}, "template": pod_template(&labels, json!({"serviceAccountName": "quiet", "containers": [{"name": "a", "image": "i",
            "envFrom": [{"secretRef": {"name": "agent", "optional": true}}]}]}))}});
    let nightly = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly", "namespace": ns},
        "spec": {"schedule": "0 3 * * *", "suspend": true, "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "j", "image": "i",
            "env": [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]}]}}}}}});
    let bare = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": ns}, "spec": {"imagePullSecrets": [{"name": "own-pull"}],
        "containers": [{"name": "b", "image": "i"}]}});
    let owned = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "custom-0", "namespace": ns,
        "ownerReferences": [{"apiVersion": "acme.io/v1", "kind": "Database", "name": "custom", "uid": "00000000-0000-0000-0000-000000000001", "controller": true}]},
        "spec": {"containers": [{"name": "c", "image": "i", "envFrom": [{"secretRef": {"name": "custom", "optional": true}}]}]}});
    cluster
        .create(&[account, quiet, deployment(ns, "web", web), agent, nightly, bare, owned])
        .expect("workloads");
    cluster.rolled_out(ns).await.expect("rolled out");

    let seen = scan(&admin(cluster, &[ns]).await).await;
    seen.all_complete();
    let prefix = format!("prod/{ns}/");
    let mut found: Vec<String> = seen
        .consumers
        .iter()
        .map(|consumer| {
            let short = |at: &Ref| at.as_str().trim_start_matches(prefix.as_str()).to_owned();
            format!(
                "{} {} {} {}",
                short(&consumer.at),
                consumer.how,
                short(&consumer.reads),
                consumer.container.as_deref().unwrap_or("-")
            )
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "CronJob/nightly env Secret/db#password j",
            "CronJob/nightly service-account ServiceAccount/default -",
            "DaemonSet/agent env-from Secret/agent a",
            "Database/custom env-from Secret/custom c",
            "Database/custom service-account ServiceAccount/default -",
            "Deployment/web env ConfigMap/app#url web",
            "Deployment/web env Secret/db#password web",
            "Deployment/web env-from Secret/db web",
            "Deployment/web image-pull Secret/pull -",
            "Deployment/web projected Secret/db web",
            "Deployment/web projected ServiceAccount/app web",
            "Deployment/web service-account ServiceAccount/app -",
            "Deployment/web volume ConfigMap/app -",
            "Deployment/web volume Secret/db#password web",
            "Pod/bare image-pull Secret/own-pull -",
            "Pod/bare service-account ServiceAccount/default -",
        ]
    );
    let one = |how: ConsumerHow, reads: &str| {
        let reads = format!("{prefix}{reads}");
        let mut matching =
            seen.consumers.iter().filter(|consumer| consumer.how == how && consumer.reads.as_str() == reads);
        &matching.next().unwrap_or_else(|| panic!("{how} {reads}")).attributes
    };
    let token = one(ConsumerHow::Projected, "ServiceAccount/app");
    assert_eq!(
        (&token["audience"], &token["expiration_seconds"]),
        (&Value::from("vault"), &Value::from(7200))
    );
    let file = one(ConsumerHow::Volume, "Secret/db#password");
    assert_eq!(
        (&file["sub_path"], &file["optional"], &file["replicas"]),
        (&Value::from("password"), &Value::from(true), &Value::from(2))
    );
    assert_eq!(one(ConsumerHow::EnvFrom, "Secret/db")["prefix"], "DB_");
    assert_eq!(one(ConsumerHow::Volume, "ConfigMap/app")["mounted"], false);
    assert_eq!(one(ConsumerHow::ImagePull, "Secret/pull")["from_service_account"], "app");
}

#[tokio::test]
async fn a_namespace_that_may_not_be_read_is_denied_and_the_others_go_on() {
    let cluster = require_lab!(Kubernetes::shared().await);
    for name in ["open", "shut"] {
        namespace(cluster, &format!("denied-{name}"), json!({}));
        cluster
            .create(&[secret(&format!("denied-{name}"), "s", "Opaque", &[("k", name.as_bytes())])])
            .expect("a Secret");
    }
    let reading = |resources: Value, group: &str| json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list"]});
    let everything = json!([
        reading(json!(["secrets", "configmaps", "serviceaccounts", "pods", "replicationcontrollers"]), ""),
        reading(json!(["deployments", "statefulsets", "daemonsets", "replicasets"]), "apps"),
        reading(json!(["jobs", "cronjobs"]), "batch"),
        reading(json!(["roles", "rolebindings"]), "rbac.authorization.k8s.io"),
    ]);
    let identity = claviger_tests::lab::kubernetes::Restricted {
        namespace: "denied-open",
        name: "scanner",
        cluster_rules: json!([reading(json!(["namespaces"]), "")]),
        grants: &[(everything, &["denied-open"])],
    };
    let kubeconfig = cluster.directory().path().join("denied.kubeconfig");
    cluster.restricted_kubeconfig(&kubeconfig, &identity).await.expect("an identity");

    let backend = connect("prod", config(&kubeconfig, &["denied-*"]), Arc::new(SystemClock))
        .await
        .expect("a kubeconfig");
    let seen = scan(&backend).await;
    assert_eq!(seen.text("prod/denied-open/Secret/s#k"), "open");
    assert!(!seen.copies.iter().any(|copy| copy.at.as_str().starts_with("prod/denied-shut/")));
    for part in ["secrets", "configmaps", "workloads", "replicasets", "serviceaccounts", "rbac"] {
        assert_eq!(seen.end("denied-open", part), &(ScopeStatus::Complete, None), "{part}");
        let (status, reason) = seen.end("denied-shut", part);
        assert_eq!(*status, ScopeStatus::Denied, "{part}");
        assert!(
            reason
                .as_ref()
                .is_some_and(|reason| reason.contains("namespace denied-shut") && reason.contains("403")),
            "{reason:?}"
        );
    }
    assert_eq!(seen.end("*", "rbac").0, ScopeStatus::Denied);

    // Without the right to list namespaces, what the configuration names is read all the same.
    let backend =
        connect("prod", config(&kubeconfig, &["denied-open", "denied-shut"]), Arc::new(SystemClock))
            .await
            .expect("a kubeconfig");
    cluster.kubectl(&["delete", "clusterrolebinding", "scanner-cluster"], None).expect("taken away");
    let seen = scan(&backend).await;
    assert_eq!(seen.end("denied-open", "secrets").0, ScopeStatus::Complete);
    assert_eq!(seen.end("denied-shut", "secrets").0, ScopeStatus::Denied);

    let permissions = backend.check().await.expect("permissions");
    let status = |flow: &str, name: &str| {
        let found = permissions.iter().find(|permission| permission.flow == flow && permission.name == name);
        &found.unwrap_or_else(|| panic!("{flow} {name}")).status
    };
    use claviger_backend::PermissionStatus::Missing;
    assert!(
        matches!(status("scan", "list secrets"), Missing(rule) if rule.contains("denied-shut") && !rule.contains("denied-open"))
    );
    assert!(matches!(status("revoke", "delete secrets"), Missing(rule) if rule.contains("ClusterRole")));
    let admin = admin(cluster, &[]).await.check().await.expect("permissions");
    assert!(
        admin.len() > 20
            && admin
                .iter()
                .all(|permission| permission.status == claviger_backend::PermissionStatus::Present)
    );
}
