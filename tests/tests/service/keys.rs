//! Our own keys: rotated, cut off in the middle of it, kept elsewhere, lost.

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use claviger_backend_simulated::EstateFile;
use claviger_tests::binary;
use serde_json::Value;

use crate::house::{House, PATIENCE, Said};

const DATABASE: &str = "sqlite://claviger.db";
const ROLE: &str = "sim/db/role/app_000";

impl House {
    fn ok(&self, arguments: &[&str]) -> Result<Said> {
        let said = self.run(arguments)?;
        ensure!(said.code == 0, "{arguments:?}: exit {}\n{}\n{}", said.code, said.stdout, said.stderr);
        Ok(said)
    }

    fn refused(&self, arguments: &[&str], exit: i32, code: &str) -> Result<String> {
        let said = self.run(arguments)?;
        ensure!(
            said.code == exit && said.stderr.contains(&format!("error[{code}]")),
            "{arguments:?}: exit {}\n{}\n{}",
            said.code,
            said.stdout,
            said.stderr
        );
        Ok(said.stderr)
    }

    fn keys(&self, name: &str) -> PathBuf {
        self.path().join("keys").join(name)
    }

    /// The key of this kind and state.
    fn key(&self, kind: &str, state: &str) -> Result<Value> {
        let all = self.items(&["keys", "list"])?;
        let found = all.iter().find(|key| key["kind"] == kind && key["state"] == state).cloned();
        found.with_context(|| format!("no {state} {kind} key: {all:#?}"))
    }

    /// `[ref, id, last_rotated_at]` of each credential.
    fn known(&self) -> Result<Vec<[Value; 3]>> {
        let all = self.items(&["list", "credentials"])?;
        Ok(all.iter().map(|one| ["ref", "id", "last_rotated_at"].map(|field| one[field].clone())).collect())
    }

    /// What `trace` finds for the value of this role's copy.
    fn traced(&self, role: &str) -> Result<Value> {
        let estate = EstateFile::new(self.path().join("estate.json")).load()?;
        let entry = estate.secret_store.paths.get(&format!("apps/{role}")).context("a copy")?;
        let fields = &entry.current().context("a version")?.fields;
        let value = fields.get("password").context("a password")?.expose().to_vec();
        let file = self.path().join("leaked");
        fs::write(&file, value)?;
        self.json(&["trace", "--file", "leaked"])
    }
}

fn matched(traced: &Value) -> Vec<&str> {
    let matches = traced["matches"].as_array().map(Vec::as_slice).unwrap_or_default();
    matches.iter().filter_map(|found| found["ref"].as_str()).collect()
}

fn house(roles: usize) -> Result<House> {
    let house = House::new(roles, DATABASE, "")?;
    house.ok(&["scan"])?;
    Ok(house)
}

#[test]
fn a_rotated_fingerprint_key_changes_no_history_and_forgets_nobody() -> Result<()> {
    let house = house(3)?;
    let (known, first) = (house.known()?, house.key("fingerprint", "current")?);
    ensure!(matched(&house.traced("app_001")?) == ["sim/db/role/app_001"], "before");
    house.ok(&["keys", "rotate", "fingerprint", "--reason", "yearly"])?;
    let former = house.key("fingerprint", "former")?;
    ensure!(former["id"] == first["id"] && former["left"].as_u64() > Some(3), "{former}");
    // Before a scan has taken anything along, everything is found by the former key.
    ensure!(matched(&house.traced("app_001")?) == ["sim/db/role/app_001"], "between");
    house.ok(&["keys", "prune"])?;
    ensure!(house.key("fingerprint", "former")?["left"] == former["left"], "pruned although it is needed");
    house.ok(&["scan"])?;
    ensure!(house.known()? == known, "{:#?}\n{known:#?}", house.known()?);
    ensure!(matched(&house.traced("app_001")?) == ["sim/db/role/app_001"], "after");
    let left = house.key("fingerprint", "former")?;
    ensure!(left["left"] == 0, "everything was seen again: {left}");
    house.ok(&["keys", "prune"])?;
    ensure!(house.key("fingerprint", "dropped")?["file"].is_null(), "its file is still there");
    ensure!(matched(&house.traced("app_001")?) == ["sim/db/role/app_001"], "after it is gone");
    // And rotations go on.
    house.ok(&["rotate", ROLE, "--yes"])?;
    house.ok(&["scan"])?;
    ensure!(matched(&house.traced("app_000")?) == [ROLE], "rotated");
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the chain");
    Ok(())
}

#[test]
fn a_value_that_was_revoked_is_known_again_under_the_key_of_its_epoch() -> Result<()> {
    let house = house(2)?;
    let file = EstateFile::new(house.path().join("estate.json"));
    let dead = file.load()?.secret_store.paths.get("apps/app_000").cloned().context("a copy")?;
    house.ok(&["revoke", ROLE, "--reason", "leaked", "--yes"])?;
    let mut estate = file.load()?;
    estate.secret_store.paths.remove("apps/app_000");
    file.create(&estate)?;
    house.ok(&["scan"])?;
    house.ok(&["keys", "rotate", "fingerprint"])?;
    house.ok(&["scan"])?;
    let former = house.key("fingerprint", "former")?;
    ensure!(former["left"].as_u64() > Some(0), "what is not seen stays under its epoch: {former}");
    house.ok(&["keys", "prune"])?;
    let said = house.ok(&["keys", "list"])?;
    ensure!(said.stderr.contains("is kept"), "{}", said.stderr);
    let mut estate = file.load()?;
    estate.secret_store.paths.insert("apps/restored".to_owned(), dead);
    file.create(&estate)?;
    house.ok(&["scan"])?;
    let findings = house.items(&["list", "findings"])?;
    let back = findings.iter().find(|finding| finding["slug"] == "returned-credential");
    let back = back.with_context(|| format!("no finding of a return: {findings:#?}"))?;
    ensure!(back.to_string().contains("apps/restored"), "{back}");
    Ok(())
}

#[test]
fn wherever_a_rotation_of_a_key_is_cut_off_the_keys_are_usable() -> Result<()> {
    let house = house(1)?;
    for kind in ["fingerprint", "sealing", "signing"] {
        let usable = |when: &str| -> Result<()> {
            ensure!(matched(&house.traced("app_000")?) == [ROLE], "{kind}, {when}");
            house.ok(&["audit", "export", "--out", "audit.jsonl"])?;
            house.ok(&["audit", "verify", "--file", "audit.jsonl", "--public-key", "keys/signing.pub"])?;
            Ok(())
        };
        // The new key was written, and no commit came.
        let first = house.key(kind, "current")?;
        fs::write(house.keys(&format!("{kind}.next.key")), format!("{}\n", "5a".repeat(32)))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(house.keys(&format!("{kind}.next.key")), mode)?;
        ensure!(house.key(kind, "current")?["id"] == first["id"], "{kind}");
        usable("before the commit")?;
        house.ok(&["keys", "rotate", kind])?;
        let second = house.key(kind, "current")?;
        ensure!(second["id"] != first["id"] && second["file"] == format!("{kind}.key"), "{second}");
        usable("afterwards")?;
        // The commit came, and no name was changed.
        let (current, former, next) = (
            house.keys(&format!("{kind}.key")),
            house.keys(&format!("{kind}.1.key")),
            house.keys(&format!("{kind}.next.key")),
        );
        fs::rename(&current, &next)?;
        fs::rename(&former, &current)?;
        ensure!(house.key(kind, "current")?["file"] == format!("{kind}.key"), "{kind}");
        ensure!(former.exists() && !next.exists(), "{kind} is in order again");
        usable("with the names of before")?;
        // One of two names was changed.
        fs::rename(&current, &next)?;
        ensure!(house.key(kind, "current")?["id"] == second["id"] && current.exists(), "{kind}");
        usable("with one name of before")?;
    }
    Ok(())
}

#[test]
fn exports_of_both_signing_keys_verify_for_whoever_trusts_one() -> Result<()> {
    let house = house(1)?;
    house.ok(&["audit", "export", "--out", "old.jsonl"])?;
    fs::copy(house.keys("signing.pub"), house.path().join("old.pub"))?;
    house.ok(&["keys", "rotate", "signing"])?;
    house.ok(&["audit", "export", "--out", "new.jsonl"])?;
    house.ok(&["audit", "checkpoint", "--out", "noted"])?;
    let verify = |export: &str, key: &str, more: &[&str]| {
        let arguments = ["audit", "verify", "--file", export, "--public-key", key];
        house.run(&[&arguments[..], more].concat())
    };
    let history: &[&str] = &["--key-history", "keys/signing.history"];
    ensure!(verify("new.jsonl", "keys/signing.pub", &[])?.code == 0, "the new one");
    // The export has the succession among its entries.
    ensure!(verify("new.jsonl", "old.pub", &[])?.code == 0, "forward");
    ensure!(verify("old.jsonl", "old.pub", &[])?.code == 0, "the old one");
    ensure!(verify("old.jsonl", "keys/signing.pub", &[])?.code == 1, "back, without the history");
    let back = verify("old.jsonl", "keys/signing.pub", history)?;
    ensure!(back.code == 0, "back, with the history: {}", back.stderr);
    // Not a byte of it may be changed.
    let text = fs::read_to_string(house.keys("signing.history"))?;
    let at = text.find("\"until\":").context("until")? + 8;
    let digit = if text.as_bytes()[at] == b'9' { "8" } else { "9" };
    fs::write(house.path().join("forged"), format!("{}{digit}{}", &text[..at], &text[at + 1..]))?;
    let forged = verify("old.jsonl", "keys/signing.pub", &["--key-history", "forged"])?;
    ensure!(forged.code == 1, "a changed history counts: {}", forged.stderr);
    Ok(())
}

#[test]
fn a_backup_brings_back_what_is_missing_and_overwrites_nothing() -> Result<()> {
    let house = house(1)?;
    fs::write(house.path().join("phrase"), "correct horse battery staple\n")?;
    fs::write(house.path().join("wrong"), "correct horse battery stapler\n")?;
    let phrase: &[&str] = &["--passphrase-file", "phrase"];
    house.ok(&[&["keys", "backup", "--out", "keys.backup"], phrase].concat())?;
    let again = [&["keys", "backup", "--out", "keys.backup"], phrase].concat();
    house.refused(&again, 2, "CLV0693")?;
    let backup = fs::read_to_string(house.path().join("keys.backup"))?;
    for name in ["fingerprint.key", "sealing.key", "signing.key"] {
        let key = fs::read_to_string(house.keys(name))?;
        ensure!(!backup.contains(key.trim()), "{name} is in it in the clear");
    }
    house.refused(&["keys", "backup", "--out", "other"], 2, "CLV0696")?;
    // The directory is gone.
    fs::rename(house.path().join("keys"), house.path().join("away"))?;
    house.refused(&["list", "credentials"], 2, "CLV0110")?;
    house.refused(&["keys", "restore", "keys.backup", "--passphrase-file", "wrong"], 1, "CLV0695")?;
    ensure!(!house.path().join("keys").exists(), "something was written");
    house.ok(&[&["keys", "restore", "keys.backup"], phrase].concat())?;
    ensure!(matched(&house.traced("app_000")?) == [ROLE], "it is known again");
    house.ok(&["audit", "checkpoint", "--out", "noted"])?;
    // One file is gone, another one is of somebody else: nothing is written.
    fs::remove_file(house.keys("fingerprint.key"))?;
    house.refused(&["list", "credentials"], 5, "CLV0690")?;
    let sealing = fs::read_to_string(house.keys("sealing.key"))?;
    fs::write(house.keys("sealing.key"), format!("{}\n", "07".repeat(32)))?;
    house.refused(&[&["keys", "restore", "keys.backup"], phrase].concat(), 4, "CLV0694")?;
    ensure!(!house.keys("fingerprint.key").exists(), "half of it was restored");
    fs::write(house.keys("sealing.key"), sealing)?;
    house.ok(&[&["keys", "restore", "keys.backup"], phrase].concat())?;
    house.ok(&["list", "credentials"])?;
    Ok(())
}

/// Rotations that are killed after values of them were sealed and before anything was changed.
fn killed(house: &House, selector: &str) -> Result<()> {
    // Readers take no lock: what reads goes on, what writes waits.
    let lock =
        fs::OpenOptions::new().create(true).append(true).open(house.path().join("estate.json.lock"))?;
    lock.lock()?;
    let mut child = binary::command(house.path())?
        .args(["rotate", selector, "--yes"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let begun = std::time::Instant::now();
    while house.key("sealing", "current")?["left"] == 0 {
        ensure!(begun.elapsed() < PATIENCE, "nothing is sealed");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(300));
    child.kill()?;
    child.wait()?;
    lock.unlock()?;
    // Its lease ends.
    std::thread::sleep(Duration::from_secs(4));
    Ok(())
}

/// The same with one of them; gives its id.
fn killed_before_its_pivot(house: &House) -> Result<String> {
    killed(house, ROLE)?;
    let rotations = house.items(&["list", "rotations"])?;
    let id = rotations.first().and_then(|one| one["rotation_id"].as_str()).context("a rotation")?;
    ensure!(rotations[0]["state"] == "running", "{rotations:#?}");
    Ok(id.to_owned())
}

/// The value of the copy is the one that the role accepts.
fn authenticates(house: &House) -> Result<()> {
    let estate = EstateFile::new(house.path().join("estate.json")).load()?;
    let entry = estate.secret_store.paths.get("apps/app_000").context("a copy")?;
    let value = entry.current().context("a version")?.fields.get("password").context("a password")?.expose();
    let role = estate.database.roles.get("app_000").context("the role")?;
    let password = role.password.as_ref().context("a password")?;
    ensure!(password.accepts("app_000", value), "the copy's value is refused");
    Ok(())
}

#[test]
fn lost_keys_in_the_middle_of_a_rotation_are_told_at_once_and_brought_back() -> Result<()> {
    let house = house(1)?;
    fs::write(house.path().join("phrase"), "correct horse battery staple\n")?;
    house.ok(&["keys", "backup", "--out", "keys.backup", "--passphrase-file", "phrase"])?;
    let id = killed_before_its_pivot(&house)?;
    fs::remove_file(house.keys("sealing.key"))?;
    for command in
        [&["resume"][..], &["scan"], &["rotate", ROLE, "--yes"], &["serve", "--listen", "127.0.0.1:0"]]
    {
        let said = house.refused(command, 5, "CLV0690")?;
        ensure!(said.contains("sealed values of work under way"), "{said}");
    }
    // New keys by mistake are another installation's.
    house.ok(&["init", "--yes"])?;
    house.refused(&["resume"], 5, "CLV0691")?;
    authenticates(&house)?;
    fs::remove_file(house.keys("sealing.key"))?;
    house.ok(&["keys", "restore", "keys.backup", "--passphrase-file", "phrase"])?;
    house.ok(&["resume", &id])?;
    let rotations = house.items(&["list", "rotations"])?;
    ensure!(rotations[0]["state"] == "done", "{rotations:#?}");
    authenticates(&house)
}

#[test]
fn keys_that_are_lost_for_good_lose_no_value_at_the_targets() -> Result<()> {
    let house = house(1)?;
    let id = killed_before_its_pivot(&house)?;
    fs::remove_dir_all(house.path().join("keys"))?;
    house.refused(&["resume"], 2, "CLV0110")?;
    let said = house.ok(&["keys", "adopt", "--reason", "the disk is gone"])?;
    ensure!(said.stderr.contains("lost with") && said.stderr.contains("resolve"), "{}", said.stderr);
    authenticates(&house)?;
    // What had changed nothing is undone, or ends when an operator says so.
    let resumed = house.run(&["resume", &id])?;
    let state =
        |house: &House| -> Result<Value> { Ok(house.items(&["list", "rotations"])?[0]["state"].clone()) };
    if state(&house)? != "unwound" {
        let said = house.run(&["resolve", &id, "--close", "--reason", "its keys are lost"])?;
        ensure!(said.code == 0, "{}\n{}\n{}", resumed.stdout, resumed.stderr, said.stderr);
    }
    println!("a rotation whose keys are lost: {}", state(&house)?);
    authenticates(&house)?;
    // And everything goes on with the new keys.
    house.ok(&["scan"])?;
    ensure!(matched(&house.traced("app_000")?) == [ROLE], "it is known by the new key");
    house.ok(&["rotate", ROLE, "--yes"])?;
    authenticates(&house)?;
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the chain");
    Ok(())
}

#[test]
fn what_was_sealed_before_a_rotation_of_the_key_is_opened_after_it() -> Result<()> {
    let house = house(1)?;
    let id = killed_before_its_pivot(&house)?;
    house.refused(&["keys", "rotate", "fingerprint"], 4, "CLV0698")?;
    house.ok(&["keys", "rotate", "sealing"])?;
    ensure!(house.key("sealing", "former")?["left"].as_u64() > Some(0), "it is needed");
    house.ok(&["keys", "prune"])?;
    house.ok(&["resume", &id])?;
    ensure!(house.items(&["list", "rotations"])?[0]["state"] == "done", "it is done");
    authenticates(&house)?;
    // Rolled back, it would be needed; retired, it is not.
    let left = house.key("sealing", "former")?["left"].as_u64();
    if left == Some(0) {
        house.ok(&["keys", "prune"])?;
        ensure!(!house.keys("sealing.1.key").exists(), "its file is still there");
    }
    Ok(())
}

/// How many values are sealed by the key of this state; 0 where there is none.
fn left(house: &House, state: &str) -> u64 {
    house.key("sealing", state).ok().and_then(|key| key["left"].as_u64()).unwrap_or(0)
}

#[test]
fn what_a_former_key_has_sealed_is_sealed_anew_wherever_that_is_cut_off() -> Result<()> {
    let house = House::new(4, DATABASE, "[guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n")?;
    house.ok(&["scan"])?;
    killed(&house, "sim/db/role/app_*")?;
    let all = left(&house, "current");
    ensure!(all >= 3, "only {all} are sealed");
    house.ok(&["keys", "rotate", "sealing"])?;
    ensure!((left(&house, "former"), left(&house, "current")) == (all, 0), "before");
    // One value, and no more.
    let said = house.run(&["keys", "reseal", "--at-most", "1", "-o", "json"])?;
    let document: Value = serde_json::from_str(&said.stdout)?;
    ensure!(said.code == 3 && document["resealed"] == 1 && document["left"] == all - 1, "{document:#}");
    ensure!((left(&house, "former"), left(&house, "current")) == (all - 1, 1), "one of them");
    house.ok(&["keys", "prune"])?;
    ensure!(left(&house, "former") == all - 1, "pruned although it is needed");
    // Killed at any moment, each value is sealed by the one or by the other.
    for wait in [0, 20, 60, 120] {
        let mut child = binary::command(house.path())?
            .args(["keys", "reseal", "--at-most", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(wait));
        child.kill()?;
        child.wait()?;
        ensure!(left(&house, "former") + left(&house, "current") == all, "one is lost after {wait} ms");
    }
    let done = house.json(&["keys", "reseal"])?;
    ensure!(done["left"] == 0 && done["unreadable"] == 0, "{done:#}");
    ensure!((left(&house, "former"), left(&house, "current")) == (0, all), "all of them");
    ensure!(house.json(&["keys", "reseal"])?["resealed"] == 0, "a repeat does nothing");
    house.ok(&["keys", "prune"])?;
    ensure!(!house.keys("sealing.1.key").exists(), "its file is still there");
    // The new key alone brings all of them to their end.
    house.ok(&["resume"])?;
    let rotations = house.items(&["list", "rotations"])?;
    ensure!(rotations.iter().all(|one| one["state"] == "done"), "{rotations:#?}");
    house.agrees()?;
    println!("{all} values sealed anew");
    Ok(())
}

#[test]
fn a_backup_for_a_recipient_is_read_by_nobody_else() -> Result<()> {
    let house = house(1)?;
    let made = house.ok(&["keys", "recipient", "--out", "dana.key"])?;
    let public = made.stdout.trim().to_owned();
    ensure!(public.starts_with("x25519:"), "{public}");
    house.refused(&["keys", "recipient", "--out", "dana.key"], 2, "CLV0693")?;
    let private = fs::read_to_string(house.path().join("dana.key"))?;
    ensure!(!made.stdout.contains(private.trim()) && !made.stderr.contains(private.trim()), "it is shown");
    house.ok(&["keys", "recipient", "--out", "eve.key"])?;
    house.refused(&["keys", "backup", "--out", "b", "--to", "dana"], 2, "CLV0792")?;
    house.ok(&["keys", "backup", "--out", "keys.backup", "--to", &public])?;
    let backup = fs::read_to_string(house.path().join("keys.backup"))?;
    for name in ["fingerprint.key", "sealing.key", "signing.key"] {
        let key = fs::read_to_string(house.keys(name))?;
        ensure!(!backup.contains(key.trim()), "{name} is in it in the clear");
    }
    ensure!(house.run(&["audit", "export"])?.stdout.contains(&public), "nobody says for whom it was made");
    fs::rename(house.path().join("keys"), house.path().join("away"))?;
    fs::write(house.path().join("phrase"), "correct horse battery staple\n")?;
    house.refused(&["keys", "restore", "keys.backup", "--passphrase-file", "phrase"], 1, "CLV0695")?;
    house.refused(&["keys", "restore", "keys.backup", "--identity", "eve.key"], 1, "CLV0695")?;
    house.refused(&["keys", "restore", "keys.backup", "--identity", "phrase"], 4, "CLV0112")?;
    ensure!(!house.path().join("keys").exists(), "something was written");
    house.ok(&["keys", "restore", "keys.backup", "--identity", "dana.key"])?;
    ensure!(matched(&house.traced("app_000")?) == [ROLE], "it is known again");
    house.ok(&["audit", "checkpoint", "--out", "noted"])?;
    Ok(())
}
