//! The issuer's methods for values that we make, and that it takes beside the one that is there.

use std::{sync::Arc, time::Duration};

use claviger_core::secret::SecretValue;

use super::{
    Subject,
    bench::{Bench, Outcome, Unnamed, failed, must, subject, trial},
    description::shows,
    issuer::{accepted, refused},
};
use crate::{Error, ErrorKind, Issued, Overlap, ValueOrigin};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    if !bench.capability.issue_adds {
        return Vec::new();
    }
    vec![
        trial(bench, "issue_adds_beside_the_old_one_and_it_is_found_and_ended", |bench| async move {
            added(&bench).await
        }),
        trial(bench, "issue_of_an_added_one_takes_a_value_of_its_form_only", |bench| async move {
            let it = subject(&bench.fixture.addable, "addable")?;
            let value = SecretValue::from_text("claviger-contract-no-such-form".into());
            let before = bench.fixture.changes.as_ref().map(|count| count());
            let none = bench.issuer()?.issue(&bench.operation(), &it.at, None).await;
            invalid(none.err(), "no value")?;
            // An issuer that takes any text as a value has nothing to refuse.
            match bench.issuer()?.issue(&bench.operation(), &it.at, Some(&value)).await {
                Err(error) => {
                    must(!shows(&format!("{error:?} {error}"), &[value]), "the value is in the error")?;
                    invalid(Some(error), "a value of another form")?;
                }
                Ok(made) => {
                    failed("revoke", bench.issuer()?.revoke(&bench.operation(), &made.at, None).await)?;
                    return Ok(());
                }
            }
            must(before == bench.fixture.changes.as_ref().map(|count| count()), "something was changed")
        }),
        trial(bench, "prospect_of_an_addable_one_is_clear_and_changes_nothing", |bench| async move {
            let it = subject(&bench.fixture.addable, "addable")?;
            let before = bench.fixture.changes.as_ref().map(|count| count());
            let prospect = failed("prospect", bench.issuer()?.prospect(&it.at).await)?;
            must(prospect.refused.is_none(), format!("{prospect:?}"))?;
            must(!shows(&format!("{prospect:?}"), &bench.fixture.secrets), "a secret is in it")?;
            must(before == bench.fixture.changes.as_ref().map(|count| count()), "something was changed")
        }),
    ]
}

fn invalid(error: Option<Error>, what: &str) -> Outcome {
    match error {
        Some(error) if error.kind() == ErrorKind::Invalid => Ok(()),
        error => Err(format!("{what}: expected Invalid, got {error:?}")),
    }
}

async fn added(bench: &Bench) -> Outcome {
    let issuer = bench.issuer()?;
    let it = subject(&bench.fixture.addable, "addable")?;
    let make = subject(&bench.fixture.new_beside, "new_beside")?;
    let offer = issuer.offer(&it.at).ok_or("adding is claimed, and `addable` is offered nothing")?;
    let fits = offer.overlap == Overlap::Dual && offer.origin == ValueOrigin::SetByUs;
    must(fits, format!("{offer:?} of `addable`"))?;
    let (value, stranger) = (make(), make());
    let before = failed("added", issuer.added(&it.at, &value).await)?;
    must(before.is_none(), format!("before it was added, {before:?}"))?;
    let op = bench.operation();
    let first = failed("issue", issuer.issue(&op, &it.at, Some(&value)).await)?;
    let new = Subject { at: first.at.clone(), value: value.duplicate() };
    let tried: Outcome = async {
        must(first.minted.is_none(), "it takes our value and mints one as well")?;
        must(first.at != it.at, "what was added has the subject's own ref")?;
        repeats(bench, it, &op, &new).await?;
        let foreign = failed("added", issuer.added(&it.at, &stranger).await)?;
        must(foreign.is_none(), format!("a value that was never added is {foreign:?}"))?;
        let own = failed("added", issuer.added(&it.at, &it.value).await)?;
        let is_own = own.as_ref().is_some_and(|found| found.at == it.at);
        must(is_own, format!("the value that was there before is {own:?}"))?;
        if bench.capability.verify {
            accepted(issuer, &new, &value).await?;
            accepted(issuer, it, &it.value).await.map_err(|why| format!("the one that was there: {why}"))?;
        }
        Ok(())
    }
    .await;
    // Whatever comes out, it is taken away again.
    failed("revoke", issuer.revoke(&bench.operation(), &new.at, None).await)?;
    tried?;
    let left = failed("added", issuer.added(&it.at, &value).await)?;
    must(left.is_none(), format!("after it was ended, {left:?}"))?;
    tokio::time::sleep(Duration::from_secs(u64::from(bench.capability.revoke_cache_seconds))).await;
    if bench.capability.verify { refused(issuer, &new, &value).await } else { Ok(()) }
}

/// The same value again, by this operation and by another: the one that is there.
async fn repeats(bench: &Bench, it: &Subject, op: &crate::Operation, new: &Subject) -> Outcome {
    let issuer = bench.issuer()?;
    let after_one = bench.fixture.changes.as_ref().map(|count| count());
    for op in [*op, bench.operation()] {
        let Issued { at, .. } = failed("issue again", issuer.issue(&op, &it.at, Some(&new.value)).await)?;
        must(at == new.at, format!("the same value again is {at}, not {}", new.at))?;
    }
    let quiet = after_one == bench.fixture.changes.as_ref().map(|count| count());
    must(quiet, "the repeats changed something")?;
    let found = failed("added", issuer.added(&it.at, &new.value).await)?;
    must(found.as_ref().is_some_and(|found| found.at == new.at), format!("it is found as {found:?}"))
}
