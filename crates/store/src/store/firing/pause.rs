use chrono::{DateTime, Utc};
use claviger_core::{audit::AuditDraft, firing::PauseView, id::PauseId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::{
    Hint, NewPause, Result,
    store::{
        SeaStore, audit,
        hint::notify,
        sql,
        text::{micros, text},
    },
};

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    selector: Option<String>,
    reason: String,
    actor: String,
    at: DateTime<Utc>,
}

impl SeaStore {
    pub(super) async fn begin_pause(&self, pause: &NewPause, draft: AuditDraft) -> Result<()> {
        let now = micros(self.clock.now());
        let transaction = self.database.begin().await?;
        sql::run(
            &transaction,
            "insert into schedule_pause (id, selector, reason, actor, at) values ($1, $2, $3, $4, $5)",
            vec![
                pause.id.0.into(),
                pause.selector.as_deref().map(text).into(),
                text(&pause.reason).into(),
                text(&pause.actor).into(),
                now.into(),
            ],
        )
        .await?;
        audit::chain_one(&transaction, now, draft).await?;
        notify(&transaction, Hint::Plan).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(super) async fn finish_pause(&self, id: PauseId, actor: &str, draft: AuditDraft) -> Result<bool> {
        let now = micros(self.clock.now());
        let transaction = self.database.begin().await?;
        let ended = sql::run(
            &transaction,
            "update schedule_pause set ended_at = $2, ended_by = $3 where id = $1 and ended_at is null",
            vec![id.0.into(), now.into(), text(actor).into()],
        )
        .await?;
        if ended == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        sql::run(&transaction, "update firing set pause_id = null where pause_id = $1", vec![id.0.into()])
            .await?;
        audit::chain_one(&transaction, now, draft).await?;
        for hint in [Hint::Firing, Hint::Plan] {
            notify(&transaction, hint).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    pub(super) async fn open_pauses(&self) -> Result<Vec<PauseView>> {
        let rows: Vec<Row> = sql::rows(
            &self.database.read,
            "select id, selector, reason, actor, at from schedule_pause where ended_at is null order by at, id",
            Vec::new(),
        )
        .await?;
        let view = |row: Row| PauseView {
            id: PauseId(row.id),
            selector: row.selector,
            reason: row.reason,
            actor: row.actor,
            since: row.at,
        };
        Ok(rows.into_iter().map(view).collect())
    }
}
