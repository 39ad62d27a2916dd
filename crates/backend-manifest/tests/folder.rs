//! What is seen in a folder, and what is said of the rest.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use claviger_backend::{Backend, ErrorKind, Message, Phase, channel};
use claviger_backend_manifest::{ManifestBackend, ManifestConfig};
use claviger_core::{
    canonical::{Input, leaves},
    clock::SystemClock,
    model::{ConsumerHow, CopyStage, CredentialKind, Place, ScopeStatus},
    observation::{Content, Observation, ObservedConsumer, ObservedCopy},
};

#[derive(Default)]
struct Seen {
    copies: BTreeMap<(String, bool), ObservedCopy>,
    consumers: Vec<ObservedConsumer>,
    scopes: BTreeMap<String, (ScopeStatus, String)>,
}

impl Seen {
    fn copy(&self, at: &str) -> &ObservedCopy {
        self.copies
            .get(&(at.to_owned(), false))
            .unwrap_or_else(|| panic!("no {at}; there are {:?}", self.copies.keys()))
    }

    fn value(&self, at: &str) -> &str {
        match &self.copy(at).content {
            Content::Value(value) => value.expose_text().unwrap_or("<binary>"),
            Content::Unreadable(why) => why,
        }
    }

    fn refs(&self) -> Vec<&str> {
        self.copies.keys().map(|(at, _)| at.as_str()).collect()
    }

    fn readers(&self, reads: &str) -> Vec<(&str, ConsumerHow, Option<&str>)> {
        let readers = self.consumers.iter().filter(|consumer| consumer.reads.as_str() == reads);
        readers.map(|consumer| (consumer.at.as_str(), consumer.how, consumer.container.as_deref())).collect()
    }
}

fn scan(files: &[(&str, &str)]) -> Seen {
    let folder = tempfile::tempdir().expect("works in tests");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("works in tests");
        std::fs::write(path, text).expect("works in tests");
    }
    scan_folder(folder.path())
}

fn scan_folder(folder: &Path) -> Seen {
    scan_as(ManifestConfig { path: folder.to_owned(), repository: None })
}

fn scan_as(config: ManifestConfig) -> Seen {
    let backend = ManifestBackend::open("repo", config, Arc::new(SystemClock)).expect("works in tests");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("works in tests");
    runtime.block_on(async {
        let (mut sink, mut receiver) = channel(4);
        let send = tokio::spawn(async move { backend.inventory(Phase::Stores, &mut sink).await });
        let mut seen = Seen::default();
        while let Some(message) = receiver.recv().await {
            match message {
                Message::Page(page) => page.items.into_iter().for_each(|item| match item {
                    Observation::Copy(copy) => {
                        let former = copy.stage == CopyStage::Former;
                        let before = seen.copies.insert((copy.at.as_str().to_owned(), former), copy);
                        assert!(before.is_none(), "two copies with one ref");
                    }
                    Observation::Consumer(consumer) => seen.consumers.push(consumer),
                    _ => panic!("a folder has copies and consumers"),
                }),
                Message::ScopeEnd { scope, status, reason } => {
                    let before = seen.scopes.insert(scope.to_string(), (status, reason.unwrap_or_default()));
                    assert!(before.is_none(), "{scope} ended twice");
                }
            }
        }
        send.await.expect("runs").expect("scans");
        seen
    })
}

const CLUSTER: &str = r#"
apiVersion: v1
kind: Secret
metadata:
  name: db
  namespace: payments
  labels: {team: payments}
  annotations:
    acme.io/owner: dana
    kubectl.kubernetes.io/last-applied-configuration: '{"kind":"Secret","data":{"password":"b2xk","username":"YXBw"}}'
type: Opaque
immutable: true
data:
  username: YXBw
  password: aHVudGVyMg==
  broken: "%%%"
  template: "{{ .Values.password }}"
stringData:
  extra: plain text
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: app, namespace: payments}
  data:
    url: postgres://app:hunter2@db/x
    level: info
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: app, namespace: payments}
  data: {url: other}
"#;

const WORKLOAD: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: payments, labels: {owner: lee}}
spec:
  replicas: 3
  template:
    spec:
      imagePullSecrets: [{name: elsewhere}]
      initContainers:
      - name: init
        envFrom: [{configMapRef: {name: app}}]
      containers:
      - name: app
        args: ["--api-key", "k-123", "serve"]
        env:
        - {name: DB_USERNAME, value: app}
        - {name: DB_PASSWORD, value: literal-1}
        - {name: PIN, value: 123456}
        - {name: URL, value: "$(BASE)"}
        - name: FROM
          valueFrom: {secretKeyRef: {name: db, key: password}}
        volumeMounts:
        - {name: creds, mountPath: /creds, subPath: password}
      volumes:
      - name: creds
        secret: {secretName: db, items: [{key: password, path: password}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: night}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          containers:
          - name: job
            envFrom: [{secretRef: {name: db}}]
"#;

#[test]
fn kubernetes_objects_and_those_who_read_them() {
    let seen = scan(&[("base/secrets.yaml", CLUSTER), ("base/web.yaml", WORKLOAD)]);
    let secret = "repo/base/secrets.yaml#Secret/payments/db";
    assert_eq!(seen.value(&format!("{secret}/password")), "hunter2");
    assert_eq!(seen.value(&format!("{secret}/extra")), "plain text");
    assert_eq!(seen.value(&format!("{secret}/broken")), "not base64");
    assert!(!seen.refs().contains(&format!("{secret}/template").as_str()));
    let password = seen.copy(&format!("{secret}/password"));
    assert_eq!((password.place, password.key.as_str()), (Place::SecretStore, "password"));
    assert_eq!(password.bundle.user.as_deref(), Some("app"));
    assert_eq!(password.attributes["object_kind"], "Secret");
    assert_eq!(password.attributes["immutable"], true);
    let owners: Vec<_> =
        password.owners.iter().map(|hint| (hint.owner.as_str(), hint.source.as_str())).collect();
    assert_eq!(owners, [("payments", "label:team"), ("dana", "annotation:acme.io/owner")]);
    let former = &seen.copies[&(format!("{secret}/password"), true)];
    assert!(matches!(&former.content, Content::Value(value) if value.expose() == b"old"));
    assert!(!seen.copies.contains_key(&(format!("{secret}/username"), true)), "it did not change");

    let map = seen.copy("repo/base/secrets.yaml#ConfigMap/payments/app/url");
    assert_eq!(map.place, Place::Configuration);
    assert_eq!(seen.value("repo/base/secrets.yaml#ConfigMap/payments/app~2/url"), "other");

    let web = "repo/base/web.yaml#Deployment/payments/web";
    let literal = format!("{web}/containers/app/env/DB_PASSWORD");
    assert_eq!(seen.value(&literal), "literal-1");
    assert_eq!(seen.copy(&literal).bundle.user.as_deref(), Some("app"));
    assert_eq!(seen.copy(&literal).attributes["object_kind"], "Deployment");
    assert_eq!(seen.value(&format!("{web}/containers/app/env/PIN")), "123456");
    assert_eq!(seen.value(&format!("{web}/containers/app/args/0-api-key")), "k-123");
    assert!(!seen.refs().iter().any(|at| at.ends_with("/URL")));
    assert_eq!(seen.readers(&literal), [(web, ConsumerHow::Literal, Some("app"))]);

    let night = "repo/base/web.yaml#CronJob/night";
    assert_eq!(
        seen.readers(&format!("{secret}/password")),
        [
            (web, ConsumerHow::Env, Some("app")),
            (web, ConsumerHow::Volume, Some("app")),
            (night, ConsumerHow::EnvFrom, Some("job")),
        ]
    );
    let mounted = seen.consumers.iter().find(|consumer| consumer.how == ConsumerHow::Volume).unwrap();
    assert_eq!(
        (&mounted.attributes["sub_path"], &mounted.attributes["replicas"]),
        (&"password".into(), &3.into())
    );
    assert_eq!(
        seen.readers("repo/base/secrets.yaml#ConfigMap/payments/app/level"),
        [(web, ConsumerHow::EnvFrom, Some("init"))]
    );
    let pull = seen.consumers.iter().find(|consumer| consumer.how == ConsumerHow::ImagePull).unwrap();
    assert_eq!(pull.reads.as_str(), "repo/base/web.yaml#Secret/payments/elsewhere");
    assert_eq!(pull.attributes["unresolved"], true);
    assert_eq!(seen.scopes["base"].0, ScopeStatus::Complete);
}

#[test]
fn the_nearest_object_of_the_same_name_is_meant() {
    let secret = |value: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {{password: {value}}}\n")
    };
    let job = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: x}\nspec: {containers: [{name: c, envFrom: [{secretRef: {name: db}}]}]}\n";
    let (dev, prod) = (secret("one"), secret("two"));
    let seen = scan(&[
        ("overlays/dev/db.yaml", dev.as_str()),
        ("overlays/prod/db.yaml", prod.as_str()),
        ("overlays/prod/pod.yaml", job),
    ]);
    assert_eq!(seen.readers("repo/overlays/prod/db.yaml#Secret/db/password").len(), 1);
    assert_eq!(seen.readers("repo/overlays/dev/db.yaml#Secret/db/password").len(), 0);
}

#[test]
fn files_that_are_credentials() {
    let seen = scan(&[
        ("app/.env", "export DB_PASSWORD='s3cret'\nTOKEN=${TOKEN}\nDB_USERNAME=app\n"),
        ("app/.aws/credentials", "[ci]\naws_access_key_id=AKIAQ2J5KLMNOPQRSTUV\naws_secret_access_key=abc\n"),
        ("app/.docker/config.json", r#"{"auths":{"r.io":{"auth":"YTpi"}}}"#),
        ("app/pull.json", r#"{"auths":{"r.io":{"auth":"YTpi"}}}"#),
        ("app/cluster.yaml", "apiVersion: v1\nkind: Config\nusers: [{name: a, user: {token: t}}]\n"),
        ("app/gcp.json", r#"{"type":"service_account","private_key":"-----BEGIN PRIVATE KEY-----"}"#),
        ("app/values.yaml", "postgres: {password: hunter2}\n"),
        ("app/tls.key", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"),
        ("app/other.key", "just a file\n"),
        ("app/prod.tfvars", "db_password = \"tf\"\n"),
        ("app/terraform.tfstate", r#"{"version": 4}"#),
        (
            "app/kustomization.yaml",
            "secretGenerator:\n- name: gen\n  literals: [api_key=lit, \"other=${X}\"]\n",
        ),
    ]);
    assert_eq!(seen.scopes.values().filter(|(status, _)| *status != ScopeStatus::Complete).count(), 0);
    let kubeconfig = seen.copy("repo/app/cluster.yaml");
    assert_eq!(
        (kubeconfig.key.as_str(), &kubeconfig.attributes["format"]),
        ("kubeconfig", &"kubeconfig".into())
    );
    assert_eq!(kubeconfig.place, Place::SecretStore);
    for at in ["repo/app/.docker/config.json", "repo/app/pull.json"] {
        assert_eq!(
            (seen.copy(at).kind, seen.copy(at).key.as_str()),
            (Some(CredentialKind::Registry), ".dockerconfigjson")
        );
    }
    assert_eq!(seen.value("repo/app/.env#DB_PASSWORD"), "s3cret");
    assert_eq!(
        seen.copy("repo/app/.aws/credentials#ci/aws_secret_access_key").kind,
        Some(CredentialKind::AccessKey)
    );
    assert_eq!(seen.copy("repo/app/gcp.json").place, Place::SecretStore);
    assert_eq!(seen.copy("repo/app/values.yaml").place, Place::Literal);
    assert_eq!(seen.copy("repo/app/tls.key").attributes["format"], "pem");
    assert_eq!(seen.value("repo/app/prod.tfvars#db_password"), "tf");
    assert_eq!(seen.value("repo/app/kustomization.yaml#secretGenerator/gen/api_key"), "lit");
    assert_eq!(
        seen.refs(),
        [
            "repo/app/.aws/credentials#ci/aws_secret_access_key",
            "repo/app/.docker/config.json",
            "repo/app/.env#DB_PASSWORD",
            "repo/app/.env#DB_USERNAME",
            "repo/app/cluster.yaml",
            "repo/app/gcp.json",
            "repo/app/kustomization.yaml#secretGenerator/gen/api_key",
            "repo/app/prod.tfvars#db_password",
            "repo/app/pull.json",
            "repo/app/terraform.tfstate",
            "repo/app/tls.key",
            "repo/app/values.yaml",
        ]
    );
}

#[test]
fn workflows_show_literals_and_what_they_ask_for() {
    let github = r#"
env: {REGION: eu, TOKEN: "${{ secrets.DEPLOY_TOKEN }}"}
jobs:
  build:
    env: {AWS_SECRET_ACCESS_KEY: literal-key}
    steps:
    - uses: docker/login-action@v3
      with: {username: bot, password: "${{ secrets.REGISTRY }}"}
    - run: |
        curl -H "Authorization: Bearer written-token" https://x
        export API_KEY=from-script
"#;
    let gitlab = "variables:\n  DB_PASSWORD: {value: lab, description: d}\nbuild:\n  script: [\"deploy --token tok\", !reference [x, script]]\n";
    let seen = scan(&[(".github/workflows/ci.yml", github), (".gitlab-ci.yml", gitlab)]);
    let file = "repo/.github/workflows/ci.yml";
    assert_eq!(seen.value(&format!("{file}#jobs/build/env/AWS_SECRET_ACCESS_KEY")), "literal-key");
    assert_eq!(seen.value(&format!("{file}#jobs/build/steps/1/run/0-bearer")), "written-token");
    assert_eq!(seen.value(&format!("{file}#jobs/build/steps/1/run/1-API_KEY")), "from-script");
    assert!(!seen.refs().iter().any(|at| at.ends_with("/TOKEN") || at.ends_with("with/password")));
    assert_eq!(seen.readers(&format!("{file}#secrets/DEPLOY_TOKEN")), [(file, ConsumerHow::Env, None)]);
    let job = format!("{file}#jobs/build");
    assert_eq!(seen.readers(&format!("{file}#secrets/REGISTRY")), [(job.as_str(), ConsumerHow::Env, None)]);
    assert_eq!(seen.value("repo/.gitlab-ci.yml#variables/DB_PASSWORD"), "lab");
    assert_eq!(seen.value("repo/.gitlab-ci.yml#build/script/0/0-token"), "tok");
    let asks = seen
        .consumers
        .iter()
        .find(|one| one.attributes.get("ci_secret").is_some_and(|name| name == "REGISTRY"));
    let facts = &asks.expect("a job that asks").attributes;
    assert_eq!(facts["third_party_unpinned"], serde_json::json!(["docker/login-action@v3"]));
    assert_eq!(facts["unresolved"], serde_json::json!(true));
}

#[test]
fn a_folder_that_is_a_repository_at_a_forge_reads_that_ones_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".gitea/workflows");
    std::fs::create_dir_all(&path).unwrap();
    let workflow = "on: push\njobs:\n  deploy:\n    steps: [{ run: \"echo ${{ secrets.db_password }}\" }]\n";
    std::fs::write(path.join("deploy.yml"), workflow).unwrap();
    let repository = Some("forge/acme/shop".to_owned());
    let seen = scan_as(ManifestConfig { path: folder.path().to_owned(), repository });
    let job = "repo/.gitea/workflows/deploy.yml#jobs/deploy";
    assert_eq!(seen.readers("forge/acme/shop/actions/secrets/DB_PASSWORD"), [(job, ConsumerHow::Env, None)]);
    assert!(seen.consumers.iter().all(|one| !one.attributes.contains_key("unresolved")));
}

#[test]
fn what_cannot_be_read_is_said_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let good = b"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n";
    write("k8s/good.yaml", good);
    write("k8s/broken.yaml", b"password: canary-value\nb: [unclosed\n");
    write("k8s/latin.yaml", b"name: \xff\xfe\n");
    write("k8s/large.json", &vec![b' '; 2 * 1024 * 1024 + 1]);
    write("chart/templates/db.yaml", b"a: {{ .Values.x }}\n  {{- if y }}\n");
    write("chart/good.yaml", good);
    write("node_modules/x/secret.yaml", good);
    write(".git/secret.yaml", good);
    write("root.yaml", good);
    write("elsewhere.txt", b"not looked at");
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.yaml"), good).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.yaml"), folder.path().join("k8s/link.yaml"))
        .unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("k8s/folder")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("root.yaml"), folder.path().join("k8s/inside.yaml"))
        .unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("k8s/loop")).unwrap();

    let seen = scan_folder(folder.path());
    assert_eq!(
        seen.refs(),
        [
            "repo/chart/good.yaml#Secret/s/password",
            "repo/k8s/good.yaml#Secret/s/password",
            "repo/root.yaml#Secret/s/password"
        ]
    );
    let scopes: Vec<_> = seen
        .scopes
        .iter()
        .map(|(scope, (status, reason))| (scope.as_str(), *status, reason.as_str()))
        .collect();
    use ScopeStatus::{Complete, Failed, Unreadable};
    let link = "a link out of the folder is not followed";
    assert_eq!(
        scopes,
        [
            (".", Complete, ""),
            ("chart", Complete, ""),
            ("chart/templates/db.yaml", Unreadable, "a template: render it and scan what comes out"),
            ("k8s", Failed, "5 files or folders in it not read"),
            ("k8s/broken.yaml", Failed, "malformed at line 3"),
            ("k8s/folder", Unreadable, link),
            ("k8s/large.json", Unreadable, "larger than 2 MiB"),
            ("k8s/latin.yaml", Unreadable, "not UTF-8 text"),
            ("k8s/link.yaml", Unreadable, link),
        ]
    );
}

#[test]
fn odd_names_and_odd_documents_break_nothing() {
    let deep = format!("a: {}1{}\n", "[".repeat(2000), "]".repeat(2000));
    let seen = scan(&[
        (
            "a#b/<script>.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: \"=cmd\"}\nstringData: {\"a/b~c\": v}\n",
        ),
        ("odd/scalar.yaml", "just text\n"),
        ("odd/list.json", "[1, 2]"),
        ("odd/empty.yaml", ""),
        ("odd/nulls.yaml", "apiVersion: v1\nkind: Secret\nmetadata: null\ndata: null\n"),
        (
            "odd/types.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: [x]}\ndata: [1]\nstringData: {a: {b: c}, d: null}\n",
        ),
        ("odd/spec.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: {a: 1}}\n"),
        ("odd/deep.yaml", &deep),
    ]);
    assert_eq!(seen.value("repo/a%23b/<script>.yaml#Secret/=cmd/a~1b~0c"), "v");
    assert_eq!(seen.scopes["a#b"].0, ScopeStatus::Complete);
}

#[test]
fn a_folder_that_is_none_is_a_coded_error() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("absent"), {
        std::fs::write(folder.path().join("file"), "x").unwrap();
        folder.path().join("file")
    }] {
        let error =
            ManifestBackend::open("repo", ManifestConfig { path, repository: None }, Arc::new(SystemClock))
                .err()
                .unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.hint().is_some());
    }
}

#[test]
fn values_are_sent_so_that_the_engine_recognises_them() {
    let seen = scan(&[
        (".env", "DB_PASSWORD='r7Kq2mZx9TtB4wQv'\nLOG_LEVEL=debug\nDB_USERNAME=app\n"),
        ("values.yaml", "image: web\npostgres:\n  password: r7Kq2mZx9TtB4wQv\n  host: db\n"),
        (
            "cluster.yaml",
            "apiVersion: v1\nkind: Config\nclusters: []\nusers:\n- name: a\n  user:\n    token: r7Kq2mZx9TtB4wQv\n",
        ),
        (".docker/config.json", r#"{"auths":{"r.io":{"auth":"Ym90OnI3S3EybVp4OVR0QjR3UXY="}}}"#),
        ("app.json", r#"{"name": "web", "port": 80}"#),
    ]);
    let mut found = Vec::new();
    for copy in seen.copies.values() {
        let Content::Value(value) = &copy.content else { continue };
        let input = Input { key: &copy.key, place: copy.place, kind: copy.kind, bundle: &copy.bundle };
        for leaf in leaves(&input, value) {
            assert_eq!(leaf.canonical.expose(), b"r7Kq2mZx9TtB4wQv");
            found.push(copy.at.within(&leaf.pointer).to_string());
        }
    }
    found.sort();
    assert_eq!(
        found,
        [
            "repo/.docker/config.json#auths/r.io/password",
            "repo/.env#DB_PASSWORD",
            "repo/cluster.yaml#users/a/token",
            "repo/values.yaml#postgres/password",
        ]
    );
}
