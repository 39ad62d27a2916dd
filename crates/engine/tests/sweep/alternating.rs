//! Two roles that take turns: what is planted for them, what must hold of them, and what only they can meet.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend_simulated::{
    Estate, EstateFile,
    estate::{EnvSource, ObjectKind, ObjectName, Planted, Session},
};
use claviger_core::{
    canonical,
    clock::{Clock as _, SystemClock},
    model::CredentialState,
    reference::Ref,
    secret::SecretValue,
};
use claviger_engine::{
    plan::{Plan, Refusal, RotateOptions},
    progress::Silent,
    saga::SagaOutcome,
    scan::ScanOptions,
    selector::Selector,
};
use claviger_store::Inventory as _;
use claviger_testkit::database::{Kind, TestDatabase};

use crate::{
    invariants::{self, current},
    world::{Process, ROLE, RUN, Saga, Trial, World, copy, open, policy},
};

/// The role that takes turns with [`ROLE`].
pub(crate) const OTHER: &str = "payments_app_alt";
/// What the policy matches: both.
pub(crate) const BOTH: &str = "sim/db/role/payments_app*";
/// Objects with the user's name beside the password.
const OBJECTS: [&str; 2] = ["sim/kv/payments/db", "sim/k8s/payments/Secret/db"];
/// A field with both.
const URL: &str = "sim/k8s/payments/ConfigMap/app#database-url";

/// The pods read the user's name too: without that nobody could follow.
pub(crate) fn plant(estate: &mut Estate) {
    let started = SystemClock.now() - TimeDelta::hours(30);
    let Some(namespace) = estate.cluster.namespaces.get_mut("payments") else { return };
    if let Some(api) = namespace.deployments.get_mut("api") {
        let object = ObjectName { kind: ObjectKind::Secret, name: "db".to_owned() };
        let user = EnvSource::Field { object, key: "username".to_owned() };
        api.containers[0].env.insert("DB_USER".to_owned(), user);
    }
    // The pods hold it, or the tests say so.
    let _ = namespace.start("api", started, &Default::default());
}

type Pair = (String, Vec<u8>);

fn of_url(bytes: Vec<u8>) -> Result<Pair> {
    let value = SecretValue::new(bytes);
    let half = |pointer| canonical::value_at(&value, pointer).context("a half of the URL");
    let user = half("user")?.expose_text().context("text")?.to_owned();
    ensure!(
        value.expose_text().is_some_and(|url| url.ends_with("@db.internal:5432/payments")),
        "it lost something"
    );
    Ok((user, half("")?.expose().to_vec()))
}

/// What each copy holds.
async fn copies(process: &Process) -> Result<Vec<Pair>> {
    let mut held = Vec::new();
    for object in OBJECTS {
        let user = current(process, &format!("{object}#username")).await?;
        held.push((String::from_utf8(user)?, current(process, &format!("{object}#password")).await?));
    }
    held.push(of_url(current(process, URL).await?)?);
    Ok(held)
}

/// C and L: each copy, and each pod, holds a user's name and a password that let somebody in now.
pub(crate) async fn pairs_work(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let observer = world.observer(dir);
    let works = |(user, password): &Pair| observer.accepts(user, password, &SystemClock);
    for (index, pair) in copies(process).await?.iter().enumerate() {
        ensure!(works(pair)?, "copy {index} holds `{}` with a password that is not accepted", pair.0);
    }
    let estate = observer.estate()?;
    let deployments = &estate.cluster.namespaces["payments"].deployments;
    for pod in deployments["api"].pods.iter().chain(&deployments["worker"].pods) {
        let held = |key: &str| pod.holds.get(key).map(Planted::expose);
        let pair = match (held("Secret/db#username"), held("Secret/db#password")) {
            (Some(user), Some(password)) => (String::from_utf8(user.to_vec())?, password.to_vec()),
            _ => of_url(held("ConfigMap/app#database-url").context("a pod with a login")?.to_vec())?,
        };
        ensure!(works(&pair)?, "a pod holds `{}` with a password that is not accepted", pair.0);
    }
    Ok(())
}

/// Every copy holds this user with one password, which is given.
async fn in_step(process: &Process, user: &str) -> Result<Vec<u8>> {
    let held = copies(process).await?;
    let password = held[0].1.clone();
    ensure!(
        held.iter().all(|pair| *pair == (user.to_owned(), password.clone())),
        "the copies are out of step"
    );
    Ok(password)
}

/// One of them rests: it may not log in, and has no password.
fn rests(world: &World, dir: &Path, user: &str) -> Result<()> {
    let estate = world.observer(dir).estate()?;
    let role = estate.database.roles.get(user).context("it is gone")?;
    ensure!(role.nologin && role.password.is_none(), "`{user}` does not rest");
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
    let password = in_step(process, if began { OTHER } else { ROLE }).await?;
    ensure!((password != world.old) == began, "began: {began}, and the copies' value says otherwise");
    pairs_work(world, process, dir).await?;
    let estate = world.observer(dir).estate()?;
    let other = estate.database.roles.get(OTHER);
    ensure!(other.is_some() == began, "began: {began}, and `{OTHER}` says otherwise");
    if began {
        ensure!(
            other.is_some_and(|other| other.acts_as.as_deref() == Some(ROLE)),
            "it acts as somebody else"
        );
        rests(world, dir, ROLE)?;
        ensure!(
            !world.observer(dir).accepts(ROLE, &world.old, &SystemClock)?,
            "the old password is accepted"
        );
        invariants::dead(world, process).await?;
    }
    invariants::settled(world, process, database, dir, &[&world.old, &password]).await
}

/// After it was given up or taken back: everything is as it was, and the other role is not there, or rests.
pub(crate) async fn as_before(world: &World, process: &Process, dir: &Path, dropped: bool) -> Result<()> {
    ensure!(in_step(process, ROLE).await? == world.old, "the copies are not as they were");
    pairs_work(world, process, dir).await?;
    let there = world.observer(dir).estate()?.database.roles.contains_key(OTHER);
    ensure!(!there || !dropped, "`{OTHER}` was made by the rotation and is still there");
    if there {
        rests(world, dir, OTHER)?;
    }
    invariants::told(world, process, dir).await
}

async fn world() -> World {
    let world = World::prepare(Saga::Alternating, Kind::Sqlite).await.expect("the world can be made");
    world.expect("SQLite is built in")
}

/// A process whose policy lets them take turns.
async fn process(world: &World, dir: &Path, grace: Option<TimeDelta>) -> Result<Process> {
    copy(world.template.path(), dir)?;
    let mut process = open(dir, &world.database, Trial::default()).await?;
    process.engine.estate.policies.push(policy(BOTH, Some("alternating"), grace)?);
    Ok(process)
}

pub(crate) async fn planned(process: &Process, selector: &str) -> Result<Plan> {
    let selector = Selector::parse(selector)?;
    Ok(process.engine.plan_rotation(&selector, &RotateOptions::default()).await?)
}

async fn rotated(process: &Process, plan: Plan) -> Result<SagaOutcome> {
    let plan = plan.subjects.into_iter().next().context("a plan")?;
    let outcome = process.attempt(plan).await.context("it did not crash")??;
    ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
    Ok(outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_roles_take_turns_and_the_inventory_follows() -> Result<()> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    let process = process(&world, dir.path(), None).await?;
    for (turn, user, other) in [(1, ROLE, OTHER), (2, OTHER, ROLE), (3, ROLE, OTHER)] {
        // A selector that matches both rotates the one that works.
        let plan = planned(&process, BOTH).await?;
        let subjects: Vec<_> = plan.subjects.iter().map(|plan| plan.subject.path().to_owned()).collect();
        ensure!(subjects == [format!("db/role/{user}")], "turn {turn}: {subjects:?}");
        ensure!(plan.refused.iter().all(|refusal| refusal.code == "not-active"), "{:?}", plan.refused);
        let outcome = rotated(&process, plan).await?;
        ensure!(outcome.old["verdict"] == "proven", "{}", outcome.old);
        ensure!(outcome.new["ref"] == format!("sim/db/role/{other}"), "{}", outcome.new);
        in_step(&process, other).await?;
        pairs_work(&world, &process, dir.path()).await?;
        rests(&world, dir.path(), user)?;
        process.engine.scan(&ScanOptions::default(), &Silent).await?;
        let known = process.store().credentials(SystemClock.now(), &Default::default()).await?;
        let of =
            |name: &str| known.iter().find(|credential| credential.at.path() == format!("db/role/{name}"));
        let working = of(other).context("the one that works")?;
        ensure!(
            working.state == CredentialState::Active && working.copies == 3,
            "{:?}, {} copies",
            working.state,
            working.copies
        );
        let resting = of(user).map(|resting| (resting.state, resting.copies));
        ensure!(resting.is_none_or(|resting| resting == (CredentialState::RevokedProven, 0)), "{resting:?}");
        let refused = planned(&process, &format!("sim/db/role/{user}")).await?;
        ensure!(
            refused.subjects.is_empty() && refused.refused[0].code == "not-active",
            "{:?}",
            refused.refused
        );
    }
    Ok(())
}

/// Has somebody a session as this role?
fn session(estate: &mut Estate, role: &str, ends_at: DateTime<Utc>) {
    if let Some(role) = estate.database.roles.get_mut(role) {
        role.sessions.push(Session {
            begun_at: SystemClock.now(),
            ends_at,
            from: "cron on host-7".to_owned(),
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_waited_for_and_then_the_grace() -> Result<()> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    let grace = TimeDelta::seconds(3);
    let process = process(&world, dir.path(), Some(grace)).await?;
    let ends_at = SystemClock.now() + TimeDelta::seconds(6);
    EstateFile::new(dir.path().join("estate.json")).edit(|estate| session(estate, ROLE, ends_at))?;
    let outcome = rotated(&process, planned(&process, BOTH).await?).await?;
    let waited = outcome.steps.iter().find(|step| step.step == "await-no-sessions").context("the wait")?;
    ensure!(
        waited.detail.contains("no session is left") && waited.detail.contains("samples"),
        "{}",
        waited.detail
    );
    let estate = world.observer(dir.path()).estate()?;
    let ended = estate.effects.iter().find(|effect| effect.operation == "disable").context("the end")?;
    // The last sample with a session is at most one interval older than its end.
    ensure!(
        ended.at >= ends_at + grace - TimeDelta::seconds(1),
        "suspended {} after the session",
        ended.at - ends_at
    );
    at_rest(&world, &process, &world.database, dir.path(), true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute: part of the campaign"]
async fn a_session_of_somebody_unknown_stops_it_until_an_operator_decides() -> Result<()> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    let process = process(&world, dir.path(), None).await?;
    let ends_at = SystemClock.now() + TimeDelta::days(1);
    EstateFile::new(dir.path().join("estate.json")).edit(|estate| session(estate, ROLE, ends_at))?;
    let plan = planned(&process, BOTH).await?.subjects.into_iter().next().context("a plan")?;
    let paused = process.attempt(plan).await.context("it did not crash")??;
    let reason = paused.reason.unwrap_or_default();
    ensure!(paused.state == "paused" && reason.contains("cron on host-7"), "{}: {reason}", paused.state);
    ensure!(world.observer(dir.path()).accepts(ROLE, &world.old, &SystemClock)?, "it was ended all the same");
    let done = process.resume(Some(paused.rotation_id), &RUN).await?;
    ensure!(done[0].state == "done", "{:?}", done[0].reason);
    at_rest(&world, &process, &world.database, dir.path(), true).await
}

/// What a plan says of a changed estate.
async fn refused(change: impl FnOnce(&mut Estate)) -> Result<Refusal> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    let process = process(&world, dir.path(), None).await?;
    EstateFile::new(dir.path().join("estate.json")).edit(change)?;
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    let plan = planned(&process, &format!("sim/db/role/{ROLE}")).await?;
    ensure!(plan.subjects.is_empty(), "it is planned");
    plan.refused.into_iter().next().context("a refusal")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_that_cannot_take_turns_is_refused_when_it_is_planned() {
    type Change = fn(&mut Estate);
    let role = |estate: &mut Estate| estate.database.roles[ROLE].clone();
    let changes: [(&str, Change); 4] = [
        ("superuser", |estate| estate.database.roles.get_mut(ROLE).expect("it").superuser = true),
        ("valid-until", |estate| {
            let end = SystemClock.now() + TimeDelta::days(9);
            estate.database.roles.get_mut(ROLE).expect("it").valid_until = Some(end);
        }),
        ("name-taken", |estate| {
            let other = estate.database.roles[ROLE].clone();
            estate.database.roles.insert(OTHER.to_owned(), other);
        }),
        ("copy-without-user", |estate| {
            let secrets = &mut estate.cluster.namespaces.get_mut("payments").expect("it").secrets;
            secrets.get_mut("db").expect("it").data.remove("username");
        }),
    ];
    for (code, change) in changes {
        let refusal = refused(change).await.unwrap_or_else(|error| panic!("{code}: {error:#}"));
        assert_eq!(refusal.code, code, "{}", refusal.reason);
    }
    let working = refused(|estate| {
        let other =
            claviger_backend_simulated::estate::Role { acts_as: Some(ROLE.to_owned()), ..role(estate) };
        estate.database.roles.insert(OTHER.to_owned(), other);
    });
    assert_eq!(working.await.expect("a refusal").code, "standby-works");
}

/// The policy says nothing of turns: the one password is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_turns_unless_a_policy_says_so() -> Result<()> {
    let world = world().await;
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    let process = open(dir.path(), &world.database, Trial::default()).await?;
    let plan = planned(&process, &format!("sim/db/role/{ROLE}")).await?;
    ensure!(plan.subjects[0].strategy == "replace", "{}", plan.subjects[0].strategy);
    ensure!(Ref::from_text(format!("sim/db/role/{ROLE}")) == plan.subjects[0].subject, "another one");
    Ok(())
}
