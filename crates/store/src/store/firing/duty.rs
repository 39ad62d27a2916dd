use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbBackend, FromQueryResult};

use super::{instant, millis, number};
use crate::{
    Error, Result,
    store::{SeaStore, sql, text::text},
};

#[derive(FromQueryResult)]
struct Told {
    lease_until: i64,
}

impl SeaStore {
    pub(super) async fn hold_duty(&self, name: &str, owner: &str, lease: Duration) -> Result<bool> {
        let clock = self.database.now_millis();
        let touched = sql::run(
            &self.database.write,
            format!(
                "insert into service_duty (name, owner, lease_until) values ($1, $2, {clock} + $3) \
                 on conflict (name) do update set owner = excluded.owner, lease_until = excluded.lease_until \
                 where service_duty.owner = excluded.owner or service_duty.lease_until <= {clock}"
            ),
            vec![text(name).into(), text(owner).into(), millis(lease).into()],
        )
        .await?;
        Ok(touched == 1)
    }

    pub(super) async fn drop_duty(&self, name: &str, owner: &str) -> Result<()> {
        sql::run(
            &self.database.write,
            "update service_duty set lease_until = 0 where name = $1 and owner = $2",
            vec![text(name).into(), text(owner).into()],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn keep_round(&self, name: &str, at: DateTime<Utc>) -> Result<()> {
        sql::run(
            &self.database.write,
            "insert into service_round (name, done_at) values ($1, $2) \
             on conflict (name) do update set done_at = excluded.done_at where service_round.done_at < excluded.done_at",
            vec![text(name).into(), number(at).into()],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn newest_round(&self, name: &str) -> Result<Option<DateTime<Utc>>> {
        let told: Vec<Round> = sql::rows(
            &self.database.read,
            "select done_at from service_round where name = $1",
            vec![text(name).into()],
        )
        .await?;
        told.first().map(|round| instant(round.done_at)).transpose()
    }

    pub(super) async fn probe_writing(&self, now: DateTime<Utc>) -> Result<i64> {
        let transaction = self.database.begin().await?;
        // Before any lock is held.
        self.find_room(&transaction).await?;
        // What an append to the audit log takes first. On SQLite the begin took the one lock that there is.
        let lock = match self.database.kind() {
            DbBackend::Postgres => "select seq from audit_head where id = 1 for update",
            _ => "select seq from audit_head where id = 1",
        };
        let head: Vec<Head> = sql::rows(&transaction, lock, Vec::new()).await?;
        if head.is_empty() {
            return Err(Error::inconsistent("audit_head", "the head's row is missing"));
        }
        let clock = self.database.now_millis();
        let told: Vec<Told> = sql::rows(
            &transaction,
            format!(
                "update service_duty set lease_until = {clock} where name = 'probe' returning lease_until"
            ),
            Vec::new(),
        )
        .await?;
        transaction.commit().await?;
        let told =
            told.first().ok_or_else(|| Error::inconsistent("service_duty", "the probe's row is missing"))?;
        Ok(told.lease_until - now.timestamp_millis())
    }
}

impl SeaStore {
    /// Is there room for more? What was just updated fits where its last version was: a full disk shows only to what needs a new piece of it. At PostgreSQL
    /// a sort that does not fit into its memory takes a few hundred KiB of the database's disk and gives them back. On SQLite the commit itself grows a file.
    async fn find_room(&self, transaction: &DatabaseTransaction) -> Result<()> {
        if self.database.kind() != DbBackend::Postgres {
            return Ok(());
        }
        sql::run(transaction, "select set_config('work_mem', '64kB', true)", Vec::new()).await?;
        let sort = "select count(*) as n from (select md5(cast(i as text)) from generate_series(1, 4000) as i order by 1 offset 0) as sorted";
        sql::run(transaction, sort, Vec::new()).await?;
        Ok(())
    }
}

#[derive(FromQueryResult)]
struct Round {
    done_at: i64,
}

#[derive(FromQueryResult)]
struct Head {
    #[expect(dead_code, reason = "that there is a row is the answer")]
    seq: i64,
}
