//! A value that no server checks: nobody could refuse it, and its copies can be cleaned.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, lab::ministack::Call, require_lab};
use reqwest::Method;
use serde_json::json;

use super::revoked;
use crate::{access_key::place, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_value_without_an_issuer_is_taken_out_of_its_copies_and_nothing_is_proven() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "revoke-value.db");
    place.run(&["scan"], None)?;
    let copies = place.list("copies")?;
    let copy = copies.iter().find(|copy| copy["ref"] == "prod/web/Secret/webhook#secret");
    let id = text(copy.context("a copy")?, "credential").to_owned();
    let refused = revoked(&place, 4, &[&id, "--yes"])?;
    let reason = text(&refused["refused"][0], "reason");
    ensure!(refused["refused"][0]["code"] == "no-issuer" && reason.contains("--scrub"), "{refused:#}");

    let old = estate.planted.get("webhook").value.as_ref().context("a value")?.expose().to_owned();
    // Exit 3: nothing could be proven.
    let done = revoked(&place, 3, &[&id, "--scrub", "--yes"])?;
    let receipt = &done["receipts"][0];
    ensure!(receipt["verdict"] == "unprovable" && text(receipt, "detail").contains("no issuer"), "{done:#}");
    let secret = "/api/v1/namespaces/web/secrets/webhook";
    let secret = estate.kubernetes.request(Method::GET, secret, None).await?.body;
    ensure!(secret["data"]["secret"].is_null(), "the Secret holds it");
    let of = |parameters| Call { service: "secretsmanager", operation: "get_secret_value", parameters };
    let current = estate.ministack.calls(&[of(json!({"SecretId": "web/webhook"}))])?.remove(0);
    ensure!(text(&current, "SecretString") == "revoked-by-claviger", "{current}: {done:#}");
    let previous = of(json!({"SecretId": "web/webhook", "VersionStage": "AWSPREVIOUS"}));
    let previous = estate.ministack.calls(&[previous])?.remove(0);
    ensure!(text(&previous, "SecretString") != old, "the version before holds it under a label");
    let shown = place.run(&["show", &id, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(shown["credential"]["state"] == "revoked-unproven", "{shown:#}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}
