//! Receipts that somebody without our database believes, and forged ones that nobody does.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{Place, Ran};

/// Verifies a file somewhere else: no configuration, no database, no key but the one that was handed over.
fn verify(place: &Place, lines: &[String], more: &[&str]) -> Result<(Ran, Value)> {
    let elsewhere = tempfile::tempdir()?;
    let file = elsewhere.path().join("export.jsonl");
    fs::write(&file, lines.concat())?;
    let file = file.display().to_string();
    let key = place.dir.join("keys/signing.pub").display().to_string();
    let arguments =
        [&["audit", "verify", "-o", "json", "--file", &file, "--public-key", &key], more].concat();
    let ran = place.run_in(elsewhere.path(), "auditor", &arguments, None)?;
    let verdict = ran.json()?;
    Ok((ran, verdict))
}

fn export(place: &Place, name: &str, more: &[&str]) -> Result<Vec<String>> {
    let file = place.dir.join(name).display().to_string();
    place.run(&[&["audit", "export", "--out", &file], more].concat())?.expect(0)?;
    Ok(fs::read_to_string(file)?.split_inclusive('\n').map(str::to_owned).collect())
}

fn is_bad(place: &Place, lines: &[String], more: &[&str]) -> Result<(i64, String)> {
    let (ran, verdict) = verify(place, lines, more)?;
    ensure!(ran.code == 1 && verdict["valid"] == false, "exit {}: {verdict}", ran.code);
    ensure!(
        verdict["receipts"].as_array().is_some_and(Vec::is_empty),
        "what does not hold shows no receipt: {verdict}"
    );
    Ok((verdict["first_bad"].as_i64().context("an entry")?, verdict["flaw"].to_string()))
}

#[test]
fn a_revocations_receipt_is_proven_to_an_outsider_and_a_forged_one_is_not() -> Result<()> {
    let place = Place::new()?;
    let revocations = place.json(&["list", "revocations"])?;
    let id = revocations["items"][0]["rotation_id"].as_str().context("an id")?.to_owned();
    let lines = export(&place, "receipt.jsonl", &["--receipts", "--rotation", &id[..13]])?;
    let (ran, verdict) = verify(&place, &lines, &[])?;
    ensure!(ran.code == 0 && verdict["valid"] == true && verdict["pinned"] == true, "{verdict}");
    let receipts = verdict["receipts"].as_array().context("receipts")?;
    ensure!(receipts.len() == 1 && receipts[0]["receipt"]["verdict"] == "proven", "{verdict}");
    ensure!(receipts[0]["seq"] == verdict["from"], "it begins with the receipt: {verdict}");
    ensure!(ran.stderr.contains("proven"), "{}", ran.stderr);
    let from = verdict["from"].as_i64().context("from")?;
    ensure!(from > 20 && lines.len() < 20, "a part of the log: from {from}, {} lines", lines.len());

    // Edited: the verdict, the subject, the time. Each at its own entry.
    for (what, with) in
        [("\"verdict\":\"proven\"", "\"verdict\":\"prowen\""), ("refused", "rofused"), ("sim/k8s", "sim/k9s")]
    {
        let mut edited = lines.clone();
        ensure!(edited[0].contains(what), "{what} is not in {}", edited[0]);
        edited[0] = edited[0].replacen(what, with, 1);
        ensure!(is_bad(&place, &edited, &[])?.0 == from, "{what}");
    }
    // The same meaning in other bytes is no receipt of ours either.
    let mut spaced = lines.clone();
    spaced[0] = spaced[0].replacen(':', ": ", 1);
    ensure!(is_bad(&place, &spaced, &[])?.0 == from);
    // Reordered, repeated, cut at the end, at the beginning, and without its signature.
    let last = lines.len() - 1;
    let mut moved = lines.clone();
    moved.swap(1, 2);
    ensure!(is_bad(&place, &moved, &[])?.0 == from + 1);
    let mut repeated = lines.clone();
    repeated.insert(1, lines[0].clone());
    ensure!(is_bad(&place, &repeated, &[])?.0 == from + 1);
    let mut cut = lines.clone();
    cut.remove(last - 1);
    ensure!(is_bad(&place, &cut, &[])?.0 == from + i64::try_from(last)? - 1);
    ensure!(is_bad(&place, &lines[1..], &[])?.0 == from);
    ensure!(is_bad(&place, &lines[..last], &[])?.1.contains("no-head"));

    // Signed by somebody else, who has an installation of their own.
    let other = Place::new()?;
    let theirs = export(&other, "receipt.jsonl", &["--receipts"])?;
    ensure!(is_bad(&place, &theirs, &[])?.1.contains("other-key"));
    let mut mixed = lines.clone();
    mixed[last] = theirs[theirs.len() - 1].clone();
    is_bad(&place, &mixed, &[])?;
    Ok(())
}

#[test]
fn a_checkpoint_shows_an_older_export_for_what_it_is() -> Result<()> {
    let place = Place::new()?;
    let older = export(&place, "older.jsonl", &[])?;
    ensure!(verify(&place, &older, &[])?.1["valid"] == true);
    // Without the installation's key it holds, and says that nobody vouches for the signer.
    let file = place.dir.join("older.jsonl").display().to_string();
    let ran = place.run(&["audit", "verify", "--file", &file, "-o", "json"])?.expect(0)?;
    ensure!(ran.json()?["pinned"] == false && ran.stderr.contains("--public-key"), "{}", ran.stderr);
    let checkpoint = place.dir.join("checkpoint.json").display().to_string();
    place.run(&["audit", "checkpoint", "--out", &checkpoint])?.expect(0)?;
    place.run(&["scan"])?;
    let newer = export(&place, "newer.jsonl", &[])?;
    let more = ["--checkpoint", checkpoint.as_str()];
    ensure!(verify(&place, &newer, &more)?.1["valid"] == true, "the chain goes on");
    place.run(&["audit", "verify", "--checkpoint", &checkpoint])?.expect(0)?;
    // Replayed: genuine, and of before the checkpoint.
    let (bad, flaw) = is_bad(&place, &older, &more)?;
    ensure!(bad == i64::try_from(older.len())? && flaw.contains("witness"), "{bad} {flaw}");
    // A checkpoint that was changed is none, and one of somebody else is not ours.
    let forged = fs::read_to_string(&checkpoint)?.replacen("\"seq\":", "\"seq\":1", 1);
    let forged = place.write("forged.json", &forged)?;
    place.run(&["audit", "verify", "--file", &file, "--checkpoint", &forged])?.refused(1, "CLV0501")?;
    let other = Place::new()?;
    other.run(&["audit", "verify", "--checkpoint", &checkpoint])?.expect(1)?;
    Ok(())
}

#[test]
fn an_installation_without_a_signing_key_is_told_how_to_get_one() -> Result<()> {
    let place = Place::new()?;
    let key = place.dir.join("keys/signing.key");
    fs::remove_file(&key)?;
    fs::remove_file(place.dir.join("keys/signing.pub"))?;
    place.run(&["audit", "export"])?.refused(2, "CLV0113")?;
    let other = fs::read(place.dir.join("keys/sealing.key"))?;
    place.run(&["init", "--yes"])?.expect(0)?;
    ensure!(
        key.exists() && fs::read(place.dir.join("keys/sealing.key"))? == other,
        "only what is missing is made"
    );
    // The database knows the one that is gone: another one is taken for it only where somebody says that it is lost.
    place.run(&["audit", "export"])?.refused(5, "CLV0691")?;
    place.run(&["keys", "adopt", "--reason", "the disk is gone"])?.expect(0)?;
    place.run(&["audit", "export"])?.expect(0)?;
    place.run(&["audit", "export", "--receipts", "--rotation", "ffffffff"])?.expect(1)?;
    Ok(())
}

/// Every line of an export in every way: edited field by field, removed, repeated, moved, replaced by one of another installation, cut behind it.
/// Each is refused, and names the first entry that does not hold.
#[test]
fn every_forgery_of_an_export_is_refused_at_its_entry() -> Result<()> {
    let place = Place::new()?;
    let revocations = place.json(&["list", "revocations"])?;
    let id = revocations["items"][0]["rotation_id"].as_str().context("an id")?.to_owned();
    let lines = export(&place, "receipts.jsonl", &["--receipts", "--rotation", &id])?;
    let theirs = export(&Place::new()?, "theirs.jsonl", &["--receipts"])?;
    let entries = lines.len() - 1;
    let from = verify(&place, &lines, &[])?.1["from"].as_i64().context("from")?;
    let seq = |index: usize| -> Result<i64> { Ok(from + i64::try_from(index)?) };
    let mut tried = 0;
    for index in 0..entries {
        let entry: Value = serde_json::from_str(&lines[index])?;
        for (field, value) in entry.as_object().context("fields")? {
            let other = match value {
                Value::Null => serde_json::json!("x"),
                Value::Number(number) => (number.as_i64().unwrap_or(0) + 1).into(),
                Value::String(text) if text.len() == 64 => text.chars().rev().collect::<String>().into(),
                Value::String(text) => format!("{text}x").into(),
                other => serde_json::json!([other]),
            };
            let mut forged = entry.clone();
            forged[field] = other;
            // Written as the format writes it: with its fields in their order.
            let before = serde_json::to_string(value)?;
            let line = lines[index].replacen(
                &format!("\"{field}\":{before}"),
                &format!("\"{field}\":{}", forged[field]),
                1,
            );
            ensure!(line != lines[index], "{field} was not found in {}", lines[index]);
            let mut export = lines.clone();
            export[index] = line;
            let (bad, flaw) = is_bad(&place, &export, &[])?;
            ensure!(bad == seq(index)?, "{field} of entry {}: {bad} {flaw}", seq(index)?);
            tried += 1;
        }
        let mut removed = lines.clone();
        removed.remove(index);
        let mut repeated = lines.clone();
        repeated.insert(index + 1, lines[index].clone());
        let mut replaced = lines.clone();
        replaced[index] = theirs[index.min(theirs.len() - 2)].clone();
        for (what, export, expected) in
            [("removed", removed, 0), ("repeated", repeated, 1), ("replaced", replaced, 0)]
        {
            let (bad, flaw) = is_bad(&place, &export, &[])?;
            // The first of a part says itself where it begins: one of another chain holds by itself, and is found by the next one or the head.
            let exact = bad == seq(index + expected)? || (what == "replaced" && index == 0);
            ensure!(exact, "{what} entry {}: {bad} {flaw}", seq(index)?);
            tried += 1;
        }
        if index + 1 < entries {
            let mut moved = lines.clone();
            moved.swap(index, index + 1);
            ensure!(is_bad(&place, &moved, &[])?.0 == seq(index)?, "moved entry {}", seq(index)?);
            tried += 1;
        }
        // Cut behind it, with the head that was there, and without.
        for head in [true, false] {
            let mut cut = lines[..=index].to_vec();
            cut.extend(head.then(|| lines[entries].clone()));
            if head && index + 1 == entries {
                continue;
            }
            let (bad, flaw) = is_bad(&place, &cut, &[])?;
            ensure!(bad == seq(index + 1)?, "cut behind entry {}: {bad} {flaw}", seq(index)?);
            tried += 1;
        }
    }
    ensure!(tried > 60, "only {tried} forgeries");
    println!("{tried} forgeries of an export of {entries} entries, all refused at their entry");
    Ok(())
}
