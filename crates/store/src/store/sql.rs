//! SQL that both databases take: `$1` for parameters, and long lists in pieces.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::Result;

/// Parameters of one statement at most. SQLite takes 32,766, PostgreSQL 65,535.
pub(super) const PARAMETERS: usize = 30_000;
/// Ids in one list.
pub(super) const IDS: usize = 10_000;

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
    for piece in ids.chunks(IDS) {
        let mut values = fixed.to_vec();
        values.extend(piece.iter().map(|id| Value::from(*id)));
        touched += run(connection, sql(&marks(fixed.len() + 1, piece.len())), values).await?;
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
    for piece in ids.chunks(IDS) {
        let mut values = fixed.to_vec();
        values.extend(piece.iter().map(|id| Value::from(*id)));
        found.extend(rows::<T, C>(connection, sql(&marks(fixed.len() + 1, piece.len())), values).await?);
    }
    Ok(found)
}
