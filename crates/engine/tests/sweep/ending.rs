//! Revocations of what is suspended first, of what sessions outlive, and of what has no issuer, with their copies cleaned.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use claviger_backend_simulated::{
    Estate,
    estate::{CloudSession, Session},
};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    model::CredentialState,
    random::Random,
};
use claviger_engine::{
    plan::{Plan, RevokeOptions},
    selector::Selector,
};
use claviger_store::{Inventory as _, Journal as _};
use claviger_testkit::database::TestDatabase;

use crate::{
    bound, invariants, minted, whole,
    world::{COPIES, Ended, KEYS, Process, ROLE, World},
};

pub(crate) fn plant(estate: &mut Estate, ended: Ended, random: &dyn Random) {
    let now = SystemClock.now();
    match ended {
        Ended::Role => {
            if let Some(role) = estate.database.roles.get_mut(ROLE) {
                role.sessions = ["api", "worker"].map(|from| live(from, now)).to_vec();
            }
        }
        Ended::Key => {
            minted::plant(estate, random);
            let subject = minted::subject(estate);
            let key = subject.rsplit('/').next().unwrap_or_default().to_owned();
            if let Some(user) = estate.cloud.users.get_mut(minted::USER) {
                user.sessions = vec![CloudSession { key, issued_at: now - TimeDelta::hours(1) }];
            }
        }
        Ended::Value => {}
        Ended::Account => bound::plant_account(estate),
        Ended::Certificate => bound::plant_certificate(estate),
        Ended::Pod => whole::plant_pod(estate),
        Ended::Entity => whole::plant_entity(estate),
    }
}

pub(crate) fn live(from: &str, now: chrono::DateTime<chrono::Utc>) -> Session {
    let (begun_at, ends_at) = (now - TimeDelta::hours(1), now + TimeDelta::days(1));
    Session { begun_at, ends_at, from: from.to_owned() }
}

pub(crate) async fn plan(process: &Process, ended: Ended, estate: &Estate) -> Result<Plan> {
    match ended {
        Ended::Account => return bound::plan_account(process).await,
        Ended::Certificate => return bound::plan_certificate(process).await,
        Ended::Pod => return whole::plan_pod(process).await,
        Ended::Entity => return whole::plan_entity(process).await,
        Ended::Role | Ended::Key | Ended::Value => {}
    }
    let subject = match ended {
        Ended::Role => format!("sim/db/role/{ROLE}"),
        Ended::Key => minted::subject(estate),
        _ => KEYS[0].to_owned(),
    };
    let options = RevokeOptions { scrub: ended != Ended::Key, ..RevokeOptions::default() };
    let plan = process.engine.plan_revocation_with(&Selector::parse(&subject)?, &options).await?;
    let derived = plan.blast.first().map(|blast| blast.derived.len());
    let expected = match ended {
        Ended::Role => 2,
        Ended::Key => 1,
        _ => 0,
    };
    ensure!(derived == Some(expected), "the plan tells of {derived:?} that were obtained with it");
    Ok(plan)
}

/// After it came to rest: dead at its issuer with all that it gave, out of its copies, recorded as such.
pub(crate) async fn at_rest(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    (ended, began): (Ended, bool),
) -> Result<()> {
    match ended {
        Ended::Account => return bound::account_at_rest(world, process, database, dir, began).await,
        Ended::Certificate => {
            return bound::certificate_at_rest(world, process, database, dir, began).await;
        }
        Ended::Pod => return whole::pod_at_rest(world, process, database, dir, began).await,
        Ended::Entity => return whole::entity_at_rest(world, process, database, dir, began).await,
        Ended::Role | Ended::Key | Ended::Value => {}
    }
    seen(world, dir, ended, began)?;
    if began && ended == Ended::Value {
        let detail = process.store().credential(SystemClock.now(), world.plan().credential).await?;
        let state = detail.context("the credential")?.credential.state;
        ensure!(state == CredentialState::RevokedUnproven, "{state:?}");
        let receipts = process.store().receipts(None).await?;
        ensure!(receipts.len() == 1 && receipts[0].verdict == "unprovable", "{receipts:?}");
    } else if began {
        invariants::dead(world, process).await?;
        let receipts = process.store().receipts(None).await?;
        ensure!(receipts[0].control.is_some() && receipts[0].control == receipts[0].probe, "{receipts:?}");
        ensure!(receipts[0].detail.contains("obtained with it"), "{receipts:?}");
    }
    invariants::settled(world, process, database, dir, &[&world.old]).await
}

/// What the estate shows: ended with all that it gave, or as it was.
pub(crate) fn seen(world: &World, dir: &Path, ended: Ended, began: bool) -> Result<()> {
    let observer = world.observer(dir);
    let estate = observer.estate()?;
    let now = SystemClock.now();
    match ended {
        Ended::Role => {
            let role = estate.database.roles.get(ROLE).context("the role was dropped")?;
            ensure!(
                observer.accepts(ROLE, &world.old, &SystemClock)? != began,
                "accepted, and began: {began}"
            );
            ensure!(role.password.is_none() == began && role.nologin == began, "it can be logged in as");
            let live = role.sessions.iter().filter(|session| session.ends_at > now).count();
            ensure!(live == if began { 0 } else { 2 }, "{live} sessions go on");
        }
        Ended::Key => {
            let user = estate.cloud.users.get(minted::USER).context("the user was deleted")?;
            let id = world.subject().as_str().rsplit('/').next().unwrap_or_default();
            ensure!(user.keys.contains_key(id) != began, "the key is there, and began: {began}");
            ensure!(user.sessions_denied_before.is_some() == began, "its sessions go on");
            ensure!(user.keys.values().all(|key| !key.disabled), "another key of the user was suspended");
            ensure!(user.keys.len() == if began { 1 } else { 2 }, "another key of the user was deleted");
        }
        Ended::Value => {}
        Ended::Account => return bound::seen_account(world, dir, began),
        Ended::Certificate => return bound::seen_certificate(world, dir, began),
        Ended::Pod => return whole::seen_pod(world, dir, began),
        Ended::Entity => return whole::seen_entity(world, dir, began),
    }
    if ended != Ended::Key {
        let left = observer.copies_of(&world.old)?;
        let ours: &[&str] = if ended == Ended::Role { &COPIES } else { &KEYS };
        for place in ours {
            let holds = left.iter().any(|copy| copy.at.as_str() == *place);
            ensure!(holds != began, "{place} holds it: {holds}, began: {began}");
        }
    }
    Ok(())
}
