//! A client certificate, which Kubernetes cannot refuse: its user and group are cut from their bindings, and the rest of those stays.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_tests::{estate::Estate, require_lab};
use rcgen::{CertificateParams, DnType, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};

use super::{revoked, steps};
use crate::{Place, access_key::place, text};

const RBAC: &str = "rbac.authorization.k8s.io/v1";
const GROUP: &str = "rbac.authorization.k8s.io";

/// A Secret with a kubeconfig that logs in with a certificate of this user and group.
fn kubeconfig(estate: &Estate, name: &str, user: &str, group: &str) -> Result<Value> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, user);
    params.distinguished_name.push(DnType::OrganizationName, group);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": estate.kubernetes.url()}}],
        "users": [{"name": user, "user": {
            "client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key.serialize_pem()),
        }}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
    });
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "ops"},
        "data": {"config": STANDARD.encode(config.to_string())},
    }))
}

fn bound(kind: &str, namespace: Option<&str>, name: &str, role: &str, subjects: &[(&str, &str)]) -> Value {
    let subjects: Vec<_> =
        subjects.iter().map(|(kind, name)| json!({"kind": kind, "name": name, "apiGroup": GROUP})).collect();
    json!({
        "apiVersion": RBAC, "kind": kind, "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role}, "subjects": subjects,
    })
}

/// The credential whose place is in this Secret.
fn subject(place: &Place, secret: &str) -> Result<Value> {
    let at = format!("prod/ops/Secret/{secret}#");
    let all = place.list("credentials")?;
    let mine: Vec<_> = all.into_iter().filter(|one| text(one, "ref").starts_with(&at)).collect();
    ensure!(mine.len() == 1, "{mine:#?}");
    mine.into_iter().next().context("a credential")
}

async fn may(estate: &Estate, verb: &str, namespace: &str) -> Result<bool> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": "dana", "groups": ["night-shift", "system:authenticated"],
            "resourceAttributes": {"verb": verb, "resource": "configmaps", "namespace": namespace}},
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = estate.kubernetes.request(Method::POST, path, Some(&review)).await?.good("a review")?;
    answer["status"]["allowed"].as_bool().context("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_left_with_nothing_to_do() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "revoke-client-certificate.db");
    estate.kubernetes.create(&[
        kubeconfig(&estate, "dana", "dana", "night-shift")?,
        kubeconfig(&estate, "root", "root", "system:masters")?,
        bound("RoleBinding", Some("payments"), "dana-edits", "edit", &[("User", "dana")]),
        bound(
            "ClusterRoleBinding",
            None,
            "night-views",
            "view",
            &[("User", "lee"), ("Group", "night-shift")],
        ),
        bound("RoleBinding", Some("payments"), "lee-edits", "edit", &[("User", "lee")]),
    ])?;
    place.run(&["scan"], None)?;
    ensure!(may(&estate, "update", "payments").await? && may(&estate, "get", "web").await?, "nothing to cut");
    let dana = subject(&place, "dana")?;
    let at = text(&dana, "ref");

    let plan = revoked(&place, 0, &[at, "--dry-run"])?;
    ensure!(steps(&plan)? == ["note-rights", "cut-binding", "cut-binding", "prove-cut"], "{plan:#}");
    ensure!(plan["subjects"][0]["steps"].to_string().contains("User lee stay in it"), "{plan:#}");
    let done = revoked(&place, 0, &[at, "--yes"])?;
    let receipt = &done["receipts"][0];
    ensure!(receipt["verdict"] == "attested", "{done:#}");
    ensure!(text(receipt, "detail").contains("goes on logging in"), "{done:#}");
    ensure!(!may(&estate, "update", "payments").await? && !may(&estate, "get", "web").await?, "it still may");
    let path = format!("/apis/{RBAC}/clusterrolebindings/night-views");
    let left = estate.kubernetes.request(Method::GET, &path, None).await?.body;
    ensure!(left["subjects"] == json!([{"kind": "User", "name": "lee", "apiGroup": GROUP}]), "{left:#}");
    ensure!(text(&subject(&place, "dana")?, "state") == "mitigated", "{:#}", subject(&place, "dana")?);
    // A scan sees the certificate where it was, and knows what became of it.
    place.run(&["scan"], None)?;
    ensure!(text(&subject(&place, "dana")?, "state") == "mitigated", "{:#}", subject(&place, "dana")?);
    let again = revoked(&place, 4, &[at, "--dry-run"])?;
    ensure!(again["refused"][0]["code"] == "already-gone", "{again:#}");

    // Nothing cuts what every binding leaves alone.
    let root = subject(&place, "root")?;
    let refused = revoked(&place, 4, &[text(&root, "ref"), "--force", "--dry-run"])?;
    ensure!(refused["refused"][0]["code"] == "system-masters", "{refused:#}");
    ensure!(text(&refused["refused"][0], "reason").contains("another client CA"), "{refused:#}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_others_is_cut_only_by_force() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "revoke-shared-group.db");
    estate.kubernetes.create(&[
        kubeconfig(&estate, "dana", "dana", "night-shift")?,
        kubeconfig(&estate, "kim", "kim", "night-shift")?,
        bound("RoleBinding", Some("payments"), "night-edits", "edit", &[("Group", "night-shift")]),
    ])?;
    place.run(&["scan"], None)?;
    let dana = subject(&place, "dana")?;
    let at = text(&dana, "ref");
    let refused = revoked(&place, 4, &[at, "--dry-run"])?;
    ensure!(refused["refused"][0]["code"] == "group-shared", "{refused:#}");
    ensure!(text(&refused["refused"][0], "reason").contains("prod/ops/Secret/kim"), "{refused:#}");
    ensure!(may(&estate, "update", "payments").await?, "a refused plan cut it");
    let done = revoked(&place, 0, &[at, "--force", "--yes"])?;
    ensure!(done["receipts"][0]["verdict"] == "attested", "{done:#}");
    ensure!(!may(&estate, "update", "payments").await?, "it still may");
    Ok(())
}
