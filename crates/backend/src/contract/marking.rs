//! The issuer's methods for credentials that it makes itself, and that carry our operation key.

use std::{sync::Arc, time::Duration};

use claviger_core::secret::SecretValue;

use super::{
    Subject,
    bench::{Bench, Outcome, Unnamed, failed, must, subject, trial},
    description::shows,
    issuer::{accepted, refused},
};
use crate::{ErrorKind, Issued, Operation, ValueOrigin};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    if !bench.capability.issue_marks {
        return Vec::new();
    }
    vec![
        trial(bench, "issue_marks_what_it_makes_and_it_is_found_and_ended", |bench| async move {
            marked(&bench).await
        }),
        trial(bench, "issue_of_a_marked_one_takes_no_value", |bench| async move {
            let it = subject(&bench.fixture.marked, "marked")?;
            let value = SecretValue::from_text("claviger-contract-brought-value".into());
            match bench.issuer()?.issue(&bench.operation(), &it.at, Some(&value)).await {
                Err(error) if error.kind() == ErrorKind::Invalid => Ok(()),
                Err(error) => Err(format!("expected Invalid, got {error:?}")),
                Ok(_) => Err("it took a value that the issuer makes itself".into()),
            }
        }),
        trial(bench, "prospect_of_a_marked_one_is_clear_and_changes_nothing", |bench| async move {
            let it = subject(&bench.fixture.marked, "marked")?;
            let before = bench.fixture.changes.as_ref().map(|count| count());
            let prospect = failed("prospect", bench.issuer()?.prospect(&it.at).await)?;
            must(prospect.refused.is_none(), format!("{prospect:?}"))?;
            must(!shows(&format!("{prospect:?}"), &bench.fixture.secrets), "a secret is in it")?;
            must(before == bench.fixture.changes.as_ref().map(|count| count()), "something was changed")
        }),
    ]
}

async fn marked(bench: &Bench) -> Outcome {
    let issuer = bench.issuer()?;
    let it = subject(&bench.fixture.marked, "marked")?;
    let offer = issuer.offer(&it.at).ok_or("marking is claimed, and `marked` is offered nothing")?;
    must(offer.origin == ValueOrigin::MintedMarked, format!("{offer:?} of `marked`"))?;
    let (op, other) = (bench.operation(), bench.operation());
    let none = failed("made_by", issuer.made_by(&op, &it.at).await)?;
    must(none.is_empty(), format!("before it was asked for, {none:?}"))?;
    let first = failed("issue", issuer.issue(&op, &it.at, None).await)?;
    let outcome = found(bench, it, &op, &other, &first).await;
    // Whatever comes out, it is taken away again.
    failed("revoke", issuer.revoke(&bench.operation(), &first.at, None).await)?;
    outcome?;
    let left = failed("made_by", issuer.made_by(&op, &it.at).await)?;
    must(left.is_empty(), format!("after it was ended, {left:?}"))?;
    let value = first.minted.as_ref().ok_or("nothing was minted")?.duplicate();
    tokio::time::sleep(Duration::from_secs(u64::from(bench.capability.revoke_cache_seconds))).await;
    let gone = Subject { at: first.at.clone(), value: value.duplicate() };
    if bench.capability.verify { refused(issuer, &gone, &value).await } else { Ok(()) }
}

async fn found(bench: &Bench, it: &Subject, op: &Operation, other: &Operation, first: &Issued) -> Outcome {
    let issuer = bench.issuer()?;
    let value = first.minted.as_ref().ok_or("nothing was minted")?.duplicate();
    must(first.at != it.at, "what was made has the subject's own ref")?;
    let made = failed("made_by", issuer.made_by(op, &it.at).await)?;
    must(made == [first.at.clone()], format!("{made:?} is not {}", first.at))?;
    let foreign = failed("made_by", issuer.made_by(other, &it.at).await)?;
    must(foreign.is_empty(), format!("another operation made {foreign:?}"))?;
    let again = failed("issue again", issuer.issue(other, &it.at, None).await)?;
    let apart = failed("made_by", issuer.made_by(other, &it.at).await)?;
    failed("revoke", issuer.revoke(&bench.operation(), &again.at, None).await)?;
    must(apart == [again.at], format!("two operations are not told apart: {apart:?}"))?;
    if bench.capability.verify {
        accepted(issuer, &Subject { at: first.at.clone(), value: value.duplicate() }, &value).await?;
        accepted(issuer, it, &it.value).await.map_err(|why| format!("the one that was there: {why}"))?;
    }
    Ok(())
}
