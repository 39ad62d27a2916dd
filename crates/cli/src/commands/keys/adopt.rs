use std::sync::Arc;

use claviger_core::{
    clock::{Clock, SystemClock},
    own_key::{KeyKind, KeyState},
    random::{OsRandom, Random},
    signing::PrivateKey,
};
use claviger_store::KeyTurn;
use serde_json::{Value, json};

use super::draft;
use crate::{
    args::Global,
    compose,
    config::Loaded,
    error::{Exit, Failure, Result},
    keys, output,
};

/// Goes on with new keys where those of the database are lost. What is here and fits stays; of the rest it is said what it costs.
pub(super) async fn run(global: &Global, reason: &str) -> Result<Exit> {
    let loaded = Loaded::find(global)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let store = compose::open(global, &loaded, &clock, &random).await?;
    store.require_schema().await?;
    let (dir, actor) = (loaded.keys(), compose::actor(None));
    // A key of a former epoch is no new one, whatever its file is called.
    if dir.is_dir() {
        keys::tidy(&dir, &keys::read_all(&dir)?, &store.own_keys().await?);
    }
    for path in keys::create(&dir, random.as_ref())? {
        output::remark(global, &format!("made {}: back it up, apart from the database", path.display()));
    }
    let files = keys::read_all(&dir)?;
    let mut items: Vec<Value> = Vec::new();
    for key in store.own_keys().await? {
        let wanted = matches!(key.state, KeyState::Current | KeyState::Former);
        if !wanted || keys::file_of(&files, &key).is_some() {
            continue;
        }
        let mut detail = json!({ "change": "lost", "from": key.id, "epoch": key.epoch, "left": key.left, "reason": reason });
        if key.state == KeyState::Former {
            store.lose_key(&key, draft(&actor, key.kind.as_str(), detail)).await?;
        } else {
            let path = dir.join(format!("{}.key", key.kind));
            let file = files.iter().find(|file| file.path == path);
            let file = file.ok_or_else(|| Failure::bug("a key that was made is not there"))?;
            detail["to"] = json!(file.id);
            let public = (key.kind == KeyKind::Signing).then(|| PrivateKey::new(file.bytes()).public());
            let turn = KeyTurn {
                kind: key.kind,
                from: key.id,
                fate: KeyState::Lost,
                to: file.id,
                public,
                succession: None,
                audit: draft(&actor, key.kind.as_str(), detail),
            };
            store.turn_key(turn).await?;
            if key.kind == KeyKind::Signing {
                keys::write_public(&dir, &PrivateKey::new(file.bytes()))?;
            }
        }
        output::remark(global, &cost(key.kind, key.left));
        items.push(output::value(&key)?);
    }
    output::list(global, "keys", super::COLUMNS, &items)?;
    Ok(Exit::Done)
}

/// What it costs that this key is lost.
fn cost(kind: KeyKind, left: u64) -> String {
    match kind {
        KeyKind::Fingerprint => "the fingerprint key is lost: of values that are not seen again nothing is recognised any more, a revoked one that comes back \
             included; whether the others changed until the next scan cannot be known, and they are taken for unchanged"
            .to_owned(),
        KeyKind::Sealing if left > 0 => format!(
            "the sealing key is lost with {left} sealed values: `claviger resume` undoes what had changed nothing yet, and stops at the rest, which \
             `claviger resolve ID --close` ends; `claviger list rotations` shows them. Then rotate what they were of again"
        ),
        KeyKind::Sealing => "the sealing key is lost; nothing was sealed with it".to_owned(),
        KeyKind::Signing => "the signing key is lost: nothing ties the new one to it, so those who verify exports must be given the new `keys/signing.pub` by hand; \
             what the old one signed still verifies with its public half"
            .to_owned(),
    }
}
