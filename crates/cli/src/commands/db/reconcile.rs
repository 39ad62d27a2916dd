//! `db reconcile`: a database that went back in time is compared with the targets before anything has an effect again.

use claviger_core::{
    audit::{AuditDraft, AuditKind},
    saga::SagaKind,
};
use claviger_engine::scan::ScanOptions;
use serde_json::{Value, json};

use crate::{
    args::{Format, Global},
    compose::{Needs, compose},
    error::{Exit, Result},
    output, progress,
};

/// Scans, reads and logs in, looks at what is unfinished, and lets work begin again if nothing is unknown or an operator says so.
pub(super) async fn run(global: &Global, incomplete: bool, unfinished: bool) -> Result<Exit> {
    let composed = compose(global, Needs::Backends).await?;
    let keeper = composed.keeper();
    let Some(why) = keeper.went_back() else {
        tell(global, &json!({ "went_back": Value::Null, "reconciled": true }))?;
        return Ok(Exit::Done);
    };
    output::remark(global, &format!("the database went back in time: {why}"));
    let scheduler = composed.scheduler()?;
    let engine = &scheduler.engine;
    let listener = progress::listener(global);
    let scan = engine.scan(&ScanOptions::default(), listener.as_ref()).await?;
    drop(listener);
    let verified = engine.verify(None, &scheduler.estate_budgets()).await?;
    let mut open = Vec::new();
    for kind in SagaKind::ALL {
        let all = engine.ports.journal.list(kind, None).await?;
        let left = all.into_iter().filter(|saga| saga.finished_at.is_none());
        open.extend(
            left.map(|saga| json!({ "rotation_id": saga.rotation_id, "ref": saga.at, "state": saga.state })),
        );
    }
    let broken: Vec<&str> =
        verified.items.iter().filter(|seen| seen.is_broken()).map(|seen| seen.at.as_str()).collect();
    let reconciled = (scan.complete || incomplete) && (open.is_empty() || unfinished);
    let last = keeper.last();
    let mut document = json!({
        "went_back": why, "reconciled": reconciled, "complete": scan.complete, "broken": broken, "unfinished": open,
        "seen": last.map(|(seq, hash)| format!("{}:{hash}", seq.0)),
    });
    if reconciled {
        let draft = AuditDraft {
            kind: AuditKind::Reconciled,
            actor: engine.actor.clone(),
            subject: "database".to_owned(),
            saga: None,
            step: None,
            detail: document.clone(),
        };
        let numbers = engine.ports.audit.append(vec![draft]).await?;
        document["audit_seq"] = json!(numbers.first());
        keeper.reconciled().await?;
    }
    tell(global, &document)?;
    for one in &open {
        output::remark(
            global,
            &format!("unfinished in this backup: {} of {}: {}", one["rotation_id"], one["ref"], one["state"]),
        );
    }
    for at in &broken {
        output::remark(global, &format!("{at}: copies no longer log in or no longer agree"));
    }
    if !scan.complete {
        output::remark(
            global,
            "not everything could be read: `claviger doctor` says why; `--incomplete` goes on without it",
        );
    }
    if !open.is_empty() && !unfinished {
        output::remark(
            global,
            "they may have come to their end since: `--unfinished` lets them be taken up, where each step asks its target first whether it happened",
        );
    }
    output::remark(
        global,
        "what was revoked since the backup is not known as revoked here: exports and receipts of that time have it",
    );
    Ok(match (reconciled, open.is_empty() || unfinished) {
        (false, false) => Exit::Stuck,
        (false, true) => Exit::Incomplete,
        (true, _) => Exit::Done.unless(!broken.is_empty() || !scan.complete),
    })
}

fn tell(global: &Global, document: &Value) -> Result<()> {
    if matches!(global.output, Format::Table | Format::Wide) {
        let text = match document["reconciled"] == true {
            true => "reconciled: work may begin again\n",
            false => "not reconciled: nothing has an effect\n",
        };
        output::text(text);
        return Ok(());
    }
    let mut document = document.clone();
    output::stamp(&mut document, "db-reconcile");
    output::document(global, &document)
}
