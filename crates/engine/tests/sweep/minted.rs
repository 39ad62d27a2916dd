//! The rotation of an access key: what is planted for it, what must hold of it, and what only it can meet.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::Verdict;
use claviger_backend_simulated::{
    Estate, Fault,
    estate::{AccessKey, KvEntry, Planted},
};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    model::CredentialState,
    random::{Random, SeededRandom},
    reference::Ref,
};
use claviger_engine::{
    plan::{Refusal, RotateOptions},
    progress::Silent,
    saga::SagaOutcome,
    scan::ScanOptions,
    selector::Selector,
};
use claviger_store::Inventory as _;
use claviger_testkit::database::{Kind, TestDatabase};

use crate::{
    invariants::{self, current},
    world::{Process, RUN, Saga, Trial, World, copy, open, policy},
};

/// Whose key is rotated.
pub(crate) const USER: &str = "shop-assets";
/// A key of the same user that the inventory knows no copy of: somebody else's.
const FOREIGN: &str = "AKIAFOREIGNFOREIGN22";
/// Objects that hold the pair.
pub(crate) const OBJECTS: [&str; 3] =
    ["sim/k8s/shop/Secret/s3", "sim/k8s/shop-dev/Secret/s3", "sim/kv/shop/s3"];
/// One field that holds both, as the AWS tools write them.
const FILE: &str = "sim/kv/shop/aws-file#credentials";
/// Names of its halves: id and secret.
pub(crate) const HALVES: [&str; 2] = ["aws_access_key_id", "aws_secret_access_key"];

/// A copy in the secret store too, somebody else's key in a third slot, and a cloud that is slow to know a key.
pub(crate) fn plant(estate: &mut Estate, random: &dyn Random) {
    // Longer than a slow machine takes for a step, or some trials would find nothing to wait for and have fewer commits.
    (estate.settings.key_slots, estate.settings.key_settle_seconds) = (Some(3), 2);
    let now = SystemClock.now();
    let Some(user) = estate.cloud.users.get_mut(USER) else { return };
    let pair = user.keys.first_key_value().map(|(id, key)| [Planted::text(id.clone()), key.secret.clone()]);
    let foreign = AccessKey {
        secret: Planted::random(random, 40),
        created_at: now - TimeDelta::days(90),
        last_used_at: Some(now - TimeDelta::days(1)),
        disabled: false,
    };
    user.keys.insert(FOREIGN.to_owned(), foreign);
    let Some(pair) = pair else { return };
    let file = format!(
        "[default]\n{} = {}\n{} = {}\nregion = eu-central-1\n",
        HALVES[0],
        pair[0].expose_text(),
        HALVES[1],
        pair[1].expose_text()
    );
    let both: Vec<_> = HALVES.map(str::to_owned).into_iter().zip(pair).collect();
    let file = vec![("credentials".to_owned(), Planted::text(file))];
    for (path, fields) in [("shop/s3", both), ("shop/aws-file", file)] {
        let mut entry = KvEntry { versions: Vec::new(), labels: Default::default(), denied: false };
        entry.push(fields.into_iter().collect(), now - TimeDelta::days(10), None);
        estate.secret_store.paths.insert(path.to_owned(), entry);
    }
}

/// The key's ref.
pub(crate) fn subject(estate: &Estate) -> String {
    let keys = estate.cloud.users.get(USER).map(|user| &user.keys).into_iter().flatten();
    let mine = keys.map(|(id, _)| id.as_str()).find(|id| *id != FOREIGN);
    format!("sim/iam/user/{USER}/access-key/{}", mine.unwrap_or_default())
}

/// C and L: each copy, and each pod, holds an id and a secret that let somebody in now.
pub(crate) async fn pairs_work(world: &World, process: &Process, dir: &Path) -> Result<()> {
    for object in OBJECTS {
        let [id, secret] = pair(process, object).await?;
        works(process, &id, &secret).await.with_context(|| format!("the pair in {object}"))?;
    }
    let [id, secret] = pair_of_file(process).await?;
    works(process, &id, &secret).await.with_context(|| format!("the pair in {FILE}"))?;
    let estate = world.observer(dir).estate()?;
    let pods = &estate.cluster.namespaces["shop"].deployments["checkout"].pods;
    ensure!(!pods.is_empty(), "there are no pods");
    for pod in pods {
        let held = HALVES.map(|half| pod.holds.get(&format!("Secret/s3#{half}")).map(Planted::expose));
        let [Some(id), Some(secret)] = held else { anyhow::bail!("a pod without a pair") };
        works(process, id, secret).await.context("the pair in a pod")?;
    }
    Ok(())
}

async fn pair(process: &Process, object: &str) -> Result<[Vec<u8>; 2]> {
    let field = |half: &str| format!("{object}#{half}");
    Ok([current(process, &field(HALVES[0])).await?, current(process, &field(HALVES[1])).await?])
}

async fn pair_of_file(process: &Process) -> Result<[Vec<u8>; 2]> {
    let text = String::from_utf8(current(process, FILE).await?)?;
    ensure!(
        text.starts_with("[default]\n") && text.ends_with("\nregion = eu-central-1\n"),
        "it lost something"
    );
    let half = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.map(|value| value.as_bytes().to_vec()).with_context(|| format!("no {name}"))
    };
    Ok([half(HALVES[0])?, half(HALVES[1])?])
}

async fn works(process: &Process, id: &[u8], secret: &[u8]) -> Result<()> {
    let at = format!("sim/iam/user/{USER}/access-key/{}", std::str::from_utf8(id)?);
    let issuer = process.engine.estate.member("sim")?.backend.issuer().context("an issuer")?;
    let value = claviger_core::secret::SecretValue::new(secret.to_vec());
    let probe = issuer.verify(&Ref::from_text(at.as_str()), &value).await?;
    ensure!(probe.verdict == Verdict::Accepted, "{at}: {:?}", probe.verdict);
    Ok(())
}

/// One key is left besides the foreign one, which nobody has touched: no orphan.
fn one_key(world: &World, dir: &Path, id: &[u8]) -> Result<()> {
    let estate = world.observer(dir).estate()?;
    let keys = &estate.cloud.users[USER].keys;
    let names: Vec<_> = keys.keys().collect();
    ensure!(keys.len() == 2, "{} keys are left: {names:?}", keys.len());
    let foreign = keys.get(FOREIGN).context("the foreign key is gone")?;
    ensure!(!foreign.disabled, "the foreign key is suspended");
    ensure!(keys.get(std::str::from_utf8(id)?).is_some_and(|key| !key.disabled), "not the one that is left");
    let touched = estate.effects.iter().find(|effect| effect.target.as_str().contains(FOREIGN));
    ensure!(touched.is_none(), "the foreign key was touched: {touched:?}");
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
    let [id, secret] = pair(process, OBJECTS[0]).await?;
    for object in OBJECTS {
        ensure!(pair(process, object).await? == [id.clone(), secret.clone()], "{object} is out of step");
    }
    ensure!(pair_of_file(process).await? == [id.clone(), secret.clone()], "{FILE} is out of step");
    ensure!((secret != world.old) == began, "began: {began}, and the copy's value says otherwise");
    pairs_work(world, process, dir).await?;
    one_key(world, dir, &id)?;
    if began {
        invariants::dead(world, process).await?;
    }
    invariants::settled(world, process, database, dir, &[&world.old, &secret]).await
}

/// After it was given up before its pivot: everything is as it was.
pub(crate) async fn unwound(world: &World, process: &Process, dir: &Path) -> Result<()> {
    for object in OBJECTS {
        ensure!(pair(process, object).await?[1] == world.old, "{object} is not as it was");
    }
    one_key(world, dir, &pair(process, OBJECTS[0]).await?[0])?;
    invariants::told(world, process, dir).await
}

async fn world() -> World {
    let world = World::prepare(Saga::Minted, Kind::Sqlite).await.expect("the world can be made");
    world.expect("SQLite is built in")
}

/// Kills the process right before or after the minting, changes the estate, and resumes.
async fn resumed(
    fault: Fault,
    change: impl FnOnce(&mut Estate, DateTime<Utc>),
) -> Result<(SagaOutcome, usize)> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    let database = world.database.copy().await?;
    let process = open(dir.path(), &database, Trial { estate: Some((0, fault)), commit: None }).await?;
    ensure!(process.attempt(world.plan().clone()).await.is_none(), "it did not die");
    process.store().close().await;
    drop(process);
    let file = claviger_backend_simulated::EstateFile::new(dir.path().join("estate.json"));
    file.edit(|estate| change(estate, SystemClock.now()))?;
    let recovered = open(dir.path(), &database, Trial::default()).await?;
    let outcomes = recovered.resume(None, &RUN).await?;
    pairs_work(&world, &recovered, dir.path()).await?;
    invariants::told(&world, &recovered, dir.path()).await?;
    let keys = file.load()?.cloud.users[USER].keys.len();
    recovered.store().close().await;
    Ok((outcomes.into_iter().next().context("the saga")?, keys))
}

fn stranger(estate: &mut Estate, id: &str, made: DateTime<Utc>, used: Option<DateTime<Utc>>) {
    let secret = Planted::random(&SeededRandom::new(3), 40);
    let key = AccessKey { secret, created_at: made, last_used_at: used, disabled: false };
    if let Some(user) = estate.cloud.users.get_mut(USER) {
        user.keys.insert(id.to_owned(), key);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_somebody_elses_key_is_left_alone() {
    const OTHER: &str = "AKIASTRANGERSTRANGE2";
    // (what a stranger did while we were dead, keys at the end, what the reason says)
    type Change = fn(&mut Estate, DateTime<Utc>);
    let used: Change = |estate, now| stranger(estate, OTHER, now - TimeDelta::seconds(3), Some(now));
    let earlier: Change = |estate, now| stranger(estate, OTHER, now - TimeDelta::hours(1), None);
    let second: Change = |estate, now| stranger(estate, OTHER, now - TimeDelta::seconds(3), None);
    for (name, fault, change, keys, says) in [
        ("used", Fault::CrashBefore, used, 3, "was used at"),
        ("made at another time", Fault::CrashBefore, earlier, 3, "was not made when we asked"),
        ("a second one", Fault::CrashAfter, second, 4, "at most one of them is ours"),
    ] {
        let (outcome, left) =
            resumed(fault, change).await.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let reason = outcome.reason.unwrap_or_default();
        assert_eq!((outcome.state.as_str(), left), ("paused", keys), "{name}: {reason}");
        assert!(reason.contains(says), "{name}: {reason}");
    }
}

/// A use of the old key after its last consumer had moved stops the rotation before the key is suspended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_somebody_unknown_uses_is_not_suspended() -> Result<()> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    let process = open(dir.path(), &world.database, Trial::default()).await?;
    let file = claviger_backend_simulated::EstateFile::new(dir.path().join("estate.json"));
    let id = world.subject().as_str().rsplit('/').next().unwrap_or_default().to_owned();
    let later = SystemClock.now() + TimeDelta::seconds(12);
    let key = |estate: &Estate| estate.cloud.users[USER].keys[&id].disabled;
    file.edit(|estate| {
        let user = estate.cloud.users.get_mut(USER);
        if let Some(key) = user.and_then(|user| user.keys.get_mut(&id)) {
            key.last_used_at = Some(later);
        }
    })?;
    let paused = process.attempt(world.plan().clone()).await.context("it did not crash")??;
    let reason = paused.reason.unwrap_or_default();
    ensure!(paused.state == "paused" && reason.contains("somebody unknown"), "{}: {reason}", paused.state);
    ensure!(!key(&file.load()?), "it is suspended");
    pairs_work(&world, &process, dir.path()).await?;
    // An operator found out who it was, and lets it go on: only a use after that would stop it again.
    tokio::time::sleep((later - SystemClock.now()).to_std().unwrap_or_default()).await;
    let done = process.resume(Some(paused.rotation_id), &RUN).await?;
    ensure!(done[0].state == "done", "{:?}", done[0].reason);
    at_rest(&world, &process, &world.database, dir.path(), true).await
}

/// With a grace the same use is waited for: quiet for as long as the policy wants, it is somebody who has stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_that_stops_within_the_grace_is_waited_for() -> Result<()> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    let mut process = open(dir.path(), &world.database, Trial::default()).await?;
    process.engine.estate.policies.push(policy("kind=access-key", None, Some(TimeDelta::seconds(6)))?);
    let selector = Selector::parse(world.subject().as_str())?;
    let plan = process.engine.plan_rotation(&selector, &RotateOptions::default()).await?;
    let plan = plan.subjects.into_iter().next().context("a plan")?;
    let used = SystemClock.now() + TimeDelta::seconds(6);
    let file = claviger_backend_simulated::EstateFile::new(dir.path().join("estate.json"));
    let id = world.subject().as_str().rsplit('/').next().unwrap_or_default().to_owned();
    file.edit(|estate| {
        let user = estate.cloud.users.get_mut(USER);
        if let Some(key) = user.and_then(|user| user.keys.get_mut(&id)) {
            key.last_used_at = Some(used);
        }
    })?;
    let outcome = process.attempt(plan).await.context("it did not crash")??;
    ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
    let estate = world.observer(dir.path()).estate()?;
    let ended = estate.effects.iter().find(|effect| effect.operation == "disable").context("the end")?;
    ensure!(ended.at >= used + TimeDelta::seconds(6), "suspended {} after the last use", ended.at - used);
    at_rest(&world, &process, &world.database, dir.path(), true).await
}

/// What a scan and a plan say of a changed estate.
async fn refused(subject: &str, change: impl FnOnce(&mut Estate)) -> Result<Refusal> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    claviger_backend_simulated::EstateFile::new(dir.path().join("estate.json")).edit(change)?;
    let process = open(dir.path(), &world.database, Trial::default()).await?;
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    let known = process.store().credentials(SystemClock.now(), &Default::default()).await?;
    let mut active = known.iter().filter(|credential| credential.state == CredentialState::Active);
    let found = active.find(|credential| credential.at.as_str().contains(subject)).context("the subject")?;
    let selector = Selector::parse(found.at.as_str())?;
    let plan = process.engine.plan_rotation(&selector, &RotateOptions::default()).await?;
    ensure!(plan.subjects.is_empty(), "it is planned");
    plan.refused.into_iter().next().context("a refusal")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_carried_out_is_refused_when_it_is_planned() {
    let kv = |estate: &mut Estate, change: fn(&mut std::collections::BTreeMap<String, Planted>)| {
        let entry = estate.secret_store.paths.get_mut("shop/s3").expect("the path");
        change(&mut entry.versions.last_mut().expect("a version").fields);
    };
    let mine = format!("user/{USER}/access-key/");
    let full = refused("user/ci-deployer/access-key", |estate| estate.settings.key_slots = Some(2)).await;
    let full = full.expect("a refusal");
    assert_eq!(full.code, "quota", "{}", full.reason);
    assert!(full.reason.contains("revoke sim/iam/user/ci-deployer/access-key/"), "{}", full.reason);
    let bare = refused(&mine, |estate| {
        estate.cloud.users.get_mut(USER).expect("the user").keys.remove(FOREIGN);
        kv(estate, |fields| drop(fields.remove(HALVES[0])));
    });
    let bare = bare.await.expect("a refusal");
    assert_eq!(bare.code, "copy-without-id", "{}", bare.reason);
    assert!(bare.reason.contains("sim/kv/shop/s3"), "{}", bare.reason);
}
