//! The rotation of a token Secret: what is planted for it, and what must hold of it. What only it can meet is in `cases`.

mod cases;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend_simulated::{
    Estate,
    estate::{Container, Deployment, EnvSource, Mount, ObjectKind, ObjectName, Planted, Secret, SecretType},
};
use claviger_core::clock::{Clock as _, SystemClock};
use claviger_testkit::database::TestDatabase;

use crate::{
    invariants::{self, current},
    world::{Process, World},
};

/// The Secret whose token is rotated.
pub(crate) const SUBJECT: &str = "sim/k8s/ci/Secret/deployer-token";
const NAMESPACE: &str = "ci";
const ACCOUNT: &str = "deployer";
const OLD: &str = "deployer-token";
/// A token of the same account that nobody has to do with: somebody else's.
const FOREIGN: &str = "deployer-other";
/// Copies of its value, within kubeconfigs.
const COPIES: [&str; 2] = ["sim/kv/ci/kubeconfig#kubeconfig", "sim/k8s/ci/Secret/cluster-access#kubeconfig"];
/// Who names its Secret: mounted, and by a variable. The last one reads a copy.
const WORKLOADS: [&str; 3] = ["runner", "agent", "bot"];

/// A copy in a Secret of its own, workloads that read all of it, and another token of the account.
pub(crate) fn plant(estate: &mut Estate) {
    let now = SystemClock.now();
    let tokens = estate.legacy_tokens(NAMESPACE);
    let kubeconfig = estate.secret_store.paths.get("ci/kubeconfig");
    let kubeconfig = kubeconfig.and_then(|entry| Some(entry.current()?.fields.get("kubeconfig")?.clone()));
    let Some(held) = estate.cluster.namespaces.get_mut(NAMESPACE) else { return };
    let Some(mut token) = held.secrets.get(OLD).cloned() else { return };
    // On another day than the rotation, or that would wait until tomorrow.
    if let SecretType::ServiceAccountToken { last_used, .. } = &mut token.kind {
        *last_used = Some(now - TimeDelta::days(3));
    }
    let mut foreign = Secret { uid: "foreign".to_owned(), ..token.clone() };
    foreign.created_at = now - TimeDelta::days(20);
    held.secrets.insert(OLD.to_owned(), token.clone());
    held.secrets.insert(FOREIGN.to_owned(), foreign);
    let data = kubeconfig.map(|kubeconfig| ("kubeconfig".to_owned(), kubeconfig)).into_iter().collect();
    let access = Secret { uid: "access".to_owned(), kind: SecretType::Opaque, data, ..token };
    held.secrets.insert("cluster-access".to_owned(), access);
    let object = |name: &str| ObjectName { kind: ObjectKind::Secret, name: name.to_owned() };
    let containers = [
        Container { mounts: vec![Mount { object: object(OLD), sub_path: None }], ..app() },
        Container {
            env: [("TOKEN".to_owned(), EnvSource::Field { object: object(OLD), key: "token".to_owned() })]
                .into(),
            ..app()
        },
        Container { mounts: vec![Mount { object: object("cluster-access"), sub_path: None }], ..app() },
    ];
    for (name, container) in WORKLOADS.into_iter().zip(containers) {
        held.deployments.insert(name.to_owned(), deployment(container, now));
        held.start(name, now - TimeDelta::hours(30), &tokens).expect("all that it reads was planted");
    }
}

fn app() -> Container {
    Container { name: "app".to_owned(), ..Container::default() }
}

pub(crate) fn deployment(container: Container, now: DateTime<Utc>) -> Deployment {
    Deployment {
        version: 1,
        created_at: now - TimeDelta::days(90),
        labels: Default::default(),
        replicas: 1,
        service_account: None,
        image_pull_secrets: Vec::new(),
        containers: vec![container],
        witness: None,
        broken: None,
        breaks: 0,
        pods: Vec::new(),
        rollouts: Vec::new(),
        written_by: None,
        projections: Vec::new(),
    }
}

/// The token within a value: itself, or what a kubeconfig says.
fn token_in(value: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(value)?;
    let token = text.split_once("token: ").map_or(text, |(_, rest)| rest);
    Ok(token.trim().as_bytes().to_vec())
}

/// The tokens that the pods of a workload hold, by what they read.
fn held_by(deployment: &Deployment) -> Result<Vec<Vec<u8>>> {
    let held = deployment.pods.iter().flat_map(|pod| pod.holds.values()).map(Planted::expose);
    held.map(token_in).collect()
}

/// C and L: each copy and each pod holds a token that is accepted now, and a pod that started now would get one.
pub(crate) async fn tokens_work(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let observer = world.observer(dir);
    let estate = observer.estate()?;
    let accepted = |token: &[u8], who: &str| -> Result<()> {
        ensure!(observer.accepts_token(token, &SystemClock)?, "{who} has a token that is not accepted");
        Ok(())
    };
    for place in COPIES {
        accepted(&token_in(&current(process, place).await?)?, place)?;
    }
    let (held, tokens) = (&estate.cluster.namespaces[NAMESPACE], estate.legacy_tokens(NAMESPACE));
    for name in WORKLOADS {
        let deployment = &held.deployments[name];
        let pods = held_by(deployment)?;
        ensure!(!pods.is_empty(), "{name} has no pods");
        pods.iter().try_for_each(|token| accepted(token, name))?;
        let fresh = held.read_at_start(deployment, &tokens).map_err(anyhow::Error::msg);
        for value in fresh.with_context(|| format!("a new pod of {name}"))?.values() {
            accepted(&token_in(value.expose())?, &format!("a new pod of {name}"))?;
        }
    }
    Ok(())
}

/// The account's token Secrets besides the foreign one, which nobody has touched.
fn secrets(world: &World, dir: &Path) -> Result<Vec<String>> {
    let estate = world.observer(dir).estate()?;
    let touched = estate.effects.iter().find(|effect| effect.target.as_str().ends_with(FOREIGN));
    ensure!(touched.is_none(), "the foreign token was touched: {touched:?}");
    let secrets = &estate.cluster.namespaces[NAMESPACE].secrets;
    ensure!(secrets.contains_key(FOREIGN), "the foreign token is gone");
    let is_ours = |secret: &Secret| match &secret.kind {
        SecretType::ServiceAccountToken { account, invalid_since, .. } => {
            account == ACCOUNT && invalid_since.is_none()
        }
        _ => false,
    };
    let ours = secrets.iter().filter(|(name, secret)| *name != FOREIGN && is_ours(secret));
    Ok(ours.map(|(name, _)| name.clone()).collect())
}

/// Everybody holds this token, and those who name a Secret name this one.
async fn everybody_has(
    world: &World,
    process: &Process,
    dir: &Path,
    secret: &str,
    token: &[u8],
) -> Result<()> {
    tokens_work(world, process, dir).await?;
    for place in COPIES {
        ensure!(token_in(&current(process, place).await?)? == token, "{place} is out of step");
    }
    let estate = world.observer(dir).estate()?;
    for name in WORKLOADS {
        let deployment = &estate.cluster.namespaces[NAMESPACE].deployments[name];
        ensure!(held_by(deployment)?.iter().all(|held| held == token), "{name} holds another token");
        let read = deployment.pods.iter().flat_map(|pod| pod.holds.keys());
        let stale = read.clone().find(|place| place.contains(OLD) && !place.contains(secret));
        ensure!(stale.is_none(), "{name} reads {stale:?}");
    }
    Ok(())
}

/// After the rotation came to rest.
pub(crate) async fn at_rest(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    let left = secrets(world, dir)?;
    let [secret] = left.as_slice() else { anyhow::bail!("{left:?} are left") };
    ensure!((secret != OLD) == began, "began: {began}, and what is left is {secret}");
    let now = current(process, &format!("sim/k8s/{NAMESPACE}/Secret/{secret}#token")).await?;
    everybody_has(world, process, dir, secret, &now).await?;
    if began {
        ensure!(!world.observer(dir).accepts_token(&world.old, &SystemClock)?, "the old one is accepted");
        ensure!(secret.starts_with("deployer-token-"), "its name is {secret}");
        invariants::dead(world, process).await?;
    }
    invariants::settled(world, process, database, dir, &[&world.old, &now]).await
}

/// After it was given up or taken back: everything is as it was.
pub(crate) async fn unwound(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let left = secrets(world, dir)?;
    ensure!(left == [OLD], "{left:?} are left");
    everybody_has(world, process, dir, OLD, &world.old).await?;
    invariants::told(world, process, dir).await
}
