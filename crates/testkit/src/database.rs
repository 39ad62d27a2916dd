//! A migrated, empty lifecycle database for one test: a SQLite file, or a clone of a template at PostgreSQL.

use std::{
    io::Write as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, Result};
use claviger_core::{clock::Clock, random::Random};
use claviger_store::SeaStore;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::postgres::Server;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// A server that this test binary started.
    Postgres,
}

/// A database that is gone with this value.
pub struct TestDatabase {
    url: String,
    directory: Option<TempDir>,
}

const TEMPLATE: &str = "claviger_template";

static SERVER: OnceCell<Option<Server>> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(1);

impl TestDatabase {
    /// A new one. `None` is a counted skip: PostgreSQL is not installed here.
    ///
    /// # Errors
    /// It cannot be made; or PostgreSQL is not installed and `CI` is set, where nothing may be skipped.
    pub async fn new(kind: Kind, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Option<Self>> {
        match kind {
            Kind::Sqlite => {
                let directory = tempfile::tempdir()?;
                let url = format!("sqlite://{}", directory.path().join("claviger.db").display());
                let database = Self { url, directory: Some(directory) };
                let store = database.open(clock, random).await?;
                store.migrate().await?;
                store.close().await;
                Ok(Some(database))
            }
            Kind::Postgres => {
                let server = SERVER.get_or_try_init(|| template(clock, random)).await?;
                let Some(server) = server else {
                    skip()?;
                    return Ok(None);
                };
                let name = format!("claviger_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
                server.run("postgres", &format!("create database {name} template {TEMPLATE}")).await?;
                Ok(Some(Self { url: server.url(&name), directory: None }))
            }
        }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.path().join("claviger.db"))
    }

    /// A copy of what it holds now. Nobody may be connected to it.
    ///
    /// # Errors
    /// It cannot be made.
    pub async fn copy(&self) -> Result<Self> {
        if let Some(file) = self.file() {
            let directory = tempfile::tempdir()?;
            let copy = directory.path().join("claviger.db");
            std::fs::copy(&file, &copy)?;
            return Ok(Self { url: format!("sqlite://{}", copy.display()), directory: Some(directory) });
        }
        let server = SERVER.get().and_then(Option::as_ref).context("the server")?;
        let name = format!("claviger_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let source = self.name().context("a name")?;
        server.run("postgres", &format!("create database {name} template {source}")).await?;
        Ok(Self { url: server.url(&name), directory: None })
    }

    /// All that it holds, as bytes to be searched: the files, or every row of every table as text (bytes in hexadecimal).
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn dump(&self) -> Result<Vec<u8>> {
        if let Some(directory) = &self.directory {
            let mut all = Vec::new();
            for entry in std::fs::read_dir(directory.path())? {
                all.extend(std::fs::read(entry?.path())?);
            }
            return Ok(all);
        }
        let server = SERVER.get().and_then(Option::as_ref).context("the server")?;
        let client = server.connect(self.name().context("a name")?).await?;
        let tables =
            client.query("select tablename::text from pg_tables where schemaname = 'public'", &[]).await?;
        let mut all = String::new();
        for table in tables {
            let table: String = table.get(0);
            for row in client.query(&format!("select t::text from {table} t"), &[]).await? {
                all.push_str(row.get(0));
                all.push('\n');
            }
        }
        anyhow::ensure!(!all.is_empty(), "the database is empty");
        Ok(all.into_bytes())
    }

    /// Removes it now, rather than with the server.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn remove(self) -> Result<()> {
        if self.directory.is_none() {
            let server = SERVER.get().and_then(Option::as_ref).context("the server")?;
            let name = self.name().context("a name")?;
            server.run("postgres", &format!("drop database {name} with (force)")).await?;
        }
        Ok(())
    }

    fn name(&self) -> Option<&str> {
        self.url.split('?').next()?.rsplit('/').next()
    }

    /// Another set of connections, as another process would have.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(&self, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<SeaStore> {
        SeaStore::connect(&self.url, None, clock, random).await.context("open the test's database")
    }
}

/// The server that this binary shares, if PostgreSQL is installed, with an unmigrated database of the given name made anew.
///
/// # Errors
/// As [`TestDatabase::new`].
pub async fn empty_postgres(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Option<String>> {
    let Some(server) = SERVER.get_or_try_init(|| template(clock, random)).await? else {
        skip()?;
        return Ok(None);
    };
    let name = format!("claviger_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    server.run("postgres", &format!("create database {name}")).await?;
    Ok(Some(server.url(&name)))
}

async fn template(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Option<Server>> {
    let Some(server) = Server::start().await? else { return Ok(None) };
    server.run("postgres", &format!("create database {TEMPLATE}")).await?;
    let store = SeaStore::connect(&server.url(TEMPLATE), None, clock, random).await?;
    store.migrate().await?;
    store.close().await;
    Ok(Some(server))
}

fn skip() -> Result<()> {
    anyhow::ensure!(
        std::env::var_os("CI").is_none(),
        "PostgreSQL is not installed, and in CI nothing may be skipped"
    );
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIP(postgres): {test}: PostgreSQL is not installed");
    // Not `eprintln!`: the harness hides that of a test that passes.
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(path) = std::env::var_os("CLAVIGER_LAB_SKIPS")
        && let Ok(mut file) = std::fs::File::options().create(true).append(true).open(path)
    {
        let _ = writeln!(file, "{line}");
    }
    Ok(())
}
