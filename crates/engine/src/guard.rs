//! Guards: what is too much for one person, and the first few before the many.
//!
//! A rollback is not guarded. It concerns one rotation, which the guards let through, puts back what was there before, and is wanted when something
//! is broken: waiting for a second person would prolong that. Its saga and its audit entries say who took it back.

use std::collections::{BTreeMap, HashMap};

use claviger_core::{
    audit::AuditKind,
    id::CredentialId,
    model::CredentialState,
    reference::Ref,
    saga::{Cause, SagaPlan},
    view::CredentialView,
};
use claviger_store::port::Selection;
use serde::{Deserialize, Serialize};

use crate::{
    Engine, Error, Result,
    plan::{Plan, anchor},
    policy::policy_for,
    progress::Progress,
    saga::{RunOptions, SagaOutcome},
};

/// Subjects that the audit log names when a guard keeps them back.
const TOLD: usize = 50;

/// Limits of what is carried out without anybody else's approval. Without one there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Guards {
    /// More subjects than this want an approval.
    pub max_targets: Option<usize>,
    /// More than this part of a class (credentials of one kind in one backend), from 0 to 1, wants an approval. One alone is no part of a class.
    pub max_share: Option<f64>,
    /// So many subjects come first, and have to end well before the others are begun. 0: all at once.
    pub canary: usize,
    /// Whoever plans or carries out what wants approvals has to show a key of their own: the machine's word for who they are is not enough.
    pub operator_key: bool,
}

impl Guards {
    /// Are so many too many to be begun without waiting for the first of them?
    pub fn holds_back(&self, subjects: usize) -> bool {
        self.canary > 0 && subjects > self.canary
    }
}

/// A guard that refuses, where the others want an approval: that a plan waits for one is told by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The first few before the many.
    Canary,
    /// Whoever plans shows a key of their own.
    OperatorKey,
}

impl Guard {
    /// Its name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::OperatorKey => "operator_key",
        }
    }
}

/// What a plan wants before it may be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Approvals of other people.
    pub approvals: u32,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
}

impl Needs {
    fn want(&mut self, approvals: u32, reason: String) {
        self.approvals = self.approvals.max(approvals);
        self.reasons.push(reason);
    }
}

impl Engine {
    /// What policies and guards want of a plan.
    ///
    /// # Errors
    /// The database, or which policy holds cannot be decided.
    pub async fn needs(&self, plan: &Plan) -> Result<Needs> {
        let now = self.clock.now();
        // The whole inventory is looked at only where a plan could be a part of a class.
        let all = if plan.subjects.len() == 1 {
            let subject = self.ports.inventory.credential(now, plan.subjects[0].credential).await?;
            subject.map(|detail| detail.credential).into_iter().collect()
        } else {
            self.ports.inventory.credentials(now, &Selection::default()).await?
        };
        let mut unlisted = Vec::new();
        for subject in &plan.subjects {
            unlisted.extend(anchor::stand_in(self, subject).await?);
        }
        let by_id: HashMap<CredentialId, &CredentialView> =
            all.iter().chain(&unlisted).map(|credential| (credential.id, credential)).collect();
        let mut needs = Needs::default();
        let mut policies: BTreeMap<&str, (u32, usize)> = BTreeMap::new();
        let mut classes: BTreeMap<(String, String), usize> = BTreeMap::new();
        for subject in &plan.subjects {
            let Some(credential) = by_id.get(&subject.credential) else { continue };
            if let Some(policy) = policy_for(&self.estate.policies, credential)?
                && policy.approvals > 0
            {
                policies.entry(&policy.name).or_insert((policy.approvals, 0)).1 += 1;
            }
            *classes.entry(class(credential)).or_default() += 1;
        }
        for (name, (approvals, subjects)) in policies {
            let people =
                if approvals == 1 { "one approval".to_owned() } else { format!("{approvals} approvals") };
            needs.want(approvals, format!("policy `{name}` wants {people} for {subjects} of the subjects"));
        }
        let guards = &self.estate.guards;
        let targets = plan.subjects.len();
        if let Some(most) = guards.max_targets.filter(|most| targets > *most) {
            needs.want(1, format!("guard `max_targets`: {targets} subjects are more than {most}"));
        }
        if let Some(most) = guards.max_share {
            for ((backend, kind), touched) in classes.iter().filter(|(_, touched)| **touched > 1) {
                let of_class = |one: &&CredentialView| {
                    one.backend == *backend && one.kind.as_str() == kind && is_live(one)
                };
                let whole = all.iter().filter(of_class).count();
                if exceeds(*touched, whole, most) {
                    needs.want(
                        1,
                        format!("guard `max_share`: {touched} of {whole} credentials of kind `{kind}` in `{backend}` are more than {:.0} %", most * 100.0),
                    );
                }
            }
        }
        Ok(needs)
    }

    /// Records and drives one saga per plan, the canaries first. Where one of those does not end well, the others are not begun, and each says so.
    /// The answers are in the order of the plans.
    pub async fn carry_out_guarded(
        &self,
        plans: &[SagaPlan],
        cause: Cause,
        reason: Option<&str>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Vec<Result<SagaOutcome>> {
        self.canaries_first(plans, |plans| self.carry_out(plans, cause, reason, options, progress)).await
    }

    /// The same of revocations: what is unfinished is taken up.
    pub async fn revoke_guarded(
        &self,
        plans: &[SagaPlan],
        cause: Cause,
        reason: Option<&str>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Vec<Result<SagaOutcome>> {
        self.canaries_first(plans, |plans| self.revoke_all(plans, cause, reason, options, progress)).await
    }

    async fn canaries_first<'p, F>(
        &self,
        plans: &'p [SagaPlan],
        carry_out: impl Fn(&'p [SagaPlan]) -> F,
    ) -> Vec<Result<SagaOutcome>>
    where
        F: Future<Output = Vec<Result<SagaOutcome>>>,
    {
        let canary = self.estate.guards.canary;
        if !self.estate.guards.holds_back(plans.len()) {
            return carry_out(plans).await;
        }
        let (first, rest) = plans.split_at(canary);
        let mut answers = carry_out(first).await;
        let bad =
            answers.iter().zip(first).find(|(answer, _)| !ended_well(answer)).map(|(_, plan)| &plan.subject);
        match bad {
            None => answers.extend(carry_out(rest).await),
            Some(bad) => {
                self.tell_canary(bad, rest).await;
                answers.extend(rest.iter().map(|plan| {
                Err(Error::Refused {
                    subject: plan.subject.clone(),
                    code: "canary",
                    reason: format!("it was not begun, as the canary {bad} did not end well: see what became of that first"),
                })
            }));
            }
        }
        answers
    }

    async fn tell_canary(&self, bad: &Ref, rest: &[SagaPlan]) {
        let reason = format!("the canary {bad} did not end well, and {} others were not begun", rest.len());
        self.tell_guard(Guard::Canary, bad.as_str(), &reason, rest).await;
    }

    /// Notes that a guard kept these from being begun, for whoever is told of it. Nothing is begun either way: that it could not be told stops nobody.
    /// `subject` is the plan's hash, or the ref that was the reason.
    pub async fn tell_guard(&self, guard: Guard, subject: &str, reason: &str, kept: &[SagaPlan]) {
        let subjects: Vec<_> = kept.iter().take(TOLD).map(|plan| &plan.subject).collect();
        let detail = serde_json::json!({
            "guard": guard.as_str(), "reason": reason, "subjects": subjects, "count": kept.len(),
        });
        let draft = self.said(AuditKind::GuardStopped, subject, detail);
        if let Err(error) = self.ports.audit.append(vec![draft]).await {
            tracing::warn!(%error, "that a guard stopped a plan could not be told");
        }
    }
}

fn class(credential: &CredentialView) -> (String, String) {
    (credential.backend.clone(), credential.kind.to_string())
}

/// What is dead already makes no class larger.
fn is_live(credential: &CredentialView) -> bool {
    !matches!(
        credential.state,
        CredentialState::RevokedProven
            | CredentialState::RevokedAttested
            | CredentialState::RevokedUnproven
            | CredentialState::Gone
    )
}

fn exceeds(touched: usize, whole: usize, most: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "no estate has 2^52 credentials")]
    let share = touched as f64 / whole.max(1) as f64;
    share > most
}

/// Done, and with a receipt that shows it where there is one.
fn ended_well(answer: &Result<SagaOutcome>) -> bool {
    answer.as_ref().is_ok_and(|outcome| {
        outcome.state == "done"
            && outcome
                .receipts
                .iter()
                .all(|receipt| matches!(receipt.verdict.as_str(), "proven" | "attested"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exceeded_only_beyond_it() {
        assert!(!exceeds(1, 2, 0.5) && exceeds(2, 3, 0.5) && !exceeds(2, 4, 0.5) && exceeds(3, 4, 0.5));
        assert!(exceeds(2, 2, 0.99) && !exceeds(2, 2, 1.0) && exceeds(1, 0, 0.5));
    }

    #[test]
    fn the_most_that_anything_wants_is_needed() {
        let mut needs = Needs::default();
        needs.want(2, "a".to_owned());
        needs.want(1, "b".to_owned());
        assert_eq!((needs.approvals, needs.reasons.len()), (2, 2));
    }
}
