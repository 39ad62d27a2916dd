use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use claviger_core::{random::OsRandom, signing::PrivateKey};
use serde_json::{Value, json};

use super::plan;
use crate::{
    args::{ApproveArgs, Format, Global},
    compose::{Needs, compose},
    config,
    error::{Exit, Failure, Result},
    keys, output,
};

/// Shows a plan that waits for approval and signs it, or makes a key to sign with.
pub(super) async fn run(global: &Global, args: &ApproveArgs) -> Result<Exit> {
    if let Some(file) = &args.new_key {
        return new_key(file);
    }
    let text = args.plan.as_deref().unwrap_or_default();
    let valid = config::age(&args.valid)?;
    let composed = compose(global, Needs::Database).await?;
    let engine = &composed.engine;
    let proposed = engine.proposed(text).await?;
    plan::show(global, &plan::document(&proposed.plan));
    output::remark(
        global,
        &format!(
            "planned by {} on {} to {}: {}",
            proposed.proposal.actor,
            proposed.proposal.at.format("%Y-%m-%dT%H:%M:%SZ"),
            proposed.proposal.verb,
            proposed.proposal.reasons.join("; ")
        ),
    );
    let mut approval = Value::Null;
    if let Some(file) = &args.key {
        let (made, seq) = engine.approve(&proposed, &keys::person(file)?, valid).await?;
        approval = json!({
            "approver": made.approver, "key": made.key, "at": made.at, "expires": made.expires, "audit_seq": seq,
        });
        output::remark(
            global,
            &format!("approved by {} until {}", made.approver, made.expires.format("%Y-%m-%dT%H:%M:%SZ")),
        );
    }
    let count = engine.approvals_of(&proposed).await?;
    let given = if count.given.is_empty() { "none".to_owned() } else { count.given.join(", ") };
    output::remark(global, &format!("approvals: {} wanted, given: {given}", proposed.proposal.needed));
    if !matches!(global.output, Format::Table | Format::Wide) {
        let mut document = claviger_server::document::plan::proposed(&proposed);
        document["approval"] = approval;
        document["given"] = output::value(&count.given)?;
        document["unfit"] = output::value(&count.unfit)?;
        output::stamp(&mut document, "approve");
        output::document(global, &document)?;
    }
    Ok(Exit::Done)
}

/// Makes a key for a person. The private half never leaves the file.
fn new_key(file: &Path) -> Result<Exit> {
    let key = PrivateKey::generate(&OsRandom);
    let text = key.to_text();
    let write = || -> std::io::Result<()> {
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        out.write_all(text.expose())?;
        out.write_all(b"\n")?;
        out.sync_all()
    };
    write().map_err(|error| {
        Failure::file("make", file, &error)
            .hint("a key is never overwritten: give a file that is not there yet")
    })?;
    output::text(&format!("[[approvers]]\nname = \"YOUR NAME\"\npublic_key = \"{}\"\n", key.public()));
    Ok(Exit::Done)
}
