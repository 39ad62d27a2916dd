use async_trait::async_trait;
use claviger_core::{approval::Approval, audit::AuditDraft, id::Seq, saga::PlanHash};
use sea_orm::{ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _};

use super::{
    SeaStore, audit,
    text::{from_json, micros, text, to_json},
};
use crate::{
    Approvals, Error, Proposal, Result,
    entity::{approval, plan_proposal},
};

const PROPOSAL: &str = "plan_proposal";
const APPROVAL: &str = "approval";

#[async_trait]
impl Approvals for SeaStore {
    async fn propose(&self, proposal: &Proposal, draft: AuditDraft) -> Result<bool> {
        let call = async {
            let now = micros(self.clock.now());
            let transaction = self.database.begin().await?;
            // The audit head's lock makes others wait who propose the same.
            let seq = audit::chain_one(&transaction, now, draft).await?;
            let known = plan_proposal::Entity::find_by_id(proposal.plan.0.clone()).one(&transaction).await?;
            if known.is_some() {
                transaction.rollback().await?;
                return Ok(false);
            }
            let row = plan_proposal::Model {
                hash: proposal.plan.0.clone(),
                verb: proposal.verb.clone(),
                document: to_json(&proposal.document),
                needed: i32::try_from(proposal.needed).unwrap_or(i32::MAX),
                reasons: to_json(&proposal.reasons),
                actor: text(&proposal.actor),
                at: micros(proposal.at),
                audit_seq: seq.0,
            };
            plan_proposal::Entity::insert(row.into_active_model())
                .exec_without_returning(&transaction)
                .await?;
            transaction.commit().await?;
            Ok(true)
        };
        self.database.watched(call).await
    }

    async fn proposals(&self, beginning: &str) -> Result<Vec<Proposal>> {
        let call = async {
            // A hash is hex digits: nothing else is sought for, least of all a pattern.
            if beginning.is_empty() || !beginning.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Ok(Vec::new());
            }
            let rows = plan_proposal::Entity::find()
                .filter(plan_proposal::Column::Hash.starts_with(beginning.to_ascii_lowercase()))
                .order_by_desc(plan_proposal::Column::AuditSeq)
                .all(&self.database.read)
                .await?;
            rows.into_iter()
                .map(|row| {
                    Ok(Proposal {
                        plan: PlanHash(row.hash),
                        verb: row.verb,
                        document: from_json(PROPOSAL, &row.document)?,
                        needed: u32::try_from(row.needed)
                            .map_err(|_| Error::inconsistent(PROPOSAL, "`needed` is negative"))?,
                        reasons: from_json(PROPOSAL, &row.reasons)?,
                        actor: row.actor,
                        at: row.at,
                        audit_seq: Some(Seq(row.audit_seq)),
                    })
                })
                .collect()
        };
        self.database.watched(call).await
    }

    async fn approve(&self, approval: &Approval, draft: AuditDraft) -> Result<Seq> {
        let call = async {
            let transaction = self.database.begin().await?;
            let seq = audit::chain_one(&transaction, micros(self.clock.now()), draft).await?;
            let row = approval::Model {
                audit_seq: seq.0,
                plan_hash: approval.plan.0.clone(),
                approval: to_json(approval),
            };
            approval::Entity::insert(row.into_active_model()).exec_without_returning(&transaction).await?;
            transaction.commit().await?;
            Ok(seq)
        };
        self.database.watched(call).await
    }

    async fn approvals(&self, plan: &PlanHash) -> Result<Vec<Approval>> {
        let call = async {
            let rows = approval::Entity::find()
                .filter(approval::Column::PlanHash.eq(plan.0.clone()))
                .order_by_asc(approval::Column::AuditSeq)
                .all(&self.database.read)
                .await?;
            rows.iter().map(|row| from_json(APPROVAL, &row.approval)).collect()
        };
        self.database.watched(call).await
    }
}
