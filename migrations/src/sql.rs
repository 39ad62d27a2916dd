//! One text for two databases.

use sea_orm_migration::{
    SchemaManager,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

/// Runs statements, after putting the database's own word for each of these:
///
/// | word | SQLite | PostgreSQL | holds |
/// | --- | --- | --- | --- |
/// | `{uuid}` | `blob` | `uuid` | an id |
/// | `{bytes}` | `blob` | `bytea` | bytes |
/// | `{time}` | `text` | `timestamptz` | RFC 3339 in UTC on SQLite, so that text order is time order |
/// | `{ref}` | `text` | `text collate "C"` | a ref: both databases order it by its bytes |
/// | `{serial}` | `integer primary key autoincrement` | `bigint generated always as identity primary key` | a number given by the database |
/// | `{size:x}` | `length(x)` | `octet_length(x)` | the number of bytes |
pub(crate) async fn run(manager: &SchemaManager<'_>, statements: &str) -> Result<(), DbErr> {
    let words: [(&str, &str); 6] = match manager.get_database_backend() {
        DbBackend::Postgres => [
            ("{uuid}", "uuid"),
            ("{bytes}", "bytea"),
            ("{time}", "timestamptz"),
            ("{ref}", "text collate \"C\""),
            ("{serial}", "bigint generated always as identity primary key"),
            ("{size:", "octet_length("),
        ],
        _ => [
            ("{uuid}", "blob"),
            ("{bytes}", "blob"),
            ("{time}", "text"),
            ("{ref}", "text"),
            ("{serial}", "integer primary key autoincrement"),
            ("{size:", "length("),
        ],
    };
    let mut text = statements.to_owned();
    for (word, meaning) in words {
        text = text.replace(word, meaning);
    }
    // What is left of `{size:x}`.
    let text = text.replace('}', ")");
    manager.get_connection().execute_unprepared(&text).await?;
    Ok(())
}
