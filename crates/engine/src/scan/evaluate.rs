//! Findings: every rule over the inventory as it is now.

use chrono::{DateTime, Utc};
use claviger_core::{
    finding::{Check, Context, Draft, RULES, Rule},
    view::FindingView,
};
use claviger_store::port::Selection;

use crate::{
    Engine, Result,
    policy::{self, policy_for},
};

/// Credentials that are looked at together.
const PAGE: u64 = 500;

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
    let mut findings = Vec::new();
    let mut selection = Selection { limit: Some(PAGE), ..Selection::default() };
    loop {
        let page = engine.ports.inventory.details(now, &selection).await?;
        for detail in &page {
            let mut detail = detail.clone();
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
        let Some(last) = page.last() else { break };
        selection.after = Some(last.credential.at.clone());
    }
    let mut selection = Selection { limit: Some(PAGE), ..Selection::default() };
    loop {
        let page = engine.ports.inventory.identities(&selection).await?;
        for identity in &page {
            for (rule, check) in rules() {
                if let Check::Identity(check) = check {
                    findings.extend(check(identity, &context).map(|draft| stored(rule, draft, now)));
                }
            }
        }
        let Some(last) = page.last() else { break };
        selection.after = Some(last.at.clone());
    }
    for backend in engine.ports.inventory.coverage().await? {
        for (rule, check) in rules() {
            if let Check::Coverage(check) = check {
                findings.extend(check(&backend, &context).into_iter().map(|draft| stored(rule, draft, now)));
            }
        }
    }
    let slugs: Vec<&str> = RULES.iter().map(|rule| rule.slug).collect();
    engine.ports.inventory.put_findings(now, &slugs, findings).await?;
    Ok(())
}

fn rules() -> impl Iterator<Item = (&'static Rule, &'static Check)> {
    RULES.iter().map(|rule| (rule, &rule.check))
}

fn stored(rule: &Rule, draft: Draft, now: DateTime<Utc>) -> FindingView {
    rule.finding(draft, now, now)
}
