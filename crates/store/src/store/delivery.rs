use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::webhook::DeliveryId;
use sea_orm::FromQueryResult;

use super::{
    SeaStore, sql,
    text::{from_json, micros, text, to_json},
};
use crate::{Answer, Deliveries, Result, Taken};

const DELIVERY: &str = "webhook_delivery";

#[derive(FromQueryResult)]
struct Row {
    answer: Option<String>,
}

#[async_trait]
impl Deliveries for SeaStore {
    async fn take_delivery(
        &self,
        receiver: &str,
        id: &DeliveryId,
        remember_until: Option<DateTime<Utc>>,
        lease: Duration,
    ) -> Result<Taken> {
        let call = async {
            let clock = self.database.now_millis();
            let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX).min(86_400_000);
            // One statement: of two that come at once, the second sees the first's lease.
            let taken = sql::run(
                &self.database.write,
                format!(
                    "insert into webhook_delivery (receiver, delivery, at, remember_until, taken_until) \
                     values ($1, $2, $3, $4, {clock} + $5) \
                     on conflict (receiver, delivery) do update set taken_until = excluded.taken_until \
                     where webhook_delivery.answer is null and webhook_delivery.taken_until <= {clock}"
                ),
                vec![
                    text(receiver).into(),
                    id.0.to_vec().into(),
                    micros(self.clock.now()).into(),
                    remember_until.map(micros).into(),
                    lease.into(),
                ],
            )
            .await?;
            if taken == 1 {
                return Ok(Taken::Ours);
            }
            let rows: Vec<Row> = sql::rows(
                &self.database.write,
                "select answer from webhook_delivery where receiver = $1 and delivery = $2",
                vec![text(receiver).into(), id.0.to_vec().into()],
            )
            .await?;
            match rows.into_iter().next().and_then(|row| row.answer) {
                Some(answer) => Ok(Taken::Answered(from_json(DELIVERY, &answer)?)),
                None => Ok(Taken::UnderWay),
            }
        };
        self.database.watched(call).await
    }

    async fn answer_delivery(&self, receiver: &str, id: &DeliveryId, answer: &Answer) -> Result<()> {
        let call = async {
            sql::run(
                &self.database.write,
                "update webhook_delivery set answer = $3 where receiver = $1 and delivery = $2 and answer is null",
                vec![text(receiver).into(), id.0.to_vec().into(), to_json(answer).into()],
            )
            .await?;
            Ok(())
        };
        self.database.watched(call).await
    }

    async fn leave_delivery(&self, receiver: &str, id: &DeliveryId) -> Result<()> {
        let call = async {
            sql::run(
                &self.database.write,
                "update webhook_delivery set taken_until = 0 where receiver = $1 and delivery = $2 and answer is null",
                vec![text(receiver).into(), id.0.to_vec().into()],
            )
            .await?;
            Ok(())
        };
        self.database.watched(call).await
    }

    async fn purge_deliveries(&self, before: DateTime<Utc>) -> Result<u64> {
        let call = async {
            let statement = "delete from webhook_delivery where remember_until < $1";
            sql::run(&self.database.write, statement, vec![micros(before).into()]).await
        };
        self.database.watched(call).await
    }
}
