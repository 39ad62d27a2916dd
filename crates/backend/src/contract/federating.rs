//! Short-lived identity: making what lets it in, logging in with it, and bringing it to a workload and back.

use std::sync::Arc;

use claviger_core::{
    reference::Ref,
    saga::{Binding, Side},
    secret::SecretValue,
};

use super::bench::{Bench, Outcome, Unnamed, failed, must, subject, trial};
use crate::{
    Adoption, Candidate, Federation, Offered, Operation, Proposal, Reads, Runtime, Verdict, Workloads,
};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    let mut trials = Vec::new();
    // Both sides are tried where one backend has both.
    if !(bench.capability.federate && bench.capability.bind) {
        return trials;
    }
    trials.push(trial(bench, "federation_makes_logs_in_and_takes_away", |bench| async move {
        identity(&bench).await
    }));
    trials.push(trial(bench, "a_wrong_assertion_is_refused_and_no_error", |bench| async move {
        let (_, proposal) = proposed(&bench).await?;
        let wrong = SecretValue::from_text("claviger-contract-wrong-assertion".into());
        let entry = failed("login", federation(&bench)?.login(&proposal.arrangement, &wrong).await)?;
        let refused = matches!(entry.probe.verdict, Verdict::Refused(_) | Verdict::Inconclusive(_));
        must(refused && entry.may.is_empty(), "it was let in, or told what it may do")
    }));
    trials.push(trial(
        bench,
        "bind_is_repeated_and_brought_back",
        |bench| async move { binding(&bench).await },
    ));
    trials
}

fn federation(bench: &Bench) -> Result<&dyn Federation, String> {
    bench.backend.federation().ok_or_else(|| "it claims to federate, and `federation()` gives none".into())
}

fn workloads(bench: &Bench) -> Result<&dyn Workloads, String> {
    bench.backend.workloads().ok_or_else(|| "it claims to bind, and `workloads()` gives none".into())
}

/// The workload of the fixture and what is proposed for it.
async fn proposed(bench: &Bench) -> Result<(Ref, Box<Proposal>), String> {
    let swap = subject(&bench.fixture.swappable, "swappable")?;
    let holder = failed("holder", workloads(bench)?.holder(&swap.consumer, &swap.object).await)?;
    must(matches!(holder.reads, Reads::Files(_)), format!("{:?} of `swappable`", holder.reads))?;
    let candidate = Candidate {
        subject: &swap.credential.at,
        issuer: bench.backend.info(),
        identity: Some(&holder.account),
        object: &swap.object,
        holder: &holder,
    };
    match failed("offers", federation(bench)?.offers(&candidate).await)? {
        Offered::Yes(proposal) => Ok((swap.consumer.clone(), proposal)),
        Offered::No { code, reason } => Err(format!("`swappable` is refused: {code}: {reason}")),
    }
}

async fn identity(bench: &Bench) -> Outcome {
    let (_, proposal) = proposed(bench).await?;
    let (federation, arrangement) = (federation(bench)?, &proposal.arrangement);
    let swap = subject(&bench.fixture.swappable, "swappable")?;
    let op = bench.operation();
    if proposal.makes {
        made(federation, &op, &proposal, bench).await?;
    }
    let outcome = logged_in(bench, &proposal, &swap.credential.value).await;
    if proposal.makes {
        failed("unfederate", federation.unfederate(&op, arrangement).await)?;
        failed("unfederate again", federation.unfederate(&op, arrangement).await)?;
        must(
            !failed("federated", federation.federated(&op, arrangement).await)?,
            "it is there after it was taken away",
        )?;
    }
    outcome
}

async fn made(federation: &dyn Federation, op: &Operation, proposal: &Proposal, bench: &Bench) -> Outcome {
    let arrangement = &proposal.arrangement;
    must(
        !failed("federated", federation.federated(op, arrangement).await)?,
        "it was there before it was made",
    )?;
    failed("federate", federation.federate(op, arrangement).await)?;
    let after_one = bench.fixture.changes.as_ref().map(|count| count());
    failed("federate again with the same key", federation.federate(op, arrangement).await)?;
    must(after_one == bench.fixture.changes.as_ref().map(|count| count()), "the repeat changed something")?;
    must(failed("federated", federation.federated(op, arrangement).await)?, "it is not there as arranged")
}

async fn logged_in(bench: &Bench, proposal: &Proposal, former: &SecretValue) -> Outcome {
    let (federation, arrangement) = (federation(bench)?, &proposal.arrangement);
    let swap = subject(&bench.fixture.swappable, "swappable")?;
    let assertion = workloads(bench)?
        .assertion(&arrangement.account, arrangement.audience.as_deref(), arrangement.lifetime)
        .await;
    let entry = failed("login", federation.login(arrangement, &failed("assertion", assertion)?).await)?;
    must(entry.probe.verdict == Verdict::Accepted, format!("{:?}", entry.probe))?;
    must(entry.ends_at.is_some(), "what it gives never ends")?;
    let reach = failed("reach", federation.reach(&swap.credential.at, former).await)?;
    must(reach.probe.verdict == Verdict::Accepted, format!("{:?}", reach.probe))?;
    must(!reach.may.is_empty(), "what the static credential may do is not told")?;
    must(reach.may == entry.may, format!("{:?} and {:?}", reach.may, entry.may))
}

async fn binding(bench: &Bench) -> Outcome {
    let (consumer, proposal) = proposed(bench).await?;
    if proposal.mounting.folder.is_some() && proposal.by_hand.is_some() {
        return Ok(());
    }
    let swap = subject(&bench.fixture.swappable, "swappable")?;
    let workloads = workloads(bench)?;
    let mut outcome = Ok(());
    for to in [Side::Beside, Side::Over, Side::Beside, Side::Former] {
        let binding = Binding { mounting: proposal.mounting.clone(), to };
        let op = bench.operation();
        must(!failed("bound", workloads.bound(&op, &consumer).await)?, "it was bound before")?;
        failed("bind", workloads.bind(&op, &consumer, &binding).await)?;
        let after_one = bench.fixture.changes.as_ref().map(|count| count());
        failed("bind again with the same key", workloads.bind(&op, &consumer, &binding).await)?;
        let quiet = after_one == bench.fixture.changes.as_ref().map(|count| count());
        let bound = failed("bound", workloads.bound(&op, &consumer).await)?;
        let reads = failed("holder", workloads.holder(&consumer, &swap.object).await)?.reads;
        let over = reads == Reads::Nothing;
        let checked = must(quiet, "the repeat changed something")
            .and_then(|()| must(bound, "`bound` does not know it"))
            .and_then(|()| must(over == (to == Side::Over), format!("at {to:?} it reads {reads:?}")));
        // It goes on all the same, so that the workload is left as it was.
        outcome = outcome.and(checked);
        settled(bench.runtime()?, &op, &consumer).await?;
    }
    outcome
}

/// Its rollout has come to its end.
async fn settled(runtime: &dyn Runtime, op: &Operation, consumer: &Ref) -> Outcome {
    for _ in 0..300 {
        if let Adoption::Adopted(_) = failed("adopted", runtime.adopted(op, consumer).await)? {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err("its rollout does not come to its end".into())
}
