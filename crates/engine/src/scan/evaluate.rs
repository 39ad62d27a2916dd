//! Findings: every rule over the inventory as it is now.

use chrono::{DateTime, Utc};
use claviger_core::{
    finding::{Check, Context, Draft, RULES, Rule},
    reference::Ref,
    view::FindingView,
};
use claviger_store::port::Selection;

use crate::{
    Engine, Result,
    policy::{self, policy_for},
};

/// Credentials that are looked at together.
const PAGE: u64 = 200;

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
    let mut selection = Selection { limit: Some(PAGE), ..Selection::default() };
    let mut page = inventory.subjects(now, &selection).await?;
    while let Some(last) = page.last().map(|last| last.credential.at.clone()) {
        let mut findings = Vec::new();
        for mut detail in page {
            policy::apply(&engine.estate.policies, &mut detail.credential);
            let mut context = context.clone();
            if let Some(age) =
                policy_for(&engine.estate.policies, &detail.credential).and_then(|policy| policy.max_age)
            {
                context.max_age_days = age.num_days();
            }
            for (rule, check) in rules() {
                if let Check::Credential(check) = check {
                    findings.extend(check(&detail, &context).map(|draft| stored(rule, draft, now)));
                }
            }
        }
        advance(&mut selection, last)?;
        // One thread of the database writes while another reads on.
        let (noted, next) =
            tokio::join!(inventory.note_findings(now, findings), inventory.subjects(now, &selection));
        noted?;
        page = next?;
    }
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
        inventory.note_findings(now, findings).await?;
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
    inventory.note_findings(now, findings).await?;
    let slugs: Vec<&str> = RULES.iter().map(|rule| rule.slug).collect();
    inventory.close_findings(now, &slugs).await?;
    Ok(())
}

/// The next page begins after `last`; one that brings us no further would be read for ever.
fn advance(selection: &mut Selection, last: Ref) -> Result<()> {
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
