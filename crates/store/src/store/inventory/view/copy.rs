//! Copies as they are shown.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, FromQueryResult};
use uuid::Uuid;

use super::{
    super::{
        super::{sql, text::from_json},
        facts::CopyFacts,
    },
    load::Read,
};
use crate::{Result, entity::copy};

/// What is shown of a copy's row. A page of credentials has hundreds of them: the columns that only linking needs stay where they are.
#[derive(FromQueryResult)]
pub(super) struct CopyRow {
    pub(super) id: Uuid,
    pub(super) at: String,
    pub(super) object_key: Uuid,
    pub(super) stage: String,
    pub(super) fingerprint: Option<Vec<u8>>,
    pub(super) credential_id: Option<Uuid>,
    pub(super) evidence: Option<String>,
    pub(super) facts: String,
    pub(super) last_used_at: Option<DateTime<Utc>>,
    pub(super) first_seen: DateTime<Utc>,
    pub(super) last_seen: DateTime<Utc>,
}

const COPY: &str = "select id, at, object_key, stage, fingerprint, credential_id, evidence, facts, last_used_at, first_seen, \
     last_seen from credential_copy where gone_at is null and credential_id in";

impl From<copy::Model> for CopyRow {
    fn from(row: copy::Model) -> Self {
        Self {
            id: row.id,
            at: row.at,
            object_key: row.object_key,
            stage: row.stage,
            fingerprint: row.fingerprint,
            credential_id: row.credential_id,
            evidence: row.evidence,
            facts: row.facts,
            last_used_at: row.last_used_at,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    }
}

impl Read<CopyRow, CopyFacts> {
    pub(super) fn new(row: CopyRow) -> Result<Self> {
        let facts = from_json("credential_copy", &row.facts)?;
        Ok(Self { row, facts })
    }
}

/// The copies of credentials that are there, in the order of their refs, the current one first.
pub(super) async fn copies(
    connection: &DatabaseConnection,
    credentials: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Read<CopyRow, CopyFacts>>>> {
    let rows: Vec<CopyRow> =
        sql::rows_for(connection, credentials, &[], |ids| format!("{COPY} ({ids})")).await?;
    let mut copies: HashMap<Uuid, Vec<Read<CopyRow, CopyFacts>>> = HashMap::new();
    for row in rows {
        if let Some(credential) = row.credential_id {
            copies.entry(credential).or_default().push(Read::new(row)?);
        }
    }
    for copies in copies.values_mut() {
        // `current`, `former`, `pending`: as it happens the right order.
        copies.sort_by(|left, right| {
            let (left, right) = (&left.row, &right.row);
            (&left.at, &left.stage, right.first_seen, left.id).cmp(&(
                &right.at,
                &right.stage,
                left.first_seen,
                right.id,
            ))
        });
    }
    Ok(copies)
}
