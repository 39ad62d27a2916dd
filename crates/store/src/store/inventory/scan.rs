//! Scans, scopes and coverage: what was read, and what is therefore gone.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use claviger_core::{
    id::ScanId,
    model::{Scope, ScopeStatus},
    view::{BackendScanView, ScanView},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _, FromQueryResult,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use super::{
    super::{
        SeaStore, sql,
        text::{from_json, micros, text, to_json},
    },
    item::Stamp,
    kept::TABLES,
    key, rekey,
};
use crate::{
    Error, MergeSummary, Result, ScanStart,
    entity::{scan, scan_backend},
};

/// The number that orders a scan.
pub(super) async fn epoch<C: ConnectionTrait>(connection: &C, id: ScanId) -> Result<i64> {
    let epoch: Option<i64> = scan::Entity::find()
        .select_only()
        .column(scan::Column::Epoch)
        .filter(scan::Column::Id.eq(id.0))
        .into_tuple()
        .one(connection)
        .await?;
    epoch.ok_or_else(|| Error::inconsistent("scan", format!("scan {id} was never begun")))
}

/// A page came: the scope is being read. An end that it had in this scan counts no more, unless that end was a bad one.
pub(super) async fn begin_scope(
    transaction: &DatabaseTransaction,
    stamp: &Stamp,
    scope: &Scope,
) -> Result<()> {
    let values = vec![
        stamp.scope.into(),
        stamp.backend.as_str().into(),
        text(&scope.area).into(),
        text(&scope.part).into(),
        stamp.epoch.into(),
    ];
    let sql = "insert into scope (id, backend, area, part, scan) values ($1, $2, $3, $4, $5) \
         on conflict (id) do update set \
         status = case when scope.scan = excluded.scan and scope.status <> 'complete' then scope.status end, \
         reason = case when scope.scan = excluded.scan and scope.status <> 'complete' then scope.reason end, \
         scan = excluded.scan \
         where scope.scan < excluded.scan or scope.status = 'complete'";
    sql::run(transaction, sql, values).await?;
    Ok(())
}

/// Marks rows gone that meet `condition` on table `t`, with their history. `$1` is the time; the condition's parameters begin at `$2`.
pub(super) async fn mark_gone(
    transaction: &DatabaseTransaction,
    at: DateTime<Utc>,
    condition: &str,
    parameters: &[sea_orm::Value],
) -> Result<u64> {
    let mut values: Vec<sea_orm::Value> = vec![at.into()];
    values.extend_from_slice(parameters);
    let mut gone = 0;
    for (table, word, dirty) in TABLES {
        let chosen = format!("t.gone_at is null and {condition}");
        let close = format!(
            "update history set valid_to = $1, facts = (select facts from {table} o where o.id = history.entity_id) \
             where valid_to is null and entity_id in (select t.id from {table} t where {chosen})"
        );
        sql::run(transaction, close, values.clone()).await?;
        let vanished = format!(
            "insert into history (at, entity, entity_id, subject, change, detail) \
             select $1, '{word}', t.id, t.at, 'vanished', '' from {table} t where {chosen}"
        );
        sql::run(transaction, vanished, values.clone()).await?;
        let dirty = if dirty { ", dirty = true" } else { "" };
        let mark = format!("update {table} as t set gone_at = $1{dirty} where {chosen}");
        gone += sql::run(transaction, mark, values.clone()).await?;
    }
    Ok(gone)
}

/// What the completely read scopes of this scan no longer show.
pub(super) async fn mark_unseen(
    transaction: &DatabaseTransaction,
    epoch: i64,
    at: DateTime<Utc>,
) -> Result<u64> {
    let condition = "t.last_scan < $2 and t.scope_id in \
         (select s.id from scope s where s.scan = $2 and s.status = 'complete')";
    mark_gone(transaction, at, condition, &[epoch.into()]).await
}

#[derive(FromQueryResult)]
struct Unnamed {
    area: String,
    part: String,
}

#[derive(FromQueryResult)]
struct Coverage {
    view: String,
}

impl SeaStore {
    pub(super) async fn start_scan(&self, start: &ScanStart) -> Result<()> {
        let transaction = self.database.begin().await?;
        let row = scan::ActiveModel {
            epoch: NotSet,
            id: Set(start.id.0),
            started_at: Set(micros(start.at)),
            finished_at: Set(None),
            complete: Set(None),
        };
        scan::Entity::insert(row).exec_without_returning(&transaction).await?;
        let backends: BTreeMap<_, _> = start.backends.iter().cloned().collect();
        let rows = backends.into_iter().map(|(name, kind)| {
            scan_backend::Model { scan_id: start.id.0, name, kind, ended_at: None, view: None }
                .into_active_model()
        });
        scan_backend::Entity::insert_many(rows).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Only notes the end: a scope may be read in both phases of a scan, and what is gone is known when the last phase is over.
    pub(super) async fn note_scope(
        &self,
        scan: ScanId,
        at: DateTime<Utc>,
        backend: &str,
        scope: &Scope,
        status: ScopeStatus,
        reason: Option<&str>,
    ) -> Result<MergeSummary> {
        let transaction = self.database.begin().await?;
        let epoch = epoch(&transaction, scan).await?;
        let values = vec![
            key::scope(backend, scope).into(),
            backend.into(),
            text(&scope.area).into(),
            text(&scope.part).into(),
            epoch.into(),
            status.as_str().into(),
            reason.map(text).into(),
            micros(at).into(),
        ];
        // Of several ends in one scan the first bad one stays.
        let sql = "insert into scope (id, backend, area, part, scan, status, reason, ended_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8) \
             on conflict (id) do update set scan = excluded.scan, status = excluded.status, reason = excluded.reason, \
             ended_at = excluded.ended_at \
             where scope.scan < excluded.scan or scope.status is null or scope.status = 'complete'";
        sql::run(&transaction, sql, values).await?;
        transaction.commit().await?;
        Ok(MergeSummary::default())
    }

    pub(super) async fn unnamed_scopes(&self, scan: ScanId, backend: &str) -> Result<Vec<Scope>> {
        let epoch = epoch(&self.database.write, scan).await?;
        // A scope that was emptied before has nothing that could be gone.
        let holds = TABLES.map(|(table, ..)| {
            format!("exists (select 1 from {table} t where t.scope_id = s.id and t.gone_at is null)")
        });
        let sql = format!(
            "select s.area, s.part from scope s where s.backend = $1 and s.scan < $2 and ({}) order by s.area, s.part",
            holds.join(" or ")
        );
        let rows: Vec<Unnamed> =
            sql::rows(&self.database.write, sql, vec![backend.into(), epoch.into()]).await?;
        Ok(rows.into_iter().map(|row| Scope::new(row.area, row.part)).collect())
    }

    pub(super) async fn finish_backend(
        &self,
        scan: ScanId,
        at: DateTime<Utc>,
        view: &BackendScanView,
        gone: &[Scope],
    ) -> Result<()> {
        let at = micros(at);
        let transaction = self.database.begin().await?;
        let epoch = epoch(&transaction, scan).await?;
        for scope in gone {
            let condition = "t.last_scan < $2 and t.scope_id in (select s.id from scope s where s.id = $3 and s.scan < $2)";
            let scope = key::scope(&view.name, scope);
            mark_gone(&transaction, at, condition, &[epoch.into(), scope.into()]).await?;
        }
        let row = scan_backend::Model {
            scan_id: scan.0,
            name: view.name.clone(),
            kind: view.kind.clone(),
            ended_at: Some(at),
            view: Some(to_json(view)),
        };
        let conflict = sea_orm::sea_query::OnConflict::columns([
            scan_backend::Column::ScanId,
            scan_backend::Column::Name,
        ])
        .update_columns([scan_backend::Column::EndedAt, scan_backend::Column::View])
        .to_owned();
        scan_backend::Entity::insert(row.into_active_model())
            .on_conflict(conflict)
            .exec_without_returning(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(super) async fn finish_scan(&self, scan: ScanId, at: DateTime<Utc>, complete: bool) -> Result<()> {
        let at = micros(at);
        // A deleted scope was marked after the linking: what it held may have been a credential's last copy.
        self.link_all(scan, at).await?;
        let transaction = self.database.begin().await?;
        rekey::prune(&transaction).await?;
        transaction.commit().await?;
        let changes = scan::ActiveModel {
            finished_at: Set(Some(at)),
            complete: Set(Some(complete)),
            ..Default::default()
        };
        let done = scan::Entity::update_many()
            .set(changes)
            .filter(scan::Column::Id.eq(scan.0))
            .exec(&self.database.write)
            .await?;
        if done.rows_affected == 1 { Ok(()) } else { Err(Error::inconsistent("scan", "it was never begun")) }
    }

    pub(super) async fn newest_coverage(&self) -> Result<Vec<BackendScanView>> {
        let sql = "select b.view from scan_backend b join scan s on s.id = b.scan_id where b.view is not null \
             and not exists (select 1 from scan_backend o join scan n on n.id = o.scan_id \
             where o.name = b.name and o.view is not null and n.epoch > s.epoch) order by b.name";
        let rows: Vec<Coverage> = sql::rows(&self.database.read, sql, Vec::new()).await?;
        rows.iter().map(|row| from_json("scan_backend", &row.view)).collect()
    }

    pub(super) async fn newest_scan(&self) -> Result<Option<ScanView>> {
        let newest = scan::Entity::find()
            .filter(scan::Column::FinishedAt.is_not_null())
            .order_by_desc(scan::Column::Epoch)
            .one(&self.database.read)
            .await?;
        let Some(newest) = newest else { return Ok(None) };
        let rows = scan_backend::Entity::find()
            .filter(scan_backend::Column::ScanId.eq(newest.id))
            .order_by_asc(scan_backend::Column::Name)
            .all(&self.database.read)
            .await?;
        let views = rows.into_iter().filter_map(|row| row.view);
        Ok(Some(ScanView {
            scan_id: ScanId(newest.id),
            started_at: newest.started_at,
            finished_at: newest.finished_at,
            complete: newest.complete.unwrap_or(false),
            backends: views.map(|view| from_json("scan_backend", &view)).collect::<Result<_>>()?,
        }))
    }
}
