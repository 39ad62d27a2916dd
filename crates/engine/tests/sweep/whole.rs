//! Objects that are not made again by us: a pod with its bound tokens, and an entity with what it logged in as.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use claviger_backend_simulated::{
    Estate,
    estate::{BoundPod, Entity, Planted, VaultToken},
};
use claviger_core::clock::{Clock as _, SystemClock};
use claviger_engine::{
    plan::{Plan, RevokeOptions},
    selector::Selector,
};
use claviger_store::Journal as _;
use claviger_testkit::database::TestDatabase;

use crate::{
    bound, invariants,
    world::{Process, World},
};

pub(crate) const POD: &str = "sim/k8s/shop/Pod/cart-1";
pub(crate) const ENTITY: &str = "sim/identity/entity/deployer";
pub(crate) fn plant_pod(estate: &mut Estate) {
    estate.settings.revoke_cache_seconds = bound::CACHE;
    let shop = estate.cluster.namespaces.get_mut("shop").expect("its namespace");
    for (name, made_by) in
        [("cart-1", Some("ReplicaSet/cart")), ("cart-2", Some("ReplicaSet/cart")), ("alone", None)]
    {
        let pod = BoundPod {
            uid: format!("uid-of-{name}"),
            account: "prometheus".to_owned(),
            made_by: made_by.map(str::to_owned),
        };
        shop.pods.insert(name.to_owned(), pod);
    }
}

pub(crate) fn plant_entity(estate: &mut Estate) {
    let store = &mut estate.secret_store;
    for name in ["deployer", "reader"] {
        store.entities.insert(name.to_owned(), Entity { id: format!("id-of-{name}"), disabled: false });
        for number in 0..2 {
            let token = VaultToken {
                value: Planted::text(format!("hvs.of-{name}-{number}")),
                display_name: format!("kubernetes-{name}"),
                policies: vec!["deploy".to_owned()],
                created_at: SystemClock.now() - TimeDelta::hours(1),
                expires_at: None,
                made_by: None,
                entity: Some(format!("id-of-{name}")),
            };
            store.tokens.insert(format!("of-{name}-{number}"), token);
        }
    }
}

async fn planned(process: &Process, at: &str) -> Result<Plan> {
    process
        .engine
        .plan_revocation_with(&Selector::parse(at)?, &RevokeOptions::default())
        .await
        .map_err(Into::into)
}

fn steps(plan: &Plan) -> Vec<&str> {
    plan.subjects.iter().flat_map(|subject| &subject.steps).map(|step| step.action.name()).collect()
}

pub(crate) async fn plan_pod(process: &Process) -> Result<Plan> {
    let plan = planned(process, POD).await?;
    let expected = ["note-anchor", "control-probe", "end-anchor", "await-cache", "prove-anchor"];
    ensure!(steps(&plan) == expected, "{:?} {:?}", steps(&plan), plan.refused);
    ensure!(plan.subjects[0].definition == "end-object/1", "{:?}", plan.subjects[0].definition);
    // What runs in one that nobody makes again would stop for good.
    let alone = planned(process, "sim/k8s/shop/Pod/alone").await?;
    ensure!(alone.subjects.is_empty() && alone.refused[0].code == "no-controller", "{:?}", alone.refused);
    let absent = planned(process, "sim/k8s/shop/Pod/cart-9").await?;
    ensure!(absent.subjects.is_empty() && absent.refused[0].code == "already-gone", "{:?}", absent.refused);
    Ok(plan)
}

pub(crate) async fn plan_entity(process: &Process) -> Result<Plan> {
    let plan = planned(process, ENTITY).await?;
    ensure!(steps(&plan) == ["end-derived", "attest-ended"], "{:?} {:?}", steps(&plan), plan.refused);
    ensure!(plan.subjects[0].definition == "end-derived/1", "{:?}", plan.subjects[0].definition);
    let derived: Vec<_> = plan.blast[0].derived.iter().map(|one| one.at.as_str()).collect();
    ensure!(derived.len() == 2 && derived.iter().all(|at| at.contains("of-deployer")), "{derived:?}");
    let absent = planned(process, "sim/identity/entity/nobody").await?;
    ensure!(absent.subjects.is_empty() && absent.refused[0].code == "already-gone", "{:?}", absent.refused);
    Ok(plan)
}

/// It is gone, another one runs in its place, and the others are as they were; or nothing is changed.
pub(crate) fn seen_pod(world: &World, dir: &Path, began: bool) -> Result<()> {
    let estate = world.observer(dir).estate()?;
    let pods = &estate.cluster.namespaces.get("shop").context("the namespace")?.pods;
    let mut names: Vec<_> = pods.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = if began { ["alone", "cart-1-next", "cart-2"] } else { ["alone", "cart-1", "cart-2"] };
    ensure!(names == expected, "{names:?}, began: {began}");
    ensure!(estate.cluster.tombstones.len() == usize::from(began), "{:?}", estate.cluster.tombstones);
    Ok(())
}

/// It logs in nowhere and has no token, and the other one is as it was; or nothing is changed.
pub(crate) fn seen_entity(world: &World, dir: &Path, began: bool) -> Result<()> {
    let store = world.observer(dir).estate()?.secret_store;
    for (name, ended) in [("deployer", began), ("reader", false)] {
        let entity = store.entities.get(name).context("an entity was deleted")?;
        ensure!(entity.disabled == ended, "{name} is disabled: {}, began: {began}", entity.disabled);
        let tokens = store.tokens.values().filter(|token| token.entity.as_ref() == Some(&entity.id)).count();
        ensure!(tokens == if ended { 0 } else { 2 }, "{name} has {tokens} tokens, began: {began}");
    }
    Ok(())
}

pub(crate) async fn pod_at_rest(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    seen_pod(world, dir, began)?;
    bound::proven(world, process, dir, began).await?;
    invariants::settled(world, process, database, dir, &[]).await
}

pub(crate) async fn entity_at_rest(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    seen_entity(world, dir, began)?;
    let receipts = process.store().receipts(None).await?;
    ensure!(receipts.len() == usize::from(began), "{receipts:?}");
    if let Some(receipt) = receipts.first() {
        ensure!(receipt.verdict == "attested" && receipt.control.is_none(), "{receipt:?}");
        ensure!(receipt.detail.contains("nobody here held what has ended"), "{receipt:?}");
    }
    invariants::settled(world, process, database, dir, &[]).await
}
