use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{id::Seq, view::NotificationView};
use sea_orm::{DbBackend, FromQueryResult};

use super::{SeaStore, sql, text::text};
use crate::{Error, Notification, NotificationEnd, Notifications, Queued, Result};

const NOTIFICATION: &str = "notification";

#[derive(FromQueryResult)]
struct Cursor {
    seq: i64,
}

#[derive(FromQueryResult)]
struct Claimed {
    audit_seq: i64,
    id: String,
    event: String,
    body: String,
    queued_at: i64,
    attempts: i64,
    epoch: i64,
}

#[derive(FromQueryResult)]
struct Open {
    receiver: String,
    audit_seq: i64,
    id: String,
    event: String,
    state: String,
    queued_at: i64,
    next_at: i64,
    attempts: i64,
    last_error: Option<String>,
}

#[derive(FromQueryResult)]
struct Counted {
    state: String,
    number: i64,
}

#[derive(FromQueryResult)]
struct One {
    #[expect(dead_code, reason = "that there is a row is the answer")]
    one: i32,
}

fn instant(micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| Error::inconsistent(NOTIFICATION, "a time that is none"))
}

fn attempts(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[async_trait]
impl Notifications for SeaStore {
    async fn told_until(&self, receiver: &str) -> Result<Seq> {
        let call = async {
            let read = "select seq from notification_cursor where receiver = $1";
            let known: Vec<Cursor> =
                sql::rows(&self.database.read, read, vec![text(receiver).into()]).await?;
            if let Some(cursor) = known.first() {
                return Ok(Seq(cursor.seq));
            }
            // Of two processes that come at once the second finds what the first has begun.
            sql::run(
                &self.database.write,
                "insert into notification_cursor (receiver, seq) select cast($1 as text), seq from audit_head where id = 1 \
                 on conflict do nothing",
                vec![text(receiver).into()],
            )
            .await?;
            let known: Vec<Cursor> =
                sql::rows(&self.database.write, read, vec![text(receiver).into()]).await?;
            let cursor = known.first();
            cursor
                .map(|cursor| Seq(cursor.seq))
                .ok_or_else(|| Error::inconsistent("audit_head", "the head's row is missing"))
        };
        self.database.watched(call).await
    }

    async fn queue(&self, receiver: &str, from: Seq, to: Seq, new: Vec<Queued>) -> Result<bool> {
        let call = async {
            let now = self.clock.now().timestamp_micros();
            let transaction = self.database.begin().await?;
            let moved = sql::run(
                &transaction,
                "update notification_cursor set seq = $3 where receiver = $1 and seq = $2",
                vec![text(receiver).into(), from.0.into(), to.0.into()],
            )
            .await?;
            if moved != 1 {
                transaction.rollback().await?;
                return Ok(false);
            }
            for one in new {
                sql::run(
                    &transaction,
                    "insert into notification (receiver, audit_seq, id, event, body, state, queued_at, next_at, changed_at) \
                     values ($1, $2, $3, $4, $5, 'pending', $6, $6, $6)",
                    vec![
                        text(receiver).into(),
                        one.audit_seq.0.into(),
                        one.id.into(),
                        one.event.into(),
                        text(&one.body).into(),
                        now.into(),
                    ],
                )
                .await?;
            }
            transaction.commit().await?;
            Ok(true)
        };
        self.database.watched(call).await
    }

    async fn claim_notifications(
        &self,
        receiver: &str,
        now: DateTime<Utc>,
        lease: Duration,
        most: u32,
    ) -> Result<Vec<Notification>> {
        let call = async {
            let clock = self.database.now_millis();
            let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX).min(86_400_000);
            let due =
                format!("receiver = $1 and state = 'pending' and next_at <= $2 and lease_until <= {clock}");
            let (receiver, now) = (text(receiver), now.timestamp_micros());
            // Most of the time there is nothing: that costs no writer.
            let any: Vec<One> = sql::rows(
                &self.database.read,
                format!("select 1 as one from notification where {due} limit 1"),
                vec![receiver.clone().into(), now.into()],
            )
            .await?;
            if any.is_empty() {
                return Ok(Vec::new());
            }
            let skip = match self.database.kind() {
                DbBackend::Postgres => "for update skip locked",
                _ => "",
            };
            let mut claimed: Vec<Claimed> = sql::rows(
                &self.database.write,
                format!(
                    "update notification set epoch = epoch + 1, attempts = attempts + 1, lease_until = {clock} + $3, changed_at = $2 \
                     where receiver = $1 and audit_seq in \
                     (select audit_seq from notification where {due} order by audit_seq limit $4 {skip}) \
                     returning audit_seq, id, event, body, queued_at, attempts, epoch"
                ),
                vec![receiver.clone().into(), now.into(), lease.into(), i64::from(most).into()],
            )
            .await?;
            claimed.sort_by_key(|row| row.audit_seq);
            claimed
                .into_iter()
                .map(|row| {
                    Ok(Notification {
                        receiver: receiver.clone(),
                        queued: Queued {
                            audit_seq: Seq(row.audit_seq),
                            id: row.id,
                            event: row.event,
                            body: row.body,
                        },
                        queued_at: instant(row.queued_at)?,
                        attempts: attempts(row.attempts),
                        epoch: row.epoch,
                    })
                })
                .collect()
        };
        self.database.watched(call).await
    }

    async fn settle_notification(
        &self,
        claimed: &Notification,
        end: NotificationEnd,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let call = async {
            let (state, next_at, error) = match end {
                NotificationEnd::Sent => ("sent", None, None),
                NotificationEnd::Again { at, error } => ("pending", Some(at.timestamp_micros()), Some(error)),
                NotificationEnd::Dead { error } => ("dead", None, Some(error)),
            };
            let settled = sql::run(
                &self.database.write,
                "update notification set state = $4, next_at = coalesce($5, next_at), last_error = $6, lease_until = 0, changed_at = $7 \
                 where receiver = $1 and audit_seq = $2 and epoch = $3 and state = 'pending'",
                vec![
                    text(&claimed.receiver).into(),
                    claimed.queued.audit_seq.0.into(),
                    claimed.epoch.into(),
                    state.into(),
                    next_at.into(),
                    error.as_deref().map(text).into(),
                    now.timestamp_micros().into(),
                ],
            )
            .await?;
            Ok(settled == 1)
        };
        self.database.watched(call).await
    }

    async fn open_notifications(&self) -> Result<Vec<NotificationView>> {
        let call = async {
            let rows: Vec<Open> = sql::rows(
                &self.database.read,
                "select receiver, audit_seq, id, event, state, queued_at, next_at, attempts, last_error from notification \
                 where state in ('pending', 'dead') order by audit_seq, receiver",
                Vec::new(),
            )
            .await?;
            rows.into_iter()
                .map(|row| {
                    Ok(NotificationView {
                        id: row.id,
                        receiver: row.receiver,
                        event: row.event,
                        next_at: if row.state == "pending" { Some(instant(row.next_at)?) } else { None },
                        state: row.state,
                        queued_at: instant(row.queued_at)?,
                        attempts: attempts(row.attempts),
                        last_error: row.last_error,
                        audit_seq: Seq(row.audit_seq),
                    })
                })
                .collect()
        };
        self.database.watched(call).await
    }

    async fn notification_counts(&self) -> Result<BTreeMap<String, u64>> {
        let call = async {
            let rows: Vec<Counted> = sql::rows(
                &self.database.read,
                "select state, count(*) as number from notification where state in ('pending', 'dead') group by state",
                Vec::new(),
            )
            .await?;
            let mut counts: BTreeMap<String, u64> =
                [("pending".to_owned(), 0), ("dead".to_owned(), 0)].into_iter().collect();
            counts.extend(rows.into_iter().map(|row| (row.state, u64::try_from(row.number).unwrap_or(0))));
            Ok(counts)
        };
        self.database.watched(call).await
    }

    async fn purge_notifications(&self, before: DateTime<Utc>) -> Result<u64> {
        let call = async {
            let statement = "delete from notification where state = 'sent' and changed_at < $1";
            sql::run(&self.database.write, statement, vec![before.timestamp_micros().into()]).await
        };
        self.database.watched(call).await
    }
}
