//! Who may carry a plan out: what it wants, what was approved, and what an incident lets through.
//!
//! A plan that wants approvals is kept whole under its hash, so that whoever approves sees what the hash is of. The hash is computed again from
//! what is kept, each time: a document that was changed in the database is nobody's plan.

use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    approval::{self, Approval, Count, Unfit, judge},
    audit::{AuditDraft, AuditEntry, AuditKind},
    id::Seq,
    incident::{Incident, Note},
    saga::{PlanHash, SagaPlan},
    signing::PrivateKey,
};
use claviger_store::Proposal;
use serde::{Deserialize, Serialize};

use crate::{
    Engine, Error, Result,
    guard::Needs,
    plan::{Plan, Refusal},
};

/// Shortest beginning of a hash that names a plan.
const SHORTEST: usize = 8;

/// Whether a plan may be carried out now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Admission {
    /// What it wants.
    #[serde(flatten)]
    pub needs: Needs,
    /// What it has.
    #[serde(flatten)]
    pub count: Count,
    /// Until when an incident lets it through, where it has not what it wants.
    pub break_glass_until: Option<DateTime<Utc>>,
}

impl Admission {
    /// Does it have what it wants?
    pub fn is_approved(&self) -> bool {
        u32::try_from(self.count.given.len()).is_ok_and(|given| given >= self.needs.approvals)
    }
}

/// A plan that waits for approvals.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// As it is kept.
    pub proposal: Proposal,
    /// The plan, whose hash is the one that it is kept under.
    pub plan: Plan,
}

#[derive(Serialize, Deserialize)]
struct Document {
    subjects: Vec<SagaPlan>,
    refused: Vec<Refusal>,
}

impl Engine {
    /// Judges a plan. Writes nothing.
    ///
    /// # Errors
    /// The database, or which policy holds for a subject cannot be decided.
    pub async fn admission(&self, plan: &Plan, incident: Option<&Incident>) -> Result<Admission> {
        let needs = self.needs(plan).await?;
        let now = self.clock.now();
        let approvals = self.ports.approvals.approvals(&plan.hash).await?;
        let count = match self.ports.approvals.proposals(&plan.hash.0).await?.first() {
            Some(proposal) => {
                self.genuine(proposal).await?;
                let actors = [proposal.actor.as_str(), self.actor.as_str()];
                approval::count(&approvals, &plan.hash, &self.estate.approvers, &actors, now)
            }
            None => Count::default(),
        };
        let until = incident.and_then(|incident| incident.glass_until(self.estate.break_glass));
        let mut admission = Admission { needs, count, break_glass_until: None };
        if !admission.is_approved() {
            admission.break_glass_until = until.filter(|until| now < *until);
        }
        Ok(admission)
    }

    /// Keeps a plan that wants approvals. Repeat is fine: it stays whose it was first.
    ///
    /// # Errors
    /// The database.
    pub async fn propose(&self, plan: &Plan, verb: &str, needs: &Needs) -> Result<()> {
        let document = Document { subjects: plan.subjects.clone(), refused: plan.refused.clone() };
        let proposal = Proposal {
            plan: plan.hash.clone(),
            verb: verb.to_owned(),
            document: serde_json::to_value(&document).unwrap_or_default(),
            needed: needs.approvals,
            reasons: needs.reasons.clone(),
            actor: self.actor.clone(),
            at: self.clock.now(),
            audit_seq: None,
        };
        let subjects: Vec<_> = plan.subjects.iter().map(|subject| subject.subject.as_str()).collect();
        let detail = serde_json::json!({
            "verb": verb, "needed": needs.approvals, "reasons": needs.reasons, "subjects": subjects,
        });
        self.ports.approvals.propose(&proposal, self.said(AuditKind::Proposed, &plan.hash.0, detail)).await?;
        Ok(())
    }

    /// The plan whose hash begins so.
    ///
    /// # Errors
    /// There is none, or more than one, or what is kept is not what its hash says.
    pub async fn proposed(&self, beginning: &str) -> Result<Proposed> {
        let refuse = |code, reason: String| Error::Approval { plan: beginning.to_owned(), code, reason };
        if beginning.len() < SHORTEST {
            return Err(refuse("ambiguous", format!("give at least {SHORTEST} digits of its hash")));
        }
        let mut found = self.ports.approvals.proposals(beginning).await?;
        let (Some(proposal), true) = (found.pop(), found.is_empty()) else {
            return Err(if found.is_empty() {
                refuse("no-plan", "no plan with this hash waits for approval".to_owned())
            } else {
                refuse("ambiguous", "more than one plan's hash begins so: give more of it".to_owned())
            });
        };
        let plan = self.genuine(&proposal).await?;
        Ok(Proposed { proposal, plan })
    }

    /// The plan that is kept, if it is as it was kept: its document has the hash that it is kept under, and its planner is who the audit log says.
    async fn genuine(&self, proposal: &Proposal) -> Result<Plan> {
        let changed = |reason: &str| Error::Approval {
            plan: proposal.plan.0.clone(),
            code: "changed",
            reason: format!("{reason}: somebody changed the database by hand"),
        };
        let document: Document = serde_json::from_value(proposal.document.clone())
            .map_err(|_| changed("what is kept of it cannot be read"))?;
        let plan = Plan::of(document.subjects, document.refused);
        if plan.hash != proposal.plan {
            return Err(changed("what is kept of it has another hash"));
        }
        let seq = proposal.audit_seq.ok_or_else(|| changed("it has no entry in the audit log"))?;
        let entry = self.ports.audit.read(Seq(seq.0 - 1), 1).await?.into_iter().next();
        let entry =
            entry.filter(|entry| entry.seq == seq).ok_or_else(|| changed("its audit entry is gone"))?;
        let before = (Seq(seq.0 - 1), entry.prev_hash);
        let whole = AuditEntry::chain(entry.draft.clone(), entry.at, before) == entry;
        let draft = &entry.draft;
        if !whole || draft.kind != AuditKind::Proposed || draft.subject != proposal.plan.0 {
            return Err(changed("its audit entry is another one"));
        }
        if draft.actor != proposal.actor || draft.detail["verb"] != proposal.verb.as_str() {
            return Err(changed("the audit log names another planner or another verb"));
        }
        Ok(plan)
    }

    /// Signs a plan with a person's own key, for a while.
    ///
    /// # Errors
    /// The key is nobody's who may approve this plan, or the database fails.
    pub async fn approve(
        &self,
        proposed: &Proposed,
        key: &PrivateKey,
        valid: TimeDelta,
    ) -> Result<(Approval, Seq)> {
        let hash = &proposed.plan.hash;
        let refuse = |unfit: Unfit| Error::Approval {
            plan: hash.0.clone(),
            code: word(unfit),
            reason: unfit.to_string(),
        };
        let public = key.public();
        let approver = self.estate.approvers.iter().find(|approver| approver.key == public);
        let approver = approver.ok_or_else(|| refuse(Unfit::Unknown))?;
        let now = self.clock.now();
        let expires = now.checked_add_signed(valid).unwrap_or(now);
        let approval = Approval::sign(hash.clone(), approver.name.clone(), now, expires, key);
        let seq = self.keep_approval(proposed, &approval).await?;
        Ok((approval, seq))
    }

    /// Keeps an approval that a person signed elsewhere. It is judged as one that is signed here, and whoever brings it must not have planned it: their own
    /// plan nobody approves, in whosever name.
    ///
    /// # Errors
    /// It does not count, or the database fails.
    pub async fn take_approval(&self, proposed: &Proposed, approval: &Approval) -> Result<Seq> {
        if proposed.proposal.actor == self.actor {
            return Err(Error::Approval {
                plan: proposed.plan.hash.0.clone(),
                code: word(Unfit::OwnPlan),
                reason: Unfit::OwnPlan.to_string(),
            });
        }
        self.keep_approval(proposed, approval).await
    }

    async fn keep_approval(&self, proposed: &Proposed, approval: &Approval) -> Result<Seq> {
        let hash = &proposed.plan.hash;
        let refuse = |unfit: Unfit| Error::Approval {
            plan: hash.0.clone(),
            code: word(unfit),
            reason: unfit.to_string(),
        };
        let actors = [proposed.proposal.actor.as_str()];
        judge(approval, hash, &self.estate.approvers, &actors, self.clock.now()).map_err(refuse)?;
        let detail = serde_json::json!({
            "approver": approval.approver, "key": approval.key, "expires": approval.expires, "signature": approval.signature,
        });
        let draft = self.said(AuditKind::Approved, &hash.0, detail);
        Ok(self.ports.approvals.approve(approval, draft).await?)
    }

    /// What the approvals of a plan come to, for whoever is not about to carry it out.
    ///
    /// # Errors
    /// The database.
    pub async fn approvals_of(&self, proposed: &Proposed) -> Result<Count> {
        let hash: &PlanHash = &proposed.plan.hash;
        let approvals = self.ports.approvals.approvals(hash).await?;
        let actors = [proposed.proposal.actor.as_str()];
        Ok(approval::count(&approvals, hash, &self.estate.approvers, &actors, self.clock.now()))
    }

    /// Notes, before anything is begun, what an incident lets through without the approvals that it wants.
    ///
    /// # Errors
    /// The incident is closed, its time is over, or the database fails: then nothing may be begun.
    pub async fn break_glass(&self, incident: &Incident, plan: &Plan, admission: &Admission) -> Result<()> {
        let now = self.clock.now();
        if admission.break_glass_until.is_none_or(|until| until <= now) {
            return Err(Error::Approval {
                plan: plan.hash.0.clone(),
                code: "glass-expired",
                reason: "the incident no longer lets anything through without approval".to_owned(),
            });
        }
        let note = Note::BreakGlass {
            plan: plan.hash.clone(),
            needed: admission.needs.approvals,
            approved_by: admission.count.given.clone(),
            reasons: admission.needs.reasons.clone(),
        };
        self.note(incident.id, vec![note]).await
    }

    /// An audit entry that belongs to no saga.
    pub fn said(&self, kind: AuditKind, subject: &str, detail: serde_json::Value) -> AuditDraft {
        AuditDraft {
            kind,
            actor: self.actor.clone(),
            subject: subject.to_owned(),
            saga: None,
            step: None,
            detail,
        }
    }
}

fn word(unfit: Unfit) -> &'static str {
    match unfit {
        Unfit::OtherPlan => "other-plan",
        Unfit::Unknown => "unknown-approver",
        Unfit::OtherKey => "other-key",
        Unfit::Forged => "forged",
        Unfit::Withdrawn => "withdrawn",
        Unfit::NotNow => "expired",
        Unfit::OwnPlan => "own-plan",
    }
}
