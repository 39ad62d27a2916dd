//! Taking values out.

use std::sync::Arc;

use super::{
    bench::{Bench, Outcome, Unnamed, failed, must, subject, trial},
    store::present,
};
use crate::{Eraser, ErrorKind, Expect, Suspension};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    let mut trials = Vec::new();
    if bench.backend.eraser().is_some() {
        trials.push(trial(bench, "erase_takes_one_field_out_and_repeats", |bench| async move {
            erase(&bench).await
        }));
        if bench.capability.write_keeps_former {
            trials.push(trial(bench, "destroy_ends_former_versions_and_no_other", |bench| async move {
                destroy(&bench).await
            }));
        }
    }
    if bench.capability.revoke {
        trials.push(trial(bench, "ending_says_what_the_capability_says", |bench| async move {
            let it = subject(&bench.fixture.revocable, "revocable")?;
            let ending = bench.issuer()?.ending(&it.at);
            must(ending.refused.is_none(), format!("the fixture's `revocable` is refused: {ending:?}"))?;
            let suspends = ending.suspension != Suspension::None;
            must(
                !suspends || bench.capability.disable,
                "it suspends, and the capability says that it cannot",
            )?;
            let outlived = ending.outlived_by.is_none() || bench.backend.offspring().is_some();
            must(outlived, "something outlives it, and `offspring()` gives none")
        }));
    }
    trials
}

fn eraser(bench: &Bench) -> std::result::Result<&dyn Eraser, String> {
    bench.backend.eraser().ok_or_else(|| "`eraser()` gives none".into())
}

async fn erase(bench: &Bench) -> Outcome {
    let (at, beside) =
        (subject(&bench.fixture.copy, "copy")?, subject(&bench.fixture.copy_beside, "copy_beside")?);
    let (store, eraser) = (bench.store()?, eraser(bench)?);
    let (before, sibling) = (present(store, at).await?, present(store, beside).await?);
    match eraser.erase(&bench.operation(), at, "claviger-contract-stale").await {
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        Err(error) => return Err(format!("with a stale version: expected Conflict, got {error:?}")),
        Ok(()) => return Err("a stale version was ignored".into()),
    }
    must(present(store, at).await?.value.expose() == before.value.expose(), "the refused one changed it")?;
    let op = bench.operation();
    failed("erase", eraser.erase(&op, at, &before.version).await)?;
    let gone = failed("read", store.read(at).await)?.is_none();
    let left = present(store, beside).await?.value.expose() == sibling.value.expose();
    failed("erase again", eraser.erase(&op, at, &before.version).await)?;
    // The next trial needs what it knows.
    failed("write", store.write(&bench.operation(), at, &before.value, &Expect::Absent).await)?;
    must(gone, "it is still there")?;
    must(left, "its sibling was changed")
}

async fn destroy(bench: &Bench) -> Outcome {
    let at = subject(&bench.fixture.copy, "copy")?;
    let (store, eraser) = (bench.store()?, eraser(bench)?);
    let before = present(store, at).await?;
    let other = claviger_core::secret::SecretValue::from_text("claviger-contract-in-force".into());
    let expect = Expect::Version(before.version.clone());
    let version = failed("write", store.write(&bench.operation(), at, &other, &expect).await)?;
    let holds = async || {
        let found = failed("former", eraser.former(at).await)?;
        Ok::<_, String>(found.iter().any(|former| former.value.expose() == before.value.expose()))
    };
    let kept = holds().await?;
    let op = bench.operation();
    let refused = match eraser.destroy(&op, at, &version).await {
        Err(error) => error.kind() == ErrorKind::Conflict,
        Ok(()) => false,
    };
    for former in failed("former", eraser.former(at).await)? {
        if former.value.expose() == before.value.expose() {
            failed("destroy", eraser.destroy(&op, at, &former.version).await)?;
            failed("destroy again", eraser.destroy(&op, at, &former.version).await)?;
        }
    }
    let gone = !holds().await?;
    let in_force = present(store, at).await?;
    failed(
        "write",
        store.write(&bench.operation(), at, &before.value, &Expect::Version(in_force.version)).await,
    )?;
    must(kept, "the store is said to keep former versions, and shows none")?;
    must(refused, "the version in force was destroyed, or not refused as a conflict")?;
    must(in_force.value.expose() == other.expose(), "the value in force was changed")?;
    must(gone, "a former version still holds it")
}
