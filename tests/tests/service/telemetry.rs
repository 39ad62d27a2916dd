//! Traces: a collector that speaks OTLP over HTTP gets what was done and no value, and one that is not there keeps nobody.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use reqwest::Method;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    api::Asker,
    house::{House, PATIENCE},
};

const SQLITE: &str = "sqlite://claviger.db";
const ROLES: usize = 3;
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    services: Vec<String>,
    shown: Vec<String>,
    bodies: Vec<Vec<u8>>,
}

/// A collector in this process.
struct Collector {
    address: String,
    received: Arc<Mutex<Received>>,
    task: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Collector {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let received = Arc::new(Mutex::new(Received::default()));
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&received));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, received, task })
    }

    fn spans(&self) -> Vec<Span> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).spans.clone()
    }

    async fn until(&self, what: &str, enough: impl Fn(&[Span]) -> bool) -> Result<Vec<Span>> {
        let begun = Instant::now();
        loop {
            let spans = self.spans();
            if enough(&spans) {
                return Ok(spans);
            }
            let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
            ensure!(begun.elapsed() < PATIENCE, "no {what} in {names:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn take(State(received): State<Arc<Mutex<Received>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body.as_ref()) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    received.shown.push(shown.to_owned());
    received.bodies.push(body.to_vec());
    for resource in request.resource_spans {
        let service = resource.resource.as_ref().and_then(|one| text(&one.attributes, "service.name"));
        received.services.extend(service);
        received.spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    StatusCode::OK
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    match attributes.iter().find(|one| one.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Values of the estate in its file: what targets and copies hold.
fn values(house: &House) -> Result<Vec<String>> {
    let file = std::fs::read_to_string(house.path().join("estate.json"))?;
    let mut values = Vec::new();
    let mut open = vec![serde_json::from_str::<serde_json::Value>(&file)?["secret_store"].take()];
    while let Some(one) = open.pop() {
        match one {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    match value {
                        serde_json::Value::String(text) if key == "password" => values.push(text),
                        other => open.push(other),
                    }
                }
            }
            serde_json::Value::Array(all) => open.extend(all),
            _ => {}
        }
    }
    Ok(values)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_sees_what_was_done_and_no_value() -> Result<()> {
    let collector = Collector::start().await?;
    let rest = format!(
        "[telemetry]\nendpoint = \"{}\"\nservice = \"keys\"\nheaders = {{ authorization = {{ file = \"collector.token\" }} }}\n",
        collector.address
    );
    let house = House::new(ROLES, SQLITE, "")?;
    std::fs::write(house.path().join("collector.token"), "Bearer for-the-collector\n")?;
    house.configure(SQLITE, &rest)?;
    let mut secrets = values(&house)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("api,scheduler,worker")?;
    house.until_done(ROLES).await?;
    // Without a token: refused, and traced all the same.
    let asker = Asker::new(&service, None)?;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let answer =
        asker.send(Method::GET, "/api/v1/credentials", &[("traceparent", &traceparent)], None).await?;
    ensure!(answer.status == 401, "{answer:?}");
    ensure!(service.get("/readyz").await?.0 == 200 && service.get("/metrics").await?.0 == 200);
    let (code, _) = service.stop()?;
    ensure!(code == 0, "exit {code}");

    let spans = collector
        .until("firing", |spans| spans.iter().filter(|span| span.name == "firing").count() >= ROLES)
        .await?;
    let by_id: BTreeMap<&[u8], &Span> = spans.iter().map(|span| (span.span_id.as_slice(), span)).collect();
    let parent = |span: &Span| by_id.get(span.parent_span_id.as_slice()).copied();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    // A firing holds its rotation, that its steps, each of them its calls. One that was recorded and then taken up by whoever looks for what nobody drives is
    // a trace of its own.
    let mut within_firings = 0;
    let firings = named("firing");
    ensure!(
        firings.len() == ROLES && firings.iter().all(|span| span.parent_span_id.is_empty()),
        "{firings:#?}"
    );
    for firing in firings {
        let subject = text(&firing.attributes, "firing.subject").context("a subject")?;
        let within = |outer: &Span, name: &str| -> Vec<&Span> {
            spans.iter().filter(|span| span.name == name && span.parent_span_id == outer.span_id).collect()
        };
        let own =
            |span: &&&Span| text(&span.attributes, "saga.credential").as_deref() == Some(subject.as_str());
        let all = named("saga");
        let rotations: Vec<&Span> = all.iter().filter(own).copied().collect();
        within_firings += within(firing, "saga").len();
        ensure!(rotations.len() == 1, "{subject}: {rotations:#?}");
        ensure!(
            text(&rotations[0].attributes, "saga.credential").as_deref() == Some(subject.as_str()),
            "{rotations:#?}"
        );
        ensure!(text(&rotations[0].attributes, "saga.kind").as_deref() == Some("rotation"), "{rotations:#?}");
        ensure!(text(&rotations[0].attributes, "saga.state").as_deref() == Some("done"), "{rotations:#?}");
        let steps = within(rotations[0], "step");
        ensure!(steps.len() > 3, "{subject}: {} steps", steps.len());
        for step in &steps {
            let outcome = text(&step.attributes, "step.outcome");
            ensure!(matches!(outcome.as_deref(), Some("succeeded" | "waits")), "{step:#?}");
            ensure!(step.trace_id == rotations[0].trace_id, "another trace");
        }
        let calls: Vec<String> = steps
            .iter()
            .flat_map(|step| within(step, "backend.call"))
            .filter_map(|call| text(&call.attributes, "operation.name"))
            .collect();
        for operation in ["issuer.issue", "issuer.verify", "store.write"] {
            ensure!(calls.iter().any(|name| name == operation), "no {operation} in {calls:?}");
        }
    }
    ensure!(within_firings > 0, "no rotation belongs to its firing");
    let requests = named("/api/v1/credentials");
    ensure!(requests.len() == 1, "{requests:#?}");
    ensure!(
        hex::encode(&requests[0].trace_id) == TRACE && hex::encode(&requests[0].parent_span_id) == PARENT,
        "{requests:#?}"
    );
    ensure!(
        text(&requests[0].attributes, "http.response.status_code").as_deref() == Some("401"),
        "{requests:#?}"
    );
    ensure!(
        spans.iter().all(|span| !span.name.contains("readyz") && !span.name.contains("metrics")),
        "probes are no traces"
    );
    ensure!(spans.iter().filter(|span| parent(span).is_some()).count() > ROLES * 8, "spans hang together");

    let received = collector.received.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(
        received.services.iter().all(|name| name == "keys") && !received.services.is_empty(),
        "{:?}",
        received.services
    );
    ensure!(received.shown.iter().all(|shown| shown == "Bearer for-the-collector"), "{:?}", received.shown);
    secrets.extend(values(&house)?);
    secrets.sort();
    secrets.dedup();
    ensure!(secrets.len() == ROLES * 2, "{} values", secrets.len());
    for secret in &secrets {
        let held = received
            .bodies
            .iter()
            .any(|body| body.windows(secret.len()).any(|piece| piece == secret.as_bytes()));
        ensure!(!held, "a value is in a trace");
    }
    println!(
        "{} spans in {} messages, {} values in none of them",
        spans.len(),
        received.bodies.len(),
        secrets.len()
    );
    drop(received);
    house.in_step()
}

/// Nobody listens, or somebody takes connections and says nothing: the work is done, and the end comes in its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_or_hangs_delays_nothing() -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let closed = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    for (what, address) in [("hangs", silent.local_addr()?), ("is down", closed)] {
        let house = House::new(ROLES, SQLITE, &format!("[telemetry]\nendpoint = \"http://{address}\"\n"))?;
        ensure!(house.run(&["scan"])?.code == 0, "scan");
        let service = house.serve("scheduler,worker")?;
        house.until_done(ROLES).await?;
        house.in_step()?;
        let (code, took) = service.stop()?;
        // Ten seconds for the steps, two for what is left, and what the machine takes.
        ensure!(code == 0 && took < Duration::from_secs(20), "{what}: exit {code} after {took:?}");
        println!("a collector that {what}: ended after {} ms", took.as_millis());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused() -> Result<()> {
    let house = House::new(1, SQLITE, "")?;
    for (rest, word) in [
        ("[telemetry]\nendpoint = \"collector\"\n", "endpoint"),
        ("[telemetry]\nendpoint = \"http://127.0.0.1:4318\"\nsample = 2.0\n", "sample"),
        (
            "[telemetry]\nendpoint = \"http://collector.internal\"\nheaders = { authorization = { env = \"HOME\" } }\n",
            "clear",
        ),
    ] {
        house.configure(SQLITE, rest)?;
        let said = house.run(&["list", "credentials"])?;
        ensure!(
            said.code == 2 && said.stderr.contains("error[CLV0790]") && said.stderr.contains(word),
            "{}",
            said.stderr
        );
    }
    Ok(())
}
