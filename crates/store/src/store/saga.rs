//! Reading sagas.

use chrono::{DateTime, Utc};
use claviger_core::{
    id::{CredentialId, Epoch, SagaId},
    reference::Ref,
    saga::{Event, Progress, SagaKind, SagaPlan},
    seal::SagaSalt,
    view::{ReceiptView, SagaView},
};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _, TransactionTrait as _,
};

use super::{
    SeaStore,
    text::{from_json, from_word, word},
};
use crate::{
    Error, Result, SagaRecord,
    entity::{receipt, saga, saga_event},
};

const SAGA: &str = "saga";

impl SeaStore {
    pub(super) async fn load_saga(&self, id: SagaId) -> Result<Option<SagaRecord>> {
        let reader = self.database.read.begin().await?;
        let row = saga::Entity::find_by_id(id.0).one(&reader).await?;
        let Some(row) = row else { return Ok(None) };
        let plan: SagaPlan = from_json(SAGA, &row.plan)?;
        let events = events(&reader, id).await?;
        reader.rollback().await?;
        let progress = Progress::replay(&plan, events.iter().map(|(_, event)| event))
            .map_err(|error| Error::inconsistent("saga_event", error))?;
        let salt = row
            .salt
            .map(|salt| <[u8; 32]>::try_from(salt).map(SagaSalt))
            .transpose()
            .map_err(|_| Error::inconsistent(SAGA, "a salt has 32 bytes"))?;
        Ok(Some(SagaRecord {
            id,
            epoch: Epoch(row.epoch),
            plan,
            cause: from_word(SAGA, &row.cause)?,
            actor: row.actor,
            reason: row.reason,
            salt,
            events,
            progress,
            created_at: row.created_at,
            finished_at: row.finished_at,
        }))
    }

    pub(super) async fn unfinished_sagas(&self) -> Result<Vec<SagaId>> {
        let ids: Vec<uuid::Uuid> = saga::Entity::find()
            .select_only()
            .column(saga::Column::Id)
            .filter(saga::Column::FinishedAt.is_null())
            .order_by_asc(saga::Column::CreatedAt)
            .order_by_asc(saga::Column::Id)
            .into_tuple()
            .all(&self.database.read)
            .await?;
        Ok(ids.into_iter().map(SagaId).collect())
    }

    pub(super) async fn list_sagas(
        &self,
        kind: SagaKind,
        credential: Option<CredentialId>,
    ) -> Result<Vec<SagaView>> {
        let rows = saga::Entity::find()
            .filter(saga::Column::Kind.eq(word(&kind)))
            .apply_if(credential, |query, credential| {
                query.filter(saga::Column::CredentialId.eq(credential.0))
            })
            .order_by_desc(saga::Column::CreatedAt)
            .order_by_desc(saga::Column::Id)
            .all(&self.database.read)
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(SagaView {
                    rotation_id: SagaId(row.id),
                    credential: CredentialId(row.credential_id),
                    at: Ref::from_text(row.subject),
                    state: row.state,
                    cause: from_word(SAGA, &row.cause)?,
                    started_at: row.created_at,
                    finished_at: row.finished_at,
                    detail: row.detail,
                })
            })
            .collect()
    }

    pub(super) async fn list_receipts(&self, saga: Option<SagaId>) -> Result<Vec<ReceiptView>> {
        let rows = receipt::Entity::find()
            .apply_if(saga, |query, saga| query.filter(receipt::Column::SagaId.eq(saga.0)))
            .order_by_desc(receipt::Column::AuditSeq)
            .all(&self.database.read)
            .await?;
        rows.iter().map(|row| from_json("receipt", &row.receipt)).collect()
    }
}

/// The plan and the events so far.
pub(super) async fn history<C: ConnectionTrait>(
    connection: &C,
    id: SagaId,
) -> Result<(SagaPlan, Vec<(DateTime<Utc>, Event)>)> {
    let plan: Option<String> = saga::Entity::find_by_id(id.0)
        .select_only()
        .column(saga::Column::Plan)
        .into_tuple()
        .one(connection)
        .await?;
    let plan = plan.ok_or_else(|| Error::inconsistent(SAGA, "its row vanished"))?;
    Ok((from_json(SAGA, &plan)?, events(connection, id).await?))
}

async fn events<C: ConnectionTrait>(connection: &C, id: SagaId) -> Result<Vec<(DateTime<Utc>, Event)>> {
    let rows = saga_event::Entity::find()
        .filter(saga_event::Column::SagaId.eq(id.0))
        .order_by_asc(saga_event::Column::Seq)
        .all(connection)
        .await?;
    rows.into_iter().map(|row| Ok((row.at, from_json("saga_event", &row.event)?))).collect()
}
