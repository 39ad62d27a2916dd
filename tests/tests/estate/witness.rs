//! Witness consumers: what pods would do with their copies, all through a rotation.
//!
//! The lab's nodes run no containers, so this plays them: for each real pod of a workload it holds what the pod would have read at its start
//! (an environment variable), or reads it anew each time (a mounted file), and logs in with it at the real server without a pause.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Place, text};

/// Where a witness logs in with what it holds.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// As this role at PostgreSQL.
    Role(&'static str),
    /// As the user whose name it holds.
    User,
    /// By AppRole at OpenBao.
    AppRole,
}

/// A workload whose pods are played.
#[derive(Debug, Clone, Copy)]
struct Workload {
    namespace: &'static str,
    app: &'static str,
    secret: &'static str,
    /// True if its pods read a mounted file at each login; false if they read an environment variable at their start.
    rereads: bool,
    target: Target,
}

/// What one workload's pods saw.
#[derive(Debug, Default)]
struct Tally {
    logins: u32,
    failed: u32,
    /// From the first to the last failed login.
    gap: Option<(Instant, Instant)>,
    /// Pods that came and logged in.
    pods: usize,
}

impl Tally {
    fn gap(&self) -> Duration {
        self.gap.map_or(Duration::ZERO, |(from, to)| to - from)
    }
}

/// A workload that logged in more often than this was played.
const ENOUGH: u32 = 20;
/// For so long a player goes on for that: a busy machine plays slowly.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays the workload's pods until it is told to stop, and has logged in often enough to have seen something.
async fn play(estate: Arc<Estate>, workload: Workload, stop: Arc<AtomicBool>) -> Result<Tally> {
    let mut held: BTreeMap<String, Value> = BTreeMap::new();
    let mut tally = Tally::default();
    let began = Instant::now();
    while !stop.load(Ordering::SeqCst) || tally.logins <= ENOUGH && began.elapsed() < PATIENCE {
        for uid in pods(&estate, &workload).await? {
            if workload.rereads || !held.contains_key(&uid) {
                held.insert(uid.clone(), data(&estate, &workload).await?);
            }
            let accepted = logs_in(&estate, &workload, &held[&uid]).await?;
            tally.logins += 1;
            // A pod that went away in the meantime has no login to lose.
            if !accepted && pods(&estate, &workload).await?.contains(&uid) {
                tally.failed += 1;
                let now = Instant::now();
                tally.gap = Some((tally.gap.map_or(now, |(from, _)| from), now));
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tally.pods = held.len();
    Ok(tally)
}

/// Pods that run and are not going away.
async fn pods(estate: &Estate, workload: &Workload) -> Result<Vec<String>> {
    let path = format!("/api/v1/namespaces/{}/pods?labelSelector=app%3D{}", workload.namespace, workload.app);
    let list = estate.kubernetes.request(Method::GET, &path, None).await?;
    let live =
        list.body["items"].as_array().context("pods")?.iter().filter(|pod| {
            pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
        });
    Ok(live.map(|pod| text(&pod["metadata"], "uid").to_owned()).collect())
}

async fn data(estate: &Estate, workload: &Workload) -> Result<Value> {
    let path = format!("/api/v1/namespaces/{}/secrets/{}", workload.namespace, workload.secret);
    Ok(estate.kubernetes.request(Method::GET, &path, None).await?.body["data"].clone())
}

async fn logs_in(estate: &Estate, workload: &Workload, data: &Value) -> Result<bool> {
    let field = |name: &str| crate::recovery::decoded(&data[name]);
    match workload.target {
        Target::Role(role) => {
            Ok(estate.postgres.accepts(role, field("password")?.trim_end_matches('\n')).await?)
        }
        Target::User => {
            let (user, password) = (field("username")?, field("password")?);
            // A user that rests answers with another error: the pod that still held it must be gone by then.
            Ok(estate.postgres.accepts(&user, password.trim_end_matches('\n')).await.unwrap_or(false))
        }
        Target::AppRole => {
            let login = json!({"role_id": field("role_id")?, "secret_id": field("secret_id")?});
            Ok(estate.openbao.request(Method::POST, "auth/approle/login", Some(&login)).await?.status == 200)
        }
    }
}

/// Plays the workloads, rotates, and lets them go on for a moment.
async fn rotate(
    estate: &Arc<Estate>,
    place: &Place,
    workloads: &[Workload],
    arguments: &[&str],
) -> Result<Vec<Tally>> {
    rotate_within(estate, place, workloads, arguments, Duration::from_millis(500)).await
}

/// The same with this long a moment before and after.
async fn rotate_within(
    estate: &Arc<Estate>,
    place: &Place,
    workloads: &[Workload],
    arguments: &[&str],
    moment: Duration,
) -> Result<Vec<Tally>> {
    let stop = Arc::new(AtomicBool::new(false));
    let players: Vec<_> = workloads
        .iter()
        .map(|workload| tokio::spawn(play(Arc::clone(estate), *workload, Arc::clone(&stop))))
        .collect();
    tokio::time::sleep(moment).await;
    // The program runs beside the players, which must not wait for it.
    let done = tokio::task::block_in_place(|| place.run(arguments, None))?.expect(0)?.json()?;
    ensure!(done["rotations"][0]["state"] == "done", "{done:#}");
    tokio::time::sleep(moment).await;
    stop.store(true, Ordering::SeqCst);
    let mut tallies = Vec::new();
    for (player, workload) in players.into_iter().zip(workloads) {
        let tally = player.await??;
        ensure!(tally.logins > ENOUGH, "{workload:?} was hardly played: {tally:?}");
        // A rollout's pods were seen, so that the failures of new ones would have been too.
        ensure!(tally.pods >= 2, "{workload:?} was not restarted: {tally:?}");
        tallies.push(tally);
    }
    Ok(tallies)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn consumers_of_a_secret_id_never_fail_to_log_in() -> Result<()> {
    let estate = Arc::new(require_lab!(Estate::start().await, Ok(())));
    let mut place = Place::new(estate.directory(), "witness-dual.db");
    place
        .environment
        .push(("CLAVIGER_BACKENDS__PROD__KUBECONFIG".to_owned(), "administrator.kubeconfig".to_owned()));
    place.run(&["scan"], None)?;
    let subject = estate.planted.get("approle-ci-stored").reference.clone().context("its issuer's ref")?;
    let runner = Workload {
        namespace: "ops",
        app: "runner",
        secret: "ci-approle",
        rereads: false,
        target: Target::AppRole,
    };
    let arguments = ["rotate", &subject, "--yes", "-o", "json"];
    let tallies = rotate(&estate, &place, &[runner], &arguments).await?;
    println!("dual: {} logins of {} pods, {} failed", tallies[0].logins, tallies[0].pods, tallies[0].failed);
    ensure!(tallies[0].failed == 0, "{tallies:?}");
    Ok(())
}

/// The same password, and two users that take turns to have one: there and back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn consumers_of_users_that_take_turns_never_fail_to_log_in() -> Result<()> {
    let estate = Arc::new(require_lab!(Estate::start().await, Ok(())));
    let place = Place::new(estate.directory(), "witness-turns.db");
    let place = crate::turns::place(&estate, place)?;
    place.run(&["scan"], None)?.expect(3)?;
    let consumer =
        |app, rereads| Workload { namespace: "payments", app, secret: "db", rereads, target: Target::User };
    let workloads = [consumer("api", false), consumer("worker", false), consumer("reader", true)];
    for user in ["app", "app_alt"] {
        let subject = format!("db/role/{user}");
        let arguments = ["rotate", &subject, "--leave-stale", "--yes", "-o", "json"];
        // Three of them, and each login is a SCRAM exchange with a server beside it.
        let moment = Duration::from_secs(3);
        let tallies = rotate_within(&estate, &place, &workloads, &arguments, moment).await?;
        for (workload, tally) in workloads.iter().zip(&tallies) {
            println!(
                "alternating, {user} rests: {}: {} logins of {} pods, {} failed",
                workload.app, tally.logins, tally.pods, tally.failed
            );
            ensure!(tally.failed == 0, "{}: {tally:?}", workload.app);
        }
        tokio::task::block_in_place(|| place.run(&["scan"], None))?;
    }
    Ok(())
}

/// Where the target holds one value there is a gap, which is measured; it ends for every consumer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn consumers_of_a_password_fail_for_a_moment_and_no_longer() -> Result<()> {
    let estate = Arc::new(require_lab!(Estate::start().await, Ok(())));
    let place = Place::new(estate.directory(), "witness-replace.db");
    place.run(&["scan"], None)?.expect(3)?;
    let consumer = |app, rereads| Workload {
        namespace: "payments",
        app,
        secret: "db",
        rereads,
        target: Target::Role("app"),
    };
    let workloads = [consumer("api", false), consumer("worker", false), consumer("reader", true)];
    let arguments = ["rotate", "db/role/app", "--leave-stale", "--yes", "-o", "json"];
    let tallies = rotate(&estate, &place, &workloads, &arguments).await?;
    for (workload, tally) in workloads.iter().zip(&tallies) {
        println!(
            "replace: {}: {} logins of {} pods, {} failed within {} ms",
            workload.app,
            tally.logins,
            tally.pods,
            tally.failed,
            tally.gap().as_millis()
        );
        ensure!(tally.gap() < Duration::from_secs(10), "{} was cut off: {tally:?}", workload.app);
        // And now it works.
        for _ in 0..3 {
            let data = data(&estate, workload).await?;
            ensure!(logs_in(&estate, workload, &data).await?, "{} cannot log in afterwards", workload.app);
        }
    }
    Ok(())
}
