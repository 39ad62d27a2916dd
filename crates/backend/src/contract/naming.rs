//! The issuer's methods for credentials that it makes under a name that follows from the operation.

use std::sync::Arc;

use claviger_core::secret::SecretValue;

use super::{
    Subject,
    bench::{Bench, Outcome, Unnamed, failed, must, subject, trial},
    issuer::{accepted, refused},
};
use crate::{Effect, ErrorKind, Issued, Operation, Presence, ValueOrigin};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    let mut trials = Vec::new();
    if !bench.capability.issue_by_name {
        return trials;
    }
    trials.push(trial(bench, "issue_by_name_repeats_with_one_ref_and_one_value", |bench| async move {
        name(&bench).await
    }));
    trials.push(trial(bench, "issue_by_name_takes_no_value", |bench| async move {
        let it = subject(&bench.fixture.nameable, "nameable")?;
        let value = SecretValue::from_text("claviger-contract-brought-value".into());
        match bench.issuer()?.issue(&bench.operation(), &it.at, Some(&value)).await {
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(()),
            Err(error) => Err(format!("expected Invalid, got {error:?}")),
            Ok(_) => Err("it took a value that the issuer makes itself".into()),
        }
    }));
    trials.push(trial(bench, "issue_by_name_of_an_absent_subject_makes_nothing", |bench| async move {
        let it = subject(&bench.fixture.nameable, "nameable")?;
        let gone = claviger_core::reference::Ref::from_text(format!("{}-gone", it.at));
        let (issuer, op) = (bench.issuer()?, bench.operation());
        match issuer.issue(&op, &gone, None).await {
            Err(error) if error.kind() == ErrorKind::NotFound && error.effect() == Effect::NotApplied => {}
            Err(error) => return Err(format!("expected NotFound, got {error:?}")),
            Ok(_) => return Err("it was made as a side effect".into()),
        }
        must(failed("issued", issuer.issued(&op, &gone).await)?.is_none(), "something was made")
    }));
    trials
}

async fn name(bench: &Bench) -> Outcome {
    let issuer = bench.issuer()?;
    let it = subject(&bench.fixture.nameable, "nameable")?;
    let offer =
        issuer.offer(&it.at).ok_or("minting by name is claimed, and `nameable` is offered nothing")?;
    must(offer.origin == ValueOrigin::MintedByName, format!("{offer:?} of `nameable`"))?;
    let op = bench.operation();
    must(
        failed("issued", issuer.issued(&op, &it.at).await)?.is_none(),
        "it was issued before it was asked for",
    )?;
    let issued = failed("issue", issuer.issue(&op, &it.at, None).await)?;
    // Whatever comes out, it is taken away again.
    let outcome = named(bench, it, &op, &issued).await;
    failed("revoke", issuer.revoke(&bench.operation(), &issued.at, None).await)?;
    outcome?;
    must(failed("issued", issuer.issued(&op, &it.at).await)?.is_none(), "it is issued after it was revoked")?;
    let presence = failed("presence", issuer.presence(&it.at).await)?;
    must(presence != Presence::Absent, "the subject went with it")
}

async fn named(bench: &Bench, it: &Subject, op: &Operation, issued: &Issued) -> Outcome {
    let issuer = bench.issuer()?;
    let value = issued.minted.as_ref().ok_or("nothing was minted")?;
    must(issued.at != it.at, "the new one has the subject's own ref")?;
    must(value.expose() != it.value.expose(), "the new one has the subject's value")?;
    let after_one = bench.fixture.changes.as_ref().map(|count| count());
    let again = failed("issue again with the same key", issuer.issue(op, &it.at, None).await)?;
    same(issued, &again).map_err(|why| format!("repeat: {why}"))?;
    let found = failed("issued", issuer.issued(op, &it.at).await)?.ok_or("`issued` does not find it")?;
    same(issued, &found).map_err(|why| format!("`issued`: {why}"))?;
    let quiet = after_one == bench.fixture.changes.as_ref().map(|count| count());
    must(quiet, "the repeat changed something")?;
    let other = bench.operation();
    must(
        failed("issued", issuer.issued(&other, &it.at).await)?.is_none(),
        "another operation has made it too",
    )?;
    if bench.capability.verify {
        accepted(issuer, &Subject { at: issued.at.clone(), value: value.duplicate() }, value).await?;
        accepted(issuer, it, &it.value).await.map_err(|why| format!("the one that was there: {why}"))?;
        let wrong = SecretValue::from_text("claviger-contract-wrong-value".into());
        refused(issuer, it, &wrong).await?;
    }
    Ok(())
}

fn same(one: &Issued, other: &Issued) -> Outcome {
    must(one.at == other.at, format!("{} and {}", one.at, other.at))?;
    must(one.public_half == other.public_half, "two public halves")?;
    let values = one.minted.as_ref().zip(other.minted.as_ref());
    must(values.is_some_and(|(one, other)| one.expose() == other.expose()), "two values")
}
