//! The stream of a scan.

use std::{collections::BTreeSet, sync::Arc};

use claviger_core::{
    model::{Scope, ScopeStatus},
    observation::{Content, Observation},
    reference::Ref,
};

use super::{
    bench::{Bench, Outcome, Unnamed, must, trial},
    description::shows,
};
use crate::{Message, Phase, channel};

/// What a phase sent.
#[derive(Default)]
struct Seen {
    begun: BTreeSet<Scope>,
    ended: Vec<(Scope, ScopeStatus, Option<String>)>,
    late: Vec<Scope>,
    refs: Vec<Ref>,
    values: usize,
}

async fn scan(bench: &Bench, phase: Phase) -> Result<Seen, String> {
    let (mut sink, mut receiver) = channel(2);
    let mut seen = Seen::default();
    let send = async {
        let result = bench.backend.inventory(phase, &mut sink).await;
        drop(sink);
        result
    };
    let receive = async {
        while let Some(message) = receiver.recv().await {
            take(&mut seen, message);
        }
    };
    let (result, ()) = futures::future::join(send, receive).await;
    result.map_err(|error| format!("inventory of {phase:?}: {error:?}"))?;
    Ok(seen)
}

fn take(seen: &mut Seen, message: Message) {
    match message {
        Message::Page(page) => {
            if seen.ended.iter().any(|(scope, ..)| *scope == page.scope) {
                seen.late.push(page.scope.clone());
            }
            seen.begun.insert(page.scope);
            for item in page.items {
                match item {
                    Observation::Identity(identity) => seen.refs.push(identity.at),
                    Observation::Credential(credential) => {
                        seen.refs.push(credential.at);
                        seen.refs.extend(credential.identity);
                    }
                    Observation::Copy(copy) => {
                        seen.values += usize::from(matches!(copy.content, Content::Value(_)));
                        seen.refs.push(copy.at);
                    }
                    Observation::Consumer(consumer) => seen.refs.push(consumer.at),
                    Observation::Grant(grant) => seen.refs.push(grant.identity),
                }
            }
        }
        Message::ScopeEnd { scope, status, reason } => seen.ended.push((scope, status, reason)),
    }
}

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    if !bench.capability.inventory {
        return Vec::new();
    }
    let mut trials = Vec::new();
    for (phase, ends, names, no_values) in [
        (
            Phase::Issuers,
            "inventory_of_issuers_ends_every_scope_once",
            "inventory_of_issuers_begins_refs_with_the_name",
            "inventory_of_issuers_changes_nothing_and_repeats",
        ),
        (
            Phase::Stores,
            "inventory_of_stores_ends_every_scope_once",
            "inventory_of_stores_begins_refs_with_the_name",
            "inventory_of_stores_changes_nothing_and_repeats",
        ),
    ] {
        trials.push(trial(bench, ends, move |bench| async move { every_scope_ends(&bench, phase).await }));
        trials.push(trial(bench, names, move |bench| async move {
            let name = bench.backend.info().name.clone();
            let foreign = scan(&bench, phase).await?.refs.into_iter().find(|at| at.backend() != name);
            must(foreign.is_none(), format!("{foreign:?} does not begin with `{name}`"))
        }));
        trials.push(trial(
            bench,
            no_values,
            move |bench| async move { quiet_and_stable(&bench, phase).await },
        ));
    }
    trials.push(trial(bench, "inventory_shows_something", |bench| async move {
        let found =
            scan(&bench, Phase::Issuers).await?.refs.len() + scan(&bench, Phase::Stores).await?.refs.len();
        must(found > 0, "it claims an inventory and sees nothing")
    }));
    trials.push(trial(bench, "inventory_with_a_reader_that_went_away_ends", |bench| async move {
        let (mut sink, receiver) = channel(1);
        drop(receiver);
        let end = bench.backend.inventory(Phase::Stores, &mut sink);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), end).await;
        must(ended.is_ok(), "it goes on although nobody reads")
    }));
    trials
}

async fn every_scope_ends(bench: &Bench, phase: Phase) -> Outcome {
    let seen = scan(bench, phase).await?;
    let mut ended = BTreeSet::new();
    for (scope, status, reason) in &seen.ended {
        must(ended.insert(scope.clone()), format!("scope {scope} ended twice"))?;
        let explained =
            *status == ScopeStatus::Complete || reason.as_ref().is_some_and(|reason| !reason.is_empty());
        must(explained, format!("scope {scope} is {status} without a reason"))?;
        let text = reason.clone().unwrap_or_default();
        must(!shows(&text, &bench.fixture.secrets), format!("scope {scope}: a secret is in the reason"))?;
    }
    let open: Vec<&Scope> = seen.begun.difference(&ended).collect();
    must(open.is_empty(), format!("never ended: {open:?}"))?;
    must(seen.late.is_empty(), format!("pages after the end of: {:?}", seen.late))
}

async fn quiet_and_stable(bench: &Bench, phase: Phase) -> Outcome {
    let before = bench.fixture.changes.as_ref().map(|count| count());
    let (mut one, mut two) = (scan(bench, phase).await?, scan(bench, phase).await?);
    one.refs.sort();
    two.refs.sort();
    must(one.refs == two.refs, "two scans of the same saw different things")?;
    must(one.values == two.values, "two scans of the same saw a different number of values")?;
    must(before == bench.fixture.changes.as_ref().map(|count| count()), "a scan changed something")
}
