//! Plans that one person may not carry out alone.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{Place, text};

const TOKEN: &str = "sim/k8s/legacy/Secret/default-token-x7k2p";

/// A key of a person's own, and what the configuration says of it.
fn person(place: &Place, name: &str, more: &str) -> Result<String> {
    let file = place.dir.join(format!("{name}.key")).display().to_string();
    let section = place.run(&["approve", "--new-key", &file])?.expect(0)?.stdout;
    place.configure(&format!("{}{more}", section.replace("YOUR NAME", name)))?;
    Ok(file)
}

fn revoke(place: &Place, user: &str, subject: &str) -> Result<crate::Ran> {
    let arguments = ["revoke", subject, "--reason", "leaked", "--yes", "-o", "json"];
    place.run_in(&place.dir, user, &arguments, None)
}

#[test]
fn a_plan_wants_as_many_people_as_its_policy_says() -> Result<()> {
    let place = Place::new()?;
    place.policy("[policies.tokens]\nmatch = \"kind=service-account-token\"\napprovals = 2\n")?;
    let dana = person(&place, "dana", "")?;
    let eve = person(&place, "eve", "")?;
    let ran = revoke(&place, "root", TOKEN)?.refused(4, "CLV0410")?;
    let plan = ran.json()?;
    let hash = text(&plan["hash"])?;
    ensure!(
        plan["approvals"]["approvals"] == 2 && plan["approvals"]["given"] == serde_json::json!([]),
        "{plan:#}"
    );
    ensure!(ran.stderr.contains(&format!("claviger approve {hash} --key")), "{}", ran.stderr);
    ensure!(
        place.json(&["list", "revocations"])?["items"].as_array().map(Vec::len) == Some(1),
        "nothing was begun"
    );
    // Whoever approves sees what it is, before and without signing.
    let shown = place.run(&["approve", &hash[..12], "--show"])?.expect(0)?;
    ensure!(shown.stdout.contains(TOKEN) && shown.stdout.contains(&hash), "{}", shown.stdout);
    let approve = |user: &str, key: &str| -> Result<Value> {
        let arguments = ["approve", &hash, "--key", key, "-o", "json"];
        place.run_in(&place.dir, user, &arguments, None)?.expect(0)?.json()
    };
    let approved = approve("dana", &dana)?;
    ensure!(approved["given"] == serde_json::json!(["dana"]) && approved["needed"] == 2, "{approved:#}");
    ensure!(
        approved["plan"]["hash"] == hash.as_str() && approved["approval"]["audit_seq"].is_number(),
        "{approved:#}"
    );
    // The same person twice is one person.
    approve("dana", &dana)?;
    revoke(&place, "root", TOKEN)?.refused(4, "CLV0410")?;
    approve("eve", &eve)?;
    // Another plan is not approved by that.
    revoke(&place, "root", "sim/k8s/shop/Secret/prometheus-token")?.expect(4)?;
    // One of the two must not carry it out: then it is their own.
    let own = revoke(&place, "dana", TOKEN)?.refused(4, "CLV0410")?;
    ensure!(own.stderr.contains("nobody approves their own plan"), "{}", own.stderr);
    // The hash says nothing of the time: it is still the same plan.
    let done = revoke(&place, "root", TOKEN)?.expect(0)?.json()?;
    ensure!(done["plan"]["hash"] == hash.as_str() && done["receipts"][0]["verdict"] == "proven", "{done:#}");
    let verified = place.json(&["audit", "verify"])?;
    ensure!(verified["valid"] == true, "{verified}");
    let log = place.run(&["audit", "export"])?.expect(0)?.stdout;
    let kinds = |kind: &str| log.matches(&format!("\"kind\":\"{kind}\"")).count();
    ensure!(
        kinds("proposed") == 2 && kinds("approved") == 3,
        "{} proposed, {} approved",
        kinds("proposed"),
        kinds("approved")
    );
    Ok(())
}

#[test]
fn an_approval_of_the_wrong_person_does_not_count() -> Result<()> {
    let place = Place::new()?;
    place.policy("[policies.tokens]\nmatch = \"kind=service-account-token\"\napprovals = 1\n")?;
    let root = person(&place, &crate::account()?, "")?;
    let gone = person(&place, "gone", "revoked = true\n")?;
    let late = person(&place, "late", "until = \"2020-01-01T00:00:00Z\"\n")?;
    let alias = person(&place, "alias", &format!("actors = [\"{}\"]\n", crate::account()?))?;
    let dana = person(&place, "dana", "")?;
    let stranger = place.dir.join("stranger.key").display().to_string();
    place.run(&["approve", "--new-key", &stranger])?.expect(0)?;
    place.run(&["approve", "--new-key", &stranger])?.expect(1)?;
    // A dry run is enough to have it kept.
    let arguments = ["revoke", TOKEN, "--reason", "leaked", "--dry-run", "-o", "json"];
    let hash = text(&place.run(&arguments)?.expect(0)?.json()?["hash"])?;
    for (key, code) in [
        (&root, "own-plan"),
        (&alias, "own-plan"),
        (&gone, "withdrawn"),
        (&late, "withdrawn"),
        (&stranger, "unknown-approver"),
    ] {
        let ran = place.run(&["approve", &hash, "--key", key])?.refused(4, "CLV0411")?;
        ensure!(ran.stderr.contains(&format!("[{code}]")), "{key}: {}", ran.stderr);
    }
    place.run(&["approve", &hash, "--key", &dana, "--valid", "0m"])?.refused(4, "CLV0411")?;
    place.run(&["approve", "ffffffffffff", "--show"])?.refused(4, "CLV0411")?;
    place.run(&["approve", &hash[..4], "--show"])?.refused(4, "CLV0411")?;
    // A key that others can read, and what is none.
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&dana, fs::Permissions::from_mode(0o644))?;
    place.run(&["approve", &hash, "--key", &dana])?.refused(4, "CLV0112")?;
    fs::set_permissions(&dana, fs::Permissions::from_mode(0o600))?;
    let public = place.dir.join("keys/sealing.key").display().to_string();
    let ran = place.run(&["approve", &hash, "--key", &public])?.refused(2, "CLV0032")?;
    ensure!(!ran.stderr.contains(fs::read_to_string(&public)?.trim()), "the key was repeated");
    revoke(&place, "root", TOKEN)?.refused(4, "CLV0410")?;
    // Withdrawn after it was given.
    place.run(&["approve", &hash, "--key", &dana])?.expect(0)?;
    let file = place.dir.join("claviger.toml");
    let before = fs::read_to_string(&file)?;
    fs::write(&file, before.replace("name = \"dana\"", "name = \"dana\"\nrevoked = true"))?;
    let ran = revoke(&place, "root", TOKEN)?.refused(4, "CLV0410")?;
    ensure!(ran.stderr.contains("right to approve has ended"), "{}", ran.stderr);
    fs::write(&file, before)?;
    revoke(&place, "root", TOKEN)?.expect(0)?;
    Ok(())
}

#[test]
fn the_installations_own_key_is_nobodys() -> Result<()> {
    let place = Place::new()?;
    let own = fs::read_to_string(place.dir.join("keys/signing.pub"))?;
    place.configure(&format!("[[approvers]]\nname = \"dana\"\npublic_key = \"{}\"", own.trim()))?;
    place.run(&["list", "credentials"])?.refused(2, "CLV0030")?;
    let place = Place::new()?;
    place.configure("[[approvers]]\nname = \"dana\"\npublic_key = \"ed25519:AAAA\"")?;
    place.run(&["list", "credentials"])?.refused(2, "CLV0029")?;
    Ok(())
}

#[test]
fn guards_want_a_second_person_and_a_canary_goes_first() -> Result<()> {
    let place = Place::new()?;
    place.configure("[guards]\nmax_targets = 2\nmax_share = 0.5\ncanary = 1")?;
    let plan = |selector: &str| -> Result<Value> {
        place.run(&["revoke", selector, "--reason", "x", "--dry-run", "-o", "json"])?.json()
    };
    let one = plan(TOKEN)?;
    ensure!(one["approvals"]["approvals"] == 0, "one alone is no part of a class: {one:#}");
    let all = plan("kind=service-account-token")?;
    let subjects = all["subjects"].as_array().context("subjects")?.len();
    ensure!(subjects >= 2, "{all:#}");
    let reasons = all["approvals"]["reasons"].to_string();
    ensure!(all["approvals"]["approvals"] == 1 && reasons.contains("max_share"), "{all:#}");
    let hash = text(&all["hash"])?;
    ensure!(plan("kind=service-account-token")?["hash"] == hash.as_str(), "the same plan has the same hash");
    revoke(&place, "root", "kind=service-account-token")?.refused(4, "CLV0410")?;
    let dana = person(&place, "dana", "")?;
    place.run(&["approve", &hash, "--key", &dana])?.expect(0)?;
    // The first one cannot end well: somebody else has changed it since, or it does not answer.
    let done = revoke(&place, "root", "kind=service-account-token")?.json()?;
    let receipts = done["receipts"].as_array().context("receipts")?;
    ensure!(receipts.len() == subjects, "each has an answer: {done:#}");
    let first = text(&receipts[0]["verdict"])?;
    let rest: Vec<_> = receipts[1..].iter().map(|receipt| &receipt["detail"]).collect();
    let begun = place.json(&["list", "revocations"])?["items"].as_array().map_or(0, Vec::len);
    if first == "proven" || first == "attested" {
        ensure!(begun == subjects + 1, "all of them were begun: {rest:?}");
    } else {
        ensure!(begun == 2 && rest.iter().all(|detail| detail.to_string().contains("canary")), "{rest:?}");
    }
    Ok(())
}

/// `USER` is what anybody says of themselves: who plans is the account that the process runs as, or whoever shows a key.
#[test]
fn who_plans_is_not_what_the_environment_says() -> Result<()> {
    let place = Place::new()?;
    place.policy("[policies.tokens]\nmatch = \"kind=service-account-token\"\napprovals = 1\n")?;
    let me = person(&place, &crate::account()?, "")?;
    let dana = person(&place, "dana", "")?;
    let hash = text(&revoke(&place, "somebody-else", TOKEN)?.refused(4, "CLV0410")?.json()?["hash"])?;
    let own = place.run(&["approve", &hash, "--key", &me])?.refused(4, "CLV0411")?;
    ensure!(own.stderr.contains("[own-plan]"), "{}", own.stderr);
    place.run(&["approve", &hash, "--key", &dana])?.expect(0)?;
    // Whoever has approved it does not carry it out, by whatever name the process runs.
    let carries = ["revoke", TOKEN, "--reason", "leaked", "--yes", "--as", &dana];
    place.run_in(&place.dir, "somebody-else", &carries, None)?.refused(4, "CLV0410")?;
    // A key that the configuration does not know is nobody's.
    let stranger = place.dir.join("stranger.key").display().to_string();
    place.run(&["approve", "--new-key", &stranger])?.expect(0)?;
    place.run(&["list", "credentials", "--as", &stranger])?.refused(2, "CLV0035")?;
    revoke(&place, "somebody-else", TOKEN)?.expect(0)?;
    Ok(())
}

#[test]
fn where_a_key_is_wanted_nobody_plans_or_carries_out_without_one() -> Result<()> {
    let place = Place::new()?;
    place.policy("[policies.tokens]\nmatch = \"kind=service-account-token\"\napprovals = 1\n")?;
    place.configure("[guards]\noperator_key = true")?;
    person(&place, "dana", "")?;
    let eve = person(&place, "eve", "")?;
    let proposed = || -> Result<usize> {
        Ok(place.run(&["audit", "export"])?.expect(0)?.stdout.matches("\"kind\":\"proposed\"").count())
    };
    revoke(&place, "nobody", TOKEN)?.refused(4, "CLV0414")?;
    ensure!(proposed()? == 0, "a plan of nobody's was kept");
    // What wants no approval needs no key.
    place.run(&["revoke", "sim/db/role/analytics", "--reason", "x", "--dry-run"])?.expect(0)?;
    let hash = text(&revoke(&place, "dana", TOKEN)?.refused(4, "CLV0410")?.json()?["hash"])?;
    ensure!(proposed()? == 1);
    let shown = place.run(&["approve", &hash, "--show", "-o", "json"])?.expect(0)?.json()?;
    ensure!(text(&shown["planned_by"])?.starts_with("dana@"), "{shown:#}");
    place.run(&["approve", &hash, "--key", &eve])?.expect(0)?;
    revoke(&place, "nobody", TOKEN)?.refused(4, "CLV0414")?;
    revoke(&place, "eve", TOKEN)?.refused(4, "CLV0410")?;
    revoke(&place, "dana", TOKEN)?.expect(0)?;
    Ok(())
}

#[test]
fn a_canary_is_waited_for_or_nothing_is_recorded() -> Result<()> {
    let place = Place::new()?;
    place.configure("[guards]\ncanary = 1")?;
    let before = place.json(&["list", "rotations"])?["items"].as_array().map(Vec::len);
    let detach = ["rotate", "sim/*", "--yes", "--detach"];
    let planned = place.run(&["rotate", "sim/*", "--dry-run", "-o", "json"])?.json()?;
    ensure!(planned["subjects"].as_array().is_some_and(|all| all.len() > 1), "{planned:#}");
    place.run(&detach)?.refused(4, "CLV0413")?;
    ensure!(place.json(&["list", "rotations"])?["items"].as_array().map(Vec::len) == before, "begun");
    Ok(())
}
