//! From rows to what people and programs read.
//!
//! A page of credentials is read with a fixed number of queries: the credentials, then for all of them the issuers' rows, the copies, the
//! consumers, the identities with their grants, the findings, and where wanted the history.

mod copy;
mod credential;
mod identity;
mod list;
mod load;
mod opening;

use claviger_core::reference::Ref;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    Select, sea_query::Expr,
};

use super::kept::{SORT, sort_key};
use crate::Selection;

/// Rows that are read together.
pub(super) const PAGE: u64 = 500;

/// The rows of a selection in the order of their refs, at most `limit`. `gone` and `id` are the entity's columns.
fn ordered<E, C>(
    query: Select<E>,
    gone: C,
    id: C,
    selection: &Selection,
    after: Option<&Cursor>,
    limit: u64,
) -> Select<E>
where
    E: EntityTrait<Column = C>,
    C: ColumnTrait,
{
    let mut condition = Condition::all();
    if !selection.gone {
        condition = condition.add(gone.is_null());
    }
    match after {
        Some(cursor) => {
            let later = Expr::cust(SORT).gt(cursor.sort.clone());
            let same = Expr::cust(SORT).eq(cursor.sort.clone());
            let behind = Condition::all().add(same).add(id.gt(cursor.id));
            condition = condition.add(Condition::any().add(later).add(behind));
        }
        None => {
            if let Some(after) = &selection.after {
                condition = condition.add(Expr::cust(SORT).gt(sort_key(after)));
            }
        }
    }
    query.filter(condition).order_by_asc(Expr::cust(SORT)).order_by_asc(id).limit(limit)
}

/// Where a page ended.
pub(super) struct Cursor {
    sort: String,
    id: uuid::Uuid,
}

impl Cursor {
    fn new(at: &str, id: uuid::Uuid) -> Self {
        Self { sort: sort_key(&Ref::from_text(at)), id }
    }
}

/// Reads the pages of a selection. A page that would end between rows of the same ref is made longer, as a ref is all that the next page
/// knows: `limit` may be exceeded by them.
macro_rules! pages {
    ($store:expr, $entity:ident, $selection:expr, |$rows:ident| $each:block) => {{
        let selection: &crate::Selection = $selection;
        let mut left = selection.limit.unwrap_or(u64::MAX);
        let mut cursor: Option<crate::store::inventory::view::Cursor> = None;
        while left > 0 {
            let wanted = left.min(crate::store::inventory::view::PAGE);
            let $rows = crate::store::inventory::view::ordered(
                $entity::Entity::find(),
                $entity::Column::GoneAt,
                $entity::Column::Id,
                selection,
                cursor.as_ref(),
                wanted,
            )
            .all(&$store.database.read)
            .await?;
            let Some(last) = $rows.last() else { break };
            let end = crate::store::inventory::view::Cursor::new(&last.at, last.id);
            left -= u64::try_from($rows.len()).unwrap_or(wanted);
            let mut $rows = $rows;
            if left == 0 {
                let more = crate::store::inventory::view::same_ref(
                    $entity::Entity::find(),
                    $entity::Column::GoneAt,
                    $entity::Column::Id,
                    selection,
                    &end,
                );
                $rows.extend(more.all(&$store.database.read).await?);
            }
            cursor = Some(end);
            $each
        }
    }};
}
use pages;

fn same_ref<E, C>(query: Select<E>, gone: C, id: C, selection: &Selection, cursor: &Cursor) -> Select<E>
where
    E: EntityTrait<Column = C>,
    C: ColumnTrait,
{
    let same = Expr::cust(SORT).eq(cursor.sort.clone());
    let mut condition = Condition::all().add(same).add(id.gt(cursor.id));
    if !selection.gone {
        condition = condition.add(gone.is_null());
    }
    query.filter(condition).order_by_asc(id)
}
