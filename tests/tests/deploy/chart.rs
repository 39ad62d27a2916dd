//! The Helm chart and the kustomizations: rendered by the real tools, taken by the real API server, under the strictest pod security standard.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    lab::{assets, daemon::bare_command, kubernetes::Kubernetes},
    require_lab,
};
use serde_json::{Value, json};

use crate::shipped;

const NAMESPACE: &str = "claviger";
/// Values of the chart: the flow, and the name of its kustomization.
const FLOWS: [(&str, &str); 8] = [
    ("rotate", "rotate"),
    ("rotateToken", "rotate-token"),
    ("rotateCertificate", "rotate-certificate"),
    ("revoke", "revoke"),
    ("revokeAccount", "revoke-account"),
    ("revokePod", "revoke-pod"),
    ("mitigate", "mitigate"),
    ("swap", "swap"),
];

/// What has it answer the API.
const API: [&str; 2] = ["roles={scheduler,worker,api}", "api.tokenReview=true"];

fn helm(arguments: &[&str]) -> Result<std::process::Output> {
    let home = tempfile::tempdir()?;
    let mut command: Command = bare_command(assets::path("helm")?, home.path());
    command.args(arguments).arg(shipped("helm/claviger"));
    command.stdin(Stdio::null()).output().context("helm")
}

/// `helm template` with these settings, in YAML.
fn rendered(release: &str, settings: &[&str]) -> Result<String> {
    let mut arguments = vec!["template", release, "--namespace", NAMESPACE];
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    let output = helm(&arguments)?;
    ensure!(output.status.success(), "{settings:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The objects as the API server would keep them, defaults and all.
fn taken(kubernetes: &Kubernetes, yaml: &str) -> Result<Vec<Value>> {
    let arguments = ["apply", "--dry-run=server", "--namespace", NAMESPACE, "-o", "json", "-f", "-"];
    let list: Value = serde_json::from_str(&kubernetes.kubectl(&arguments, Some(yaml.as_bytes()))?)?;
    Ok(list["items"].as_array().context("objects")?.clone())
}

/// A namespace in which the strictest of the pod security standards holds, and in which a violation is an error.
async fn server() -> Result<Kubernetes> {
    let kubernetes = Kubernetes::start().await?;
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"});
    kubernetes.create(&[
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}),
    ])?;
    Ok(kubernetes)
}

fn of_kind<'o>(objects: &'o [Value], kind: &str) -> Vec<&'o Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The pod as a pod of its own, which the API server holds against the standard at once; a Deployment it takes with a warning.
fn as_pod(deployment: &Value) -> Value {
    let template = &deployment["spec"]["template"];
    json!({"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": "tried", "labels": template["metadata"]["labels"]}, "spec": template["spec"]})
}

/// What holds of every way to deploy it.
fn hardened(kubernetes: &Kubernetes, objects: &[Value], scheme: &str) -> Result<()> {
    let deployments = of_kind(objects, "Deployment");
    ensure!(deployments.len() == 1, "{} Deployments", deployments.len());
    let spec = &deployments[0]["spec"]["template"]["spec"];
    ensure!(
        spec["securityContext"]["runAsNonRoot"] == true
            && spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
            && spec["enableServiceLinks"] == false,
        "{spec:#}"
    );
    let containers = ["initContainers", "containers"];
    let containers = containers.iter().flat_map(|kind| spec[kind].as_array().into_iter().flatten());
    let mut count = 0;
    for container in containers {
        let context = &container["securityContext"];
        ensure!(
            context["readOnlyRootFilesystem"] == true
                && context["allowPrivilegeEscalation"] == false
                && context["capabilities"] == json!({"drop": ["ALL"]})
                && container["resources"]["limits"]["memory"].is_string(),
            "{container:#}"
        );
        count += 1;
    }
    ensure!(count == 2, "{count} containers");
    let main = &spec["containers"][0];
    for (probe, path) in
        [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"), ("startupProbe", "/healthz")]
    {
        let asked = &main[probe]["httpGet"];
        ensure!(asked["path"] == path && asked["scheme"] == scheme, "{probe}: {asked}");
        ensure!(asked["port"] == main["ports"][0]["name"], "{probe}: {asked}");
    }
    let service = &of_kind(objects, "Service")[0]["spec"]["ports"][0];
    ensure!(service["targetPort"] == main["ports"][0]["name"] && service["port"] == 8470, "{service}");
    ensure!(!of_kind(objects, "NetworkPolicy").is_empty(), "no NetworkPolicy");
    ensure!(!of_kind(objects, "PodDisruptionBudget").is_empty(), "no PodDisruptionBudget");
    // No Secret is made of anything, least of all of values.
    ensure!(of_kind(objects, "Secret").is_empty(), "a Secret");
    let pod = as_pod(deployments[0]).to_string();
    let arguments = ["create", "--dry-run=server", "--namespace", NAMESPACE, "-f", "-"];
    let made = kubernetes.kubectl(&arguments, Some(pod.as_bytes()));
    match made {
        // It runs as an account that a dry run has not made; that is asked before anything else of it, and after the standard.
        Err(error) if !error.to_string().contains("serviceaccount \"claviger\" not found") => Err(error),
        _ => Ok(()),
    }
}

/// The roles with their rules, and which are bound: everywhere, or in which namespace.
type Access = (BTreeMap<String, String>, Vec<(String, Option<String>)>);

fn access(objects: &[Value]) -> Result<Access> {
    let name = |value: &Value| Ok::<_, anyhow::Error>(value.as_str().context("a name")?.to_owned());
    let mut roles = BTreeMap::new();
    for role in of_kind(objects, "ClusterRole") {
        roles.insert(name(&role["metadata"]["name"])?, role["rules"].to_string());
    }
    let mut bound = Vec::new();
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for binding in of_kind(objects, kind) {
            let subject = &binding["subjects"];
            ensure!(
                subject.as_array().is_some_and(|all| all.len() == 1)
                    && subject[0]["kind"] == "ServiceAccount"
                    && subject[0]["namespace"] == NAMESPACE,
                "{binding:#}"
            );
            let place = binding["metadata"]["namespace"].as_str().map(str::to_owned);
            bound.push((name(&binding["roleRef"]["name"])?, place));
        }
    }
    bound.sort();
    Ok((roles, bound))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_is_taken_and_gives_each_flow_its_role_and_no_other() -> Result<()> {
    require_lab!(assets::path("helm"), Ok(()));
    let kubernetes = require_lab!(server().await, Ok(()));
    let linted = helm(&["lint", "--strict"])?;
    ensure!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));

    let least = taken(&kubernetes, &rendered("claviger", &[])?)?;
    hardened(&kubernetes, &least, "HTTP")?;
    let (roles, bound) = access(&least)?;
    let names = |words: &[&str]| words.iter().map(|word| ((*word).to_owned(), None)).collect::<Vec<_>>();
    ensure!(bound == names(&["claviger-scan", "claviger-scan-cluster"]), "{bound:?}");
    ensure!(roles.len() == 2, "{roles:?}");
    for (flow, role) in FLOWS {
        let objects = taken(&kubernetes, &rendered("claviger", &[&format!("flows.{flow}=true")])?)?;
        let expected = {
            let role = format!("claviger-{role}");
            let mut all = names(&["claviger-scan", "claviger-scan-cluster", role.as_str()]);
            all.sort();
            all
        };
        ensure!(access(&objects)?.1 == expected, "{flow}: {:?}", access(&objects)?.1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_single_namespaces_only_what_lies_in_none_is_bound_everywhere() -> Result<()> {
    require_lab!(assets::path("helm"), Ok(()));
    let yaml = rendered(
        "keeper",
        &["flows.rotate=true", "flows.rotateCertificate=true", "flows.revoke=true", "namespaces={a,b}"],
    )?;
    let kubernetes = require_lab!(server().await, Ok(()));
    for namespace in ["a", "b"] {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        kubernetes.create(&[object])?;
    }
    let objects = {
        let arguments = ["apply", "--dry-run=server", "-o", "json", "-f", "-"];
        // What names no namespace would go to `default`; of access that is nothing.
        let list: Value = serde_json::from_str(&kubernetes.kubectl(&arguments, Some(yaml.as_bytes()))?)?;
        list["items"].as_array().context("objects")?.clone()
    };
    let mut expected = Vec::new();
    for role in ["claviger-revoke", "claviger-rotate", "claviger-scan"] {
        for namespace in ["a", "b"] {
            expected.push((role.to_owned(), Some(namespace.to_owned())));
        }
    }
    for role in ["claviger-rotate-certificate", "claviger-scan-cluster"] {
        expected.push((role.to_owned(), None));
    }
    expected.sort();
    ensure!(access(&objects)?.1 == expected, "{:?}", access(&objects)?.1);
    Ok(())
}

#[test]
fn what_cannot_be_meant_is_refused() -> Result<()> {
    require_lab!(assets::path("helm"), Ok(()));
    for (setting, says) in [
        ("config=database = \"sqlite:///var/lib/claviger/claviger.db\"", "SQLite has one process"),
        ("flows.everything=true", "everything"),
        ("replicaCount=0", "replicaCount"),
        ("image.digest=latest", "digest"),
        ("roles={boss}", "roles"),
        ("roles={api}", "the API wants a certificate"),
        ("api.plaintext=true", "plaintext"),
    ] {
        let output = helm(&["template", "claviger", "--set", setting])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success() && said.contains(says), "{setting}: {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kustomizations_are_taken_and_say_what_the_chart_says() -> Result<()> {
    require_lab!(assets::path("helm"), Ok(()));
    let kubernetes = require_lab!(server().await, Ok(()));
    let built = |name: &str| -> Result<String> {
        kubernetes.kubectl(&["kustomize", &shipped(&format!("kustomize{name}")).display().to_string()], None)
    };
    let base = taken(&kubernetes, &built("/base")?)?;
    hardened(&kubernetes, &base, "HTTP")?;
    let least = access(&taken(&kubernetes, &rendered("claviger", &[])?)?)?;
    // All roles are there to be bound; two are.
    ensure!(access(&base)?.1 == least.1, "{:?}", access(&base)?.1);

    let whole = taken(&kubernetes, &built("")?)?;
    hardened(&kubernetes, &whole, "HTTP")?;
    let settings: Vec<String> = FLOWS.iter().map(|(flow, _)| format!("flows.{flow}=true")).collect();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let chart = access(&taken(&kubernetes, &rendered("claviger", &settings)?)?)?;
    // The API's role lies there too, bound to nobody.
    let (mut roles, bound) = access(&whole)?;
    ensure!(roles.remove("claviger-review").is_some(), "{roles:?}");
    ensure!((&roles, &bound) == (&chart.0, &chart.1), "{roles:?} {bound:?}\n{chart:?}");

    let theirs = taken(&kubernetes, &rendered("claviger", &settings)?)?;
    ensure!(pod(&whole) == pod(&theirs), "kustomize: {:#}\nchart: {:#}", pod(&whole), pod(&theirs));

    // And with the API.
    let service = taken(&kubernetes, &built("/service")?)?;
    hardened(&kubernetes, &service, "HTTPS")?;
    let api = [API.as_slice(), &["api.certificateSecret=claviger-tls"], &settings].concat();
    let theirs = taken(&kubernetes, &rendered("claviger", &api)?)?;
    ensure!(access(&service)? == access(&theirs)?, "{:?}\n{:?}", access(&service)?, access(&theirs)?);
    ensure!(pod(&service) == pod(&theirs), "kustomize: {:#}\nchart: {:#}", pod(&service), pod(&theirs));
    Ok(())
}

/// The same pod, but for what a release is named after.
fn pod(objects: &[Value]) -> Value {
    let mut spec = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"].clone();
    for volume in spec["volumes"].as_array_mut().into_iter().flatten() {
        volume["name"] = Value::Null;
        volume["configMap"]["name"] = Value::Null;
    }
    for kind in ["initContainers", "containers"] {
        for container in spec[kind].as_array_mut().into_iter().flatten() {
            for mount in container["volumeMounts"].as_array_mut().into_iter().flatten() {
                mount["name"] = Value::Null;
            }
        }
    }
    spec["topologySpreadConstraints"] = Value::Null;
    sorted(spec)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_speaks_tls_alone_and_only_to_whom_is_named() -> Result<()> {
    require_lab!(assets::path("helm"), Ok(()));
    let kubernetes = require_lab!(server().await, Ok(()));
    let whom = "networkPolicy.ingressFrom[0].namespaceSelector.matchLabels.team=platform";
    let settings = [API.as_slice(), &["api.certificateSecret=front-tls", whom]].concat();
    let objects = taken(&kubernetes, &rendered("claviger", &settings)?)?;
    hardened(&kubernetes, &objects, "HTTPS")?;
    let spec = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"];
    let main = &spec["containers"][0];
    ensure!(main["args"].to_string().contains("--roles=scheduler,worker,api"), "{}", main["args"]);
    let value = |name: &str| -> Value {
        let all = main["env"].as_array().into_iter().flatten();
        all.into_iter().find(|one| one["name"] == name).map_or(Value::Null, |one| one["value"].clone())
    };
    ensure!(value("CLAVIGER_SERVICE__CERTIFICATE") == "/etc/claviger/tls/tls.crt", "{}", main["env"]);
    ensure!(value("CLAVIGER_SERVICE__KEY") == "/etc/claviger/tls/tls.key", "{}", main["env"]);
    let volumes = spec["volumes"].as_array().context("volumes")?;
    let secret = volumes.iter().find(|volume| volume["name"] == "certificate").context("its volume")?;
    ensure!(secret["secret"]["secretName"] == "front-tls", "{secret}");
    let rule = &of_kind(&objects, "NetworkPolicy")[0]["spec"]["ingress"];
    ensure!(
        rule[0]["ports"][0]["port"] == "https" && rule[0]["from"][0]["namespaceSelector"].is_object(),
        "{rule}"
    );
    ensure!(access(&objects)?.1.contains(&("claviger-review".to_owned(), None)), "{:?}", access(&objects)?.1);

    // Without the look at tokens there is no such right, and without the API there is none whatever is said.
    let without = rendered("claviger", &["roles={api}", "api.certificateSecret=front-tls"])?;
    ensure!(!without.contains("tokenreviews"), "{without}");
    let none = rendered("claviger", &["api.tokenReview=true", "api.certificateSecret=front-tls"])?;
    ensure!(!none.contains("tokenreviews") && !none.contains("front-tls"), "{none}");
    Ok(())
}

/// With lists whose order says nothing in one order.
fn sorted(mut spec: Value) -> Value {
    let by_text = |list: &mut Value| {
        if let Some(list) = list.as_array_mut() {
            list.sort_by_key(Value::to_string);
        }
    };
    by_text(&mut spec["volumes"]);
    for kind in ["initContainers", "containers"] {
        for container in spec[kind].as_array_mut().into_iter().flatten() {
            by_text(&mut container["volumeMounts"]);
            by_text(&mut container["env"]);
        }
    }
    spec
}
