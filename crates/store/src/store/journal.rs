use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    audit::AuditKind,
    id::{CredentialId, SagaId, Seq},
    saga::{Progress, SagaKind, SagaState},
    view::{ReceiptView, SagaView},
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    TryInsertResult,
    sea_query::{Expr, OnConflict},
};

use super::{
    SeaStore, audit,
    firing::note_begun,
    group::{Folded, Request},
    own_key, saga as sagas, sql,
    text::{micros, text, to_json, word},
};
use crate::{
    Append, Appended, Claim, Error, Journal, NewSaga, Result, SagaRecord, SealedRow,
    entity::{receipt, saga, saga_event, sealed_value},
    error::is_duplicate,
};

#[async_trait]
impl Journal for SeaStore {
    async fn create(&self, new: NewSaga) -> Result<Option<SagaId>> {
        let call = async {
            let now = micros(self.clock.now());
            let transaction = self.database.begin().await?;
            self.require_fingerprint_key(&transaction).await?;
            if let Some(firing) = &new.firing {
                note_begun(&transaction, self.clock.now(), firing, new.id).await?;
            }
            let Some(id) = begin(&transaction, now, new).await? else {
                transaction.rollback().await?;
                return Ok(None);
            };
            transaction.commit().await?;
            Ok(Some(id))
        };
        self.database.watched(call).await
    }

    async fn claim(&self, saga: SagaId, owner: &str, lease: Duration) -> Result<Option<Claim>> {
        self.database.watched(self.claim_saga(saga, owner, lease)).await
    }

    async fn renew(&self, claim: &mut Claim, lease: Duration) -> Result<()> {
        self.database.watched(self.renew_lease(claim, lease)).await
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        self.database.watched(self.release_lease(claim)).await
    }

    async fn append(&self, claim: &mut Claim, append: Append) -> Result<Appended> {
        self.database.watched(self.append_grouped(claim, append)).await
    }

    async fn hand_over(&self, claim: &mut Claim, last: Append, successor: NewSaga) -> Result<SagaId> {
        let call = async {
            let now = micros(self.clock.now());
            let events = i64::from(last.event.is_some());
            let after = self.after(claim, &last).await?;
            let transaction = self.database.begin().await?;
            if !fence(&transaction, claim, after.as_ref(), now).await? {
                return Err(Error::Fenced);
            }
            write(&transaction, &[(&*claim, &last)], now).await?;
            let id = begin(&transaction, now, successor)
                .await?
                .ok_or_else(|| Error::inconsistent("saga", "the one that hands over is not at rest"))?;
            transaction.commit().await?;
            claim.next_seq.0 += events;
            Ok(id)
        };
        self.database.watched(call).await
    }

    async fn load(&self, saga: SagaId) -> Result<Option<SagaRecord>> {
        self.database.watched(self.load_saga(saga)).await
    }

    async fn sealed(&self, saga: SagaId, slot: &str) -> Result<Option<Vec<u8>>> {
        let call = async {
            let key = (saga.0, slot.to_owned());
            let row = sealed_value::Entity::find_by_id(key).one(&self.database.read).await?;
            Ok(row.map(|row| row.sealed))
        };
        self.database.watched(call).await
    }

    async fn unfinished(&self) -> Result<Vec<SagaId>> {
        self.database.watched(self.unfinished_sagas()).await
    }

    async fn list(&self, kind: SagaKind, credential: Option<CredentialId>) -> Result<Vec<SagaView>> {
        self.database.watched(self.list_sagas(kind, credential)).await
    }

    async fn receipts(&self, saga: Option<SagaId>) -> Result<Vec<ReceiptView>> {
        self.database.watched(self.list_receipts(saga)).await
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
    seal(transaction, id, now, &new.seal).await?;
    audit::chain(transaction, now, new.audit).await?;
    Ok(Some(id))
}

impl SeaStore {
    /// Appends in one transaction: of each whether it was fenced, or the error that none of them could be written for. `committing` is set once
    /// the commit was asked for: from then on an error does not say whether it happened.
    pub(super) async fn together(
        &self,
        requests: &[Request],
        committing: &mut bool,
    ) -> Result<Vec<Result<Appended>>> {
        let now = micros(self.clock.now());
        let mut results = Vec::with_capacity(requests.len());
        let mut folds = Vec::with_capacity(requests.len());
        for Request { claim, append, .. } in requests {
            let (result, fold) = match self.after(claim, append).await {
                Ok(fold) => (Ok(Appended { at: now, audit: Vec::new() }), fold),
                Err(error @ (Error::Fenced | Error::Illegal(_))) => (Err(error), None),
                Err(error) => return Err(error),
            };
            results.push(result);
            folds.push(fold);
        }
        let transaction = self.database.begin().await?;
        // All fences before all else: a writer that holds the audit head waits for no saga.
        for ((Request { claim, .. }, result), fold) in requests.iter().zip(&mut results).zip(&folds) {
            if result.is_ok() && !fence(&transaction, claim, fold.as_ref(), now).await? {
                *result = Err(Error::Fenced);
            }
        }
        let held: Vec<usize> = (0..requests.len()).filter(|index| results[*index].is_ok()).collect();
        let parts: Vec<_> =
            held.iter().map(|index| (&requests[*index].claim, &requests[*index].append)).collect();
        let numbers = write(&transaction, &parts, now).await?;
        *committing = true;
        transaction.commit().await?;
        for (index, numbers) in held.into_iter().zip(numbers) {
            results[index] = Ok(Appended { at: now, audit: numbers });
            if let Some(fold) = folds[index].take() {
                self.group.remember(requests[index].claim.saga, fold);
            }
        }
        Ok(results)
    }

    /// What the history is after this append; `None` if it adds no event. A claim whose number is not the next one is an older owner's.
    async fn after(&self, claim: &Claim, append: &Append) -> Result<Option<Folded>> {
        let Some(event) = &append.event else { return Ok(None) };
        let before = match self.group.recall(claim) {
            Some(folded) => folded,
            None => {
                let (plan, events) = sagas::history(&self.database.read, claim.saga).await?;
                if i64::try_from(events.len()).is_ok_and(|count| count + 1 != claim.next_seq.0) {
                    return Err(Error::Fenced);
                }
                let progress = Progress::replay(&plan, events.iter().map(|(_, event)| event))
                    .map_err(|error| Error::inconsistent("saga_event", error))?;
                Folded { next_seq: claim.next_seq, plan: Arc::new(plan), progress }
            }
        };
        let progress = before.progress.apply(&before.plan, event)?;
        Ok(Some(Folded { next_seq: Seq(claim.next_seq.0 + 1), plan: before.plan, progress }))
    }
}

/// The saga's row comes first, and must be as the claim has it. A takeover that is under way holds its lock, so a stale worker waits here, reads
/// the predicate again, and finds the newer epoch; a guarded insert would slip past an uncommitted takeover under READ COMMITTED.
async fn fence(
    transaction: &DatabaseTransaction,
    claim: &Claim,
    after: Option<&Folded>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let held = saga::Entity::update_many()
        .filter(saga::Column::Id.eq(claim.saga.0))
        .filter(saga::Column::Epoch.eq(claim.epoch.0))
        .filter(saga::Column::NextSeq.eq(claim.next_seq.0));
    let update = match after {
        // Its lock is what is wanted.
        None => held.col_expr(saga::Column::NextSeq, Expr::col(saga::Column::NextSeq)),
        Some(Folded { next_seq, progress, .. }) => {
            let (wake_at, detail) = match &progress.state {
                SagaState::Waiting { until } => (Some(micros(*until)), None),
                other => (None, other.reason().as_deref().map(text)),
            };
            held.set(saga::ActiveModel {
                next_seq: Set(next_seq.0),
                state: Set(progress.state.word().to_owned()),
                detail: Set(detail),
                wake_at: Set(wake_at),
                finished_at: Set(progress.state.is_rest().then_some(now)),
                ..Default::default()
            })
        }
    };
    Ok(update.exec(transaction).await?.rows_affected == 1)
}

/// Everything else of some appends whose fences hold. Gives each one's audit numbers.
async fn write(
    transaction: &DatabaseTransaction,
    parts: &[(&Claim, &Append)],
    now: DateTime<Utc>,
) -> Result<Vec<Vec<Seq>>> {
    let events: Vec<_> = parts
        .iter()
        .filter_map(|(claim, append)| {
            let event = to_json(append.event.as_ref()?);
            let row = saga_event::Model { saga_id: claim.saga.0, seq: claim.next_seq.0, at: now, event };
            Some(row.into_active_model())
        })
        .collect();
    for piece in sql::pieces(events) {
        saga_event::Entity::insert_many(piece).exec_without_returning(transaction).await?;
    }
    for (claim, append) in parts {
        seal(transaction, claim.saga, now, &append.seal).await?;
        if append.shred {
            shred(transaction, claim.saga).await?;
        }
    }
    let drafts = parts.iter().flat_map(|(_, append)| append.audit.iter().cloned()).collect();
    let mut rest = audit::chain(transaction, now, drafts).await?;
    let mut numbers = Vec::with_capacity(parts.len());
    for (claim, append) in parts {
        let later = rest.split_off(append.audit.len());
        let own = std::mem::replace(&mut rest, later);
        if let Some(receipt) = &append.receipt {
            let entry = append.audit.iter().position(|draft| draft.kind == AuditKind::Receipt);
            let number = entry.and_then(|entry| own.get(entry)).copied();
            keep(transaction, claim.saga, receipt.clone(), number).await?;
        }
        numbers.push(own);
    }
    Ok(numbers)
}

/// A slot is written once: what may be live at a target is never written over.
async fn seal(
    transaction: &DatabaseTransaction,
    saga: SagaId,
    now: DateTime<Utc>,
    rows: &[SealedRow],
) -> Result<()> {
    for row in rows {
        own_key::require_sealing_key(transaction, &row.sealed).await?;
        let slot = &row.slot;
        let row = sealed_value::Model {
            saga_id: saga.0,
            slot: slot.clone(),
            sealed: row.sealed.clone(),
            sealed_at: now,
        };
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
