//! A folder as people keep it: Kubernetes YAML, a kubeconfig, `.env`, docker and AWS credentials, a workflow, and junk.

use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Context;
use super::kubernetes::registry_config;
use super::planted::Planted;

/// Writes `manifests/` into `directory`. `kubeconfig` is one with a ServiceAccount's token in it.
pub fn plant(
    context: &Context<'_>,
    kubeconfig: Option<&str>,
    planted: &mut Planted,
    directory: &Path,
) -> Result<()> {
    let folder = directory.join("manifests");
    let values = context.values;
    let write = |name: &str, contents: &[u8]| -> Result<()> {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(&path, contents).with_context(|| format!("write {name}"))
    };

    let app = values.app.expose();
    write("k8s/payments.yaml", documents(app, values.webhook.expose()).as_bytes())?;
    let file = "repo/k8s/payments.yaml";
    planted.credential("db-app", "password").value(&values.app).copy(file);
    planted.credential("webhook", "webhook-secret").value(&values.webhook).copy(file);
    planted.decoys.push(format!("{file}#username"));

    let mut env =
        format!("# local development\nDATABASE_URL={}\nLOG_LEVEL=debug\nEMPTY=\n", context.database_url());
    planted.credential("db-app", "password").copy("repo/.env");
    if let Some(held) = context.vault {
        env.push_str(&format!("export VAULT_TOKEN=\"{}\"\n", held.root.expose()));
        planted.credential("vault-root", "token").copy("repo/.env");
    }
    write(".env", env.as_bytes())?;

    write(".docker/config.json", registry_config(values.registry.expose()).to_string().as_bytes())?;
    planted.credential("registry", "registry").value(&values.registry).copy("repo/.docker/config.json");

    if let Some(keys) = context.aws {
        let (id, secret) = (&keys.deployer.id, keys.deployer.secret.expose());
        let credentials = format!(
            "[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n\n[empty]\nregion = eu-central-1\n"
        );
        write(".aws/credentials", credentials.as_bytes())?;
        planted.credential("aws-deployer", "access-key").copy("repo/.aws/credentials");
    }
    if let Some(kubeconfig) = kubeconfig {
        write("kubeconfig", kubeconfig.as_bytes())?;
        planted.credential("k8s-deployer", "service-account-token").copy("repo/kubeconfig");
    }
    write(".github/workflows/deploy.yml", workflow(values.argument.expose()).as_bytes())?;
    planted
        .credential("argument", "api-key")
        .value(&values.argument)
        .copy("repo/.github/workflows/deploy.yml");
    planted.decoys.push("repo/.github/workflows/deploy.yml#secrets".to_owned());

    write("broken/indentation.yaml", b"apiVersion: v1\nkind: Secret\n  data:\n\t- [\n")?;
    write("broken/not-utf8.yaml", &[0xff, 0xfe, b'k', b':', 0x80])?;
    write(
        "broken/secret-not-base64.yaml",
        b"apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\ndata:\n  password: '%%%'\n",
    )?;
    write("broken/empty.yaml", b"")?;
    write("broken/anchors.yaml", BILLION_LAUGHS.as_bytes())?;
    write("notes.txt", b"nothing to see\n")?;
    let _ = std::os::unix::fs::symlink(".", folder.join("loop"));
    Ok(())
}

/// Each document once more as large as the one before; whoever expands it runs out of memory.
const BILLION_LAUGHS: &str = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n\
    c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n\
    e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n\
    g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\nh: &h [*g, *g, *g, *g, *g, *g, *g, *g, *g]\n\
    i: &i [*h, *h, *h, *h, *h, *h, *h, *h, *h]\n";

/// Several documents: a Secret, a List with another, and a Deployment.
fn documents(password: &str, webhook: &str) -> String {
    let (encoded, webhook) = (STANDARD.encode(password), STANDARD.encode(format!("{webhook}\n")));
    format!(
        r"# the payments service
apiVersion: v1
kind: Secret
metadata:
  name: db
  namespace: payments
  labels: {{team: payments}}
type: Opaque
stringData:
  username: app
data:
  password: {encoded}
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Secret
    metadata: {{name: webhook, namespace: web}}
    data:
      secret: {webhook}
  - apiVersion: v1
    kind: ConfigMap
    metadata: {{name: settings, namespace: web}}
    data:
      log-level: debug
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api, namespace: payments}}
spec:
  selector: {{matchLabels: {{app: api}}}}
  template:
    metadata: {{labels: {{app: api}}}}
    spec:
      containers:
        - name: api
          image: registry.lab.internal/api:1
          env:
            - name: DB_PASSWORD
              valueFrom: {{secretKeyRef: {{name: db, key: password}}}}
---
"
    )
}

/// A workflow with one literal token and one reference to a secret, which is none.
fn workflow(token: &str) -> String {
    format!(
        r"name: deploy
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    env:
      REGISTRY_PASSWORD: ${{{{ secrets.REGISTRY_PASSWORD }}}}
    steps:
      - run: ./deploy
        env:
          CHAT_API_TOKEN: {token}
"
    )
}
