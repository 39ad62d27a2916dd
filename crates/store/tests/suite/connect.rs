//! Opening a database: what each of the two is refused for, and what no error may say.

use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

use anyhow::Result;
use claviger_core::{clock::SystemClock, random::OsRandom, secret::SecretValue};
use claviger_store::{AuditLog as _, Error, SeaStore};
use claviger_testkit::database::{Kind, TestDatabase, empty_postgres};
use sea_orm::{ConnectionTrait as _, Database, TransactionTrait as _};

async fn open(url: &str) -> claviger_store::Result<SeaStore> {
    SeaStore::connect(url, None, Arc::new(SystemClock), Arc::new(OsRandom)).await
}

async fn refusal(url: &str, password: Option<&str>) -> Error {
    let password = password.map(|text| SecretValue::from_text(text.to_owned()));
    let opened = SeaStore::connect(url, password, Arc::new(SystemClock), Arc::new(OsRandom)).await;
    opened.err().unwrap_or_else(|| panic!("{url} was opened"))
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_only_and_so_are_its_journals() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("new.db");
    let store = open(&format!("sqlite://{}", path.display())).await?;
    store.migrate().await?;
    let mut files = 0;
    for entry in std::fs::read_dir(directory.path())? {
        let entry = entry?;
        assert_eq!(entry.metadata()?.permissions().mode() & 0o777, 0o600, "{}", entry.path().display());
        files += 1;
    }
    assert_eq!(files, 3, "the database, its WAL and its shared memory");
    Ok(())
}

#[tokio::test]
async fn commits_to_sqlite_are_synced_and_foreign_keys_hold() -> Result<()> {
    let Some(database) = TestDatabase::new(Kind::Sqlite, Arc::new(SystemClock), Arc::new(OsRandom)).await?
    else {
        return Ok(());
    };
    let settings = open(database.url()).await?.settings().await?;
    let expected = [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1")];
    for (name, value) in expected {
        assert_eq!(settings.get(name).map(String::as_str), Some(value), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_refused_without_repeating_it() {
    for url in [
        "mysql://a:hunter2@h/d",
        "sqlite://",
        "sqlite://:memory:",
        "postgres://a:hunter2@h:port/d",
        "hunter2",
    ] {
        let refused = refusal(url, None).await;
        assert!(matches!(refused, Error::Address(_)), "{url}: {refused:?}");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let url = format!("postgres://a:hunter2@localhost/d?host={}", directory.path().display());
    let refused = refusal(&url, Some("hunter3")).await;
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    let text = format!("{refused} {refused:?}");
    assert!(!text.contains("hunter"), "{text}");
    let missing =
        refusal(&format!("sqlite://{}/no/such/folder/a.db", directory.path().display()), None).await;
    assert!(matches!(missing, Error::Unavailable(_)), "{missing:?}");
    let file = directory.path().join("text.db");
    std::fs::write(&file, "this is not a database, but it is long enough to look like one".repeat(20))?;
    let wrong = refusal(&format!("sqlite://{}", file.display()), None).await;
    assert!(matches!(wrong, Error::Unavailable(_)), "{wrong:?}");
    Ok(())
}

/// Slow on purpose: the patience of the store has to run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stays_locked_is_unavailable() -> Result<()> {
    let Some(database) = TestDatabase::new(Kind::Sqlite, Arc::new(SystemClock), Arc::new(OsRandom)).await?
    else {
        return Ok(());
    };
    let store = open(database.url()).await?;
    let other = Database::connect(database.url()).await?;
    let lock = other.begin().await?;
    lock.execute_unprepared("update audit_head set seq = seq").await?;
    let refused = store.append(vec![crate::suite::audit::draft("a")]).await.expect_err("it is locked");
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    assert_eq!(store.head().await?.0.0, 0, "readers are not blocked");
    lock.rollback().await?;
    store.append(vec![crate::suite::audit::draft("a")]).await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_may_lose_acknowledged_commits_is_refused() -> Result<()> {
    let Some(url) = empty_postgres(Arc::new(SystemClock), Arc::new(OsRandom)).await? else { return Ok(()) };
    let store = open(&url).await?;
    store.migrate().await?;
    let name = url.split(['/', '?']).nth(3).unwrap_or_default();
    let admin = Database::connect(&url).await?;
    admin.execute_unprepared(&format!("alter database {name} set synchronous_commit = off")).await?;
    let refused = refusal(&url, None).await;
    assert!(
        matches!(&refused, Error::Unsafe(reason) if reason.contains("synchronous_commit")),
        "{refused:?}"
    );
    store.append(vec![crate::suite::audit::draft("a")]).await?;
    Ok(())
}
