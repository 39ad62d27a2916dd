//! The swap of a token Secret to the pods' own tokens, and of a store's token to a role for them: what is planted, and what must hold.

mod cases;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use claviger_backend_simulated::{
    Estate,
    estate::{Container, Deployment, Mount, ObjectKind, ObjectName, Planted, Secret, SecretType, VaultToken},
};
use claviger_core::clock::{Clock as _, SystemClock};
use claviger_engine::{
    plan::{SwapOptions, SwapPlan},
    selector::Selector,
};
use claviger_store::Journal as _;
use claviger_testkit::database::TestDatabase;
use serde_json::Value;

use crate::{
    invariants,
    named::deployment,
    world::{Process, World},
};

/// The Secret whose token the pods' own takes the place of.
pub(crate) const TOKEN: &str = "sim/k8s/ci/Secret/runner-token";
/// The store's token.
pub(crate) const STORED: &str = "sim/auth/token/accessor/puller";
/// Where that lies.
pub(crate) const COPY: &str = "sim/k8s/ci/Secret/vault-token#token";
const ROLE: &str = "k8s-ci-ServiceAccount-deployer";
const NAMESPACE: &str = "ci";
const ACCOUNT: &str = "deployer";
/// Who reads the Secret, and who reads the store's token.
const WORKLOADS: [&str; 2] = ["runner", "agent"];
const PULLER: [&str; 1] = ["puller"];

fn mounting(name: &str) -> Container {
    let object = ObjectName { kind: ObjectKind::Secret, name: name.to_owned() };
    Container {
        name: "app".to_owned(),
        mounts: vec![Mount { object, sub_path: None }],
        ..Container::default()
    }
}

/// Two workloads that read a token Secret of their own account, and one that reads a token of the store.
pub(crate) fn plant(estate: &mut Estate) {
    let now = SystemClock.now();
    let value = Planted::text("hvs.CAESIJ-a-token-that-a-pod-has-had-for-long");
    let token = VaultToken {
        value: value.clone(),
        display_name: "puller".to_owned(),
        policies: vec!["pull".to_owned(), "default".to_owned()],
        created_at: now - TimeDelta::days(200),
        expires_at: None,
        made_by: None,
        entity: None,
    };
    estate.secret_store.tokens.insert("puller".to_owned(), token);
    let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("its namespace");
    let mut secret = held.secrets["deployer-token"].clone();
    // On another day than the swap, or that would wait until tomorrow.
    if let SecretType::ServiceAccountToken { last_used, .. } = &mut secret.kind {
        *last_used = Some(now - TimeDelta::days(3));
    }
    secret.uid = "runner".to_owned();
    let data = [("token".to_owned(), value)].into();
    let copy = Secret { uid: "vault".to_owned(), kind: SecretType::Opaque, data, ..secret.clone() };
    held.secrets.insert("runner-token".to_owned(), secret);
    held.secrets.insert("vault-token".to_owned(), copy);
    let tokens = estate.legacy_tokens(NAMESPACE);
    let held = estate.cluster.namespaces.get_mut(NAMESPACE).expect("its namespace");
    let of_token = WORKLOADS.into_iter().map(|name| (name, "runner-token"));
    for (name, secret) in of_token.chain([(PULLER[0], "vault-token")]) {
        let mut made = deployment(mounting(secret), now);
        made.service_account = Some(ACCOUNT.to_owned());
        held.deployments.insert(name.to_owned(), made);
        held.start(name, now - TimeDelta::hours(30), &tokens).expect("all that it reads was planted");
    }
}

pub(crate) async fn plan(process: &Process, subject: &str) -> Result<SwapPlan> {
    Ok(process.engine.plan_swap(&Selector::parse(subject)?, &SwapOptions::default()).await?)
}

fn workloads(world: &World) -> &'static [&'static str] {
    if world.subject().as_str() == STORED { &PULLER } else { &WORKLOADS }
}

/// Is what a pod holds let in: at the cluster, at the store as its token, or at the store by its role?
fn lets_in(world: &World, dir: &Path, place: &str, value: &[u8]) -> Result<bool> {
    let observer = world.observer(dir);
    let estate = observer.estate()?;
    let projected = place.starts_with("ServiceAccount/");
    if world.subject().as_str() != STORED {
        return Ok(observer.accepts_token(value, &SystemClock)?);
    }
    let account = format!("{NAMESPACE}/{ACCOUNT}");
    Ok(match projected {
        false => estate.secret_store.tokens.values().any(|token| token.value.is(value)),
        true => {
            let role = estate.secret_store.kubernetes_roles.get(ROLE);
            observer.accepts_token(value, &SystemClock)? && role.is_some_and(|role| role.account == account)
        }
    })
}

/// C: what each pod holds is let in now, and what a pod would get that started now.
pub(crate) fn pods_work(world: &World, dir: &Path) -> Result<()> {
    let estate = world.observer(dir).estate()?;
    let (held, tokens) = (&estate.cluster.namespaces[NAMESPACE], estate.legacy_tokens(NAMESPACE));
    for name in workloads(world) {
        let deployment = &held.deployments[*name];
        ensure!(!deployment.pods.is_empty(), "{name} has no pods");
        let fresh = held.read_at_start(deployment, &tokens).map_err(anyhow::Error::msg);
        let fresh = fresh.with_context(|| format!("a new pod of {name}"))?;
        let of_pods = deployment.pods.iter().flat_map(|pod| &pod.holds);
        for (place, value) in of_pods.chain(&fresh) {
            ensure!(lets_in(world, dir, place, value.expose())?, "{name}: {place} is not let in");
        }
    }
    Ok(())
}

/// What a pod reads, by place.
fn read_by(deployment: &Deployment) -> Vec<&str> {
    deployment.pods.iter().flat_map(|pod| pod.holds.keys()).map(String::as_str).collect()
}

/// The static credential as its issuer has it: is it there, and active?
fn is_active(world: &World, estate: &Estate) -> bool {
    if world.subject().as_str() == STORED {
        return estate.secret_store.tokens.contains_key("puller");
    }
    let secret = estate.cluster.namespaces[NAMESPACE].secrets.get("runner-token");
    secret.is_some_and(|secret| {
        matches!(secret.kind, SecretType::ServiceAccountToken { invalid_since: None, .. })
    })
}

/// What a person sees of the workloads and of roles, without what each rollout changes.
fn manifests(estate: &Estate) -> Result<Value> {
    let mut deployments = serde_json::to_value(&estate.cluster.namespaces[NAMESPACE].deployments)?;
    for one in deployments.as_object_mut().context("Deployments")?.values_mut() {
        let fields = one.as_object_mut().context("a Deployment")?;
        for field in ["version", "pods", "rollouts"] {
            fields.remove(field);
        }
    }
    Ok(serde_json::json!([deployments, estate.secret_store.kubernetes_roles]))
}

/// After the swap came to rest.
pub(crate) async fn at_rest(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    pods_work(world, dir)?;
    let estate = world.observer(dir).estate()?;
    ensure!(is_active(world, &estate) != began, "the static credential is there, and began: {began}");
    for name in workloads(world) {
        let deployment = &estate.cluster.namespaces[NAMESPACE].deployments[*name];
        let own = read_by(deployment).iter().all(|place| place.starts_with("ServiceAccount/"));
        ensure!(own == began, "{name} reads {:?}, and began: {began}", read_by(deployment));
        // Repeated or not, each change is one rollout: beside, and over.
        let by_owner = world.plan().steps.iter().any(|step| step.action.name() == "await-entry");
        let brought = if by_owner { 1 } else { 2 };
        ensure!(deployment.rollouts.len() == if began { brought } else { 0 }, "{:?}", deployment.rollouts);
    }
    if began {
        invariants::dead(world, process).await?;
        let receipts = process.store().receipts(None).await?;
        ensure!(receipts[0].control.is_some() && receipts[0].control == receipts[0].probe, "{receipts:?}");
    } else {
        ensure!(
            manifests(&estate)? == manifests(&world.observer(world.template.path()).estate()?)?,
            "changed"
        );
    }
    invariants::settled(world, process, database, dir, &[&world.old]).await
}

/// After it was given up or taken back: everything works as it did, and nothing that it made is left.
pub(crate) async fn unwound(world: &World, process: &Process, dir: &Path) -> Result<()> {
    pods_work(world, dir)?;
    let estate = world.observer(dir).estate()?;
    ensure!(is_active(world, &estate), "the static credential does not work any more");
    let before = world.observer(world.template.path()).estate()?;
    ensure!(manifests(&estate)? == manifests(&before)?, "{} differs", manifests(&estate)?);
    for name in workloads(world) {
        let deployment = &estate.cluster.namespaces[NAMESPACE].deployments[*name];
        let projected = read_by(deployment).into_iter().find(|place| place.starts_with("ServiceAccount/"));
        ensure!(projected.is_none(), "{name} reads {projected:?}");
    }
    invariants::told(world, process, dir).await
}
