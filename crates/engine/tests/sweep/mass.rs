//! Many revocations of all kinds at once, on a target that fails in every way: the ledger says of each what is true at the target, and who asks
//! for the same again does only what is left.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend_simulated::{
    Estate, EstateFile, Fault, FaultPlan,
    estate::{
        AccessKey, CloudSession, CloudUser, KvEntry, Namespace, Password, Planted, Role, Secret, SecretType,
        ServiceAccount, VaultToken,
    },
    fault::NoFaults,
    observer::Observer,
};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    model::{CredentialState, Labels},
    random::SeededRandom,
    reference::Ref,
    saga::{Action, Cause, SagaKind, StepState},
};
use claviger_engine::{
    plan::{Plan, RevokeOptions},
    progress::Silent,
    saga::RunOptions,
    scan::ScanOptions,
    selector::Selector,
};
use claviger_store::{Inventory as _, Journal as _, port::Selection};
use claviger_testkit::database::{Kind, TestDatabase};

use crate::{
    ending,
    world::{Process, open_with},
};

/// Of a hundred changes so many fail in each of the five ways.
const SHARE: u64 = 7;
const KINDS: [Fault; 5] =
    [Fault::ErrorAfterEffect, Fault::Deny, Fault::Throttle, Fault::Missing, Fault::LostRequest];
const OPTIONS: RunOptions = RunOptions {
    lease: Duration::from_secs(30),
    patience: Duration::from_secs(40),
    linger: Duration::from_secs(60),
};

/// Fails by lot, the same each time.
struct Lots {
    seed: u64,
    drawn: [AtomicUsize; 5],
}

impl FaultPlan for Lots {
    fn before(&self, index: u64, _: &'static str, _: &Ref) -> Fault {
        // SplitMix64: a number for each index.
        let mut lot = (index + self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        lot = (lot ^ (lot >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        lot = (lot ^ (lot >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let which = usize::try_from((lot ^ (lot >> 31)) % 100 / SHARE).unwrap_or(usize::MAX);
        match KINDS.get(which) {
            Some(fault) => {
                self.drawn[which].fetch_add(1, Ordering::SeqCst);
                *fault
            }
            None => Fault::None,
        }
    }
}

/// So many credentials, a quarter of each kind, each with a readable copy.
pub(crate) fn plant(count: usize) -> Estate {
    let random = SeededRandom::new(5);
    let mut estate = Estate::empty(&random);
    let now = SystemClock.now();
    estate.settings.revoke_cache_seconds = 1;
    let mut namespace = Namespace::default();
    for number in 0..count {
        let value = Planted::random(&random, 32);
        let name = format!("mass-{number:04}");
        let mut fields = BTreeMap::new();
        match number % 4 {
            0 => {
                let mut salt = [0; 16];
                salt[..8].copy_from_slice(&(number as u64).to_be_bytes());
                estate.database.roles.insert(name.replace('-', "_"), role(&value, &salt, now));
                fields.insert("username".to_owned(), Planted::text(name.replace('-', "_")));
                fields.insert("password".to_owned(), value);
            }
            1 => {
                let token = VaultToken {
                    value: value.clone(),
                    display_name: name.clone(),
                    policies: vec!["app".to_owned()],
                    created_at: now,
                    expires_at: None,
                    made_by: None,
                    entity: None,
                };
                estate.secret_store.tokens.insert(name.clone(), token);
                fields.insert("token".to_owned(), value);
            }
            2 => {
                let id = format!("AKIAMASS{number:012}");
                let key =
                    AccessKey { secret: value.clone(), created_at: now, last_used_at: None, disabled: false };
                let user = CloudUser {
                    created_at: now,
                    tags: Labels::new(),
                    policies: Vec::new(),
                    keys: BTreeMap::from([(id.clone(), key)]),
                    sessions: vec![CloudSession { key: id.clone(), issued_at: now - TimeDelta::hours(1) }],
                    sessions_denied_before: None,
                };
                estate.cloud.users.insert(name.clone(), user);
                fields.insert("aws_access_key_id".to_owned(), Planted::text(id));
                fields.insert("aws_secret_access_key".to_owned(), value);
            }
            _ => {
                let account = ServiceAccount {
                    uid: format!("uid-{number}"),
                    created_at: now,
                    labels: Labels::new(),
                    annotations: Labels::new(),
                };
                namespace.service_accounts.insert(name.clone(), account);
                namespace.secrets.insert(format!("{name}-token"), token_secret(&name, now));
                continue;
            }
        }
        let mut entry = KvEntry { versions: Vec::new(), labels: Labels::new(), denied: false };
        entry.push(fields, now, None);
        estate.secret_store.paths.insert(format!("mass/{number:04}"), entry);
    }
    estate.cluster.namespaces.insert("mass".to_owned(), namespace);
    estate
}

fn role(value: &Planted, salt: &[u8; 16], now: DateTime<Utc>) -> Role {
    Role {
        password: Some(Password::scram(value.expose(), salt)),
        version: 1,
        created_at: now,
        rotated_at: now,
        last_used_at: None,
        valid_until: None,
        nologin: false,
        superuser: false,
        createrole: false,
        replication: false,
        acts_as: None,
        made_by: None,
        sessions: vec![ending::live("api", now)],
    }
}

fn token_secret(account: &str, now: DateTime<Utc>) -> Secret {
    Secret {
        uid: format!("uid-of-{account}"),
        version: 1,
        kind: SecretType::ServiceAccountToken {
            account: account.to_owned(),
            auto_generated: false,
            last_used: None,
            invalid_since: None,
        },
        created_at: now,
        updated_at: now,
        labels: Labels::new(),
        annotations: Labels::new(),
        immutable: false,
        managed_by: None,
        written_by: None,
        data: BTreeMap::new(),
    }
}

pub(crate) async fn planned(process: &Process) -> Result<Plan> {
    let kinds =
        "ref.contains('mass') && kind in ['password', 'token', 'access-key', 'service-account-token']";
    let selector = Selector::parse_with("", Some(kinds))?;
    Ok(process.engine.plan_revocation_with(&selector, &RevokeOptions::default()).await?)
}

/// Is it there, at the target?
fn alive(estate: &Estate, at: &Ref) -> Result<bool> {
    let parts: Vec<&str> = at.path().split('/').collect();
    Ok(match parts.as_slice() {
        ["db", "role", role] => estate.database.roles[*role].password.is_some(),
        ["auth", "token", "accessor", accessor] => estate.secret_store.tokens.contains_key(*accessor),
        ["iam", "user", user, "access-key", id] => estate.cloud.users[*user].keys.contains_key(*id),
        ["k8s", namespace, "Secret", name] => {
            estate.cluster.namespaces[*namespace].secrets.contains_key(*name)
        }
        _ => anyhow::bail!("{at} is none of ours"),
    })
}

/// Does something go on that was obtained with it?
fn outlived(estate: &Estate, at: &Ref) -> bool {
    let now = SystemClock.now();
    let parts: Vec<&str> = at.path().split('/').collect();
    match parts.as_slice() {
        ["db", "role", role] => estate.database.roles[*role].sessions.iter().any(|it| it.ends_at > now),
        ["iam", "user", user, ..] => estate.cloud.users[*user].sessions_denied_before.is_none(),
        _ => false,
    }
}

/// Holds the ledger against the target. Gives what is proven, and how many sagas wait or were given up.
async fn compared(process: &Process, estate: &Estate) -> Result<(BTreeSet<Ref>, usize)> {
    let mut proven = BTreeSet::new();
    let selection = Selection { gone: true, ..Selection::default() };
    for credential in process.store().credentials(SystemClock.now(), &selection).await? {
        if credential.state == CredentialState::RevokedProven {
            ensure!(!alive(estate, &credential.at)?, "{} is proven dead, and lives", credential.at);
            ensure!(!outlived(estate, &credential.at), "{} is proven dead, and outlived", credential.at);
            proven.insert(credential.at);
        }
    }
    let mut open = 0;
    let mut newest = BTreeSet::new();
    for saga in process.store().list(SagaKind::Revocation, None).await? {
        // Newest first: of several of one credential the last one counts.
        if !newest.insert(saga.at.clone()) {
            continue;
        }
        let record = process.store().load(saga.rotation_id).await?.context("the saga")?;
        let ended = record.plan.steps.iter().zip(&record.progress.steps).any(|(step, state)| {
            matches!(step.action, Action::Revoke(_)) && matches!(state, StepState::Succeeded { .. })
        });
        let lives = alive(estate, &saga.at)?;
        ensure!(ended != lives, "{}: the journal says ended: {ended}, and it lives: {lives}", saga.at);
        open += usize::from(record.progress.state.word() != "done");
        if record.progress.state.word() == "done" {
            ensure!(proven.contains(&saga.at), "{} is done and not proven", saga.at);
        }
    }
    Ok((proven, open))
}

async fn revoked(count: usize) -> Result<String> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(11)));
    let database = TestDatabase::new(Kind::Sqlite, clock, random).await?.context("SQLite is built in")?;
    let dir = tempfile::tempdir()?;
    let file = EstateFile::new(dir.path().join("estate.json"));
    file.create(&plant(count))?;
    let lots = Arc::new(Lots { seed: 41, drawn: Default::default() });
    let process = open_with(dir.path(), &database, lots.clone(), None, None).await?;
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    let plan = planned(&process).await?;
    ensure!(
        plan.subjects.len() == count,
        "{} of {count} are planned: {:?}",
        plan.subjects.len(),
        plan.refused
    );
    let begun = std::time::Instant::now();
    let answers = process.engine.revoke_all(&plan.subjects, Cause::Manual, None, &OPTIONS, &Silent).await;
    let took = begun.elapsed();
    ensure!(answers.iter().all(|answer| answer.is_ok()), "a saga could not be driven");
    process.store().close().await;
    let drawn: Vec<usize> = lots.drawn.iter().map(|drawn| drawn.load(Ordering::SeqCst)).collect();
    ensure!(drawn.iter().all(|drawn| *drawn > 0), "not every failure was drawn: {drawn:?}");

    let process = open_with(dir.path(), &database, Arc::new(NoFaults), None, None).await?;
    let estate = file.load()?;
    let (proven, open) = compared(&process, &estate).await?;
    ensure!(
        open > 0 && !proven.is_empty(),
        "{} proven, {open} open: nothing is left to be done",
        proven.len()
    );
    let effects = estate.effects.len();

    // Asked for again, nothing fails any more.
    let plan = planned(&process).await?;
    let left: BTreeSet<_> = plan.subjects.iter().map(|subject| subject.subject.clone()).collect();
    ensure!(
        left.is_disjoint(&proven) && left.len() + proven.len() == count,
        "{} are planned again",
        left.len()
    );
    ensure!(plan.refused.iter().all(|refusal| refusal.code == "already-gone"), "{:?}", plan.refused);
    let answers = process.engine.revoke_all(&plan.subjects, Cause::Manual, None, &OPTIONS, &Silent).await;
    for answer in answers {
        let outcome = answer?;
        ensure!(outcome.state == "done", "{}: {}: {:?}", outcome.at, outcome.state, outcome.reason);
        ensure!(
            outcome.receipts.len() == 1 && outcome.receipts[0].verdict == "proven",
            "{:?}",
            outcome.receipts
        );
    }
    let estate = file.load()?;
    let touched: BTreeSet<_> = estate.effects[effects..].iter().map(|effect| effect.target.clone()).collect();
    ensure!(touched.is_disjoint(&proven), "what was proven was touched again");
    let (all, open) = compared(&process, &estate).await?;
    ensure!(all.len() == count && open == 0, "{} of {count} are proven, {open} open", all.len());
    let observer = Observer::new("sim", file.clone());
    for namespace in estate.cluster.namespaces.keys() {
        let mut tokens = estate.legacy_tokens(namespace);
        // What an account's pods are given stays.
        tokens.retain(|name, _| !name.starts_with("ServiceAccount/"));
        ensure!(tokens.is_empty(), "{} tokens are left", tokens.len());
    }
    ensure!(observer.effective_mutations()? as usize == estate.effects.len(), "an effect is missing");
    process.store().close().await;
    database.remove().await?;
    Ok(format!(
        "{count} mixed revocations in {:.1} s: failures {drawn:?} (answer lost, 403, 429, 404, cut), {} proven at once, {} taken up again, all proven",
        took.as_secs_f64(),
        proven.len(),
        left.len()
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_revocations_with_failures_of_every_kind_are_told_as_they_are() {
    println!("{}", revoked(200).await.unwrap_or_else(|error| panic!("{error:#}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: part of the campaign"]
async fn a_thousand_mixed_revocations_with_failures_of_every_kind_are_told_as_they_are() {
    println!("{}", revoked(1000).await.unwrap_or_else(|error| panic!("{error:#}")));
}
