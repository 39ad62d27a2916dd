//! A Kubernetes token Secret, and the trap: made again under its name, it holds the identical token.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;
use serde_json::json;

use super::{revoked, steps};
use crate::{access_key::place, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_secret_that_is_made_again_holds_the_same_token_and_is_seen() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "revoke-token.db");
    place.run(&["scan"], None)?;
    let subject = "prod/ops/Secret/deployer-token";
    let token = estate.planted.get("k8s-deployer").value.as_ref().context("a value")?.expose().to_owned();
    let path = "/api/v1/namespaces/ops/secrets/deployer-token";
    let before = estate.kubernetes.request(Method::GET, path, None).await?.body;
    let id = {
        let shown = place.run(&["show", subject, "-o", "json"], None)?.expect(0)?.json()?;
        text(&shown["credential"], "id").to_owned()
    };
    let who = async || -> Result<u16> {
        let answer = estate.kubernetes.request_as(&token, Method::GET, "/api/v1/namespaces", None).await?;
        Ok(answer.status)
    };

    let plan = revoked(&place, 0, &[subject, "--dry-run"])?;
    ensure!(
        steps(&plan)?
            == [
                "seal-old",
                "control-probe",
                "disable",
                "prove-disabled",
                "revoke",
                "await-cache",
                "prove-refused"
            ],
        "{plan:#}"
    );
    ensure!(plan["subjects"][0]["notes"].to_string().contains("identical token"), "{plan:#}");
    let may = plan["subjects"][0]["blast"]["may"].as_array().context("may")?.clone();
    ensure!(may.iter().any(|grant| grant["level"] == "admin"), "what it may do is not told: {may:#?}");
    let done = revoked(&place, 0, &[subject, "--yes"])?;
    ensure!(done["receipts"][0]["verdict"] == "proven", "{done:#}");
    ensure!(who().await? == 401, "it is accepted");
    // The scan after a revocation says that it is gone, and its value stays known.
    place.run(&["scan"], None)?;

    let again = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": "deployer-token", "namespace": "ops",
            "annotations": {"kubernetes.io/service-account.name": before["metadata"]["annotations"]["kubernetes.io/service-account.name"]},
        },
    });
    estate.kubernetes.create(&[again])?;
    let mut made = String::new();
    for _ in 0..50 {
        let secret = estate.kubernetes.request(Method::GET, path, None).await?.body;
        if secret["data"]["token"].is_string() {
            made = crate::recovery::decoded(&secret["data"]["token"])?;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    ensure!(made == token, "the Secret of the same name holds another token");
    ensure!(who().await? == 200, "the leaked one does not work again");
    // Tried again, before any scan has seen it: it is found under its old name, and accepted.
    let tried = place.run(&["verify", "--revoked", subject, "-o", "json"], None)?.expect(5)?.json()?;
    ensure!(tried["items"][0]["answer"] == "accepted-again", "{tried:#}");
    let findings = place.list("findings")?;
    let found = findings.iter().find(|one| one["slug"] == "returned-credential" && one["subject"] == subject);
    ensure!(found.context("a finding")?["evidence"]["probe"] == "accepted-again", "{found:#?}");
    place.run(&["scan"], None)?;
    let copies = place.list("copies")?;
    let back = copies.iter().find(|copy| copy["ref"] == format!("{subject}#token")).context("the copy")?;
    ensure!(text(back, "credential") == id, "it is taken for another credential: {back:#}");
    // Traced as it leaked, it is the one that was revoked.
    let trace = place.run(&["trace", "-o", "json"], Some(token.as_bytes()))?.expect(0)?.json()?;
    ensure!(trace["matches"][0]["credential"] == id.as_str(), "{trace:#}");
    // And it is ended once more, with a proof of its own.
    let ended = revoked(&place, 0, &[subject, "--yes"])?;
    ensure!(ended["receipts"][0]["verdict"] == "proven" && who().await? == 401, "{ended:#}");
    let tried = place.run(&["verify", "--revoked", subject, "-o", "json"], None)?.json()?;
    ensure!(tried["items"][0]["answer"] != "accepted-again", "{tried:#}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}
