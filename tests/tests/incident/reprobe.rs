//! `verify --revoked`: what was revoked is tried again, and what is back is told, found, and revoked again where a policy says so.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{Place, text};

const TOKEN: &str = "sim/k8s/legacy/Secret/default-token-x7k2p";
const ROLE: &str = "sim/db/role/analytics";

fn edit(place: &Place, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
    let mut estate = place.estate()?;
    change(&mut estate)?;
    Ok(fs::write(place.dir.join("estate.json"), serde_json::to_string(&estate)?)?)
}

fn secret(estate: &mut Value) -> Result<&mut Value> {
    let namespace = &mut estate["cluster"]["namespaces"]["legacy"]["secrets"];
    namespace.as_object_mut().map(|all| &mut all["default-token-x7k2p"]).context("the Secret")
}

fn tried<'a>(document: &'a Value, at: &str) -> Result<&'a Value> {
    let items = document["items"].as_array().context("items")?;
    items.iter().find(|item| item["ref"] == at).with_context(|| format!("{at} is not in {document:#}"))
}

fn verify(place: &Place, code: i32, more: &[&str]) -> Result<Value> {
    place.run(&[&["verify", "--revoked", "-o", "json"], more].concat())?.expect(code)?.json()
}

fn returned(place: &Place) -> Result<Vec<Value>> {
    let findings = place.json(&["list", "findings"])?["items"].as_array().context("findings")?.clone();
    Ok(findings.into_iter().filter(|one| one["slug"] == "returned-credential").collect())
}

#[test]
fn what_is_back_is_told_found_and_revoked_again_where_a_policy_says_so() -> Result<()> {
    let place = Place::new()?;
    place.policy("[policies.tokens]\nmatch = \"kind=service-account-token\"\nre_revoke = true\n")?;
    let mut before = Value::Null;
    edit(&place, |estate| {
        before = secret(estate)?.clone();
        Ok(())
    })?;
    place.run(&["revoke", TOKEN, "--reason", "leaked", "--yes"])?.expect(0)?;
    let dead = verify(&place, 0, &[])?;
    ensure!(
        dead["schema"] == "claviger.verify/v1" && tried(&dead, TOKEN)?["answer"] == "still-gone",
        "{dead:#}"
    );
    ensure!(returned(&place)?.is_empty());
    place.run(&["revoke", TOKEN, "--reason", "again", "--yes"])?.expect(4)?;

    // Somebody applies its manifest again: the same name, the identical token. No scan has seen it.
    before["uid"] = "made-again".into();
    edit(&place, |estate| {
        let all = estate["cluster"]["namespaces"]["legacy"]["secrets"].as_object_mut().context("Secrets")?;
        all.insert("default-token-x7k2p".to_owned(), before.clone());
        Ok(())
    })?;
    let back = verify(&place, 5, &[])?;
    let one = tried(&back, TOKEN)?;
    ensure!(one["answer"] == "accepted-again" && one["re_revoke"] == "tokens", "{back:#}");
    ensure!(one["found_in"][0] == format!("{TOKEN}#token") && one["path"].is_string(), "{one:#}");
    ensure!(back["receipts"].is_null(), "it was revoked without being asked for: {back:#}");
    let found = returned(&place)?;
    ensure!(found.len() == 1 && found[0]["severity"] == "critical", "{found:#?}");
    ensure!(found[0]["evidence"]["probe"] == "accepted-again", "{found:#?}");
    // A scan leaves what the trial showed.
    place.run(&["scan"])?;
    ensure!(returned(&place)?.iter().any(|one| one["evidence"]["probe"] == "accepted-again"));

    let ended = verify(&place, 0, &["--yes"])?;
    ensure!(ended["receipts"][0]["verdict"] == "proven" && ended["receipts"][0]["ref"] == TOKEN, "{ended:#}");
    let revocations = place.json(&["list", "revocations"])?;
    ensure!(revocations["items"][0]["cause"] == "policy", "{revocations:#}");
    ensure!(tried(&verify(&place, 0, &[TOKEN])?, TOKEN)?["answer"] != "accepted-again");
    place.run(&["scan"])?;
    ensure!(returned(&place)?.is_empty(), "{:#?}", returned(&place)?);
    let log = place.run(&["audit", "export"])?.expect(0)?.stdout;
    ensure!(log.contains("\"kind\":\"reprobed\""), "the trials are not in the audit log");
    ensure!(place.json(&["audit", "verify"])?["valid"] == true);
    Ok(())
}

#[test]
fn a_dead_value_that_still_lies_somewhere_is_tried_and_what_does_not_answer_is_unknown() -> Result<()> {
    let place = Place::new()?;
    place.run(&["revoke", ROLE, "--reason", "leaked", "--yes"])?.expect(0)?;
    let dead = verify(&place, 0, &[ROLE])?;
    let one = tried(&dead, ROLE)?;
    let lies = one["found_in"].as_array().map_or(0, Vec::len);
    let expected = if lies > 0 { "still-refused" } else { "still-gone" };
    ensure!(one["answer"] == expected && dead["items"].as_array().map(Vec::len) == Some(1), "{dead:#}");
    ensure!(returned(&place)?.is_empty(), "what is dead is no return");
    // No policy says that it is revoked again: it is only told, and an operator is needed.
    edit(&place, |estate| {
        let role = &mut estate["database"]["roles"]["analytics"];
        let other = place.estate()?["database"]["roles"]["payments_app"]["password"].clone();
        (role["password"], role["nologin"]) = (other, false.into());
        Ok(())
    })?;
    let back = verify(&place, 5, &[ROLE, "--yes"])?;
    ensure!(tried(&back, ROLE)?["answer"] == "listed-again" && back["receipts"].is_null(), "{back:#}");
    ensure!(text(&tried(&back, ROLE)?["evidence"])?.contains("has it again"), "{back:#}");
    // Its issuer does not answer: nothing is said of it.
    edit(&place, |estate| {
        estate["settings"]["unavailable"] = serde_json::json!(["db"]);
        Ok(())
    })?;
    let silent = verify(&place, 3, &[ROLE])?;
    ensure!(tried(&silent, ROLE)?["answer"] == "unknown", "{silent:#}");
    place.run(&["verify", ROLE])?.expect(2)?;
    Ok(())
}
