use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{audit::AuditDraft, model::Labels};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};
use serde::{Deserialize, Serialize};

use super::{
    SeaStore, audit, sql,
    text::{from_json, micros, text, to_json},
};
use crate::{Answer, ApiToken, Known, Requests, Result, Tokens, error::is_duplicate};

const TOKEN: &str = "api_token";
const REQUEST: &str = "api_request";
/// How long after a use no other one is noted.
const NOTED: TimeDelta = TimeDelta::minutes(1);
const COLUMNS: &str =
    "handle, name, hash, role, scope, created_at, created_by, expires_at, last_used_at, revoked_at";

#[derive(FromQueryResult)]
struct Row {
    handle: String,
    name: String,
    hash: Vec<u8>,
    role: String,
    scope: String,
    created_at: DateTime<Utc>,
    created_by: String,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, Deserialize)]
struct Scope {
    backends: Vec<String>,
    labels: Labels,
}

fn token(row: Row) -> Result<ApiToken> {
    let Scope { backends, labels } = from_json(TOKEN, &row.scope)?;
    Ok(ApiToken {
        handle: row.handle,
        name: row.name,
        hash: row.hash,
        role: row.role,
        backends,
        labels,
        created_at: row.created_at,
        created_by: row.created_by,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        revoked_at: row.revoked_at,
    })
}

#[async_trait]
impl Tokens for SeaStore {
    async fn create_token(&self, token: &ApiToken, draft: AuditDraft) -> Result<bool> {
        let transaction = self.database.begin().await?;
        let scope = Scope { backends: token.backends.clone(), labels: token.labels.clone() };
        let values: Vec<Value> = vec![
            token.handle.clone().into(),
            text(&token.name).into(),
            token.hash.clone().into(),
            token.role.clone().into(),
            to_json(&scope).into(),
            micros(token.created_at).into(),
            text(&token.created_by).into(),
            token.expires_at.map(micros).into(),
        ];
        let statement = Statement::from_sql_and_values(
            transaction.get_database_backend(),
            "insert into api_token (handle, name, hash, role, scope, created_at, created_by, expires_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            values,
        );
        match transaction.execute_raw(statement).await {
            Err(error) if is_duplicate(&error) => {
                transaction.rollback().await?;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        audit::chain_one(&transaction, micros(self.clock.now()), draft).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn token(&self, handle: &str) -> Result<Option<ApiToken>> {
        let call = async {
            let text = format!("select {COLUMNS} from api_token where handle = $1");
            let rows: Vec<Row> = sql::rows(&self.database.read, text, vec![handle.into()]).await?;
            rows.into_iter().next().map(token).transpose()
        };
        self.database.watched(call).await
    }

    async fn tokens(&self) -> Result<Vec<ApiToken>> {
        let text = format!("select {COLUMNS} from api_token order by created_at desc, handle");
        let rows: Vec<Row> = sql::rows(&self.database.read, text, Vec::new()).await?;
        rows.into_iter().map(token).collect()
    }

    async fn revoke_token(&self, handle: &str, actor: &str, draft: AuditDraft) -> Result<bool> {
        let now = micros(self.clock.now());
        let transaction = self.database.begin().await?;
        let revoked = sql::run(
            &transaction,
            "update api_token set revoked_at = $2, revoked_by = $3 where handle = $1 and revoked_at is null",
            vec![handle.into(), now.into(), text(actor).into()],
        )
        .await?;
        if revoked == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        audit::chain_one(&transaction, now, draft).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn token_used(&self, handle: &str, at: DateTime<Utc>) -> Result<()> {
        let call = async {
            let at = micros(at);
            sql::run(
            &self.database.write,
            "update api_token set last_used_at = $2 where handle = $1 and (last_used_at is null or last_used_at <= $3)",
            vec![handle.into(), at.into(), (at - NOTED).into()],
        )
        .await?;
            Ok(())
        };
        self.database.watched(call).await
    }
}

#[derive(FromQueryResult)]
struct Request {
    hash: Vec<u8>,
    answer: Option<String>,
}

#[async_trait]
impl Requests for SeaStore {
    async fn begin_request(&self, actor: &str, key: &str, hash: &[u8], at: DateTime<Utc>) -> Result<Known> {
        let call = async {
            let made = sql::run(
            &self.database.write,
            "insert into api_request (actor, request_key, hash, at) values ($1, $2, $3, $4) on conflict do nothing",
            vec![text(actor).into(), text(key).into(), hash.to_vec().into(), micros(at).into()],
        )
        .await?;
            if made == 1 {
                return Ok(Known::New);
            }
            let rows: Vec<Request> = sql::rows(
                &self.database.write,
                "select hash, answer from api_request where actor = $1 and request_key = $2",
                vec![text(actor).into(), text(key).into()],
            )
            .await?;
            Ok(match rows.into_iter().next() {
                // It was forgotten between the two statements: whoever asks again finds it free.
                None => Known::UnderWay,
                Some(row) if row.hash != hash => Known::Other,
                Some(Request { answer: None, .. }) => Known::UnderWay,
                Some(Request { answer: Some(answer), .. }) => Known::Answered(from_json(REQUEST, &answer)?),
            })
        };
        self.database.watched(call).await
    }

    async fn answer_request(&self, actor: &str, key: &str, answer: &Answer) -> Result<()> {
        sql::run(
            &self.database.write,
            "update api_request set answer = $3 where actor = $1 and request_key = $2",
            vec![text(actor).into(), text(key).into(), to_json(answer).into()],
        )
        .await?;
        Ok(())
    }

    async fn forget_request(&self, actor: &str, key: &str) -> Result<()> {
        sql::run(
            &self.database.write,
            "delete from api_request where actor = $1 and request_key = $2 and answer is null",
            vec![text(actor).into(), text(key).into()],
        )
        .await?;
        Ok(())
    }

    async fn purge_requests(&self, before: DateTime<Utc>) -> Result<u64> {
        let statement = "delete from api_request where at < $1";
        sql::run(&self.database.write, statement, vec![micros(before).into()]).await
    }
}
