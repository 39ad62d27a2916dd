//! Leaks that others report by a request: believed by its signature alone, acted on once, and no more than an incident comes of it.

use anyhow::{Context as _, Result, ensure};
use axum::{Router, routing::get};
use claviger_backend_simulated::EstateFile;
use claviger_core::clock::{Clock as _, SystemClock};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    api::{Answered, Asker},
    house::{House, PATIENCE, Serving},
};

const SQLITE: &str = "sqlite://claviger.db";
const ROLE: &str = "sim/db/role/app_000";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const HOOK: &str = "/api/v1/webhooks/scanner";
const CONFIGURED: &str = "[webhooks.scanner]\nkind = \"signed\"\nsecret = { file = \"scanner.secret\" }\n";

/// The example of GitHub's documentation of its secret scanning partner program.
const GITHUB_BODY: &str = r#"[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]"#;
const GITHUB_ID: &str = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c";
const GITHUB_SIGNED: &str =
    "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==";
const GITHUB_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\nAjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\n-----END PUBLIC KEY-----\n";

async fn served(house: &House) -> Result<Serving> {
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    // What is reported is to be there still.
    house.json(&["schedule", "pause", "--all", "--reason", "a test"])?;
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    Ok(service)
}

fn house(rest: &str) -> Result<House> {
    let house = House::new(2, SQLITE, &format!("{CONFIGURED}{rest}"))?;
    std::fs::write(house.path().join("scanner.secret"), SECRET)?;
    Ok(house)
}

/// The value of a role, as its copy holds it.
fn value(house: &House, role: &str) -> Result<String> {
    let estate = EstateFile::new(house.path().join("estate.json")).load()?;
    let entry = estate.secret_store.paths.get(&format!("apps/{role}")).context("its copy")?;
    let version = entry.current().context("a version")?;
    Ok(String::from_utf8(version.fields["password"].expose().to_vec())?)
}

fn now() -> i64 {
    SystemClock.now().timestamp()
}

fn signature(secret: &[u8], at: i64, body: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)?;
    mac.update(format!("{at}.{body}").as_bytes());
    Ok(format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
}

async fn send(nobody: &Asker, at: i64, signature: &str, body: &str) -> Result<Answered> {
    let at = at.to_string();
    let headers = [("x-claviger-timestamp", at.as_str()), ("x-claviger-signature", signature)];
    nobody.send(Method::POST, HOOK, &headers, Some(body)).await
}

async fn report(nobody: &Asker, at: i64, body: &Value) -> Result<Answered> {
    let body = body.to_string();
    send(nobody, at, &signature(SECRET, at, &body)?, &body).await
}

fn incidents(house: &House) -> Result<Vec<Value>> {
    house.items(&["incident", "status"])
}

fn entries(house: &House, kind: &str) -> Result<Vec<Value>> {
    let log = house.run(&["audit", "export"])?.stdout;
    let all = log.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
    Ok(all.into_iter().filter(|entry| entry["kind"] == kind).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_opens_one_incident_however_often_it_comes_and_is_told_nowhere() -> Result<()> {
    let house = house("")?;
    let leaked = value(&house, "app_000")?;
    let mut service = served(&house).await?;
    let nobody = Asker::new(&service, None)?;
    let body = json!({ "leaks": [
        { "value": leaked, "rule": "password", "place": "app.env", "line": 3 },
        { "value": "N0body-knows-this-0ne", "place": "b.env" },
    ] });
    let at = now();
    let first = report(&nobody, at, &body).await?;
    ensure!(first.status == 202 && first.body["schema"] == "claviger.received/v1", "{first:?}");
    ensure!(first.body["values"] == 2 && first.body["skipped"] == 0, "{first:?}");
    let opened = incidents(&house)?;
    ensure!(opened.len() == 1 && opened[0]["items"][0]["ref"] == ROLE, "{opened:#?}");
    ensure!(
        opened[0]["incident"]["opened_by"] == "webhook:scanner"
            || opened[0]["opened_by"] == "webhook:scanner",
        "{opened:#?}"
    );
    // Nothing was done to it: who may report may not decide what breaks.
    ensure!(
        house.items(&["list", "revocations"])?.is_empty() && house.effects()?.is_empty(),
        "something was done"
    );

    // The same again, at another process too, and by many at once.
    let again = report(&nobody, at, &body).await?;
    ensure!((again.status, &again.text) == (202, &first.text), "{again:?}");
    service.kill()?;
    service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let nobody = Asker::new(&service, None)?;
    let later = report(&nobody, at, &body).await?;
    ensure!((later.status, &later.text) == (202, &first.text), "{later:?}");
    ensure!(later.headers.contains_key("idempotency-replayed"), "{later:?}");
    ensure!(entries(&house, "reported")?.len() == 1, "it was acted on again");
    // Another report of the same: the incident that is open has it already.
    let other = report(&nobody, at - 1, &body).await?;
    ensure!(other.status == 202 && other.body["delivery"] != first.body["delivery"], "{other:?}");
    let told = entries(&house, "reported")?;
    ensure!(told.len() == 2 && incidents(&house)?.len() == 1, "{told:#?}");
    ensure!(told[0]["detail"]["live"] == json!([ROLE]) && told[0]["detail"]["unmatched"] == 1, "{told:#?}");
    ensure!(told[1]["detail"]["incident"].is_null() && told[1]["actor"] == "webhook:scanner", "{told:#?}");
    // What nobody knows opens nothing, and is told.
    let unknown = report(&nobody, at, &json!({ "leaks": [{ "value": "Another-0ne-unknown" }] })).await?;
    ensure!(unknown.status == 202 && incidents(&house)?.len() == 1, "{unknown:?}");

    let log = house.run(&["audit", "export"])?.stdout;
    for entry in std::fs::read_dir(house.path())? {
        let path = entry?.path();
        let is_target = path.file_name().is_some_and(|name| name == "estate.json");
        if path.is_file() && !is_target {
            let bytes = std::fs::read(&path)?;
            for secret in [&leaked, "N0body-knows-this-0ne"] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                ensure!(!found, "a reported value lies in {}", path.display());
            }
        }
    }
    ensure!(!log.contains(&leaked), "a reported value is in the audit log");
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_now_by_its_secret_is_refused_before_it_is_read() -> Result<()> {
    let house = house("")?;
    let leaked = value(&house, "app_001")?;
    let service = served(&house).await?;
    let nobody = Asker::new(&service, None)?;
    let body = json!({ "leaks": [{ "value": leaked }] }).to_string();
    let at = now();
    let good = signature(SECRET, at, &body)?;
    for (at, signature) in [
        (at, signature(b"another secret of sixteen bytes", at, &body)?),
        (at, signature(SECRET, at, &format!("{body} "))?),
        (at, signature(SECRET, at + 1, &body)?),
        (at + 1, good.clone()),
        (at, good[..good.len() - 2].to_owned()),
        (at, "sha256=".to_owned()),
        // Signed well, and not of this time.
        (at - 301, signature(SECRET, at - 301, &body)?),
        (at + 330, signature(SECRET, at + 330, &body)?),
    ] {
        send(&nobody, at, &signature, &body).await?.must_be(401, "CLV0770")?;
    }
    // A body that would not be read is refused by its signature first.
    send(&nobody, at, &good, "{ no report").await?.must_be(401, "CLV0770")?;
    nobody.send(Method::POST, HOOK, &[], Some(&body)).await?.must_be(401, "CLV0770")?;
    // A token is no signature.
    let admin = Asker::with(&house, &service, "root", &["--role", "admin"])?;
    admin.send(Method::POST, HOOK, &[], Some(&body)).await?.must_be(401, "CLV0770")?;
    let broken = "{ no report, and a value: hunter22";
    let unread = send(&nobody, at, &signature(SECRET, at, broken)?, broken).await?;
    unread.must_be(422, "CLV0771")?;
    ensure!(!unread.text.contains("hunter22") && !service.said()?.contains("hunter22"), "it is repeated");
    let long = format!("{{\"leaks\":[{{\"value\":\"{}\"}}]}}", "x".repeat(1 << 20));
    ensure!(send(&nobody, at, &signature(SECRET, at, &long)?, &long).await?.status == 413, "a long one");
    nobody.send(Method::POST, "/api/v1/webhooks/other", &[], Some(&body)).await?.must_be(404, "CLV0622")?;
    ensure!(
        incidents(&house)?.is_empty() && entries(&house, "reported")?.is_empty(),
        "something was believed"
    );
    // And the good one is good.
    ensure!(
        send(&nobody, at, &good, &body).await?.status == 202 && incidents(&house)?.len() == 1,
        "the good one"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_of_github_is_believed_by_the_key_that_github_lists() -> Result<()> {
    let list =
        json!({ "public_keys": [{ "key_identifier": GITHUB_ID, "key": GITHUB_PEM, "is_current": true }] });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let keys = Router::new().route("/keys", get(move || async move { list.to_string() }));
    let serving = tokio::spawn(async move { axum::serve(listener, keys).await });
    let house = house(&format!("[webhooks.github]\nkind = \"github\"\nkeys = \"http://{address}/keys\"\n"))?;
    let service = served(&house).await?;
    let nobody = Asker::new(&service, None)?;
    let ask = async |id: &str, signature: &str, body: &str| {
        let headers = [("github-public-key-identifier", id), ("github-public-key-signature", signature)];
        nobody.send(Method::POST, "/api/v1/webhooks/github", &headers, Some(body)).await
    };
    ask("other", GITHUB_SIGNED, GITHUB_BODY).await?.must_be(401, "CLV0770")?;
    ask(GITHUB_ID, GITHUB_SIGNED, &GITHUB_BODY.replace("some_token", "some_tokem"))
        .await?
        .must_be(401, "CLV0770")?;
    let taken = ask(GITHUB_ID, GITHUB_SIGNED, GITHUB_BODY).await?;
    ensure!(taken.status == 202 && taken.body["values"] == 1, "{taken:?}");
    let again = ask(GITHUB_ID, GITHUB_SIGNED, GITHUB_BODY).await?;
    ensure!(again.text == taken.text && entries(&house, "reported")?.len() == 1, "{again:?}");
    serving.abort();
    Ok(())
}

/// Who may report is taken over with the configuration; one that cannot be read changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_report_is_taken_over_while_it_runs() -> Result<()> {
    let house = house("")?;
    let service = served(&house).await?;
    let nobody = Asker::new(&service, None)?;
    let file = house.path().join("claviger.toml");
    let first = std::fs::read_to_string(&file)?;
    let reread = async |configuration: &str, says: &str| -> Result<()> {
        let before = service.said()?.matches(says).count();
        std::fs::write(&file, configuration)?;
        service.signal("-HUP")?;
        let begun = std::time::Instant::now();
        while service.said()?.matches(says).count() == before {
            ensure!(begun.elapsed() < PATIENCE, "it never said `{says}`: {}", service.said()?);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Ok(())
    };
    let body = json!({ "leaks": [{ "value": "N0body-knows-this-0ne", "place": "b.env" }] }).to_string();
    let other: &[u8] = b"fedcba9876543210fedcba9876543210";
    let by = async |name: &str, secret: &[u8]| -> Result<u16> {
        let at = now();
        let (time, signed) = (at.to_string(), signature(secret, at, &body)?);
        let headers = [("x-claviger-timestamp", time.as_str()), ("x-claviger-signature", signed.as_str())];
        let path = format!("/api/v1/webhooks/{name}");
        Ok(nobody.send(Method::POST, &path, &headers, Some(&body)).await?.status)
    };
    ensure!((by("scanner", SECRET).await?, by("second", other).await?) == (202, 404), "as it was begun");

    // Its secret is not there: nothing is taken over, and who may report still may.
    let more = format!("{first}\n{}", CONFIGURED.replace("scanner", "second"));
    reread(&more, "the configuration was not taken over").await?;
    ensure!((by("scanner", SECRET).await?, by("second", other).await?) == (202, 404), "as before");

    std::fs::write(house.path().join("second.secret"), other)?;
    reread(&more, "the configuration was read anew").await?;
    ensure!(!service.said()?.contains("taken over at the next start"), "{}", service.said()?);
    ensure!((by("scanner", SECRET).await?, by("second", other).await?) == (202, 202), "both of them");

    let last = first.replace(CONFIGURED, &CONFIGURED.replace("scanner", "second"));
    reread(&last, "the configuration was read anew").await?;
    ensure!((by("scanner", SECRET).await?, by("second", other).await?) == (404, 202), "the second one alone");
    Ok(())
}
