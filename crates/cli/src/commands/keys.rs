//! Our own keys: listed, rotated, kept elsewhere, put back, given up.

mod adopt;
mod backup;
mod reseal;
mod rotate;

use claviger_core::{
    audit::{AuditDraft, AuditKind},
    own_key::{KeyState, OwnKey},
};
use serde_json::{Value, json};

use crate::{
    args::{Global, KeysArgs, KeysCommand},
    compose::{Needs, compose},
    error::{Exit, Result},
    keys::{self, KeyFile},
    output::{self, Column, Shown},
};

const COLUMNS: &[Column] = &[
    Column::new("kind", "KIND"),
    Column::new("epoch", "EPOCH").shown(Shown::Number),
    Column::new("id", "ID"),
    Column::new("state", "STATE"),
    Column::new("since", "SINCE").shown(Shown::Time),
    Column::new("until", "UNTIL").shown(Shown::Time),
    Column::new("left", "LEFT").shown(Shown::Number),
    Column::new("file", "FILE"),
    Column::new("public", "PUBLIC").wide(),
];

/// Runs one of the commands.
pub(super) async fn run(global: &Global, args: &KeysArgs) -> Result<Exit> {
    match &args.command {
        KeysCommand::List => list(global).await,
        KeysCommand::Rotate { kind, reason } => rotate::run(global, (*kind).into(), reason.as_deref()).await,
        KeysCommand::Reseal { at_most } => reseal::run(global, *at_most).await,
        KeysCommand::Prune => rotate::prune(global).await,
        KeysCommand::Backup { out, to, passphrase } => {
            backup::run(global, out, to.as_deref(), passphrase).await
        }
        KeysCommand::Restore { file, identity, passphrase } => {
            backup::restore(global, file, identity.as_deref(), passphrase)
        }
        KeysCommand::Recipient { out } => backup::recipient(out),
        KeysCommand::Adopt { reason } => adopt::run(global, reason).await,
    }
}

async fn list(global: &Global) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let files = keys::read_all(&composed.loaded.keys())?;
    let known = composed.store.own_keys().await?;
    let items = known.iter().map(|key| item(key, &files)).collect::<Result<Vec<Value>>>()?;
    output::list(global, "keys", COLUMNS, &items)?;
    for key in known.iter().filter(|key| key.state == KeyState::Former && key.left > 0) {
        let what = match key.kind {
            claviger_core::own_key::KeyKind::Fingerprint => "fingerprints",
            _ => "sealed values",
        };
        let text = format!("{} key {} is kept: {} {what} are left of it", key.kind, key.id, key.left);
        output::remark(global, &text);
    }
    let gone = |key: &OwnKey| {
        matches!(key.state, KeyState::Current | KeyState::Former) && keys::file_of(&files, key).is_none()
    };
    Ok(Exit::Done.unless(known.iter().any(gone)))
}

fn item(key: &OwnKey, files: &[KeyFile]) -> Result<Value> {
    let mut item = output::value(key)?;
    item["file"] = json!(keys::file_of(files, key).map(KeyFile::name));
    Ok(item)
}

/// An entry of the audit log on one of our keys.
fn draft(actor: &str, key: &str, detail: Value) -> AuditDraft {
    AuditDraft {
        kind: AuditKind::KeyChanged,
        actor: actor.to_owned(),
        subject: format!("keys/{key}"),
        saga: None,
        step: None,
        detail,
    }
}
