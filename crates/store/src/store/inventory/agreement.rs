//! What verifications saw of copies.

use chrono::{DateTime, Utc};
use claviger_core::{agreement::Agreement, id::CredentialId};
use sea_orm::FromQueryResult;

use super::super::{
    SeaStore, sql,
    text::{from_json, micros, to_json},
};
use crate::Result;

#[derive(FromQueryResult)]
struct Row {
    view: String,
}

#[derive(FromQueryResult)]
struct Begun {
    begun_at: DateTime<Utc>,
}

impl SeaStore {
    pub(super) async fn keep_agreements(&self, agreements: &[Agreement]) -> Result<()> {
        let transaction = self.database.begin().await?;
        for seen in agreements {
            let sql = "insert into agreement (credential_id, checked_at, view) values ($1, $2, $3) \
                 on conflict (credential_id) do update set checked_at = excluded.checked_at, view = excluded.view";
            let values = vec![seen.credential.0.into(), micros(seen.checked_at).into(), to_json(seen).into()];
            sql::run(&transaction, sql, values).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    pub(super) async fn drop_agreements(&self, credentials: &[CredentialId]) -> Result<()> {
        let ids: Vec<_> = credentials.iter().map(|id| id.0).collect();
        let transaction = self.database.begin().await?;
        sql::run_for(&transaction, &ids, &[], |ids| {
            format!("delete from agreement where credential_id in ({ids})")
        })
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(super) async fn list_agreements(&self) -> Result<Vec<Agreement>> {
        let sql = "select a.view as view from agreement a join credential c on c.id = a.credential_id \
             where c.gone_at is null order by c.at";
        let rows: Vec<Row> = sql::rows(&self.database.read, sql, Vec::new()).await?;
        rows.iter().map(|row| from_json("agreement", &row.view)).collect()
    }

    pub(super) async fn note_verification(&self, at: DateTime<Utc>) -> Result<()> {
        let transaction = self.database.begin().await?;
        let sql = "insert into verification (id, begun_at) values (1, $1) \
             on conflict (id) do update set begun_at = excluded.begun_at";
        sql::run(&transaction, sql, vec![micros(at).into()]).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(super) async fn newest_verification(&self) -> Result<Option<DateTime<Utc>>> {
        let rows: Vec<Begun> =
            sql::rows(&self.database.read, "select begun_at from verification", Vec::new()).await?;
        Ok(rows.first().map(|row| row.begun_at))
    }
}
