use claviger_core::{
    own_key::{KeyKind, KeyState},
    seal::{Frame, Slot},
};
use claviger_store::{FormerlySealed, Resealed};
use serde_json::json;

use super::draft;
use crate::{
    args::{Format, Global},
    compose::{Composed, Needs, compose},
    error::{Exit, Result},
    output,
};

/// Values of one commit.
const BATCH: u64 = 64;

/// What a run came to.
#[derive(Default)]
struct Came {
    resealed: u64,
    /// No key that is here opens them.
    unreadable: u64,
}

/// Seals anew what former keys have sealed, some values a commit. Cut off anywhere, each value is sealed by the one key or by the other, and the next run
/// goes on with what is left.
pub(super) async fn run(global: &Global, at_most: Option<u64>) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    composed.may_change()?;
    let came = all(&composed, at_most.unwrap_or(u64::MAX)).await?;
    let known = composed.store.own_keys().await?;
    let of_former = known.iter().filter(|key| key.kind == KeyKind::Sealing && key.state != KeyState::Current);
    let left: u64 = of_former.map(|key| key.left).sum();
    if matches!(global.output, Format::Table | Format::Wide) {
        output::text(&format!("{} values are sealed anew, {left} are left\n", came.resealed));
    } else {
        let mut document = json!({ "resealed": came.resealed, "left": left, "unreadable": came.unreadable });
        output::stamp(&mut document, "resealed");
        output::document(global, &document)?;
    }
    if came.unreadable > 0 {
        output::remark(
            global,
            &format!("{} values are opened by no key that is here: they stay as they are", came.unreadable),
        );
    }
    if left > came.unreadable {
        output::remark(
            global,
            "what is left belongs to rotations that somebody drives at this moment, or came after the last look: run it again",
        );
    } else if known.iter().any(|key| key.kind == KeyKind::Sealing && key.state == KeyState::Former) {
        output::remark(global, "`claviger keys prune` takes the former keys away");
    }
    Ok(Exit::Done.unless(left > 0))
}

async fn all(composed: &Composed, at_most: u64) -> Result<Came> {
    let (store, engine) = (&composed.store, &composed.engine);
    let key = &engine.keys.sealing;
    let (mut came, mut after): (Came, Option<FormerlySealed>) = (Came::default(), None);
    while came.resealed < at_most {
        let most = BATCH.min(at_most - came.resealed);
        let found = store.formerly_sealed(&key.head(), after.as_ref(), most).await?;
        let Some(last) = found.last().cloned() else { break };
        let mut anew = Vec::new();
        for of in found {
            let frame = |slot| Frame { saga: of.saga, credential: of.credential, slot, salt: &of.salt };
            let sealed = Slot::parse(&of.slot)
                .and_then(|slot| key.reseal(&frame(slot), &of.sealed, engine.random.as_ref()).ok());
            match sealed {
                Some(sealed) => anew.push(Resealed { of, sealed }),
                None => came.unreadable += 1,
            }
        }
        let detail = json!({ "change": "resealed", "to": key.id(), "values": anew.len() });
        came.resealed += store.put_resealed(&anew, draft(&engine.actor, "sealing", detail)).await?;
        after = Some(last);
    }
    Ok(came)
}
