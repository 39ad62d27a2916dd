//! Somebody changes a password past us, or a copy: it is a finding with the next verification, and gone with the one after it was mended. Who is down is unknown.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Place, text};

const SUBJECT: &str = "db/role/app";
const KV: &str = "vault/kv/payments/db#password";
const SECRET: &str = "prod/payments/Secret/db#password";

/// Verifies the one credential: exit code, and what was seen of it.
fn verify(place: &Place) -> Result<(i32, Value)> {
    let run = place.run(&["verify", "--copies", SUBJECT, "-o", "json"], None)?;
    let document = run.json()?;
    let items = document["items"].as_array().context("items")?;
    ensure!(items.len() == 1, "{document:#}");
    Ok((run.code, items[0].clone()))
}

fn login(seen: &Value, copy: &str) -> Result<String> {
    let copies = seen["copies"].as_array().context("copies")?;
    let found = copies.iter().find(|one| one["ref"] == copy).with_context(|| format!("{copy}: {seen:#}"))?;
    Ok(text(found, "login").to_owned())
}

/// The open findings of verifications.
fn findings(place: &Place) -> Result<Vec<(String, String)>> {
    let all = place.list("findings")?;
    let ours = all.iter().filter(|one| text(one, "slug").starts_with("verify-"));
    Ok(ours.map(|one| (text(one, "slug").to_owned(), text(one, "subject").to_owned())).collect())
}

fn expect(place: &Place, slugs: &[&str], when: &str) -> Result<()> {
    let found = findings(place)?;
    let mut wanted: Vec<_> = slugs.iter().map(|slug| ((*slug).to_owned(), SUBJECT.to_owned())).collect();
    let mut have = found.clone();
    wanted.sort();
    have.sort();
    ensure!(have == wanted, "{when}: {found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_past_us_is_found_and_gone_when_it_is_mended() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = Place::new(estate.directory(), "drift.db");
    place.run(&["scan"], None)?.expect(3)?;
    let right = estate.planted.get("db-app").value.as_ref().context("a value")?.expose().to_owned();
    let (code, seen) = verify(&place)?;
    ensure!(code == 0 || code == 3, "exit {code}: {seen:#}");
    for copy in [KV, SECRET] {
        ensure!(login(&seen, copy)? == "accepted", "{seen:#}");
    }
    expect(&place, &[], "at first")?;

    // The password is changed at the target.
    let client = estate.postgres.connect("postgres").await?;
    let set =
        async |password: &str| client.batch_execute(&format!("ALTER ROLE app PASSWORD '{password}'")).await;
    set("changed-past-us-1").await?;
    let (code, seen) = verify(&place)?;
    ensure!(code == 5 && login(&seen, KV)? == "refused" && login(&seen, SECRET)? == "refused", "{seen:#}");
    expect(&place, &["verify-refused"], "the password was changed")?;
    // A scan no longer counts the copies to the role: they are watched all the same.
    place.run(&["scan"], None)?.expect(3)?;
    let (code, seen) = verify(&place)?;
    ensure!(code == 5 && login(&seen, KV)? == "refused", "after a scan: {seen:#}");
    expect(&place, &["verify-refused"], "after a scan")?;
    // The database cannot be reached: that mends nothing.
    let mut cut = Place::new(estate.directory(), "drift.db");
    let nowhere = "postgres://claviger@127.0.0.1:9/postgres".to_owned();
    cut.environment.push(("CLAVIGER_BACKENDS__DB__URL".to_owned(), nowhere));
    let (code, seen) = verify(&cut)?;
    ensure!(code == 5, "exit {code}: {seen:#}");
    expect(&place, &["verify-refused"], "while the database is down")?;
    set(&right).await?;
    let (code, seen) = verify(&place)?;
    ensure!(code != 5 && login(&seen, KV)? == "accepted", "{seen:#}");
    expect(&place, &[], "the password is the right one again")?;
    place.run(&["scan"], None)?.expect(3)?;
    // While all is well, a target that is down is unknown and no drift.
    let (code, seen) = verify(&cut)?;
    ensure!(code == 3 && login(&seen, KV)? == "unknown", "exit {code}: {seen:#}");
    expect(&place, &[], "down")?;

    // A copy is changed in OpenBao.
    let path = "kv/data/payments/db";
    let put = async |password: &str| {
        let body = json!({ "data": { "username": "app", "password": password } });
        estate.openbao.write(path, &body).await
    };
    put("changed-past-us-2").await?;
    let (code, seen) = verify(&place)?;
    ensure!(code == 5 && login(&seen, KV)? == "refused" && login(&seen, SECRET)? == "accepted", "{seen:#}");
    expect(&place, &["verify-drift", "verify-refused"], "a copy in OpenBao was changed")?;
    put(&right).await?;
    ensure!(verify(&place)?.0 != 5, "OpenBao is mended");
    expect(&place, &[], "OpenBao is mended")?;

    // And one in a Secret.
    let secret = "/api/v1/namespaces/payments/secrets/db";
    let before = estate.kubernetes.request(Method::GET, secret, None).await?.body["data"]["password"].clone();
    let change = json!({ "stringData": { "password": "changed-past-us-3" } });
    estate.kubernetes.request(Method::PATCH, secret, Some(&change)).await?.good("the change")?;
    let (code, seen) = verify(&place)?;
    ensure!(code == 5 && login(&seen, SECRET)? == "refused" && login(&seen, KV)? == "accepted", "{seen:#}");
    expect(&place, &["verify-drift", "verify-refused"], "a Secret was changed")?;
    let back = json!({ "data": { "password": before } });
    estate.kubernetes.request(Method::PATCH, secret, Some(&back)).await?.good("the change back")?;
    ensure!(verify(&place)?.0 != 5, "the Secret is mended");
    expect(&place, &[], "the Secret is mended")?;
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}
