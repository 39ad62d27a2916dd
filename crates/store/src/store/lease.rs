//! Ownership of sagas. All arithmetic on leases is the database's, by its own clock.

use std::time::Duration;

use claviger_core::id::{Epoch, SagaId, Seq};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DbBackend, EntityTrait as _, FromQueryResult,
    QueryFilter as _, Statement, sea_query::Expr,
};

use super::{SeaStore, sql, text::text};
use crate::{Claim, Error, Hint, Result, entity::saga, hear};

#[derive(FromQueryResult)]
struct Held {
    epoch: i64,
    next_seq: i64,
    left_ms: i64,
}

impl SeaStore {
    pub(super) async fn claim_saga(&self, id: SagaId, owner: &str, lease: Duration) -> Result<Option<Claim>> {
        let now = self.database.now_millis();
        // One statement: of two workers that come at once, the second sees the first's lease.
        let sql = format!(
            "update saga set epoch = epoch + 1, lease_owner = $2, lease_until = {now} + $3 \
             where id = $1 and finished_at is null and (lease_until is null or lease_until <= {now}) \
             returning epoch, next_seq, lease_until - {now} as left_ms"
        );
        let values = [id.0.into(), text(owner).into(), millis(lease).into()];
        let statement = Statement::from_sql_and_values(self.database.kind(), sql, values);
        let row = self.database.write.query_one_raw(statement).await?;
        row.map(|row| {
            let held = Held::from_query_result(&row, "")?;
            Ok(Claim {
                saga: id,
                epoch: Epoch(held.epoch),
                next_seq: Seq(held.next_seq),
                lease: duration(held.left_ms),
            })
        })
        .transpose()
    }

    pub(super) async fn renew_lease(&self, claim: &mut Claim, lease: Duration) -> Result<()> {
        let now = self.database.now_millis();
        let sql = format!(
            "update saga set lease_until = {now} + $3 where id = $1 and epoch = $2 \
             returning epoch, next_seq, lease_until - {now} as left_ms"
        );
        let values = [claim.saga.0.into(), claim.epoch.0.into(), millis(lease).into()];
        let statement = Statement::from_sql_and_values(self.database.kind(), sql, values);
        let row = self.database.write.query_one_raw(statement).await?.ok_or(Error::Fenced)?;
        claim.lease = duration(Held::from_query_result(&row, "")?.left_ms);
        Ok(())
    }

    pub(super) async fn release_lease(&self, claim: &Claim) -> Result<()> {
        if self.database.kind() == DbBackend::Postgres {
            // One statement, as without the hint. Whoever gives it up does not hear of it: what made them do so holds for the next moment too.
            let sql = "with released as (update saga set lease_until = null, lease_owner = null where id = $1 and epoch = $2 returning state) \
                       select pg_notify($3, $4) from released where state in ('planned', 'running', 'unwinding')";
            let told = hear::payload(Hint::Saga, Some(self.origin()));
            let values = vec![claim.saga.0.into(), claim.epoch.0.into(), hear::CHANNEL.into(), told.into()];
            sql::run(&self.database.write, sql, values).await?;
            return Ok(());
        }
        saga::Entity::update_many()
            .col_expr(saga::Column::LeaseUntil, Expr::value(Option::<i64>::None))
            .col_expr(saga::Column::LeaseOwner, Expr::value(Option::<String>::None))
            .filter(
                Condition::all()
                    .add(saga::Column::Id.eq(claim.saga.0))
                    .add(saga::Column::Epoch.eq(claim.epoch.0)),
            )
            .exec(&self.database.write)
            .await?;
        Ok(())
    }
}

fn millis(lease: Duration) -> i64 {
    // A day is longer than any lease that makes sense; nobody may own a saga for ever by a slip.
    i64::try_from(lease.as_millis()).unwrap_or(i64::MAX).min(86_400_000)
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
