//! What a step made and nobody knows the value of: it is taken away, told as an effect of its own.

use claviger_core::{audit::AuditKind, id::OperationKey, reference::Ref, saga::Step};
use claviger_store::port::{Append, SagaRecord};

use super::{Owned, RunOptions};
use crate::{Engine, Result};

impl Engine {
    /// Revokes orphans, one after the other. Gives which one could not be, and why; then it has to be looked at again.
    pub(super) async fn end_orphans(
        &self,
        owned: &mut Owned,
        options: &RunOptions,
        record: &SagaRecord,
        step: &Step,
        orphans: &[Ref],
    ) -> Result<Option<String>> {
        for orphan in orphans {
            if let Some(why) = self.end_orphan(owned, options, record, step, orphan).await? {
                return Ok(Some(format!("{orphan}: {why}")));
            }
        }
        Ok(None)
    }

    /// Revokes an orphan, its audit intent before it. Gives why it could not be.
    async fn end_orphan(
        &self,
        owned: &mut Owned,
        options: &RunOptions,
        record: &SagaRecord,
        step: &Step,
        orphan: &Ref,
    ) -> Result<Option<String>> {
        self.hold(owned, options).await?;
        self.tell(owned, record, step, orphan, AuditKind::Intent, serde_json::json!({ "orphan": true }))
            .await?;
        let operation = claviger_backend::Operation {
            key: OperationKey::derive(record.id, &format!("orphan:{}", step.id), orphan.as_str(), 0),
            deadline: options.deadline(),
        };
        let issuer = self.estate.member(orphan.backend())?.backend.issuer();
        let failed = match issuer {
            None => Some("its backend no longer is an issuer".to_owned()),
            Some(issuer) => {
                let call = issuer.revoke(&operation, orphan, None);
                match tokio::time::timeout(options.deadline(), call).await {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(error.message().to_owned()),
                    Err(_) => Some("no answer".to_owned()),
                }
            }
        };
        let outcome = serde_json::json!({
            "orphan": true, "outcome": if failed.is_some() { "failed" } else { "succeeded" }, "detail": failed,
        });
        self.tell(owned, record, step, orphan, AuditKind::Outcome, outcome).await?;
        Ok(failed)
    }

    async fn tell(
        &self,
        owned: &mut Owned,
        record: &SagaRecord,
        step: &Step,
        orphan: &Ref,
        kind: AuditKind,
        detail: serde_json::Value,
    ) -> Result<()> {
        let mut draft = self.draft(record, kind, Some(step), detail);
        draft.subject = orphan.to_string();
        self.append_owned(owned, Append { audit: vec![draft], ..Append::default() }).await
    }
}
