//! Tokens that pods are given and nobody needs: told by the scan, with the patch that takes them away, on the real API server.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, lab::private::write_private, require_lab};
use serde_json::{Value, json};

use super::NS;
use crate::{Place, text};

const SLUG: &str = "k8s-token-unneeded";

/// An account with a workload that says nothing of its token.
fn plant(estate: &Estate, name: &str) -> Result<()> {
    let meta = json!({"name": name, "namespace": NS});
    estate.kubernetes.create(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
                "spec": {"serviceAccountName": name, "containers": [{"name": "c", "image": "registry.lab.internal/c:1"}]}}}}),
    ])
}

/// Whoever may read everything: of what is not read nothing is said.
fn place(estate: &Estate) -> Result<Place> {
    let mut place = Place::new(estate.directory(), "mounted.db");
    write_private(&estate.directory().join("root.token"), estate.openbao.token())?;
    let configuration = format!(
        "keys = \"keys\"\n\n[backends.prod]\nkind = \"kubernetes\"\nkubeconfig = \"administrator.kubeconfig\"\ninclude = [\"{NS}\"]\n\n\
         [backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"root.token\" }}\n",
        estate.openbao.address()
    );
    place.config = estate.directory().join("mounted.toml");
    std::fs::write(&place.config, configuration)?;
    Ok(place)
}

/// What is said of these accounts, after a scan.
fn told(place: &Place) -> Result<Vec<Value>> {
    place.run(&["scan"], None)?.expect(0)?;
    let mut findings = place.list("findings")?;
    findings.retain(|one| one["slug"] == SLUG);
    Ok(findings)
}

fn of<'f>(told: &'f [Value], name: &str) -> Option<&'f Value> {
    let at = format!("prod/{NS}/ServiceAccount/{name}");
    told.iter().find(|one| one["subject"] == at.as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_nobody_needs_is_told_with_the_patch_that_takes_it_away() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate)?;
    for name in ["idle", "reads", "grouped", "enters"] {
        plant(&estate, name)?;
    }
    let rbac = "rbac.authorization.k8s.io";
    let bound = json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": "reads", "namespace": NS},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "reads", "namespace": NS}]});
    estate.kubernetes.create(&[bound])?;
    estate.openbao.write("sys/auth/kubernetes", &json!({"type": "kubernetes"})).await?;
    let role = json!({"bound_service_account_names": ["enters"], "bound_service_account_namespaces": [NS], "audience": "bao"});
    estate.openbao.write("auth/kubernetes/role/enters", &role).await?;

    let found = told(&place)?;
    let idle = of(&found, "idle").with_context(|| format!("{found:#?}"))?;
    let workloads = &idle["evidence"]["workloads"];
    ensure!(*workloads == json!([format!("prod/{NS}/Deployment/idle")]), "{idle:#}");
    ensure!(text(&idle["evidence"], "not_known").contains("outside of the inventory"), "{idle:#}");
    // Who may do something may use its token: that it does is not known, and nothing is said.
    ensure!(of(&found, "reads").is_none() && of(&found, "enters").is_none(), "{found:#?}");
    ensure!(of(&found, "grouped").is_some(), "{found:#?}");

    // Patch and undo are what `kubectl patch` takes.
    let (patch, undo) = (text(&idle["evidence"], "patch"), text(&idle["evidence"], "undo"));
    let apply = |patch: &str| {
        let arguments = ["patch", "serviceaccount", "idle", "-n", NS, "--type", "merge", "-p", patch];
        estate.kubernetes.kubectl(&arguments, None).map(drop)
    };
    apply(patch)?;
    let group = json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": "everybody-here", "namespace": NS},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "Group", "name": format!("system:serviceaccounts:{NS}"), "apiGroup": rbac}]});
    let after = told(&place)?;
    ensure!(of(&after, "idle").is_none() && of(&after, "grouped").is_some(), "{after:#?}");
    apply(undo)?;
    ensure!(of(&told(&place)?, "idle").is_some(), "it is given a token again");
    // A right of its group is a right.
    estate.kubernetes.create(&[group])?;
    let after = told(&place)?;
    ensure!(of(&after, "idle").is_none() && of(&after, "grouped").is_none(), "{after:#?}");
    Ok(())
}
