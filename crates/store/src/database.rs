//! How the two databases are opened, and what each of them must be told.

use std::{
    collections::BTreeMap, fs::OpenOptions, os::unix::fs::OpenOptionsExt as _, path::Path, str::FromStr as _,
    sync::Arc, time::Duration,
};

use claviger_core::secret::SecretValue;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    Error, Result,
    watch::{ANSWER, Pulse},
};

/// Longest wait for a lock or a connection before the database counts as not available.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest opening of PostgreSQL: whoever wants to change something is told within five seconds that it cannot be noted.
const OPENING: Duration = Duration::from_millis(4500);
/// Connections to PostgreSQL.
const CONNECTIONS: u32 = 8;
/// Readers beside the one writer of SQLite.
const READERS: u32 = 4;

/// The connections of one database.
///
/// SQLite has one writer, so writers of one process queue for one connection instead of polling each other's lock; readers have their own
/// and are never blocked (WAL). At PostgreSQL both are the same pool.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) read: DatabaseConnection,
    pub(crate) write: DatabaseConnection,
    /// Whom to ask whether the server is there. SQLite has no server.
    pulse: Option<Arc<Pulse>>,
}

impl Database {
    /// Opens `sqlite://PATH` (made if absent, mode 0600) or `postgres://…`.
    pub(crate) async fn open(url: &str, password: Option<&SecretValue>) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return sqlite(path).await;
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return postgres(url, password).await;
        }
        Err(Error::Address("it begins with neither `sqlite://` nor `postgres://`".to_owned()))
    }

    /// Closes both ends; an error here has no consequence, as every commit was acknowledged already.
    pub(crate) async fn close(&self) {
        let _ = self.read.close_by_ref().await;
        let _ = self.write.close_by_ref().await;
    }

    /// The result of a call, or [`Error::Unavailable`] in less than five seconds after the server has fallen silent.
    pub(crate) async fn watched<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.pulse {
            Some(pulse) => pulse.watch(call).await,
            None => call.await,
        }
    }

    /// How a connection that hears notifications is made; `None`: this database sends none.
    pub(crate) fn listening(&self) -> Option<PgConnectOptions> {
        self.pulse.as_ref().map(|pulse| pulse.options())
    }

    /// What it was told, as it says itself.
    pub(crate) async fn settings(&self) -> Result<BTreeMap<String, String>> {
        let sqlite = ["journal_mode", "synchronous", "foreign_keys"].as_slice();
        let (names, question): (_, fn(&str) -> String) = match self.kind() {
            DbBackend::Postgres => (["synchronous_commit", "fsync", "server_version"].as_slice(), |name| {
                format!("select current_setting('{name}') as value")
            }),
            _ => (sqlite, |name| format!("select cast({name} as text) as value from pragma_{name}")),
        };
        let mut settings = BTreeMap::new();
        for name in names {
            let statement = Statement::from_string(self.kind(), question(name));
            if let Some(row) = self.write.query_one_raw(statement).await? {
                settings.insert((*name).to_owned(), row.try_get("", "value")?);
            }
        }
        Ok(settings)
    }

    /// Which of the two.
    pub(crate) fn kind(&self) -> DbBackend {
        ConnectionTrait::get_database_backend(&self.write)
    }

    /// Begins a transaction that writes. On SQLite it takes the write lock at once: a transaction that reads first and writes later
    /// would fail at the first write after anybody else's.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.write.begin_with_options(options).await?)
    }

    /// Milliseconds since the Unix epoch by the database's clock, as an SQL expression: of the present, not of the transaction's begin.
    pub(crate) fn now_millis(&self) -> &'static str {
        match self.kind() {
            DbBackend::Postgres => "cast(extract(epoch from clock_timestamp()) * 1000 as bigint)",
            _ => "cast(round(unixepoch('now', 'subsec') * 1000) as integer)",
        }
    }
}

/// May a connection be used again? Not one whose commit failed, of a full disk say: its transaction is open still, and whatever began on it later would be a
/// part of that one. It would be acknowledged, and never be durable. Closed, it is rolled back.
async fn usable<C: sqlx::Connection>(connection: &mut C) -> Result<bool, sqlx::Error> {
    // What a transaction that was dropped has left to be done is done before the answer.
    connection.ping().await?;
    let open = connection.is_in_transaction();
    if open {
        tracing::warn!("a transaction was left open by a commit that failed: its connection is closed");
    }
    Ok(!open)
}

async fn sqlite(path: &str) -> Result<Database> {
    let path = path.split('?').next().unwrap_or_default();
    if path.is_empty() || path == ":memory:" {
        return Err(Error::Address("`sqlite://` wants the path of a file".to_owned()));
    }
    // SQLite gives its journal files the mode of the database's file.
    let made = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    if let Err(error) = made
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(Error::Unavailable(format!("cannot make the file `{path}`: {error}")));
    }
    let options = SqliteConnectOptions::new()
        .filename(Path::new(path))
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit that was acknowledged outlives a power cut, or a secret could be lost that is already live at its target.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
        // What is shredded is ciphertext whose key is gone too; overwriting everything else that moves would double the writes.
        .pragma("secure_delete", "fast")
        .pragma("wal_autocheckpoint", "4000")
        // Each size of `sql::ROWS` for each table, and the rest.
        .statement_cache_capacity(128)
        // Rows come from a thread of their own: in larger batches than 50 it wakes us less often.
        .row_buffer_size(256)
        .disable_statement_logging();
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_release(|connection, _| Box::pin(usable(connection)))
        .connect_with(options.clone().pragma("cache_size", "-5000"))
        .await?;
    let read = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options.pragma("query_only", "on").pragma("cache_size", "-4000"));
    Ok(Database { read: read.into(), write: write.into(), pulse: None })
}

async fn postgres(url: &str, password: Option<&SecretValue>) -> Result<Database> {
    // The parser's own error would repeat the address, password included.
    let mut options =
        PgConnectOptions::from_str(url).map_err(|_| Error::Address("it cannot be parsed".to_owned()))?;
    if let Some(password) = password {
        let text =
            password.expose_text().ok_or_else(|| Error::Address("the password is not UTF-8".to_owned()))?;
        options = options.password(text);
    }
    let options = options.application_name("claviger").disable_statement_logging();
    let connecting = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // What the server says later cannot make a session forget commits: `off` was refused at the start, and is not taken over here.
                // A process that is frozen within a transaction loses it before those who wait for its locks give up.
                connection
                    .execute(
                        "select set_config('synchronous_commit', case current_setting('synchronous_commit') when 'off' then 'on' \
                         else current_setting('synchronous_commit') end, false), \
                         set_config('lock_timeout', '15s', false), \
                         set_config('idle_in_transaction_session_timeout', '10s', false), set_config('timezone', 'UTC', false)",
                    )
                    .await?;
                Ok(())
            })
        })
        // A connection that a call gave up on may never say anything again: it must not keep its place for ever.
        .after_release(|connection, _| {
            Box::pin(async move {
                let answer = tokio::time::timeout(ANSWER, usable(connection)).await;
                answer.unwrap_or(Err(sqlx::Error::PoolTimedOut))
            })
        })
        .connect_with(options.clone());
    let opened = async {
        // First over a connection of its own, as it was set up for this role and database, and before the pool has its say.
        let mut connection = options.connect().await?;
        let settings: Settings = sqlx::query_as(
            "select current_setting('synchronous_commit'), current_setting('fsync'), pg_is_in_recovery(), \
             current_setting('default_transaction_read_only')",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        keeps_its_promises(&settings)?;
        Ok::<_, Error>(connecting.await?)
    };
    let pool = tokio::time::timeout(OPENING, opened)
        .await
        .map_err(|_| Error::Unavailable(format!("no answer within {} ms", OPENING.as_millis())))??;
    let connection = DatabaseConnection::from(pool);
    let pulse = Some(Arc::new(Pulse::new(options)));
    Ok(Database { read: connection.clone(), write: connection, pulse })
}

/// `synchronous_commit`, `fsync`, whether it is a standby, `default_transaction_read_only`.
type Settings = (String, String, bool, String);

/// Refuses a server that would lose what it has acknowledged, or takes no writes: an audit log that cannot be appended to is found out before anything
/// is begun, not halfway.
fn keeps_its_promises((commit, fsync, standby, read_only): &Settings) -> Result<()> {
    let refused = |why: &str| Err(Error::Unsafe(why.to_owned()));
    if *standby {
        return refused("it is a standby, which takes no writes; name the primary");
    }
    if read_only != "off" {
        return refused(
            "`default_transaction_read_only` is on, so nothing can be written down before it is done; set it to `off` for this role or database",
        );
    }
    if commit == "off" {
        return refused(
            "`synchronous_commit` is off, so a commit may be lost after it was acknowledged; set it to `on` for this role or database",
        );
    }
    if fsync == "off" {
        tracing::warn!("the database server runs with `fsync` off: a power cut can lose the journal");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_database_is_unavailable_and_keeps_what_it_had() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite://{}", directory.path().join("full.db").display());
        let database = Database::open(&url, None).await.expect("opened");
        let run = async |sql: &str| database.write.execute_unprepared(sql).await.map_err(Error::from);
        run("create table t (x blob); insert into t values (zeroblob(10))").await.expect("there is room");
        run("pragma max_page_count = 10").await.expect("set");
        let refused = run("insert into t values (zeroblob(100000))").await.expect_err("it is full");
        assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
        let statement = Statement::from_string(DbBackend::Sqlite, "select count(*) as n from t");
        let row = database.read.query_one_raw(statement).await.expect("read").expect("a row");
        assert_eq!(row.try_get::<i64>("", "n").expect("a number"), 1);
    }

    #[test]
    fn a_server_that_forgets_or_takes_no_writes_is_refused() {
        let of = |commit: &str, standby, read_only: &str| {
            keeps_its_promises(&(commit.to_owned(), "on".to_owned(), standby, read_only.to_owned()))
        };
        for commit in ["on", "local", "remote_write", "remote_apply"] {
            assert!(of(commit, false, "off").is_ok(), "{commit}");
        }
        for (refused, word) in [
            (of("off", false, "off"), "synchronous_commit"),
            (of("on", true, "off"), "standby"),
            (of("on", false, "on"), "read_only"),
        ] {
            assert!(matches!(refused, Err(Error::Unsafe(why)) if why.contains(word)), "{word}");
        }
    }

    /// A full disk fails the commit itself. So does a constraint that is looked at only then.
    #[tokio::test]
    async fn what_is_acknowledged_after_a_failed_commit_is_durable() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite://{}", directory.path().join("commit.db").display());
        let database = Database::open(&url, None).await.expect("opened");
        let make = "create table a (x integer primary key); \
                    create table b (x integer references a deferrable initially deferred)";
        database.write.execute_unprepared(make).await.expect("made");
        let failing = database.begin().await.expect("begun");
        failing.execute_unprepared("insert into b values (1)").await.expect("looked at later");
        assert!(failing.commit().await.is_err(), "it cannot be committed");
        let next = database.begin().await.expect("begun");
        next.execute_unprepared("insert into a values (2)").await.expect("written");
        next.commit().await.expect("acknowledged");
        let statement = Statement::from_string(DbBackend::Sqlite, "select count(*) as n from a");
        let row = database.read.query_one_raw(statement).await.expect("read").expect("a row");
        assert_eq!(row.try_get::<i64>("", "n").expect("a number"), 1, "others do not see it");
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite://{}", directory.path().join("read.db").display());
        let database = Database::open(&url, None).await.expect("opened");
        assert!(database.read.execute_unprepared("create table t (x blob)").await.is_err());
    }
}
