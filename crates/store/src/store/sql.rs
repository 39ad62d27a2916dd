//! SQL that both databases take: `$1` for parameters, and long lists in pieces.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::Result;

/// Ids in one list.
pub(super) const IDS: usize = 512;
/// Sizes in which rows are written. Few sizes make few texts, so each is prepared once and the cache of statements stays small.
const ROWS: [usize; 4] = [64, 16, 4, 1];

/// Cuts rows into pieces of the sizes that are written at once.
pub(super) fn pieces<T>(mut rows: Vec<T>) -> Vec<Vec<T>> {
    let mut pieces = Vec::new();
    while let Some(size) = ROWS.into_iter().find(|size| *size <= rows.len()) {
        let rest = rows.split_off(size);
        pieces.push(std::mem::replace(&mut rows, rest));
    }
    pieces
}

/// Lists for `in`, each in one of few lengths: its last id is repeated, which changes nothing.
pub(super) fn lists(ids: &[Uuid]) -> impl Iterator<Item = Vec<Uuid>> {
    ids.chunks(IDS).map(|ids| {
        let length = [1, 8, 64, IDS].into_iter().find(|length| *length >= ids.len()).unwrap_or(ids.len());
        let last = ids.last().into_iter().cycle();
        ids.iter().chain(last).take(length).copied().collect()
    })
}

/// Runs a statement and gives the number of rows that it touched.
pub(super) async fn run<C: ConnectionTrait>(
    connection: &C,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<u64> {
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    Ok(connection.execute_raw(statement).await?.rows_affected())
}

/// Runs a query.
pub(super) async fn rows<T: FromQueryResult, C: ConnectionTrait>(
    connection: &C,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<Vec<T>> {
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let found = connection.query_all_raw(statement).await?;
    found.iter().map(|row| Ok(T::from_query_result(row, "")?)).collect()
}

/// `$first, $first+1, …`, `count` of them.
pub(super) fn marks(first: usize, count: usize) -> String {
    let marks: Vec<String> = (first..first + count).map(|number| format!("${number}")).collect();
    marks.join(", ")
}

/// Runs a statement for a list of ids, in pieces. `sql` gets the list's marks, which come after the `fixed` parameters.
pub(super) async fn run_for<C: ConnectionTrait>(
    connection: &C,
    ids: &[Uuid],
    fixed: &[Value],
    sql: impl Fn(&str) -> String,
) -> Result<u64> {
    let mut touched = 0;
    for list in lists(ids) {
        let mut values = fixed.to_vec();
        values.extend(list.into_iter().map(Value::from));
        touched += run(connection, sql(&marks(fixed.len() + 1, values.len() - fixed.len())), values).await?;
    }
    Ok(touched)
}

/// Runs a query for a list of ids, in pieces, as [`run_for`].
pub(super) async fn rows_for<T: FromQueryResult, C: ConnectionTrait>(
    connection: &C,
    ids: &[Uuid],
    fixed: &[Value],
    sql: impl Fn(&str) -> String,
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for list in lists(ids) {
        let mut values = fixed.to_vec();
        values.extend(list.into_iter().map(Value::from));
        let text = sql(&marks(fixed.len() + 1, values.len() - fixed.len()));
        found.extend(rows::<T, C>(connection, text, values).await?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_every_row_in_order_and_have_few_sizes() {
        for length in [0, 1, 3, 63, 64, 65, 200, 1000] {
            let pieces = pieces((0..length).collect::<Vec<_>>());
            assert!(pieces.iter().all(|piece| ROWS.contains(&piece.len())), "{length}");
            assert_eq!(pieces.concat(), (0..length).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_padded_list_names_the_same_ids() {
        for length in [1_u128, 2, 8, 9, 64, 65, 512] {
            let ids: Vec<Uuid> = (1..=length).map(Uuid::from_u128).collect();
            let mut padded = lists(&ids).next().expect("one list");
            assert!([1, 8, 64, 512].contains(&padded.len()));
            padded.dedup();
            assert_eq!(padded, ids);
        }
        assert_eq!(lists(&[]).count(), 0);
        assert_eq!(lists(&[Uuid::nil(); 513]).count(), 2);
    }
}
