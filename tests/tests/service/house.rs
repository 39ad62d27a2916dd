//! A place with a configuration, a simulated estate and a database, and processes that serve it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use chrono::TimeDelta;
use claviger_backend_simulated::{
    Estate, EstateFile,
    estate::{Effect, KvEntry, Password, Planted, Role},
};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    model::Labels,
    random::SeededRandom,
};
use claviger_tests::{
    binary,
    lab::{daemon::bare_command, postgres::Postgres},
};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct House {
    directory: TempDir,
    roles: usize,
}

/// What a process said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl House {
    /// So many roles with an old password, each with a copy in the secret store. `rest` is appended to the configuration.
    pub(crate) fn new(roles: usize, database: &str, rest: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let estate = planted(roles, 17)?;
        EstateFile::new(directory.path().join("estate.json")).create(&estate)?;
        let house = Self { directory, roles };
        house.configure(database, rest)?;
        let made = house.run(&["init", "--yes"])?;
        ensure!(house.path().join("keys").is_dir(), "no keys: {}", made.stderr);
        house.configure(database, rest)?;
        Ok(house)
    }

    /// A place with a configuration of the caller's, in `claviger.toml`, for targets that are not simulated.
    pub(crate) fn at(directory: TempDir, configuration: &str) -> Result<Self> {
        fs::write(directory.path().join("claviger.toml"), configuration)?;
        Ok(Self { directory, roles: 0 })
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, database: &str, rest: &str) -> Result<()> {
        let text = format!(
            "database = \"{database}\"\nkeys = \"keys\"\nlease_seconds = 3\n\n[backends.sim]\nkind = \"simulated\"\npath = \"estate.json\"\n\n\
             [policies.old]\nmatch = \"kind=password backend=sim\"\nmax_age = \"30d\"\nstrategy = \"replace\"\n{rest}\n"
        );
        Ok(fs::write(self.path().join("claviger.toml"), text)?)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Said> {
        said(binary::command(self.path())?.args(arguments))
    }

    /// The same where no file may grow beyond so many KiB: as on a full disk.
    pub(crate) fn run_on_full_disk(&self, kibibytes: u64, arguments: &[&str]) -> Result<Said> {
        said(self.confined(kibibytes)?.args(arguments))
    }

    /// The limit is a soft one, so that it can be lifted while the process runs.
    fn confined(&self, kibibytes: u64) -> Result<Command> {
        let mut command = bare_command("sh", self.path());
        // A write beyond the limit is refused, and no signal ends the process. POSIX counts in units of 512 bytes.
        command.args(["-c", "trap '' XFSZ; ulimit -S -f \"$1\"; shift; exec \"$@\"", "sh"]);
        command.arg((kibibytes * 2).to_string()).arg(binary::path()?);
        Ok(command)
    }

    /// How long the longest file of the lifecycle database is, in KiB, rounded up.
    pub(crate) fn log_size(&self) -> u64 {
        std::fs::metadata(self.path().join("claviger.db-wal")).map_or(0, |file| file.len().div_ceil(1024))
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let said = self.run(&[arguments, &["-o", "json"]].concat())?;
        ensure!(said.code == 0, "{arguments:?}: exit {}\n{}\n{}", said.code, said.stdout, said.stderr);
        Ok(serde_json::from_str(&said.stdout)?)
    }

    pub(crate) fn items(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        Ok(self.json(arguments)?["items"].as_array().context("items")?.clone())
    }

    /// Rotations that are done.
    pub(crate) fn done(&self) -> Result<usize> {
        let all = self.items(&["list", "rotations"])?;
        Ok(all.iter().filter(|one| one["state"] == "done").count())
    }

    /// `roles`, and perhaps options behind them.
    pub(crate) fn serve(&self, roles: &str) -> Result<Serving> {
        Serving::start(binary::command(self.path())?, self.path(), roles)
    }

    /// The same where no file may grow beyond so many KiB, until [`Serving::give_room`].
    pub(crate) fn serve_on_full_disk(&self, kibibytes: u64, roles: &str) -> Result<Serving> {
        Serving::start(self.confined(kibibytes)?, self.path(), roles)
    }

    fn state(&self) -> Result<Estate> {
        Ok(EstateFile::new(self.path().join("estate.json")).load()?)
    }

    /// What was changed at the targets, in its order.
    pub(crate) fn effects(&self) -> Result<Vec<Effect>> {
        Ok(self.state()?.effects)
    }

    /// Each change at a target has an entry of its intent in the log.
    pub(crate) fn told(&self) -> Result<()> {
        let log = self.run(&["audit", "export"])?.stdout;
        let intents: Vec<&str> = log.lines().filter(|line| line.contains("\"intent\"")).collect();
        for effect in self.effects()? {
            let named = format!("\"{}\"", effect.target);
            ensure!(intents.iter().any(|line| line.contains(&named)), "nobody told of {effect:?}");
        }
        Ok(())
    }

    /// Waits until so many rotations are done.
    pub(crate) async fn until_done(&self, count: usize) -> Result<()> {
        let begun = std::time::Instant::now();
        loop {
            let done = self.done()?;
            if done >= count {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let firings = self.run(&["schedule", "list", "-o", "json"])?.stdout;
                bail!("{done} of {count} are done\n{firings}\n{:#?}", self.items(&["list", "rotations"])?);
            }
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    /// Each role was rotated by its schedule once, accepts the value of its copy and no other one, and the log verifies.
    pub(crate) fn in_step(&self) -> Result<()> {
        let rotations = self.items(&["list", "rotations"])?;
        ensure!(rotations.len() == self.roles, "{} rotations of {} roles", rotations.len(), self.roles);
        for rotation in &rotations {
            ensure!(rotation["state"] == "done" && rotation["cause"] == "schedule", "{rotation:#}");
        }
        let mut subjects: Vec<_> = rotations.iter().map(|rotation| rotation["ref"].to_string()).collect();
        subjects.sort();
        subjects.dedup();
        ensure!(subjects.len() == self.roles, "one was rotated twice: {subjects:?}");
        for name in self.state()?.database.roles.keys() {
            let at = format!("sim/db/role/{name}");
            let effects = self.effects()?;
            let issued = |effect: &&Effect| effect.operation == "issue" && effect.target.as_str() == at;
            let set: BTreeSet<_> = effects.iter().filter(issued).map(|effect| &effect.key).collect();
            ensure!(set.len() == 1, "{name} was set by {} operations", set.len());
        }
        self.agrees()
    }

    /// Each role accepts what its copy holds, and the log verifies.
    pub(crate) fn agrees(&self) -> Result<()> {
        let estate = self.state()?;
        for (name, role) in &estate.database.roles {
            let entry = estate.secret_store.paths.get(&format!("apps/{name}")).context("its copy")?;
            let held = &entry.current().context("a version")?.fields["password"];
            let accepted =
                role.password.as_ref().is_some_and(|password| password.accepts(name, held.expose()));
            ensure!(accepted, "{name} does not accept what its copy holds");
        }
        let verdict = self.json(&["audit", "verify"])?;
        ensure!(verdict["valid"] == true, "{verdict:#}");
        Ok(())
    }
}

/// An estate of so many roles with an old password, each with a copy in the secret store.
pub(crate) fn planted(roles: usize, seed: u64) -> Result<Estate> {
    let random = SeededRandom::new(seed);
    let mut estate = Estate::empty(&random);
    let now = SystemClock.now();
    for number in 0..roles {
        let (name, value) = (format!("app_{number:03}"), Planted::random(&random, 32));
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&u64::try_from(number)?.to_be_bytes());
        let role = Role {
            password: Some(Password::scram(value.expose(), &salt)),
            version: 1,
            created_at: now - TimeDelta::days(200),
            rotated_at: now - TimeDelta::days(100),
            last_used_at: None,
            valid_until: None,
            nologin: false,
            superuser: false,
            createrole: false,
            replication: false,
            acts_as: None,
            made_by: None,
            sessions: Vec::new(),
        };
        estate.database.roles.insert(name.clone(), role);
        let fields =
            BTreeMap::from([("username".to_owned(), Planted::text(&name)), ("password".to_owned(), value)]);
        let mut entry = KvEntry { versions: Vec::new(), labels: Labels::new(), denied: false };
        entry.push(fields, now - TimeDelta::days(100), None);
        estate.secret_store.paths.insert(format!("apps/{name}"), entry);
    }
    Ok(estate)
}

fn said(command: &mut Command) -> Result<Said> {
    let output = command.stdin(Stdio::null()).output()?;
    Ok(Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// A process that serves. Killed when it is dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
    log: std::path::PathBuf,
}

impl Serving {
    fn start(mut command: Command, directory: &Path, roles: &str) -> Result<Self> {
        let log = tempfile::Builder::new().prefix("serve-").suffix(".log").tempfile_in(directory)?;
        let (file, log) = log.keep()?;
        let child = command
            .args(["serve", "--listen", "127.0.0.1:0", "-v", "--roles"])
            .args(roles.split(' '))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()?;
        let mut serving = Self { child, address: String::new(), log };
        let begun = std::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            let said = serving.said()?;
            if let Some((_, rest)) = said.split_once("listening on ") {
                // A line of text, or a text in a document.
                let end = rest.find(['\n', '"']).unwrap_or(rest.len());
                serving.address = rest[..end].to_owned();
                return Ok(serving);
            }
            if let Some(status) = serving.child.try_wait()? {
                bail!("serve ended: {status}\n{said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("serve does not listen: {}", serving.said()?)
    }

    pub(crate) fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill").arg(name).arg(self.child.id().to_string()).status()?;
        ensure!(sent.success(), "kill {name}: {sent}");
        Ok(())
    }

    /// Sets the limit on the length of files, as `prlimit` writes it.
    pub(crate) fn give_room(&self, limit: &str) -> Result<()> {
        let pid = self.child.id().to_string();
        let lifted = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}")]).status()?;
        ensure!(lifted.success(), "prlimit: {lifted}");
        Ok(())
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Tells it to stop. Gives its exit code and how long that took.
    pub(crate) fn stop(mut self) -> Result<(i32, Duration)> {
        let begun = std::time::Instant::now();
        self.signal("-TERM")?;
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status.code().unwrap_or(-1), begun.elapsed()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("it does not stop: {}", self.said()?)
    }

    /// Asks it. Status and body.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String)> {
        let client = claviger_tests::lab::http::client(None)?;
        let answer = client.get(format!("{}{path}", self.address)).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Waits until it answers `/readyz` like this.
    pub(crate) async fn until_ready(&self, ready: bool, within: Duration) -> Result<String> {
        let begun = std::time::Instant::now();
        loop {
            let (status, body) = self.get("/readyz").await?;
            if (status == 200) == ready {
                return Ok(body);
            }
            ensure!(
                begun.elapsed() < within,
                "ready is not {ready} after {within:?}: {status} {body}\n{}",
                self.said()?
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A database of its own whose commits are acknowledged when they are safe.
pub(crate) async fn database(postgres: &Postgres, name: &str) -> Result<String> {
    let client = postgres.connect("postgres").await?;
    client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
    client.batch_execute(&format!("ALTER DATABASE {name} SET synchronous_commit = on")).await?;
    Ok(postgres.url(name))
}
