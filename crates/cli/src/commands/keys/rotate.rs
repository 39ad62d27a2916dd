use std::fs;

use claviger_core::{
    own_key::{KeyKind, KeyState, Succession},
    signing::PrivateKey,
};
use claviger_store::KeyTurn;
use serde_json::json;

use super::{draft, item};
use crate::{
    args::{Format, Global},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    keys, output,
};

/// Puts a new key in force: its file first, then one commit, then the names. Wherever it is cut off, the next command finds keys that fit the database.
pub(super) async fn run(global: &Global, kind: KeyKind, reason: Option<&str>) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let (store, engine, dir) = (&composed.store, &composed.engine, composed.loaded.keys());
    let known = store.own_keys().await?;
    let current = known.iter().find(|key| key.kind == kind && key.state == KeyState::Current);
    let current = current.ok_or_else(|| {
        Failure::new(692, Exit::Failed, format!("there is no {kind} key to be rotated"))
            .hint("`claviger init` makes what is missing")
    })?;
    let path = dir.join(format!("{kind}.next.key"));
    // One that an earlier try left was never in force.
    if !path.exists() {
        keys::generate(&path, engine.random.as_ref())?;
    }
    let files = keys::read_all(&dir)?;
    let next = files.iter().find(|file| file.path == path);
    let next = next.ok_or_else(|| Failure::bug("the new key is not where it was written"))?;
    let mut detail = json!({ "change": "rotated", "from": current.id, "to": next.id, "reason": reason });
    let (mut public, mut succession) = (None, None);
    if kind == KeyKind::Signing {
        let new = PrivateKey::new(next.bytes());
        let old = composed.signing()?;
        let said = Succession::sign(old, &new, engine.ports.audit.head().await?.0, engine.clock.now());
        detail["succession"] = output::value(&said)?;
        (public, succession) = (Some(new.public()), Some(said));
    }
    let turn = KeyTurn {
        kind,
        from: current.id,
        fate: KeyState::Former,
        to: next.id,
        public,
        succession,
        audit: draft(&engine.actor, kind.as_str(), detail),
    };
    let made = store.turn_key(turn).await?;
    keys::tidy(&dir, &files, &store.own_keys().await?);
    if kind == KeyKind::Signing {
        keys::write_history(store, &dir).await?;
    }
    let mut document = item(&made, &keys::read_all(&dir)?)?;
    if matches!(global.output, Format::Table | Format::Wide) {
        output::text(&format!("{kind} key {} is in force (epoch {})\n", made.id, made.epoch));
    } else {
        output::stamp(&mut document, "key");
        output::document(global, &document)?;
    }
    output::remark(global, "back the keys up again: `claviger keys backup --out FILE`");
    output::remark(
        global,
        match kind {
            KeyKind::Fingerprint => {
                "services that run have to be started again; the next scan takes along what it sees, and the former key stays for what it does not"
            }
            KeyKind::Sealing => {
                "what is sealed stays readable; start services that run again, and `claviger keys reseal` seals it anew"
            }
            KeyKind::Signing => {
                "give `keys/signing.pub` and `keys/signing.history` to those who verify exports; services that run have to be started again"
            }
        },
    );
    Ok(Exit::Done)
}

/// Takes away former keys of which nothing is left. The database first: a file without a record is found again, a record without a file is a lost key.
pub(super) async fn prune(global: &Global) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let (store, dir) = (&composed.store, composed.loaded.keys());
    let files = keys::read_all(&dir)?;
    let mut items = Vec::new();
    for key in store.own_keys().await? {
        // A signing key is needed for nothing but signing: its public half is in the history.
        if key.state == KeyState::Former && key.left == 0 {
            let detail = json!({ "change": "dropped", "from": key.id, "epoch": key.epoch });
            store.drop_key(&key, draft(&composed.engine.actor, key.kind.as_str(), detail)).await?;
            items.push(output::value(&key)?);
        }
        // Also one that an earlier try dropped without coming to its file.
        let is_over = key.state == KeyState::Dropped || (key.state == KeyState::Former && key.left == 0);
        if let Some(file) = keys::file_of(&files, &key).filter(|_| is_over) {
            fs::remove_file(&file.path).map_err(|error| Failure::file("remove", &file.path, &error))?;
        }
    }
    keys::sync(&dir)?;
    output::list(global, "keys", super::COLUMNS, &items)?;
    Ok(Exit::Done)
}
