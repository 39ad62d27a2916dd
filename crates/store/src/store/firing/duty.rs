use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, FromQueryResult};

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

#[derive(FromQueryResult)]
struct Round {
    done_at: i64,
}

#[derive(FromQueryResult)]
struct Head {
    #[expect(dead_code, reason = "that there is a row is the answer")]
    seq: i64,
}
