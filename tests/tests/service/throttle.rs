//! A target that has no room: it answers 429 and says for how long. Its budget is closed for just that long, for all that has to be done there; others go on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::clock::{Clock as _, SystemClock};
use claviger_tests::{
    lab::{openbao::OpenBao, private::write_private},
    require_lab,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::house::{House, PATIENCE};

const REST_FOR: i64 = 25;
/// From one look to the next, and what a busy machine takes.
const ALLOWED: i64 = 15;

#[derive(Default)]
struct Door {
    upstream: String,
    /// From the next write on there is no room.
    armed: bool,
    refused: Option<DateTime<Utc>>,
    /// Writes that were refused.
    answered: usize,
}

/// An HTTP server in front of the target.
struct Gate {
    address: String,
    door: Arc<Mutex<Door>>,
    task: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gate {
    async fn start(upstream: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let door = Arc::new(Mutex::new(Door { upstream: upstream.to_owned(), ..Door::default() }));
        let router = Router::new().fallback(pass).with_state(Arc::clone(&door));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, door, task })
    }

    fn arm(&self) {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).armed = true;
    }

    fn refused(&self) -> Option<DateTime<Utc>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).refused
    }

    fn answered(&self) -> usize {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).answered
    }
}

/// Is this a change of what lies there? Logins and looks are none.
fn writes(request: &Request) -> bool {
    request.method() != Method::GET && request.uri().path().starts_with("/v1/kv/")
}

async fn pass(State(door): State<Arc<Mutex<Door>>>, request: Request) -> Response {
    let upstream = {
        let mut door = door.lock().unwrap_or_else(PoisonError::into_inner);
        if writes(&request) {
            let now = SystemClock.now();
            if std::mem::take(&mut door.armed) {
                door.refused = Some(now);
            }
            let left = door.refused.map_or(TimeDelta::zero(), |at| at + TimeDelta::seconds(REST_FOR) - now);
            if left > TimeDelta::zero() {
                door.answered += 1;
                // Whole seconds, rounded up.
                let wait = [("retry-after", (left.num_milliseconds() + 999).div_euclid(1000).to_string())];
                return (StatusCode::TOO_MANY_REQUESTS, wait, r#"{"errors":["request rate limited"]}"#)
                    .into_response();
            }
        }
        door.upstream.clone()
    };
    forward(&upstream, request).await.unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
}

async fn forward(upstream: &str, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let client = claviger_tests::lab::http::client(None)?;
    let mut headers = parts.headers;
    headers.remove("host");
    let body = to_bytes(body, 1 << 20).await?;
    let asked = client.request(parts.method, format!("{upstream}{path}")).headers(headers).body(body);
    let answer = asked.send().await?;
    let (status, headers, body) = (answer.status(), answer.headers().clone(), answer.bytes().await?);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for name in ["content-type", "cache-control"] {
        if let Some(value) = headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

fn time(value: &Value) -> Result<DateTime<Utc>> {
    Ok(value.as_str().context("a time")?.parse()?)
}

/// Waits for the first rotation of this subject in this state or beyond; gives when it was begun.
async fn begun(house: &House, subject: &str, done: bool) -> Result<DateTime<Utc>> {
    let start = std::time::Instant::now();
    loop {
        let rotations = house.items(&["list", "rotations"])?;
        let found = rotations.iter().find(|one| one["ref"] == subject && (!done || one["state"] == "done"));
        if let Some(found) = found {
            return time(&found["started_at"]);
        }
        ensure!(start.elapsed() < PATIENCE, "{subject} is not rotated: {rotations:#?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_429_closes_the_budget_of_its_backend_for_as_long_as_it_says() -> Result<()> {
    let openbao = require_lab!(OpenBao::start().await, Ok(()));
    openbao.write("sys/mounts/kv", &json!({"type": "kv", "options": {"version": "2"}})).await?;
    for name in ["first", "second"] {
        let value = claviger_tests::lab::private::random_token()?;
        openbao.write(&format!("kv/data/hooks/{name}"), &json!({"data": {"webhook-secret": value}})).await?;
    }
    let gate = Gate::start(openbao.address()).await?;
    let rest = format!(
        "[policies.hooks]\nmatch = \"vault/kv/hooks/*\"\nmax_age = \"3650d\"\nstrategy = \"copy-only\"\n\
         [backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"bao.token\" }}\ninclude = [\"kv\"]\n\
         [guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n",
        gate.address
    );
    let house = House::new(2, "sqlite://claviger.db", &rest)?;
    write_private(&house.path().join("bao.token"), openbao.token())?;
    let file = house.path().join("claviger.toml");
    std::fs::write(
        &file,
        std::fs::read_to_string(&file)?.replace("max_age = \"30d\"", "max_age = \"3650d\""),
    )?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let copies = house.items(&["list", "copies"])?;
    let refs: Vec<String> = ["first", "second"]
        .iter()
        .map(|name| format!("vault/kv/hooks/{name}#webhook-secret"))
        .filter(|at| copies.iter().any(|copy| copy["ref"] == at.as_str()))
        .collect();
    ensure!(refs.len() == 2, "{copies:#?}");
    let service = house.serve("scheduler,worker")?;
    service.until_ready(true, PATIENCE).await?;
    let ask = |at: &str| -> Result<()> {
        let asked = house.json(&["schedule", "run", at, "--reason", "now"])?;
        ensure!(asked["starts"] == json!([at]), "{asked:#}");
        Ok(())
    };
    gate.arm();
    ask(&refs[0])?;
    let start = std::time::Instant::now();
    while gate.refused().is_none() {
        ensure!(start.elapsed() < PATIENCE, "nothing was written: {}", service.said()?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let closed = gate.refused().context("it was refused")?;
    // Both are asked for in the same moment: one where there is no room, and one elsewhere.
    ask(&refs[1])?;
    ask("sim/db/role/app_000")?;
    let elsewhere = begun(&house, "sim/db/role/app_000", true).await? - closed;
    ensure!(elsewhere < TimeDelta::seconds(REST_FOR - 5), "what is elsewhere waited: {elsewhere}");
    let there = begun(&house, &refs[1], true).await? - closed;
    ensure!(there >= TimeDelta::seconds(REST_FOR - 1), "begun in a closed budget: after {there}");
    ensure!(there <= TimeDelta::seconds(REST_FOR + ALLOWED), "closed for longer than it said: {there}");
    // The one that found the door closed waits for it, and comes to its end: it is one rotation, and was not taken back.
    let first = begun(&house, &refs[0], true).await?;
    ensure!(first < closed + TimeDelta::seconds(ALLOWED), "it was begun anew: {first}");
    let rotations = house.items(&["list", "rotations"])?;
    let of_first = rotations.iter().filter(|one| one["ref"] == refs[0].as_str()).count();
    ensure!(of_first == 1, "it was taken back and begun again: {rotations:#?}");
    ensure!(gate.answered() <= 2, "{} writes came while there was no room", gate.answered());
    println!(
        "429 with Retry-After {REST_FOR}: {} writes were refused, and the first rotation waited; elsewhere begun after {:.1} s, there after {:.1} s",
        gate.answered(),
        elsewhere.num_milliseconds() as f64 / 1000.0,
        there.num_milliseconds() as f64 / 1000.0
    );
    // That nothing is begun there is told once, and not at each look.
    let log = house.run(&["audit", "export"])?.stdout;
    let closed = log.lines().filter(|line| line.contains("\"budget-closed\"")).count();
    ensure!(closed == 1, "noted {closed} times");
    let (code, _) = service.stop()?;
    ensure!(code == 0, "exit {code}");
    Ok(())
}
