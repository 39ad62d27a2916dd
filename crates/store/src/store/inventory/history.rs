//! History as intervals: each change closes the interval before it and gives it the facts that held in it.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use claviger_core::{reference::Ref, view::HistoryView};
use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _, Value,
};
use uuid::Uuid;

use super::super::{SeaStore, sql, text::text};
use crate::{Result, entity::history};

/// A row before it is one.
pub(super) struct Entry {
    pub(super) at: DateTime<Utc>,
    pub(super) entity: &'static str,
    pub(super) entity_id: Uuid,
    pub(super) subject: String,
    pub(super) change: &'static str,
    pub(super) detail: String,
}

pub(super) fn entry(
    at: DateTime<Utc>,
    entity: &'static str,
    entity_id: Uuid,
    subject: &str,
    change: &'static str,
    detail: impl Into<String>,
) -> Entry {
    Entry { at, entity, entity_id, subject: subject.to_owned(), change, detail: detail.into() }
}

pub(super) async fn insert(transaction: &DatabaseTransaction, entries: Vec<Entry>) -> Result<()> {
    let rows = entries.into_iter().map(|entry| history::Model {
        id: 0,
        at: entry.at,
        valid_to: None,
        entity: entry.entity.to_owned(),
        entity_id: entry.entity_id,
        subject: entry.subject,
        change: entry.change.to_owned(),
        detail: text(&entry.detail),
        facts: None,
    });
    sql::insert::<history::Entity, _>(transaction, rows.collect(), &["id"], "").await
}

/// Ends the open intervals of these things, and moves the facts of `table` into them. Call it before the facts are written over.
pub(super) async fn close(
    transaction: &DatabaseTransaction,
    table: &str,
    at: DateTime<Utc>,
    ids: Vec<Uuid>,
) -> Result<()> {
    sql::run_for(transaction, &ids, &[at.into()], |ids| {
        format!(
            "update history set valid_to = $1, facts = (select facts from {table} where {table}.id = history.entity_id) \
             where valid_to is null and entity_id in ({ids})"
        )
    })
    .await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Facts {
    id: Uuid,
    facts: String,
}

pub(super) async fn facts_of(
    transaction: &DatabaseTransaction,
    table: &str,
    ids: &HashSet<Uuid>,
) -> Result<HashMap<Uuid, String>> {
    let ids: Vec<Uuid> = ids.iter().copied().collect();
    let rows: Vec<Facts> = sql::rows_for(transaction, &ids, &[], |ids| {
        format!("select id, facts from {table} where id in ({ids})")
    })
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.facts)).collect())
}

/// The names of the facts that differ, and a sentence of them. Only versions are shown with their values: they are never secret and short.
pub(super) fn difference(old: &str, new: &str) -> (Vec<String>, String) {
    let parse = |text: &str| {
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).unwrap_or_default()
    };
    let (old, new) = (parse(old), parse(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let names: Vec<String> =
        names.into_iter().filter(|name| old.get(*name) != new.get(*name)).cloned().collect();
    let word = |map: &serde_json::Map<String, serde_json::Value>, name: &str| {
        map.get(name).and_then(|value| value.as_str()).unwrap_or("none").to_owned()
    };
    let shown = names.iter().map(|name| match name.as_str() {
        "version" | "state" => format!("{name} {} -> {}", word(&old, name), word(&new, name)),
        _ => name.clone(),
    });
    let detail = shown.collect::<Vec<_>>().join(", ");
    (names, detail)
}

pub(super) fn view(row: history::Model) -> HistoryView {
    HistoryView {
        at: row.at,
        entity: row.entity,
        subject: Ref::from_text(row.subject),
        change: row.change,
        detail: row.detail,
    }
}

/// All that happened to these things, newest first within each.
pub(super) async fn of_things<C: sea_orm::ConnectionTrait>(
    connection: &C,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<history::Model>>> {
    let mut found: HashMap<Uuid, Vec<history::Model>> = HashMap::new();
    for list in sql::lists(ids) {
        let rows = history::Entity::find()
            .select_only()
            .columns([
                history::Column::Id,
                history::Column::At,
                history::Column::ValidTo,
                history::Column::Entity,
                history::Column::EntityId,
                history::Column::Subject,
                history::Column::Change,
                history::Column::Detail,
            ])
            // What it was like is not part of a list of what happened.
            .expr_as(sea_orm::sea_query::Expr::val(Value::String(None)), "facts")
            .filter(history::Column::EntityId.is_in(list))
            .order_by_desc(history::Column::At)
            .order_by_desc(history::Column::Id)
            .all(connection)
            .await?;
        for row in rows {
            found.entry(row.entity_id).or_default().push(row);
        }
    }
    Ok(found)
}

impl SeaStore {
    pub(super) async fn list_history(
        &self,
        since: Option<DateTime<Utc>>,
        limit: u64,
    ) -> Result<Vec<HistoryView>> {
        let rows = history::Entity::find()
            .apply_if(since, |query, since| query.filter(history::Column::At.gte(since)))
            .order_by_desc(history::Column::At)
            .order_by_desc(history::Column::Id)
            .limit(limit)
            .all(&self.database.read)
            .await?;
        Ok(rows.into_iter().map(view).collect())
    }
}
