//! SQL that both databases take: `$1` for parameters, and long lists in pieces.
//!
//! The marks of long lists are written as the database likes them: SQLite looks up the name of each parameter that has one among all names, so
//! that a thousand `$n` cost a million steps; its `?` has no name.

use sea_orm::{
    ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, IdenStatic as _, Iterable as _, ModelTrait,
    Statement, Value,
};
use uuid::Uuid;

use crate::Result;

/// Ids in one list.
pub(super) const IDS: usize = 512;
/// Sizes in which rows are written: few statements for any number of rows, and few texts, so that each is prepared once and stays in the cache
/// of statements.
const ROWS: [usize; 8] = [128, 64, 32, 16, 8, 4, 2, 1];

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
        let length =
            [1, 8, 64, 256, IDS].into_iter().find(|length| *length >= ids.len()).unwrap_or(ids.len());
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

/// Inserts rows, all of their columns but those of `without`. `tail` ends each statement: what happens to a row that is there.
///
/// As text: for thousands of rows the tree that a builder makes of each value costs more than the database takes to write it.
pub(super) async fn insert<E: EntityTrait, C: ConnectionTrait>(
    connection: &C,
    rows: Vec<E::Model>,
    without: &[&str],
    tail: &str,
) -> Result<()> {
    let columns: Vec<E::Column> =
        E::Column::iter().filter(|column| !without.contains(&column.as_str())).collect();
    let names: Vec<&str> = columns.iter().map(|column| column.as_str()).collect();
    let head = format!("insert into {} ({}) values", E::default().table_name(), names.join(", "));
    for piece in pieces(rows) {
        let tuples = tuples(connection.get_database_backend(), piece.len(), columns.len());
        let values = piece.iter().flat_map(|row| columns.iter().map(|column| row.get(*column)));
        run(connection, format!("{head} {tuples} {tail}"), values.collect()).await?;
    }
    Ok(())
}

/// `($1, $2), ($3, $4), …`: `rows` of them, `width` in each. No other parameter may stand in the statement.
pub(super) fn tuples(kind: DbBackend, rows: usize, width: usize) -> String {
    let mut text = String::with_capacity(rows * (width * 7 + 4));
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        push_marks(&mut text, kind, row * width + 1, width);
        text.push(')');
    }
    text
}

fn push_marks(text: &mut String, kind: DbBackend, first: usize, count: usize) {
    for number in first..first + count {
        if number > first {
            text.push_str(", ");
        }
        match kind {
            DbBackend::Sqlite => text.push('?'),
            _ => text.push_str(&format!("${number}")),
        }
    }
}

/// `$first, $first+1, …`, `count` of them. No parameter without a name may stand in the statement.
pub(super) fn marks(first: usize, count: usize) -> String {
    let marks: Vec<String> = (first..first + count).map(|number| format!("${number}")).collect();
    marks.join(", ")
}

/// A statement with a list of `count` values, and where the list is among its parameters: `sql` gets the list's marks, and knows the `fixed`
/// ones as `$1` and so on.
fn with_list(
    kind: DbBackend,
    fixed: &[Value],
    list: Vec<Uuid>,
    sql: impl Fn(&str) -> String,
) -> (String, Vec<Value>) {
    let count = list.len();
    let mut marks = String::with_capacity(count * 7);
    let list = list.into_iter().map(Value::from);
    if kind == DbBackend::Sqlite {
        // Marks without names count from the first value on, so the others come after them.
        push_marks(&mut marks, kind, 1, count);
        let text = shift(&sql("{list}"), count).replace("{list}", &marks);
        return (text, list.chain(fixed.iter().cloned()).collect());
    }
    push_marks(&mut marks, kind, fixed.len() + 1, count);
    (sql(&marks), fixed.iter().cloned().chain(list).collect())
}

/// `$1` becomes `$(1 + by)`, and so on.
fn shift(text: &str, by: usize) -> String {
    let mut pieces = text.split('$');
    let mut shifted = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = piece[..digits].parse().unwrap_or_default();
        shifted.push_str(&format!("${}{}", number + by, &piece[digits..]));
    }
    shifted
}

/// Runs a statement for a list of ids, in pieces. `sql` gets the list's marks, and has them once; the `fixed` parameters are `$1` and so on.
pub(super) async fn run_for<C: ConnectionTrait>(
    connection: &C,
    ids: &[Uuid],
    fixed: &[Value],
    sql: impl Fn(&str) -> String,
) -> Result<u64> {
    let mut touched = 0;
    for list in lists(ids) {
        let (text, values) = with_list(connection.get_database_backend(), fixed, list, &sql);
        touched += run(connection, text, values).await?;
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
        let (text, values) = with_list(connection.get_database_backend(), fixed, list, &sql);
        found.extend(rows::<T, C>(connection, text, values).await?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_every_row_in_order_and_have_few_sizes() {
        for length in [0, 1, 9, 63, 64, 65, 200, 1000] {
            let pieces = pieces((0..length).collect::<Vec<_>>());
            assert!(pieces.iter().all(|piece| ROWS.contains(&piece.len())), "{length}");
            assert_eq!(pieces.concat(), (0..length).collect::<Vec<_>>());
        }
    }

    #[test]
    fn tuples_number_their_marks_through() {
        assert_eq!(tuples(DbBackend::Postgres, 2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(tuples(DbBackend::Sqlite, 2, 3), "(?, ?, ?), (?, ?, ?)");
        assert_eq!(tuples(DbBackend::Postgres, 0, 3), "");
    }

    #[test]
    fn a_list_and_the_fixed_parameters_keep_apart() {
        let fixed = vec![Value::from(7_i64), Value::from(8_i64)];
        let ids: Vec<Uuid> = (1..=8).map(Uuid::from_u128).collect();
        let statement = |kind| {
            with_list(kind, &fixed, ids.clone(), |ids| {
                format!("set a = $1, b = $2 where id in ({ids}) and c < $1")
            })
        };
        let (text, values) = statement(DbBackend::Postgres);
        assert_eq!(text, "set a = $1, b = $2 where id in ($3, $4, $5, $6, $7, $8, $9, $10) and c < $1");
        assert_eq!(values[..2], fixed);
        let (text, values) = statement(DbBackend::Sqlite);
        assert_eq!(text, "set a = $9, b = $10 where id in (?, ?, ?, ?, ?, ?, ?, ?) and c < $9");
        assert_eq!(values[8..], fixed);
    }

    #[test]
    fn a_padded_list_names_the_same_ids() {
        for length in [1_u128, 2, 8, 9, 64, 65, 257, 512] {
            let ids: Vec<Uuid> = (1..=length).map(Uuid::from_u128).collect();
            let mut padded = lists(&ids).next().expect("one list");
            assert!([1, 8, 64, 256, 512].contains(&padded.len()));
            padded.dedup();
            assert_eq!(padded, ids);
        }
        assert_eq!(lists(&[]).count(), 0);
        assert_eq!(lists(&[Uuid::nil(); 513]).count(), 2);
    }
}
