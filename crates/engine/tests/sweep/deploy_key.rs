//! The rotation of a deploy key: the pair is made and sealed here, and its issuer is told the public half, beside the old one.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use claviger_backend_simulated::{
    Estate,
    estate::{DeployKey, KvEntry, KvVersion, Planted},
};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    model::Labels,
    random::SeededRandom,
    secret::SecretValue,
    ssh_key,
};
use claviger_testkit::database::TestDatabase;

use crate::{
    invariants::{current, dead, sealed, settled},
    world::{Process, World},
};

/// The key.
pub(crate) const SUBJECT: &str = "sim/forge/acme/shop/deploy-keys/first";
/// Where its private half lies.
pub(crate) const COPIES: [&str; 2] =
    ["sim/k8s/ci/Secret/shop-deploy#ssh-privatekey", "sim/kv/shop/deploy#private_key"];
const REPOSITORY: &str = "acme/shop";

/// A key that may push, in two places; and one of another repository, which is none of ours.
pub(crate) fn plant(estate: &mut Estate) {
    let now = SystemClock.now();
    let key = |seed| ssh_key::ed25519(&SeededRandom::new(seed));
    let registered = |seed, read_only| DeployKey {
        public: ssh_key::public_line(&key(seed)).unwrap_or_default(),
        read_only,
        created_at: now,
    };
    for (repository, name, seed, read_only) in [
        (REPOSITORY, "first", 501, false),
        (REPOSITORY, "other", 502, true),
        ("acme/web", "first", 503, false),
    ] {
        let keys = estate.forge.deploy_keys.entry(repository.to_owned()).or_default();
        keys.insert(name.to_owned(), registered(seed, read_only));
    }
    let value = Planted::from_secret(&key(501));
    let version = KvVersion {
        number: 1,
        created_at: now,
        written_by: None,
        fields: [("private_key".to_owned(), value.clone())].into(),
    };
    let entry = KvEntry { versions: vec![version], labels: Labels::new(), denied: false };
    estate.secret_store.paths.insert("shop/deploy".to_owned(), entry);
    if let Some(ci) = estate.cluster.namespaces.get_mut("ci")
        && let Some(mut secret) = ci.secrets.get("terraform").cloned()
    {
        secret.uid = "uid-of-shop-deploy".to_owned();
        secret.data = [("ssh-privatekey".to_owned(), value)].into();
        ci.secrets.insert("shop-deploy".to_owned(), secret);
    }
}

fn half(value: &[u8]) -> Result<String> {
    ssh_key::public_line(&SecretValue::new(value.to_vec())).context("a private key")
}

/// The repository's keys but the one that is nobody's business here.
fn registered(world: &World, dir: &Path) -> Result<Vec<DeployKey>> {
    let mut keys = world.observer(dir).estate()?.forge.deploy_keys;
    let strangers = (keys[REPOSITORY].get("other").cloned(), keys["acme/web"].len());
    ensure!(strangers.0.is_some_and(|key| key.read_only) && strangers.1 == 1, "a stranger's key was touched");
    let mut ours = keys.remove(REPOSITORY).context("the repository")?;
    ours.remove("other");
    Ok(ours.into_values().collect())
}

/// L and C: at every moment what each copy holds is let in, and nothing is let in that the journal does not know.
pub(crate) async fn keys_work(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let registered = registered(world, dir)?;
    let mut known = sealed(process).await?;
    known.push(world.old.clone());
    for at in COPIES {
        let held = current(process, at).await?;
        let public = half(&held)?;
        ensure!(registered.iter().any(|key| key.public == public), "what {at} holds is not let in");
        known.push(held);
    }
    let known = known.iter().map(|value| half(value)).collect::<Result<Vec<_>>>()?;
    for key in registered {
        ensure!(known.contains(&key.public), "a key is let in that nobody holds");
        ensure!(!key.read_only, "a key was registered with another right");
    }
    Ok(())
}

/// Exactly this one is left, with its right, in both copies.
async fn only(world: &World, process: &Process, dir: &Path, value: &[u8]) -> Result<()> {
    for at in COPIES {
        ensure!(current(process, at).await? == value, "{at} is out of step");
    }
    let registered = registered(world, dir)?;
    ensure!(registered.len() == 1, "{} keys are left", registered.len());
    ensure!(registered[0].public == half(value)?, "the key that is left is another one");
    ensure!(!registered[0].read_only, "it may not push any more");
    Ok(())
}

pub(crate) async fn at_rest(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    let now = current(process, COPIES[0]).await?;
    ensure!((now != world.old) == began, "began: {began}, and the copy's value says otherwise");
    only(world, process, dir, &now).await?;
    if began {
        dead(world, process).await?;
    }
    settled(world, process, database, dir, &[&world.old, &now]).await
}

pub(crate) async fn as_before(world: &World, process: &Process, dir: &Path) -> Result<()> {
    only(world, process, dir, &world.old).await
}
