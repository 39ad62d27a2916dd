use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    audit::{AuditDraft, AuditEntry, AuditHash},
    id::{SagaId, Seq},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, sea_query::LockType,
};

use super::{
    SeaStore, sql,
    text::{from_json, from_word, micros, text, to_json, word},
};
use crate::{
    AuditLog, Error, Result,
    entity::{audit_entry, audit_head},
};

const HEAD: &str = "audit_head";
const ENTRY: &str = "audit_entry";

#[async_trait]
impl AuditLog for SeaStore {
    async fn append(&self, drafts: Vec<AuditDraft>) -> Result<Vec<Seq>> {
        let call = async {
            if drafts.is_empty() {
                return Ok(Vec::new());
            }
            let transaction = self.database.begin().await?;
            let numbers = chain(&transaction, self.clock.now(), drafts).await?;
            transaction.commit().await?;
            Ok(numbers)
        };
        self.database.watched(call).await
    }

    async fn head(&self) -> Result<(Seq, AuditHash)> {
        let call = async { read_head(audit_head::Entity::find_by_id(1).one(&self.database.read).await?) };
        self.database.watched(call).await
    }

    async fn read(&self, after: Seq, limit: u64) -> Result<Vec<AuditEntry>> {
        let call = async {
            let rows = audit_entry::Entity::find()
                .filter(audit_entry::Column::Seq.gt(after.0))
                .order_by_asc(audit_entry::Column::Seq)
                .limit(limit)
                .all(&self.database.read)
                .await?;
            rows.into_iter().map(entry).collect()
        };
        self.database.watched(call).await
    }
}

/// Chains drafts behind the head within the caller's transaction, and gives their numbers. The head's row stays locked until the
/// transaction ends, so appends queue and the chain has no gaps.
pub(super) async fn chain(
    transaction: &DatabaseTransaction,
    at: DateTime<Utc>,
    drafts: Vec<AuditDraft>,
) -> Result<Vec<Seq>> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    // SQLite has no row locks; there the transaction holds the one write lock already.
    let head = audit_head::Entity::find_by_id(1).lock(LockType::Update).one(transaction).await?;
    let mut before = read_head(head)?;
    let mut numbers = Vec::with_capacity(drafts.len());
    let mut rows = Vec::with_capacity(drafts.len());
    for draft in drafts {
        // The texts are hashed as they will be read back.
        let draft = AuditDraft {
            actor: text(&draft.actor),
            subject: text(&draft.subject),
            step: draft.step.as_deref().map(text),
            ..draft
        };
        let entry = AuditEntry::chain(draft, micros(at), before);
        before = (entry.seq, entry.hash);
        numbers.push(entry.seq);
        rows.push(model(entry).into_active_model());
    }
    for piece in sql::pieces(rows) {
        audit_entry::Entity::insert_many(piece).exec_without_returning(transaction).await?;
    }
    move_head(transaction, before).await?;
    Ok(numbers)
}

/// The same for one draft.
pub(super) async fn chain_one(
    transaction: &DatabaseTransaction,
    at: DateTime<Utc>,
    draft: AuditDraft,
) -> Result<Seq> {
    let numbers = chain(transaction, at, vec![draft]).await?;
    numbers.first().copied().ok_or_else(|| Error::inconsistent(ENTRY, "an entry got no number"))
}

async fn move_head<C: ConnectionTrait>(connection: &C, head: (Seq, AuditHash)) -> Result<()> {
    let moved = audit_head::Entity::update_many()
        .set(audit_head::ActiveModel {
            seq: Set(head.0.0),
            hash: Set(head.1.0.to_vec()),
            ..Default::default()
        })
        .filter(audit_head::Column::Id.eq(1))
        .exec(connection)
        .await?;
    if moved.rows_affected == 1 {
        Ok(())
    } else {
        Err(Error::inconsistent(HEAD, "the head's row is missing"))
    }
}

fn read_head(row: Option<audit_head::Model>) -> Result<(Seq, AuditHash)> {
    let row = row.ok_or_else(|| Error::inconsistent(HEAD, "the head's row is missing"))?;
    Ok((Seq(row.seq), hash(HEAD, &row.hash)?))
}

fn hash(table: &'static str, bytes: &[u8]) -> Result<AuditHash> {
    let bytes = bytes.try_into().map_err(|_| Error::inconsistent(table, "a hash has 32 bytes"))?;
    Ok(AuditHash(bytes))
}

fn model(entry: AuditEntry) -> audit_entry::Model {
    audit_entry::Model {
        seq: entry.seq.0,
        at: entry.at,
        kind: word(&entry.draft.kind),
        actor: entry.draft.actor,
        subject: entry.draft.subject,
        saga_id: entry.draft.saga.map(|saga| saga.0),
        step: entry.draft.step,
        detail: to_json(&entry.draft.detail),
        prev_hash: entry.prev_hash.0.to_vec(),
        hash: entry.hash.0.to_vec(),
    }
}

fn entry(row: audit_entry::Model) -> Result<AuditEntry> {
    Ok(AuditEntry {
        seq: Seq(row.seq),
        at: row.at,
        draft: AuditDraft {
            kind: from_word(ENTRY, &row.kind)?,
            actor: row.actor,
            subject: row.subject,
            saga: row.saga_id.map(SagaId),
            step: row.step,
            detail: from_json(ENTRY, &row.detail)?,
        },
        prev_hash: hash(ENTRY, &row.prev_hash)?,
        hash: hash(ENTRY, &row.hash)?,
    })
}
