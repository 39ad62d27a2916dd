//! What was sealed with a former key is sealed anew, some rows at a time.

use claviger_core::{
    audit::AuditDraft,
    id::{CredentialId, SagaId},
    seal::SagaSalt,
};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::{SeaStore, audit, own_key, sql, text::micros};
use crate::{Error, FormerlySealed, Resealed, Result};

const TABLE: &str = "sealed_value";

#[derive(FromQueryResult)]
struct Row {
    saga_id: Uuid,
    slot: String,
    sealed: Vec<u8>,
    credential_id: Uuid,
    salt: Vec<u8>,
}

impl SeaStore {
    /// Values whose bytes do not begin with `head`, in the order of saga and slot, behind `after`, at most `most`. Of sagas that somebody drives at this
    /// moment none: whoever does may know the former key alone.
    ///
    /// # Errors
    /// The database.
    pub async fn formerly_sealed(
        &self,
        head: &[u8],
        after: Option<&FormerlySealed>,
        most: u64,
    ) -> Result<Vec<FormerlySealed>> {
        let clock = self.database.now_millis();
        let (saga, slot) = after.map_or((Uuid::nil(), ""), |after| (after.saga.0, after.slot.as_str()));
        let rows: Vec<Row> = sql::rows(
            &self.database.read,
            format!(
                "select value.saga_id, value.slot, value.sealed, saga.credential_id, saga.salt \
                 from sealed_value value join saga on saga.id = value.saga_id \
                 where substr(value.sealed, 1, 9) <> $1 and saga.salt is not null \
                 and (saga.lease_until is null or saga.lease_until <= {clock}) \
                 and (value.saga_id > $2 or (value.saga_id = $2 and value.slot > $3)) \
                 order by value.saga_id, value.slot limit $4"
            ),
            vec![
                head.to_vec().into(),
                saga.into(),
                slot.into(),
                i64::try_from(most).unwrap_or(i64::MAX).into(),
            ],
        )
        .await?;
        rows.into_iter()
            .map(|row| {
                let salt = <[u8; 32]>::try_from(row.salt).map(SagaSalt);
                Ok(FormerlySealed {
                    saga: SagaId(row.saga_id),
                    credential: CredentialId(row.credential_id),
                    slot: row.slot,
                    salt: salt.map_err(|_| Error::inconsistent(TABLE, "a salt has 32 bytes"))?,
                    sealed: row.sealed,
                })
            })
            .collect()
    }

    /// Puts values in the place of the ones that they were made of, in one transaction with the entry of the audit log. One that was shredded meanwhile stays
    /// away. Gives how many were put.
    ///
    /// # Errors
    /// [`Error::Keys`]: the key that they were sealed with is not in force any more. The database. Nothing was changed then.
    pub async fn put_resealed(&self, values: &[Resealed], draft: AuditDraft) -> Result<u64> {
        let now = micros(self.clock.now());
        let transaction = self.database.begin().await?;
        let mut put = 0;
        for Resealed { of, sealed } in values {
            // Its key's row stays shared: it is not taken away before this commits.
            own_key::require_sealing_key(&transaction, sealed).await?;
            let values = vec![
                of.saga.0.into(),
                of.slot.as_str().into(),
                of.sealed.clone().into(),
                sealed.clone().into(),
            ];
            let sql = "update sealed_value set sealed = $4 where saga_id = $1 and slot = $2 and sealed = $3";
            put += sql::run(&transaction, sql, values).await?;
        }
        if put == 0 {
            transaction.rollback().await?;
            return Ok(0);
        }
        audit::chain_one(&transaction, now, draft).await?;
        transaction.commit().await?;
        Ok(put)
    }
}
