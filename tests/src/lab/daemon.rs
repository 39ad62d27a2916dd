//! A server's process and its directory.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::reaper::{self, Ending};

/// How long a server may take to give its first good answer. Generous: machines that also compile are slow.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(40);
/// How often a server is started anew when it ends before it answers, which a taken port makes it do.
const ATTEMPTS: usize = 4;

/// A directory for one server's data, configuration and logs; removed on drop, and when our process is killed.
/// Set `CLAVIGER_LAB_KEEP` to keep all of them.
pub struct Directory(TempDir);

impl Directory {
    /// A new directory below the system's temporary directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(server: &str) -> Result<Self> {
        let mut directory = tempfile::Builder::new()
            .prefix(&format!("claviger-lab-{server}-"))
            .tempdir()
            .context("a directory for a server")?;
        directory.disable_cleanup(std::env::var_os("CLAVIGER_LAB_KEEP").is_some());
        // A server that runs under another uid must be able to pass through.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711))?;
        reaper::watch_directory(directory.path())?;
        Ok(Self(directory))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file only its owner can read.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::write(&path, contents).with_context(|| format!("write {name}"))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Should the shell be gone, nobody is left to remove somebody else's directory by mistake.
        let _ = reaper::gone(&self.path().display().to_string());
    }
}

/// A running server process. Ended, and waited for, on drop.
pub struct Daemon {
    name: &'static str,
    child: Option<Child>,
    log: PathBuf,
}

impl Daemon {
    /// Starts a process with its output in `log`, nothing on its stdin, in a process group of its own (so that Ctrl-C in
    /// a terminal reaches only us), with the environment of `command` only.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(name: &'static str, mut command: Command, log: PathBuf, ending: Ending) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("{name}: its log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name}: {}", command.get_program().display()))?;
        let daemon = Self { name, child: Some(child), log };
        reaper::watch(daemon.pid(), ending)?;
        Ok(daemon)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// The file that holds what the process printed. It may hold the server's secrets.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Asks `ready` until it says yes.
    ///
    /// # Errors
    /// When the process ends before, or has not answered in time.
    pub async fn wait_until<F, Fut>(&mut self, what: &str, mut ready: F) -> Result<()>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = bool>,
    {
        let name = self.name;
        let answered = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(status) = self.child.as_mut().context("it was stopped")?.try_wait()? {
                    bail!("it ended before it answered ({status})");
                }
                if ready().await {
                    return Ok(());
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        match answered.await {
            Ok(result) => result,
            Err(_) => Err(anyhow::anyhow!("no answer in {} s", PATIENCE.as_secs())),
        }
        .with_context(|| format!("{name}: {what}; its log is {}", self.log.display()))
    }

    /// Ends the process and waits for it. Nothing happens when it has ended already.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id();
        let asked = reaper::end(pid).is_ok();
        let mut patience = if asked { 200 } else { 0 };
        while patience > 0 && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
            patience -= 1;
        }
        let _ = child.kill();
        let _ = child.wait();
        let _ = reaper::gone(&pid.to_string());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A command with an empty environment but for what programs cannot do without. A lab's server must not see the
/// developer's credentials.
pub fn bare_command(program: impl AsRef<std::ffi::OsStr>, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(home).env("HOME", home);
    for name in ["PATH", "LANG", "TMPDIR", "TZ"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Tries a start again when it fails: the free port may have been taken in between.
///
/// # Errors
/// What the last attempt said; at once when the program is not installed.
pub async fn persistently<T, F, Fut>(mut start: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let mut attempt = 1;
    loop {
        match start().await {
            Ok(server) => return Ok(server),
            Err(error) if attempt == ATTEMPTS || error.is::<super::assets::NotInstalled>() => {
                return Err(error);
            }
            Err(_) => attempt += 1,
        }
    }
}

/// Polls until `check` gives a value.
///
/// # Errors
/// When it has not after a minute and a half; `what` says what was waited for.
pub async fn eventually<T, F, Fut>(what: &str, mut check: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(value) = check().await {
                return value;
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    found.await.map_err(|_| anyhow::anyhow!("waited {} s for: {what}", PATIENCE.as_secs()))
}
