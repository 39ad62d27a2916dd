//! From build to run on real servers: a workflow of Gitea's deploys with a cluster's token, which opens a namespace whose Secret holds a database's password.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_tests::{
    estate::Estate,
    lab::{
        daemon::eventually,
        gitea::Gitea,
        private::{random_token, write_private},
    },
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::section;
use crate::{Place, recovery::decoded, text};

const ROLE: &str = "courier";
const PASSWORD: &str = "db/role/courier";
const COPY: &str = "prod/payments/Secret/courier-db#password";
const WORKLOAD: &str = "prod/payments/Deployment/courier";
const TOKEN: &str = "prod/ops/Secret/courier-deployer";
const GRANT: &str = "prod/payments/RoleBinding/courier-deployer";
const SECRET: &str = "forge/courier-team/shop/actions/secrets/KUBE_TOKEN";
const JOB: &str = "forge/courier-team/shop/workflows/.gitea/workflows/deploy.yml#jobs/deploy";
const WORKFLOW: &str = "on: [push, pull_request_target]\npermissions:\n  contents: read\njobs:\n  deploy:\n    runs-on: lab\n    steps:\n      - uses: other/kubectl@v1\n        with: { token: \"${{ secrets.KUBE_TOKEN }}\" }\n";

/// What is secret here.
struct Planted {
    password: String,
    token: String,
}

/// The role, its copy and the workload that reads it; the account that may read it, and its token in the forge.
async fn plant(estate: &Estate, gitea: &Gitea) -> Result<Planted> {
    let password = random_token()?;
    let admin = estate.postgres.connect("postgres").await?;
    admin.batch_execute(&format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'")).await?;
    let meta = |name: &str, namespace: &str| json!({"name": name, "namespace": namespace});
    let mut of_token = meta("courier-deployer", "ops");
    of_token["annotations"] = json!({"kubernetes.io/service-account.name": "courier-deployer"});
    let container = json!({"name": "app", "image": "registry.lab.internal/courier:1",
        "env": [{"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"name": "courier-db", "key": "password"}}}]});
    estate.kubernetes.create(&[
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": meta("courier-db", "payments"),
            "data": {"username": STANDARD.encode(ROLE), "password": STANDARD.encode(&password)}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("courier", "payments"),
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "courier"}}, "template": {"metadata": {"labels": {"app": "courier"}},
                "spec": {"containers": [container]}}}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("courier-deployer", "ops")}),
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": of_token}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta("courier-deployer", "payments"),
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["courier-db"], "verbs": ["get"]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta("courier-deployer", "payments"),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "courier-deployer"},
            "subjects": [{"kind": "ServiceAccount", "name": "courier-deployer", "namespace": "ops"}]}),
    ])?;
    let token = eventually("a token", || async {
        let path = "/api/v1/namespaces/ops/secrets/courier-deployer";
        let answer = estate.kubernetes.request(Method::GET, path, None).await.ok()?;
        decoded(&answer.body["data"]["token"]).ok().filter(|token| !token.is_empty())
    })
    .await?;
    estate
        .openbao
        .write("kv/data/courier/db", &json!({"data": {"username": ROLE, "password": password}}))
        .await?;
    gitea.make("orgs", &json!({"username": "courier-team"})).await?;
    gitea.repository("courier-team", "shop").await?;
    gitea.secret("repos/courier-team/shop", "KUBE_TOKEN", &token, "").await?;
    gitea.file("courier-team/shop", ".gitea/workflows/deploy.yml", WORKFLOW).await?;
    let path = estate.directory().join("claviger.toml");
    let declared = format!("\n[[credentials]]\nref = \"{TOKEN}\"\ncopies = [\"{SECRET}\"]\n");
    let whole = fs::read_to_string(&path)? + &section(gitea, estate.directory())? + &declared;
    write_private(&path, &whole)?;
    Ok(Planted { password, token })
}

fn find<'v>(list: &'v Value, of: &str, at: &str) -> Result<&'v Value> {
    let found = list.as_array().and_then(|all| all.iter().find(|one| one[of] == at));
    found.with_context(|| format!("no {at} in {list:#}"))
}

fn shown(place: &Place, subject: &str) -> Result<Value> {
    Ok(place.run(&["show", subject, "-o", "json"], None)?.expect(0)?.json()?["chain"].clone())
}

/// A job that deploys with it, as the chain tells it.
fn built(chain: &Value) -> Result<()> {
    let deploy = find(&chain["deploy"], "ref", SECRET)?;
    ensure!(deploy["known"]["from"] == "declared", "{deploy:#}");
    let job = find(&deploy["jobs"], "ref", JOB)?;
    ensure!(job["job"] == "deploy" && job["forks"] == "reach", "{job:#}");
    ensure!(job["permissions"] == json!({"contents": "read"}), "{job:#}");
    ensure!(job["foreign"] == json!([{"uses": "other/kubectl@v1", "pinned": false}]), "{job:#}");
    ensure!(
        job["known"]["from"] == "workflow" && text(&job["known"], "at").ends_with("deploy.yml"),
        "{job:#}"
    );
    Ok(())
}

/// The password, as it lies in its namespace.
fn run(chain: &Value) -> Result<()> {
    let secret = find(&chain["places"], "ref", "prod/payments/Secret/courier-db")?;
    ensure!(secret["namespace"] == "payments" && secret["known"]["from"] == "verifier", "{secret:#}");
    let workload = find(&secret["workloads"], "ref", WORKLOAD)?;
    ensure!(workload["how"] == "env" && workload["known"]["from"] == "specification", "{workload:#}");
    let unknown = chain["unknown"].to_string();
    for words in ["no backend of kind vault tells who reads it", "within the databases is not read"] {
        ensure!(unknown.contains(words), "{words}: {unknown}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_a_token_a_namespace_and_a_password_are_one_chain() -> Result<()> {
    let gitea = require_lab!(Gitea::start().await, Ok(()));
    let estate = require_lab!(Estate::start().await, Ok(()));
    let planted = plant(&estate, &gitea).await?;
    let place = Place::new(estate.directory(), "chain.db");
    place.run(&["scan"], None)?.expect(3)?;

    // From the token on.
    let chain = shown(&place, TOKEN)?;
    built(&chain)?;
    let right = chain["rights"].as_array().context("rights")?.iter().find(|one| one["known"]["at"] == GRANT);
    let right = right.with_context(|| format!("{chain:#}"))?;
    ensure!(right["rules"].to_string().contains("only: courier-db"), "{right:#}");
    let opened = right["opens"].as_array().context("opens")?;
    ensure!(opened.len() == 1 && opened[0]["place"] == COPY && opened[0]["certain"] == true, "{right:#}");
    ensure!(opened[0]["next"]["chain"]["ref"] == PASSWORD, "{right:#}");
    run(&opened[0]["next"]["chain"])?;

    // And from the password back.
    let chain = shown(&place, PASSWORD)?;
    run(&chain)?;
    let opener =
        chain["opened_by"].as_array().context("opened_by")?.iter().find(|one| one["known"]["at"] == GRANT);
    let opener = opener.with_context(|| format!("{chain:#}"))?;
    ensure!(opener["place"] == COPY && opener["by"]["chain"]["ref"] == TOKEN, "{opener:#}");
    built(&opener["by"]["chain"])?;

    // For people.
    let mut told = Vec::new();
    for subject in [TOKEN, PASSWORD] {
        let page = place.run(&["show", subject], None)?.expect(0)?.stdout;
        for words in [
            "chain: build, deploy, run",
            JOB,
            SECRET,
            "pull requests from forks come to it",
            "seen by other/kubectl@v1 (not pinned)",
            "permissions: contents=read",
            GRANT,
            COPY,
            WORKLOAD,
            "unknown",
        ] {
            ensure!(page.contains(words), "{words}: {page}");
        }
        told.push(page);
    }
    let html = place.run(&["report", "inventory", "--format", "html", "--out", "-"], None)?.expect(0)?.stdout;
    let section = html.split("id=\"chains\"").nth(1).and_then(|rest| rest.split("</section>").next());
    let section = section.context("the section")?.to_owned();
    for words in [JOB, SECRET, GRANT, COPY, WORKLOAD, "pull requests from forks come to it"] {
        ensure!(section.contains(words), "{words}: {section}");
    }
    told.push(html);
    for value in [&planted.password, &planted.token] {
        ensure!(told.iter().all(|page| !page.contains(value.as_str())), "a value is told");
    }

    // A token that is revoked opens nothing any more.
    estate
        .kubernetes
        .request(
            Method::DELETE,
            "/apis/rbac.authorization.k8s.io/v1/namespaces/payments/rolebindings/courier-deployer",
            None,
        )
        .await?;
    place.run(&["scan"], None)?.expect(3)?;
    let chain = shown(&place, PASSWORD)?;
    ensure!(!chain["opened_by"].to_string().contains(TOKEN), "it is said to open it still: {chain:#}");
    Ok(())
}
