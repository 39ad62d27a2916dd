use chrono::{DateTime, Utc};
use claviger_core::{audit::AuditDraft, id::CredentialId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::number;
use crate::{
    Hint, Result,
    store::{
        SeaStore, audit,
        hint::notify,
        sql,
        text::{micros, text},
    },
};

#[derive(FromQueryResult)]
struct Found {
    credential_id: Uuid,
}

impl SeaStore {
    pub(super) async fn ask_for(
        &self,
        now: DateTime<Utc>,
        credentials: &[CredentialId],
        draft: AuditDraft,
    ) -> Result<Vec<CredentialId>> {
        let ids: Vec<Uuid> = credentials.iter().map(|id| id.0).collect();
        let transaction = self.database.begin().await?;
        // Before everything that waits: somebody stands there.
        let found: Vec<Found> = sql::rows_for(&transaction, &ids, &[number(now).into()], |ids| {
            format!(
                "update firing set asked_at = $1, starts_at = $1, rank = 0, retry_at = null, changed_at = $1 \
                 where state = 'planned' and pause_id is null and credential_id in ({ids}) returning credential_id"
            )
        })
        .await?;
        if found.is_empty() {
            transaction.rollback().await?;
            return Ok(Vec::new());
        }
        audit::chain_one(&transaction, micros(now), draft).await?;
        notify(&transaction, Hint::Firing).await?;
        transaction.commit().await?;
        let mut found: Vec<CredentialId> =
            found.into_iter().map(|row| CredentialId(row.credential_id)).collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    pub(super) async fn close_until(
        &self,
        now: DateTime<Utc>,
        backend: &str,
        until: DateTime<Utc>,
        draft: AuditDraft,
    ) -> Result<()> {
        let transaction = self.database.begin().await?;
        // One writer at a time: of several who are told at once the first one notes it.
        sql::run(
            &transaction,
            "insert into schedule_throttle (backend, closed_until) values ($1, $2) on conflict (backend) do nothing",
            vec![text(backend).into(), number(DateTime::UNIX_EPOCH).into()],
        )
        .await?;
        let opened = sql::run(
            &transaction,
            "update schedule_throttle set closed_until = $2 where backend = $1 and closed_until <= $3 and closed_until < $2",
            vec![text(backend).into(), number(until).into(), number(now).into()],
        )
        .await?;
        if opened > 0 {
            audit::chain_one(&transaction, micros(now), draft).await?;
        } else {
            sql::run(
                &transaction,
                "update schedule_throttle set closed_until = $2 where backend = $1 and closed_until < $2",
                vec![text(backend).into(), number(until).into()],
            )
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
