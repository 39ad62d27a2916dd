//! Nobody is let in without having shown who they are.

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;

use super::Asker;
use crate::house::{House, PATIENCE};

const SQLITE: &str = "sqlite://claviger.db";

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_is_told_but_how_it_is() -> Result<()> {
    let house = House::new(1, SQLITE, "")?;
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let nobody = Asker::new(&service, None)?;
    for open in ["/healthz", "/metrics", "/openapi.json"] {
        ensure!(nobody.get(open).await?.status == 200, "{open}");
    }
    let description = nobody.get("/openapi.json").await?.body;
    let mut asked = 0;
    for (path, item) in description["paths"].as_object().context("paths")? {
        for method in item.as_object().context("methods")?.keys() {
            // What is signed has a door of its own.
            if item[method]["security"] == serde_json::json!([{}]) {
                ensure!(path == "/api/v1/webhooks/{name}", "{path} lets anybody in");
                continue;
            }
            let method: Method = method.to_uppercase().parse()?;
            let path = path.replace("{id}", "x").replace("{hash}", "x");
            let answer = nobody.send(method.clone(), &path, &[], Some("{}")).await?;
            answer.must_be(401, "CLV0629").with_context(|| format!("{method} {path}"))?;
            ensure!(answer.headers["www-authenticate"] == "Bearer realm=\"claviger\"", "{answer:?}");
            asked += 1;
        }
    }
    ensure!(asked >= 35, "{asked} routes");
    println!("{asked} routes let nobody in");
    for wrong in ["x", "clv_", &format!("clv_{}_{}", "0".repeat(16), "0".repeat(64)), "a.b.c"] {
        let answer = Asker::new(&service, Some(wrong))?.get("/api/v1/credentials").await?;
        answer.must_be(401, "CLV0620")?;
        ensure!(!answer.text.contains(wrong) || wrong.len() < 5, "it is repeated: {answer:?}");
        ensure!(
            answer.headers["www-authenticate"] == "Bearer realm=\"claviger\", error=\"invalid_token\"",
            "{answer:?}"
        );
    }
    // Known roads, unknown ends.
    nobody.get("/api/v1/nothing").await?.must_be(404, "CLV0622")?;
    nobody.send(Method::DELETE, "/api/v1/credentials", &[], None).await?.must_be(405, "CLV0624")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_in_until_it_is_revoked_and_leaves_no_trace_of_itself() -> Result<()> {
    let house = House::new(1, SQLITE, "")?;
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let made = house.json(&["token", "create", "ci", "--role", "viewer", "--expires", "1d"])?;
    let text = made["token"].as_str().context("a token")?.to_owned();
    ensure!(text.starts_with("clv_") && text.len() == 85, "{}", text.len());
    let viewer = Asker::new(&service, Some(&text))?;
    ensure!(viewer.get("/api/v1/credentials").await?.status == 200, "it lets nobody in");
    // One character of the secret, and one of the name.
    for at in [84, 6] {
        let mut other = text.clone().into_bytes();
        other[at] = if other[at] == b'a' { b'b' } else { b'a' };
        let other = Asker::new(&service, Some(&String::from_utf8(other)?))?;
        other.get("/api/v1/credentials").await?.must_be(401, "CLV0620")?;
    }
    let refused = viewer.post("/api/v1/scans", &serde_json::json!({})).await?;
    refused.must_be(403, "CLV0621")?;
    viewer.get("/api/v1/audit/verification").await?.must_be(403, "CLV0621")?;

    let listed = house.items(&["token", "list"])?;
    ensure!(listed.len() == 1 && listed[0]["state"] == "active", "{listed:#?}");
    ensure!(listed[0]["last_used_at"].is_string(), "its use was not noted: {listed:#?}");
    let again = house.run(&["token", "create", "ci", "--role", "admin"])?;
    ensure!(again.code == 4 && again.stderr.contains("error[CLV0631]"), "{}", again.stderr);
    house.json(&["token", "revoke", "ci"])?;
    viewer.get("/api/v1/credentials").await?.must_be(401, "CLV0620")?;
    let twice = house.run(&["token", "revoke", "ci"])?;
    ensure!(twice.code == 1 && twice.stderr.contains("error[CLV0630]"), "{}", twice.stderr);

    let log = house.run(&["audit", "export"])?.stdout;
    ensure!(log.matches("\"access-changed\"").count() == 2, "{log}");
    // Neither the token nor the hex of what is kept of it lies anywhere.
    let secret = &text[21..];
    for entry in std::fs::read_dir(house.path())? {
        let path = entry?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path)?;
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            ensure!(!found, "the token lies in {}", path.display());
        }
    }
    ensure!(!log.contains(secret), "the token is in the audit log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_this_machine_it_does_not_listen_in_the_clear_unasked() -> Result<()> {
    let house = House::new(1, SQLITE, "")?;
    let refused = house.run(&["serve", "--roles", "api", "--listen", "0.0.0.0:0"])?;
    ensure!(refused.code == 4 && refused.stderr.contains("error[CLV0636]"), "{}", refused.stderr);
    Ok(())
}
