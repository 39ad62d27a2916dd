//! Findings: every rule over the inventory as it is now.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use claviger_core::{
    finding::{Check, Context, Draft, RULES, Rule},
    reference::Ref,
    view::FindingView,
};
use claviger_store::port::{MergeSummary, Selection};

use super::mounted;
use crate::{
    Engine, Result,
    job::Job,
    policy::{self, policy_for},
};

/// Credentials that are looked at together.
const PAGE: u64 = 256;
/// Findings that are noted together, so many at least.
const NOTED: usize = 1_000;

/// What rules may know besides their subject.
pub fn contexts(engine: &Engine) -> Context {
    Context::new(engine.clock.now())
}

/// Evaluates every rule and stores what holds.
///
/// # Errors
/// The database.
pub async fn evaluate(engine: &Engine) -> Result<()> {
    let context = contexts(engine);
    let now = context.now;
    let inventory = &engine.ports.inventory;
    let read = |selection: &Selection| {
        let (inventory, selection) = (Arc::clone(inventory), selection.clone());
        Job::start(async move { inventory.subjects(now, &selection).await })
    };
    let mut selection = Selection { limit: Some(PAGE), ..Selection::default() };
    // One page is looked at, the next is read, and what was found before is noted.
    let (mut next, mut noting) = (read(&selection), None::<Job<MergeSummary>>);
    let mut findings = Vec::new();
    loop {
        let page = next.end().await?;
        let Some(last) = page.last().map(|last| last.credential.at.clone()) else { break };
        advance(&mut selection, last)?;
        next = read(&selection);
        for mut detail in page {
            policy::apply(&engine.estate, &mut detail.credential, now);
            let mut context = context.clone();
            // One whose policy cannot be told is judged as one without.
            let policy = policy_for(&engine.estate.policies, &detail.credential).unwrap_or_else(|error| {
                tracing::warn!(%error, "which policy holds cannot be told");
                None
            });
            if let Some(age) = policy.and_then(|policy| policy.max_age) {
                context.max_age_days = age.num_days();
            }
            for (rule, check) in rules() {
                if let Check::Credential(check) = check {
                    findings.extend(check(&detail, &context).map(|draft| stored(rule, draft, now)));
                }
            }
        }
        if findings.len() >= NOTED {
            if let Some(noting) = noting.take() {
                noting.end().await?;
            }
            let (inventory, findings) = (Arc::clone(inventory), std::mem::take(&mut findings));
            let actor = engine.actor.clone();
            noting = Some(Job::start(async move { inventory.note_findings(now, &actor, findings).await }));
        }
    }
    if let Some(noting) = noting {
        noting.end().await?;
    }
    inventory.note_findings(now, &engine.actor, findings).await?;
    let mut selection = Selection { limit: Some(PAGE), ..Selection::default() };
    loop {
        let page = inventory.identities(&selection).await?;
        let Some(last) = page.last().map(|last| last.at.clone()) else { break };
        let mut findings = Vec::new();
        for identity in &page {
            for (rule, check) in rules() {
                if let Check::Identity(check) = check {
                    findings.extend(check(identity, &context).map(|draft| stored(rule, draft, now)));
                }
            }
        }
        inventory.note_findings(now, &engine.actor, findings).await?;
        advance(&mut selection, last)?;
    }
    let mut findings = Vec::new();
    for backend in inventory.coverage().await? {
        for (rule, check) in rules() {
            if let Check::Coverage(check) = check {
                findings.extend(check(&backend, &context).into_iter().map(|draft| stored(rule, draft, now)));
            }
        }
    }
    for seen in mounted::read(engine).await? {
        for (rule, check) in rules() {
            if let Check::Mounted(check) = check {
                findings.extend(check(&seen, &context).map(|draft| stored(rule, draft, now)));
            }
        }
    }
    // A place may hold values of two that were revoked; one finding says that it holds any.
    let mut places = BTreeSet::new();
    for returned in inventory.returned().await? {
        if !places.insert(returned.copy.clone().unwrap_or_else(|| returned.credential.clone())) {
            continue;
        }
        for (rule, check) in rules() {
            if let Check::Returned(check) = check {
                findings.extend(check(&returned, &context).map(|draft| stored(rule, draft, now)));
            }
        }
    }
    for seen in inventory.agreements().await? {
        for (rule, check) in rules() {
            if let Check::Verified(check) = check {
                findings.extend(check(&seen, &context).map(|draft| stored(rule, draft, now)));
            }
        }
    }
    inventory.note_findings(now, &engine.actor, findings).await?;
    let slugs: Vec<&str> = RULES.iter().map(|rule| rule.slug).collect();
    inventory.close_findings(now, &slugs).await?;
    Ok(())
}

/// The next page begins after `last`; one that brings us no further would be read for ever.
pub(super) fn advance(selection: &mut Selection, last: Ref) -> Result<()> {
    if selection.after.as_ref() == Some(&last) {
        return Err(claviger_store::Error::Inconsistent {
            table: "credential",
            reason: format!("its pages do not go on after {last}"),
        }
        .into());
    }
    selection.after = Some(last);
    Ok(())
}

fn rules() -> impl Iterator<Item = (&'static Rule, &'static Check)> {
    RULES.iter().map(|rule| (rule, &rule.check))
}

fn stored(rule: &Rule, draft: Draft, now: DateTime<Utc>) -> FindingView {
    rule.finding(draft, now, now)
}
