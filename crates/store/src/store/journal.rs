use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    audit::AuditKind,
    id::{CredentialId, SagaId, Seq},
    saga::{Event, Progress, SagaKind, SagaState},
    view::{ReceiptView, SagaView},
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, ExprTrait as _, IntoActiveModel as _,
    QueryFilter as _, TryInsertResult,
    sea_query::{Expr, OnConflict},
};

use super::{
    SeaStore, audit, saga as sagas,
    text::{micros, text, to_json, word},
};
use crate::{
    Append, Claim, Error, Journal, NewSaga, Result, SagaRecord, SealedRow,
    entity::{receipt, saga, saga_event, sealed_value},
    error::is_duplicate,
};

#[async_trait]
impl Journal for SeaStore {
    async fn create(&self, new: NewSaga) -> Result<Option<SagaId>> {
        let now = micros(self.clock.now());
        let transaction = self.database.begin().await?;
        let Some(id) = begin(&transaction, now, new).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        transaction.commit().await?;
        Ok(Some(id))
    }

    async fn claim(&self, saga: SagaId, owner: &str, lease: Duration) -> Result<Option<Claim>> {
        self.claim_saga(saga, owner, lease).await
    }

    async fn renew(&self, claim: &mut Claim, lease: Duration) -> Result<()> {
        self.renew_lease(claim, lease).await
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        self.release_lease(claim).await
    }

    async fn append(&self, claim: &mut Claim, append: Append) -> Result<Vec<Seq>> {
        let now = micros(self.clock.now());
        let events = i64::from(append.event.is_some());
        let transaction = self.database.begin().await?;
        let numbers = write(&transaction, claim, now, append).await?;
        transaction.commit().await?;
        claim.next_seq.0 += events;
        Ok(numbers)
    }

    async fn hand_over(&self, claim: &mut Claim, last: Append, successor: NewSaga) -> Result<SagaId> {
        let now = micros(self.clock.now());
        let events = i64::from(last.event.is_some());
        let transaction = self.database.begin().await?;
        write(&transaction, claim, now, last).await?;
        let id = begin(&transaction, now, successor)
            .await?
            .ok_or_else(|| Error::inconsistent("saga", "the one that hands over is not at rest"))?;
        transaction.commit().await?;
        claim.next_seq.0 += events;
        Ok(id)
    }

    async fn load(&self, saga: SagaId) -> Result<Option<SagaRecord>> {
        self.load_saga(saga).await
    }

    async fn sealed(&self, saga: SagaId, slot: &str) -> Result<Option<Vec<u8>>> {
        let key = (saga.0, slot.to_owned());
        let row = sealed_value::Entity::find_by_id(key).one(&self.database.read).await?;
        Ok(row.map(|row| row.sealed))
    }

    async fn unfinished(&self) -> Result<Vec<SagaId>> {
        self.unfinished_sagas().await
    }

    async fn list(&self, kind: SagaKind, credential: Option<CredentialId>) -> Result<Vec<SagaView>> {
        self.list_sagas(kind, credential).await
    }

    async fn receipts(&self, saga: Option<SagaId>) -> Result<Vec<ReceiptView>> {
        self.list_receipts(saga).await
    }
}

/// Inserts a saga that is planned, with all that it begins with. `None` while another one of its credential is unfinished.
async fn begin(
    transaction: &DatabaseTransaction,
    now: DateTime<Utc>,
    new: NewSaga,
) -> Result<Option<SagaId>> {
    let id = new.id;
    let row = saga::Model {
        id: id.0,
        kind: word(&new.plan.kind),
        definition: new.plan.definition.clone(),
        credential_id: new.plan.credential.0,
        subject: text(new.plan.subject.as_str()),
        strategy: new.plan.strategy.clone(),
        plan: to_json(&new.plan),
        cause: word(&new.cause),
        actor: text(&new.actor),
        reason: new.reason.as_deref().map(text),
        salt: Some(new.salt.0.to_vec()),
        state: SagaState::Planned.word().to_owned(),
        detail: None,
        wake_at: None,
        epoch: 0,
        next_seq: 1,
        lease_owner: None,
        lease_until: None,
        created_at: now,
        finished_at: None,
    };
    let inserted = saga::Entity::insert(row.into_active_model())
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .try_insert()
        .exec_without_returning(transaction)
        .await?;
    if !matches!(inserted, TryInsertResult::Inserted(1)) {
        return Ok(None);
    }
    seal(transaction, id, now, new.seal).await?;
    audit::chain(transaction, now, new.audit).await?;
    Ok(Some(id))
}

/// Everything of one append, in the order that fences it.
async fn write(
    transaction: &DatabaseTransaction,
    claim: &Claim,
    now: DateTime<Utc>,
    append: Append,
) -> Result<Vec<Seq>> {
    fence(transaction, claim, i64::from(append.event.is_some())).await?;
    if let Some(event) = &append.event {
        record(transaction, claim, now, event).await?;
    }
    seal(transaction, claim.saga, now, append.seal).await?;
    if append.shred {
        shred(transaction, claim.saga).await?;
    }
    let entry = append.audit.iter().position(|draft| draft.kind == AuditKind::Receipt);
    let numbers = audit::chain(transaction, now, append.audit).await?;
    if let Some(receipt) = append.receipt {
        let number = entry.and_then(|entry| numbers.get(entry)).copied();
        keep(transaction, claim.saga, receipt, number).await?;
    }
    Ok(numbers)
}

/// The saga's row comes first. A takeover that is under way holds its lock, so a stale worker waits here, reads the predicate again, and
/// finds the newer epoch; a guarded insert would slip past an uncommitted takeover under READ COMMITTED.
async fn fence(transaction: &DatabaseTransaction, claim: &Claim, events: i64) -> Result<()> {
    let moved = saga::Entity::update_many()
        .col_expr(saga::Column::NextSeq, Expr::col(saga::Column::NextSeq).add(events))
        .filter(saga::Column::Id.eq(claim.saga.0))
        .filter(saga::Column::Epoch.eq(claim.epoch.0))
        .filter(saga::Column::NextSeq.eq(claim.next_seq.0))
        .exec(transaction)
        .await?;
    if moved.rows_affected == 1 { Ok(()) } else { Err(Error::Fenced) }
}

async fn record(
    transaction: &DatabaseTransaction,
    claim: &Claim,
    now: DateTime<Utc>,
    event: &Event,
) -> Result<()> {
    let (plan, events) = sagas::history(transaction, claim.saga).await?;
    let before = Progress::replay(&plan, events.iter().map(|(_, event)| event))
        .map_err(|error| Error::inconsistent("saga_event", error))?;
    let after = before.apply(&plan, event)?;
    let row =
        saga_event::Model { saga_id: claim.saga.0, seq: claim.next_seq.0, at: now, event: to_json(event) };
    saga_event::Entity::insert(row.into_active_model()).exec_without_returning(transaction).await?;
    let (wake_at, detail) = match &after.state {
        SagaState::Waiting { until } => (Some(micros(*until)), None),
        other => (None, other.reason().as_deref().map(text)),
    };
    let changes = saga::ActiveModel {
        state: Set(after.state.word().to_owned()),
        detail: Set(detail),
        wake_at: Set(wake_at),
        finished_at: Set(after.state.is_rest().then_some(now)),
        ..Default::default()
    };
    saga::Entity::update_many()
        .set(changes)
        .filter(saga::Column::Id.eq(claim.saga.0))
        .exec(transaction)
        .await?;
    Ok(())
}

/// A slot is written once: what may be live at a target is never written over.
async fn seal(
    transaction: &DatabaseTransaction,
    saga: SagaId,
    now: DateTime<Utc>,
    rows: Vec<SealedRow>,
) -> Result<()> {
    for row in rows {
        let slot = row.slot.clone();
        let row = sealed_value::Model { saga_id: saga.0, slot: row.slot, sealed: row.sealed, sealed_at: now };
        let inserted =
            sealed_value::Entity::insert(row.into_active_model()).exec_without_returning(transaction).await;
        if let Err(error) = inserted {
            return Err(if is_duplicate(&error) {
                Error::inconsistent("sealed_value", format!("slot `{slot}` is sealed already"))
            } else {
                error.into()
            });
        }
    }
    Ok(())
}

async fn shred(transaction: &DatabaseTransaction, saga: SagaId) -> Result<()> {
    sealed_value::Entity::delete_many()
        .filter(sealed_value::Column::SagaId.eq(saga.0))
        .exec(transaction)
        .await?;
    saga::Entity::update_many()
        .col_expr(saga::Column::Salt, Expr::value(Option::<Vec<u8>>::None))
        .filter(saga::Column::Id.eq(saga.0))
        .exec(transaction)
        .await?;
    Ok(())
}

async fn keep(
    transaction: &DatabaseTransaction,
    saga: SagaId,
    mut view: ReceiptView,
    number: Option<Seq>,
) -> Result<()> {
    let number = number.ok_or_else(|| Error::inconsistent("receipt", "it came without an audit entry"))?;
    view.audit_seq = Some(number.0);
    view.observed_at = micros(view.observed_at);
    let row = receipt::Model {
        audit_seq: number.0,
        saga_id: saga.0,
        credential_id: view.credential.0,
        verdict: view.verdict.clone(),
        observed_at: view.observed_at,
        receipt: to_json(&view),
    };
    receipt::Entity::insert(row.into_active_model()).exec_without_returning(transaction).await?;
    Ok(())
}
