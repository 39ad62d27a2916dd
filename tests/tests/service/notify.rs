//! Others are told what happens, through real receivers that fail, hang, send elsewhere and are gone: whoever wants to know knows in the end, once by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::house::{House, PATIENCE, Serving};

const SQLITE: &str = "sqlite://claviger.db";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ROLE: &str = "sim/db/role/app_000";

/// Something that was sent.
#[derive(Debug, Clone)]
struct Heard {
    to: String,
    id: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Heard {
    fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.body)?)
    }

    /// Written from the specification, with nothing of ours: is it signed with the secret, now?
    fn is_signed(&self) -> Result<bool> {
        let at = self.headers.get("webhook-timestamp").context("a timestamp")?;
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
        mac.update(format!("{}.{at}.{}", self.id, self.body).as_bytes());
        let given = self.headers.get("webhook-signature").context("a signature")?;
        let given = STANDARD.decode(given.strip_prefix("v1,").context("v1")?)?;
        let age = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs().abs_diff(at.parse()?);
        Ok(mac.verify_slice(&given).is_ok() && age < 300)
    }
}

#[derive(Clone, Default)]
struct Ear(Arc<Mutex<(Vec<Heard>, bool)>>);

impl Ear {
    fn with<T>(&self, act: impl FnOnce(&mut (Vec<Heard>, bool)) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn heard(&self, to: &str) -> Vec<Heard> {
        self.with(|(all, _)| all.iter().filter(|one| one.to == to).cloned().collect())
    }

    fn events(&self, to: &str) -> Vec<String> {
        let events =
            self.heard(to).into_iter().filter_map(|one| Some(one.json().ok()?["type"].as_str()?.to_owned()));
        events.collect()
    }

    /// Those that hang answer from now on.
    fn wake(&self) {
        self.with(|(_, awake)| *awake = true);
    }
}

async fn listen(
    State(ear): State<Ear>,
    Path(to): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let kept = ["webhook-timestamp", "webhook-signature", "content-type", "authorization"];
    let heard = Heard {
        to: to.clone(),
        id: text("webhook-id"),
        headers: kept.iter().map(|name| ((*name).to_owned(), text(name))).collect(),
        body,
    };
    let (times, awake) = ear.with(|(all, awake)| {
        let times = all.iter().filter(|one| one.to == to && one.id == heard.id).count();
        all.push(heard);
        (times, *awake)
    });
    match to.as_str() {
        "hangs" if !awake => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            StatusCode::OK.into_response()
        }
        "fails" if times < 2 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "gone" => StatusCode::GONE.into_response(),
        "elsewhere" => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/trap")]).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn ear() -> Result<(Ear, String)> {
    let ear = Ear::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/{to}", post(listen)).with_state(ear.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((ear, address))
}

fn receiver(address: &str, name: &str, rest: &str) -> String {
    format!(
        "[notify.{name}]\nkind = \"generic\"\nurl = \"{address}/{name}\"\nsecret = {{ file = \"notify.secret\" }}\n{rest}"
    )
}

fn house(rest: &str) -> Result<House> {
    let house = House::new(2, SQLITE, rest)?;
    std::fs::write(house.path().join("notify.secret"), SECRET)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    house.json(&["schedule", "pause", "--all", "--reason", "a test"])?;
    Ok(house)
}

async fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds()? {
        ensure!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

fn opened(house: &House, title: &str) -> Result<String> {
    let opened = house.json(&["incident", "open", "--title", title])?;
    Ok(opened["incident"]["incident"]["id"]
        .as_str()
        .or(opened["incident"]["id"].as_str())
        .context("an id")?
        .to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_told_in_the_end_and_nobody_waits_for_anybody() -> Result<()> {
    let (ear, address) = ear().await?;
    let names = ["good", "fails", "hangs", "gone", "elsewhere"];
    let mut rest: String = names.iter().map(|name| receiver(&address, name, "")).collect();
    rest.push_str(&receiver(&address, "few", "events = [\"incident.closed\"]\n"));
    rest.push_str(&receiver(&address, "other", "where = [\"prod/*\"]\nevents = [\"revocation.proven\"]\n"));
    rest.push_str(&format!("[notify.chat]\nkind = \"slack\"\nurl = \"{address}/chat\"\n"));
    let house = house(&rest)?;
    let service = house.serve("worker")?;
    service.until_ready(true, PATIENCE).await?;
    // Whoever is new is told what happens from now on: the first look has to be over.
    until("it has begun", || Ok(house.items(&["list", "notifications"]).is_ok())).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;

    let id = opened(&house, "<!channel> a key & more in a gist")?;
    let revoked = house.run(&["revoke", ROLE, "--reason", "leaked", "--yes", "-o", "json"])?;
    ensure!(revoked.code == 0, "{}\n{}", revoked.stdout, revoked.stderr);
    house.json(&["incident", "close", &id, "--note", "it is over"])?;
    let expected = ["incident.opened", "revocation.proven", "incident.closed"];
    until("the good one knows", || {
        Ok(expected.iter().all(|event| ear.events("good").contains(&(*event).to_owned())))
    })
    .await?;
    let good = ear.heard("good");
    for one in &good {
        ensure!(one.is_signed()? && one.headers["content-type"] == "application/json", "{one:?}");
        ensure!(one.headers["authorization"].is_empty(), "{one:?}");
        let body = one.json()?;
        ensure!(body["data"]["audit_seq"].is_i64() && body["timestamp"].is_string(), "{body:#}");
    }
    let ids: BTreeSet<_> = good.iter().map(|one| one.id.clone()).collect();
    ensure!(ids.len() == good.len(), "one was told twice: {good:#?}");
    let proven = good.iter().find(|one| one.body.contains("revocation.proven")).context("it")?.json()?;
    ensure!(
        proven["data"]["refs"][0] == ROLE && proven["data"]["detail"]["verdict"] == "proven",
        "{proven:#}"
    );

    // One that fails twice has it at the third time, under the same name and with the same words.
    until("the failing one knows", || Ok(ear.heard("fails").len() >= 9)).await?;
    let mut attempts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in ear.heard("fails") {
        ensure!(one.is_signed()?, "{one:?}");
        attempts.entry(one.id.clone()).or_default().insert(one.body.clone());
    }
    ensure!(attempts.len() == 3 && attempts.values().all(|bodies| bodies.len() == 1), "{attempts:#?}");
    ensure!(attempts.keys().all(|id| ids.contains(id)), "another name for another receiver");
    ensure!(ear.events("few") == ["incident.closed"], "{:?}", ear.events("few"));
    ensure!(ear.heard("other").is_empty(), "{:?}", ear.heard("other"));
    ensure!(ear.heard("trap").is_empty() && !ear.heard("elsewhere").is_empty(), "a redirect was followed");

    // For people, in a chat: nobody's name is a tag in it.
    until("the chat knows", || Ok(ear.heard("chat").len() == 3)).await?;
    for one in ear.heard("chat") {
        let message = one.json()?;
        ensure!(message["text"].is_string() && message["blocks"][0]["type"] == "section", "{message:#}");
        ensure!(!one.body.contains('<'), "{}", one.body);
    }
    ensure!(
        ear.heard("chat").iter().any(|one| one.body.contains("&lt;!channel&gt; a key &amp; more")),
        "escaped"
    );

    // What could not be told is shown: given up where it is gone, pending where it hangs or is sent elsewhere.
    until("the gone one is given up", || {
        let open = house.items(&["list", "notifications"])?;
        let of = |name: &str, state: &str| {
            open.iter().filter(|one| one["receiver"] == name && one["state"] == state).count()
        };
        Ok(of("gone", "dead") == 3
            && of("hangs", "pending") == 3
            && of("elsewhere", "pending") == 3
            && open.len() == 9)
    })
    .await?;
    let open = house.items(&["list", "notifications"])?;
    let error = |name: &str| {
        let one = open.iter().find(|one| one["receiver"] == name && one["last_error"].is_string());
        one.map(|one| one["last_error"].to_string()).unwrap_or_default()
    };
    ensure!(error("elsewhere").contains("307") && error("gone").contains("410"), "{open:#?}");
    ensure!(ear.heard("gone").len() == 3, "what is gone is asked again");
    let metrics = service.get("/metrics").await?.1;
    ensure!(metrics.contains("claviger_notifications{state=\"dead\"} 3\n"), "{metrics}");
    ensure!(metrics.contains("claviger_notifications_sent_total{result=\"sent\"}"), "{metrics}");

    // One that was down has lost nothing.
    ear.wake();
    until("the one that hung knows", || {
        let known: BTreeSet<_> = ear.heard("hangs").into_iter().map(|one| one.id).collect();
        let open = house.items(&["list", "notifications"])?;
        Ok(known == ids && !open.iter().any(|one| one["receiver"] == "hangs"))
    })
    .await?;
    ensure!(
        !service.said()?.contains(SECRET) && !service.said()?.contains(&address),
        "the log tells too much"
    );
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_and_not_noted_is_sent_again_under_its_name() -> Result<()> {
    let (ear, address) = ear().await?;
    let house = house(&receiver(&address, "hangs", ""))?;
    let service = house.serve("worker")?;
    service.until_ready(true, PATIENCE).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    opened(&house, "the first")?;
    until("it was sent", || Ok(ear.heard("hangs").len() == 1)).await?;
    service.kill()?;
    // While nobody tells, something happens, and nobody forgets it.
    opened(&house, "the second")?;
    ear.wake();
    let two = (house.serve("worker")?, house.serve("worker")?);
    until("both are told", || Ok(ear.heard("hangs").len() >= 3)).await?;
    until("nothing is left", || Ok(house.items(&["list", "notifications"])?.is_empty())).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let heard = ear.heard("hangs");
    ensure!(heard.len() == 3, "two workers sent the same: {heard:#?}");
    ensure!(heard[0].id == heard[1].id || heard[0].id == heard[2].id, "another name: {heard:#?}");
    let bodies: BTreeMap<_, _> = heard.iter().map(|one| (one.id.clone(), one.body.clone())).collect();
    ensure!(bodies.len() == 2, "{bodies:#?}");
    ensure!(heard.iter().all(|one| bodies[&one.id] == one.body), "other words under one name: {heard:#?}");
    drop(two);
    Ok(())
}

/// Has the process read its configuration anew, and waits for what it says of that.
async fn reread(house: &House, service: &Serving, configuration: &str, says: &str) -> Result<()> {
    let before = service.said()?.matches(says).count();
    std::fs::write(house.path().join("claviger.toml"), configuration)?;
    service.signal("-HUP")?;
    until(says, || Ok(service.said()?.matches(says).count() > before)).await
}

const TAKEN: &str = "the configuration was read anew";

/// Who is told is taken over with the configuration. What is under way and what is queued is not lost by that, nor sent twice by it.
#[tokio::test(flavor = "multi_thread")]
async fn receivers_are_replaced_while_it_runs_and_nothing_is_lost() -> Result<()> {
    let (ear, address) = ear().await?;
    let house = house(&receiver(&address, "hangs", ""))?;
    let service = house.serve("worker")?;
    service.until_ready(true, PATIENCE).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    opened(&house, "the first")?;
    until("it is under way", || Ok(ear.heard("hangs").len() == 1)).await?;

    // One that cannot be: nothing of it is taken over.
    let first = std::fs::read_to_string(house.path().join("claviger.toml"))?;
    let broken = format!("{first}\n[notify.bad]\nkind = \"slack\"\nurl = {{ file = \"absent\" }}\n");
    reread(&house, &service, &broken, "the configuration was not taken over").await?;
    opened(&house, "the second")?;
    until("who was told before is told still", || Ok(ear.heard("hangs").len() >= 2)).await?;

    let more = format!("{first}\n{}", receiver(&address, "good", ""));
    reread(&house, &service, &more, TAKEN).await?;
    ensure!(!service.said()?.contains("taken over at the next start"), "{}", service.said()?);
    // Whoever is new is told what happens from now on.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let third = opened(&house, "the third")?;
    until("the new one knows", || Ok(ear.events("good") == ["incident.opened"])).await?;
    ensure!(ear.heard("good")[0].is_signed()? && ear.heard("good")[0].body.contains(&third), "another one");
    ear.wake();
    until("the one that hung knows all three", || {
        let known: BTreeSet<_> = ear.heard("hangs").into_iter().map(|one| one.id).collect();
        Ok(known.len() == 3 && house.items(&["list", "notifications"])?.is_empty())
    })
    .await?;

    // Who is named no more is told no more, and what it asks for is what is said now.
    let alone = first.replace(&receiver(&address, "hangs", ""), "");
    ensure!(alone != first, "its section is another one");
    let few = format!("{alone}\n{}", receiver(&address, "good", "events = [\"incident.closed\"]\n"));
    reread(&house, &service, &few, TAKEN).await?;
    let heard = ear.heard("hangs").len();
    opened(&house, "the fourth")?;
    house.json(&["incident", "close", &third, "--note", "it is over"])?;
    until("the good one knows of its end", || {
        Ok(ear.events("good").last().is_some_and(|event| event == "incident.closed"))
    })
    .await?;
    ensure!(ear.events("good").len() == 2, "{:?}", ear.events("good"));
    ensure!(ear.heard("hangs").len() == heard, "who is named no more was told");
    Ok(())
}

/// Each guard has its word, and whoever asked for it is told.
#[tokio::test(flavor = "multi_thread")]
async fn each_guard_that_holds_something_back_is_told() -> Result<()> {
    let (ear, address) = ear().await?;
    let guards = |words: &str| format!("[guards]\n{words}\n");
    let house = house(&format!("{}{}", guards("max_targets = 1"), receiver(&address, "good", "")))?;
    let service = house.serve("worker")?;
    service.until_ready(true, PATIENCE).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let file = house.path().join("claviger.toml");
    let first = std::fs::read_to_string(&file)?;
    let guarded = |words: &str| -> Result<()> {
        Ok(std::fs::write(&file, first.replace(&guards("max_targets = 1"), &guards(words)))?)
    };
    const ALL: &str = "sim/db/role/app_*";
    let refused = |arguments: &[&str], code: &str| -> Result<()> {
        let said = house.run(arguments)?;
        ensure!(said.code == 4 && said.stderr.contains(code), "exit {}: {}", said.code, said.stderr);
        Ok(())
    };
    let told = |event: &'static str, words: &'static str| {
        let ear = ear.clone();
        async move {
            until(event, || {
                let mut heard = ear.heard("good").into_iter();
                Ok(heard.any(|one| one.body.contains(&format!("\"{event}\"")) && one.body.contains(words)))
            })
            .await
        }
    };
    refused(&["rotate", ALL, "--yes"], "CLV0410")?;
    told("approval.wanted", "max_targets").await?;
    guarded("max_share = 0.1")?;
    refused(&["revoke", ALL, "--reason", "leaked", "--yes"], "CLV0410")?;
    told("approval.wanted", "max_share").await?;
    guarded("max_targets = 1\noperator_key = true")?;
    // Of a plan that is only looked at nobody is told.
    ensure!(house.run(&["rotate", ALL, "--dry-run"])?.code == 0, "a dry run");
    refused(&["rotate", ALL, "--yes"], "CLV0414")?;
    told("guard.stopped", "operator_key").await?;
    guarded("canary = 1")?;
    refused(&["rotate", ALL, "--detach", "--yes"], "CLV0413")?;
    told("guard.stopped", "canary").await?;
    guarded("max_targets = 1")?;
    let id = opened(&house, "a dump in a gist")?;
    let said = house.run(&["revoke", ALL, "--reason", "leaked", "--incident", &id, "--yes"])?;
    ensure!(said.code == 0, "exit {}: {}", said.code, said.stderr);
    told("guard.bypassed", "max_targets").await?;
    let pause = house.json(&["schedule", "pause", ALL, "--reason", "a release"])?;
    told("schedule.paused", "a release").await?;
    house.json(&["schedule", "resume", pause["id"].as_str().context("an id")?])?;
    told("schedule.resumed", ALL).await?;
    let stopped = ear.events("good").iter().filter(|event| *event == "guard.stopped").count();
    ensure!(stopped == 2, "told {stopped} times: {:?}", ear.events("good"));
    Ok(())
}
