use anyhow::Result;
use chrono::{Duration, TimeZone as _, Utc};
use claviger_core::audit::AuditHash;
use claviger_store::{AuditLog as _, Error, MigrationState, SeaStore};
use claviger_testkit::database::{Kind, empty_postgres};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use super::{Bench, audit::draft};

/// A database without any schema, and what keeps it.
async fn empty(bench: &Bench) -> Result<(String, Option<tempfile::TempDir>)> {
    if bench.kind == Kind::Sqlite {
        let directory = tempfile::tempdir()?;
        return Ok((format!("sqlite://{}", directory.path().join("new.db").display()), Some(directory)));
    }
    let url = empty_postgres(bench.clock.clone(), bench.random.clone()).await?;
    Ok((url.expect("the bench runs on it"), None))
}

async fn open(bench: &Bench, url: &str) -> Result<SeaStore> {
    Ok(SeaStore::connect(url, None, bench.clock.clone(), bench.random.clone()).await?)
}

pub(crate) async fn an_older_schema_is_refused_with_a_hint(bench: Bench) -> Result<()> {
    let (url, _kept) = empty(&bench).await?;
    let store = open(&bench, &url).await?;
    let status = store.schema_status().await?;
    assert!(!status.migrations.is_empty());
    assert_eq!(status.with(MigrationState::Pending).len(), status.migrations.len());
    for refused in [store.require_schema().await, store.head().await.map(drop)] {
        let Err(Error::Schema(reason)) = refused else { panic!("an empty database was accepted") };
        assert!(reason.contains("claviger db migrate"), "{reason}");
    }
    store.migrate().await?;
    store.require_schema().await?;
    assert_eq!(store.head().await?.1, AuditHash::GENESIS);
    store.migrate().await?;
    Ok(())
}

pub(crate) async fn a_newer_schema_is_refused(bench: Bench) -> Result<()> {
    let insert = "insert into seaql_migrations (version, applied_at) values ('m29990101_000000_later', 0)";
    bench.raw().await?.execute_unprepared(insert).await?;
    for refused in [bench.store.require_schema().await, bench.store.migrate().await] {
        let Err(Error::Schema(reason)) = refused else { panic!("a newer database was accepted") };
        assert!(reason.contains("m29990101_000000_later") && reason.contains("newer"), "{reason}");
    }
    Ok(())
}

pub(crate) async fn migrating_at_the_same_time_is_fine(bench: Bench) -> Result<()> {
    let (url, _kept) = empty(&bench).await?;
    let mut processes = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = open(&bench, &url).await?;
        processes.spawn(async move { store.migrate().await });
    }
    while let Some(process) = processes.join_next().await {
        process??;
    }
    let store = open(&bench, &url).await?;
    store.require_schema().await?;
    store.append(vec![draft("a")]).await?;
    Ok(())
}

pub(crate) async fn times_keep_their_order_as_the_database_sorts_them(bench: Bench) -> Result<()> {
    let raw = bench.raw().await?;
    let base = Utc.with_ymd_and_hms(2025, 11, 22, 9, 59, 59).single().expect("a time");
    let micros = [0, 1, 10, 999, 1000, 1001, 120_000, 123_000, 123_456, 999_999, 1_000_000, 1_000_001];
    let times: Vec<_> = micros.iter().map(|micros| base + Duration::microseconds(*micros)).collect();
    let kind = raw.get_database_backend();
    let column = if kind == DbBackend::Postgres { "timestamptz" } else { "text" };
    raw.execute_unprepared(&format!("create table t (at {column} not null)")).await?;
    for time in times.iter().rev() {
        let insert = Statement::from_sql_and_values(kind, "insert into t (at) values ($1)", [(*time).into()]);
        raw.execute_raw(insert).await?;
    }
    let rows = raw.query_all_raw(Statement::from_string(kind, "select at from t order by at")).await?;
    let sorted: Vec<chrono::DateTime<Utc>> =
        rows.iter().map(|row| row.try_get("", "at")).collect::<Result<_, _>>()?;
    assert_eq!(sorted, times);
    for time in &times {
        let found = Statement::from_sql_and_values(
            kind,
            "select count(*) as n from t where at < $1",
            [(*time).into()],
        );
        let n: i64 = raw.query_one_raw(found).await?.expect("a row").try_get("", "n")?;
        let earlier = times.iter().filter(|other| *other < time).count();
        assert_eq!(usize::try_from(n)?, earlier, "{time}");
    }
    Ok(())
}
