//! A PostgreSQL server for one test binary, reached through a socket in a directory of its own.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// The uid and gid under which the server runs when we are root: it refuses to be root.
const NOBODY: u32 = 65_534;
const USER: &str = "postgres";
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the server and removes its directory once the pipe to us is closed: on drop, and by the kernel however else we end.
const WATCH: &str = r#"trap '' INT TERM HUP; read -r _; kill -s QUIT "$0"; sleep 0.3; rm -rf -- "$1""#;

/// A running server. Its data is gone when it is dropped or when this process ends, however it ends.
pub struct Server {
    directory: PathBuf,
    process: Child,
    watch: Option<(Child, ChildStdin)>,
}

impl Server {
    /// Starts one; `None` if PostgreSQL is not installed on this machine. Commits are acknowledged before they are synced to disk.
    ///
    /// # Errors
    /// It is installed and does not come up.
    pub async fn start() -> Result<Option<Self>> {
        let Some(bin) = programs() else { return Ok(None) };
        let directory = tempfile::Builder::new().prefix("claviger-postgres-").tempdir()?;
        let root = fs::metadata(directory.path())?.uid() == 0;
        if root {
            chown(directory.path(), Some(NOBODY), Some(NOBODY))?;
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711))?;
        let data = directory.path().join("data");
        let made = command(&bin.join("initdb"), directory.path(), root)
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--no-locale"])
            .arg(format!("--username={USER}"))
            .arg("--pgdata")
            .arg(&data)
            .output()
            .context("initdb")?;
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
        }
        let mut server = Self::spawn(&bin, directory, &data, root)?;
        server.wait().await?;
        Ok(Some(server))
    }

    fn spawn(bin: &Path, directory: TempDir, data: &Path, root: bool) -> Result<Self> {
        let log = fs::File::create(directory.path().join("log"))?;
        let process = command(&bin.join("postgres"), directory.path(), root)
            .arg("-D")
            .arg(data)
            .arg("-k")
            .arg(directory.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "max_connections=200", "-c", "autovacuum=off"])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("postgres")?;
        // From here on the watch removes the directory, not this process.
        let directory = directory.keep();
        let mut server = Self { directory, process, watch: None };
        let mut watch = Command::new("sh")
            .args(["-c", WATCH])
            .arg(server.process.id().to_string())
            .arg(&server.directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("the shell that ends the server")?;
        let pipe = watch.stdin.take().context("the pipe to the shell that ends the server")?;
        server.watch = Some((watch, pipe));
        Ok(server)
    }

    async fn wait(&mut self) -> Result<()> {
        let ready = tokio::time::timeout(PATIENCE, async {
            while self.connect("postgres").await.is_err() {
                if let Some(status) = self.process.try_wait()? {
                    let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                    bail!("postgres ended at once ({status}): {log}");
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            Ok(())
        });
        ready.await.context("postgres does not answer")?
    }

    /// The address of a database, for the superuser, without a password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@localhost/{database}?host={}", self.directory.display())
    }

    /// Runs statements in a database as the superuser.
    ///
    /// # Errors
    /// When the server refuses one.
    pub async fn run(&self, database: &str, statements: &str) -> Result<()> {
        Ok(self.connect(database).await?.batch_execute(statements).await?)
    }

    /// A connection as the superuser.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        let configuration = format!("host={} user={USER} dbname={database}", self.directory.display());
        let (client, connection) = tokio_postgres::connect(&configuration, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((mut watch, pipe)) = self.watch.take() {
            drop(pipe);
            let _ = self.process.wait();
            let _ = watch.wait();
        } else {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

fn command(program: &Path, home: &Path, root: bool) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null())
        .process_group(0);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    if root {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// The newest installation that has both programs: Debian's directories, then the search path.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = versions.into_iter().rev().map(|(_, bin)| bin).chain(std::env::split_paths(&path));
    places.into_iter().find(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file())
}
