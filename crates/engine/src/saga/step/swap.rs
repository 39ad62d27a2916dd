//! A short-lived identity takes a static credential's place: it is made, brought to the workload, tried, and compared.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use claviger_backend::{Adoption, Entry, Granted, Loan, Probe, Reads, Retry, StoreState, Uses, Verdict};
use claviger_core::{
    reference::Ref,
    saga::{Arrangement, Binding, Evidence, Side, Step},
    seal::Slot,
    secret::SecretValue,
};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    Seen,
    adoption::STOOD,
    quarantine,
};

/// Of so many rights that differ a failure names the first ones.
const NAMED: usize = 5;

/// A workload that was brought back is looked at so often before its rollout is left to its platform.
const LOOKS: u32 = 20;

/// A manifest that somebody else has to change is looked at so often with a second in between: its owner may be quick.
const QUICK: u32 = 3;
/// Then after this long, which nobody sits out; and whenever the saga is taken up.
const PAUSE: TimeDelta = TimeDelta::minutes(5);

/// A login that is refused right after its role was made is tried so often: some systems take a while to know a role everywhere.
const LOGINS: u32 = 12;

/// `check-holder`.
pub(super) async fn check(cx: &Context<'_>, step: &Step, binding: &Binding) -> Result<Ran, Trouble> {
    let Some(from) = &binding.mounting.from else { return Ok(Ran::Done(Done::new("it names nothing"))) };
    let holder = cx.workloads(&step.target)?.holder(&step.target, from).await?;
    match (holder.changeable, holder.reads) {
        (StoreState::Refused(why), _) => Err(permanent(format!("{} cannot be changed: {why}", step.target))),
        (StoreState::ManagedElsewhere(owner), _) => {
            Err(permanent(format!("{} is managed by {owner}: change it at its source", step.target)))
        }
        (StoreState::Writable, Reads::Fixed(_, why)) if binding.mounting.folder.is_none() => {
            Err(permanent(format!("{}: {why}", step.target)))
        }
        (StoreState::Writable, Reads::Nothing) => {
            Err(permanent(format!("{} does not read {from} any more: scan and plan again", step.target)))
        }
        (StoreState::Writable, Reads::Files(_) | Reads::Fixed(..) | Reads::Given) => {
            Ok(Ran::Done(Done::new("may be changed")))
        }
    }
}

/// `federate`. The operation key goes to the target, so that only what this saga made is ever taken away.
pub(super) async fn federate(
    cx: &Context<'_>,
    step: &Step,
    arrangement: &Arrangement,
) -> Result<Ran, Trouble> {
    cx.federation(&arrangement.at)?.federate(&cx.operation(step), arrangement).await?;
    Ok(Ran::Done(federated(arrangement)))
}

pub(super) async fn observe_federated(
    cx: &Context<'_>,
    step: &Step,
    arrangement: &Arrangement,
) -> Result<Seen, Trouble> {
    let there = cx.federation(&arrangement.at)?.federated(&cx.operation(step), arrangement).await?;
    Ok(match there {
        true => Seen::Happened(federated(arrangement)),
        false => Seen::NotHappened(format!("{} is not there as it was arranged", arrangement.at)),
    })
}

pub(super) async fn unfederate(
    cx: &Context<'_>,
    step: &Step,
    arrangement: &Arrangement,
) -> Result<(), Trouble> {
    Ok(cx.federation(&arrangement.at)?.unfederate(&cx.operation(step), arrangement).await?)
}

fn federated(arrangement: &Arrangement) -> Done {
    Done::new(format!("{} lets {} in", arrangement.at, arrangement.account))
}

/// `bind`.
pub(super) async fn bind(cx: &Context<'_>, step: &Step, binding: &Binding) -> Result<Ran, Trouble> {
    let well = match cx.runtime(&step.target) {
        Ok(runtime) => matches!(runtime.standing(&step.target).await, Ok(Adoption::Adopted(_))),
        Err(_) => false,
    };
    cx.workloads(&step.target)?.bind(&cx.operation(step), &step.target, binding).await?;
    Ok(Ran::Done(bound(binding).fact(STOOD, well)))
}

pub(super) async fn observe_bound(cx: &Context<'_>, step: &Step, binding: &Binding) -> Result<Seen, Trouble> {
    Ok(match cx.workloads(&step.target)?.bound(&cx.operation(step), &step.target).await? {
        true => Seen::Happened(bound(binding)),
        false => Seen::NotHappened("its manifest was not changed".to_owned()),
    })
}

fn bound(binding: &Binding) -> Done {
    Done::new(match binding.to {
        Side::Former => "takes the static credential again",
        Side::Beside => "has the short-lived identity beside the static credential",
        Side::Over => "takes the short-lived identity, and names the static credential no more",
    })
}

/// Brings the workload back to the side before. Its rollout is seen to come up where that does not take long: one that fails is told.
pub(super) async fn unbind(cx: &Context<'_>, step: &Step, binding: &Binding) -> Result<(), Trouble> {
    let to = match binding.to {
        Side::Former => return Ok(()),
        Side::Beside => Side::Former,
        Side::Over => Side::Beside,
    };
    let back = Binding { mounting: binding.mounting.clone(), to };
    let operation = cx.operation_of(&format!("undo:{}", step.id), &step.target);
    cx.workloads(&step.target)?.bind(&operation, &step.target, &back).await?;
    for look in 0..LOOKS {
        match cx.runtime(&step.target)?.adopted(&operation, &step.target).await {
            Ok(Adoption::Adopted(_)) => return Ok(()),
            // What is told right after the change may still be the failure of what is taken back.
            Ok(Adoption::Failing(why)) if look + 1 == LOOKS => {
                return Err(permanent(format!("{} does not come up as it was: {why}", step.target)));
            }
            Ok(_) => {}
            Err(error) if error.retry() == Retry::Permanent => return Err(error.into()),
            Err(_) => {}
        }
        tokio::time::sleep((cx.deadline / 40).min(std::time::Duration::from_millis(300))).await;
    }
    Ok(())
}

/// `try-identity`: the same login as the workload's, and the same rights as the static credential has.
pub(super) async fn login(cx: &Context<'_>, arrangement: &Arrangement) -> Result<Ran, Trouble> {
    let subject = &cx.record.plan.subject;
    let Some(old) = cx.open(Slot::Old).await? else {
        return Err(permanent(format!(
            "no copy of {subject} could be read: what it may do cannot be compared with what would take its place"
        )));
    };
    let assertion = cx
        .workloads(&arrangement.account)?
        .assertion(&arrangement.account, arrangement.audience.as_deref(), arrangement.lifetime)
        .await?;
    let new = entry(cx, arrangement, &assertion).await?;
    match &new.probe.verdict {
        Verdict::Accepted => {}
        Verdict::Refused(evidence) if cx.attempt < LOGINS => {
            tracing::debug!(evidence, "the short-lived identity is refused: asked again");
            return Ok(again(cx));
        }
        Verdict::Inconclusive(_) if cx.attempt < LOGINS => return Ok(again(cx)),
        Verdict::Refused(evidence) => {
            return Err(permanent(format!("the short-lived identity is refused: {evidence}")));
        }
        Verdict::Inconclusive(why) => {
            let text = format!("whether the short-lived identity is accepted cannot be told: {why}");
            return Err(permanent(text));
        }
    }
    let Some(ends_at) = new.ends_at else {
        return Err(permanent(format!("what a login at {} gives never ends: it is no swap", arrangement.at)));
    };
    let former = cx.federation(subject)?.reach(subject, &old).await?;
    if former.probe.verdict != Verdict::Accepted {
        return Err(temporary("the static credential was not accepted, so that nothing can be compared"));
    }
    same(&former.may, &new.may)?;
    Ok(Ran::Done(
        Done::new(format!(
            "accepted until {}, and may do the same: {} rights compared",
            ends_at.format("%Y-%m-%dT%H:%M:%SZ"),
            new.may.len()
        ))
        .fact("path", new.probe.path)
        .fact("rights", new.may.len())
        .fact("ends_at", ends_at.to_rfc3339()),
    ))
}

/// What the short-lived identity is. Of an account that is lent, the system that it is of says what it may do; then it is given back.
async fn entry(
    cx: &Context<'_>,
    arrangement: &Arrangement,
    assertion: &SecretValue,
) -> Result<Entry, Trouble> {
    let federation = cx.federation(&arrangement.at)?;
    let Some(Loan { probe, account, ends_at }) = federation.borrow(arrangement, assertion).await? else {
        return Ok(federation.login(arrangement, assertion).await?);
    };
    let Some(lent) = account else { return Ok(Entry { probe, may: BTreeSet::new(), ends_at }) };
    let reached = cx.federation(&lent.at)?.reach(&lent.at, &lent.value).await;
    federation.give_back(&lent.handle).await?;
    let reached = reached?;
    let path = format!("{}, then {}", probe.path, reached.probe.path);
    Ok(Entry { probe: Probe { verdict: reached.probe.verdict, path }, may: reached.may, ends_at })
}

fn again(cx: &Context<'_>) -> Ran {
    Ran::Wait(cx.engine.clock.now() + TimeDelta::seconds(i64::from(cx.attempt.min(5))))
}

/// No more and no less. Nothing on either side is no agreement: then nothing was told.
fn same(former: &BTreeSet<String>, new: &BTreeSet<String>) -> Result<(), Trouble> {
    let first = |rights: BTreeSet<&String>| {
        let more = rights.len().saturating_sub(NAMED);
        let named: Vec<_> = rights.into_iter().take(NAMED).map(String::as_str).collect();
        match more {
            0 => named.join(", "),
            _ => format!("{} and {more} more", named.join(", ")),
        }
    };
    if former.is_empty() && new.is_empty() {
        return Err(permanent("neither shows what it may do: whether it is the same cannot be told"));
    }
    let less: BTreeSet<_> = former.difference(new).collect();
    let more: BTreeSet<_> = new.difference(former).collect();
    match (less.is_empty(), more.is_empty()) {
        (true, true) => Ok(()),
        (false, _) => Err(permanent(format!(
            "the short-lived identity may not do what the static credential may: {}",
            first(less)
        ))),
        (true, false) => Err(permanent(format!(
            "the short-lived identity may do more than the static credential: {}",
            first(more)
        ))),
    }
}

/// `compare-rights`: nobody but the workload's own runs could try.
pub(super) async fn compare(cx: &Context<'_>, arrangement: &Arrangement) -> Result<Ran, Trouble> {
    let subject = &cx.record.plan.subject;
    let Granted { former, given } = cx.federation(&arrangement.at)?.granted(subject, arrangement).await?;
    same(&former, &given)?;
    let detail = format!(
        "may do the same by what is written down: {} rights compared, and none tried, as its tokens are made in its own runs alone",
        given.len()
    );
    Ok(Ran::Done(Done::new(detail).fact("rights", given.len()).fact("tried", false)))
}

/// `await-entry`: the workload's own login, as the system tells that lets it in. It may come days after the patch.
pub(super) async fn entered(cx: &Context<'_>, arrangement: &Arrangement) -> Result<Ran, Trouble> {
    let (_, decided) = quarantine::moved(cx);
    let at = &arrangement.at;
    let unseen = |why: &str| {
        let detail =
            format!("that its runs log in at {at} is not seen (blind), which an operator allows: {why}");
        Ok(Ran::Done(Done::new(detail).fact("evidence", Evidence::Blind.word())))
    };
    match cx.federation(at)?.entered(arrangement).await {
        Ok(Uses::At(used)) => {
            let used = used.format("%Y-%m-%dT%H:%M:%SZ").to_string();
            let detail = format!("{at} let it in, last at {used}: seen, and not tried by us");
            Ok(Ran::Done(Done::new(detail).fact("entered", used)))
        }
        Ok(Uses::Never) if decided => unseen("nobody is told to have logged in"),
        Ok(Uses::Never) => Ok(later(cx)),
        Ok(Uses::Untold(why)) if decided => unseen(&why),
        Ok(Uses::Untold(why)) => Err(permanent(format!(
            "whether its runs log in at {at} is not known ({why}): look for yourself, then `claviger resume {}`, or take the swap back",
            cx.record.id
        ))),
        Err(error) if error.retry() != Retry::Permanent => Ok(later(cx)),
        Err(error) => Err(error.into()),
    }
}

/// What somebody else does is looked for again.
fn later(cx: &Context<'_>) -> Ran {
    let pause = if cx.attempt < QUICK { TimeDelta::seconds(1) } else { PAUSE };
    Ran::Wait(cx.engine.clock.now() + pause)
}

/// `await-unread`: somebody else changes the manifest, by the patch that was written.
pub(super) async fn unread(cx: &Context<'_>, step: &Step, object: &Ref) -> Result<Ran, Trouble> {
    let later = || Ok(later(cx));
    let reads = match cx.workloads(&step.target)?.holder(&step.target, object).await {
        Ok(holder) => holder.reads,
        Err(error) if error.kind() == claviger_backend::ErrorKind::NotFound => {
            return Ok(Ran::Done(Done::new("it is gone")));
        }
        // It may wait for days: a question that could not be asked is asked again.
        Err(error) if error.retry() != Retry::Permanent => return later(),
        Err(error) => return Err(error.into()),
    };
    if reads != Reads::Nothing {
        return later();
    }
    // What runs anew each time is rolled out nowhere.
    let Ok(runtime) = cx.runtime(&step.target) else {
        return Ok(Ran::Done(Done::new(format!("it names {object} no more"))));
    };
    match runtime.standing(&step.target).await {
        Ok(Adoption::Adopted(detail)) => {
            Ok(Ran::Done(Done::new(format!("it names {object} no more, and {detail}"))))
        }
        Ok(_) => later(),
        Err(error) if error.retry() != Retry::Permanent => later(),
        Err(error) => Err(error.into()),
    }
}
