//! A copy in a place that takes values and shows none: of it the ledger knows what was written there, and only the estate's judge sees what it holds.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use claviger_backend_simulated::{
    Estate,
    estate::{ForgeSecret, Planted},
};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    fingerprint::Form,
    model::CopyStage,
    reference::Ref,
    secret::SecretValue,
    view::CopyView,
};
use claviger_engine::{
    Declared, plan::RotateOptions, progress::Silent, scan::ScanOptions, selector::Selector,
};
use claviger_store::Inventory as _;

use crate::{
    asked,
    invariants::sealed,
    world::{Process, ROLE, Saga, World, value},
};

/// The place.
pub(crate) const LETTERBOX: &str = "sim/forge/acme/shop/actions/secrets/VALUE";
const REPOSITORY: &str = "acme/shop";
const NAME: &str = "VALUE";
/// Sagas that put a value there.
pub(crate) const SAGAS: [Saga; 4] = [Saga::Rotation, Saga::Dual, Saga::Told, Saga::Asked];
/// Says beside the estate what a configuration would say: whose value the place holds.
const DECLARED: &str = "declared";

/// Puts the value there that the saga rotates.
pub(crate) fn plant(estate: &mut Estate, saga: Saga, beside: &Path) -> Result<()> {
    let (credential, held) = match saga {
        Saga::Rotation | Saga::Asked => {
            let entry = estate.secret_store.paths.get("payments/db").and_then(|entry| entry.current());
            let held = entry.and_then(|version| version.fields.get("password")).context("the password")?;
            let role = format!("sim/db/role/{ROLE}");
            (if saga == Saga::Asked { asked::SUBJECT.to_owned() } else { role }, held.clone())
        }
        Saga::Dual | Saga::Told => {
            let secret = estate.cluster.namespaces.get("ci").and_then(|held| held.secrets.get("terraform"));
            let held = secret.and_then(|secret| secret.data.get("VAULT_TOKEN")).context("the token")?;
            let tokens = &estate.secret_store.tokens;
            let token =
                tokens.iter().find(|(_, token)| token.value.is(held.expose())).context("its issuer")?;
            (format!("sim/auth/token/accessor/{}", token.0), held.clone())
        }
        other => anyhow::bail!("{other:?} posts nothing"),
    };
    fs::write(beside.join(DECLARED), credential)?;
    let secret = ForgeSecret { value: held, created_at: SystemClock.now(), writes: 0, marker: None };
    estate.forge.repositories.insert(REPOSITORY.to_owned(), [(NAME.to_owned(), secret)].into());
    Ok(())
}

/// What the configuration declares.
pub(crate) fn declared(dir: &Path) -> Vec<Declared> {
    let said = fs::read_to_string(dir.join(DECLARED)).ok();
    let declared = said.map(|credential| Declared {
        credential: Ref::from_text(credential),
        copies: vec![Ref::from_text(LETTERBOX)],
    });
    declared.into_iter().collect()
}

/// Rotates it without a fault, so that the ledger says of the place what it holds: a saga that forgets to say otherwise leaves a lie.
pub(crate) async fn rotate_once(process: &Process) -> Result<()> {
    let selector = Selector::parse(&format!("sim/db/role/{ROLE}"))?;
    let plan = process.engine.plan_rotation(&selector, &RotateOptions::default()).await?;
    let plan = plan.subjects.into_iter().next().with_context(|| format!("{:?}", plan.refused))?;
    let outcome = process.attempt(plan).await.context("it did not crash")??;
    ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    Ok(())
}

fn held(world: &World, dir: &Path) -> Result<ForgeSecret> {
    let mut repositories = world.observer(dir).estate()?.forge.repositories;
    repositories.get_mut(REPOSITORY).and_then(|secrets| secrets.remove(NAME)).context("the posted secret")
}

/// What the ledger says of the place.
async fn ledger(process: &Process) -> Result<CopyView> {
    let copies = process.store().copies(&Default::default()).await?;
    let mut there =
        copies.into_iter().filter(|copy| copy.at.as_str() == LETTERBOX && copy.stage == CopyStage::Current);
    let copy = there.next().context("the ledger has lost the place")?;
    ensure!(there.next().is_none(), "the ledger has the place twice");
    Ok(copy)
}

fn fingerprint(process: &Process, value: &Planted) -> String {
    let value = SecretValue::new(value.expose().to_vec());
    process.engine.keys.fingerprint.fingerprint(Form::Text, &value).to_string()
}

/// H: under a marker that stands there the ledger never names a value that does not.
async fn no_lie(process: &Process, held: &ForgeSecret) -> Result<CopyView> {
    let said = ledger(process).await?;
    let same = said.version.as_deref() == held.marker.as_ref().map(|marker| marker.key.as_str());
    if let Some(claimed) = said.fingerprint.as_ref().filter(|_| same) {
        ensure!(
            *claimed == fingerprint(process, &held.value),
            "the ledger says that {LETTERBOX} holds another value"
        );
    }
    Ok(said)
}

/// L: what lies there is the old value or a durable new one.
pub(crate) async fn nothing_lost(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let held = held(world, dir)?;
    let mut known = sealed(process).await?;
    known.extend([world.old.clone(), value(process, world.plan(), world.first()).await?]);
    ensure!(known.iter().any(|value| held.value.is(value)), "{LETTERBOX} holds a value that nobody knows");
    no_lie(process, &held).await.map(drop)
}

/// It holds what the other copies hold, and the ledger says so: now, and after a scan, which sees only the marker.
pub(crate) async fn at_rest(world: &World, process: &Process, dir: &Path, began: bool) -> Result<()> {
    let now = value(process, world.plan(), world.first()).await?;
    in_step(world, process, dir, &now).await?;
    if began {
        let held = held(world, dir)?;
        let marker = held.marker.as_ref().context("it carries no marker")?;
        for scan in [false, true] {
            if scan {
                process.engine.scan(&ScanOptions::default(), &Silent).await?;
            }
            let said = no_lie(process, &held).await?;
            ensure!(
                said.version.as_deref() == Some(marker.key.as_str()),
                "after a scan ({scan}): {:?}",
                said.version
            );
            let right = fingerprint(process, &held.value);
            ensure!(
                said.fingerprint.as_deref() == Some(&right),
                "the ledger does not know what it holds (scan: {scan})"
            );
            ensure!(
                said.credential == current_of(process).await?,
                "it belongs to another credential (scan: {scan})"
            );
        }
    }
    Ok(())
}

/// The credential whose other copies hold the same value.
async fn current_of(process: &Process) -> Result<claviger_core::id::CredentialId> {
    let copies = process.store().copies(&Default::default()).await?;
    let ours = ledger(process).await?;
    let same = |copy: &&CopyView| {
        copy.at != ours.at && copy.stage == CopyStage::Current && copy.fingerprint == ours.fingerprint
    };
    Ok(copies.iter().find(same).context("no other copy holds the same value")?.credential)
}

/// The saga unwound: it still holds the former value.
pub(crate) async fn as_before(world: &World, process: &Process, dir: &Path) -> Result<()> {
    in_step(world, process, dir, &world.old).await
}

async fn in_step(world: &World, process: &Process, dir: &Path, value: &[u8]) -> Result<()> {
    let held = held(world, dir)?;
    ensure!(held.value.is(value), "{LETTERBOX} is out of step, and nobody could see it");
    no_lie(process, &held).await.map(drop)
}
