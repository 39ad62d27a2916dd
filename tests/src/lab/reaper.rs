//! Ends servers and removes their directories when our process is gone, however it went.
//!
//! A shell of its own process group reads our orders from a pipe. The kernel closes the pipe when we die, and the
//! shell then does what is left to do. (`PR_SET_PDEATHSIG` would not do: it follows the *thread* that forked, and test
//! threads end early.)

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use anyhow::{Context as _, Result};

/// How a server wants to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGKILL to the process group at once: right for servers whose data is thrown away.
    Kill,
    /// SIGQUIT: PostgreSQL's immediate shutdown, which frees its shared memory.
    Quit,
}

impl Ending {
    fn verb(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Quit => "quit",
        }
    }
}

const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
list=
finish() {
  case $1 in
    kill) kill -s KILL -- "-$2" ;;
    quit) kill -s QUIT -- "$2" ;;
  esac
}
while read -r verb subject; do
  case $verb in
    kill | quit | dir) list="$list$verb $subject
" ;;
    end)
      printf '%s' "$list" | while read -r kind pid; do if [ "$pid" = "$subject" ]; then finish "$kind" "$pid"; fi; done ;;
    gone)
      list=$(printf '%s' "$list" | while read -r kind name; do [ "$name" = "$subject" ] || echo "$kind $name"; done; echo .)
      list=${list%.} ;;
  esac
done
printf '%s' "$list" | while read -r verb subject; do finish "$verb" "$subject"; done
sleep 0.3
printf '%s' "$list" | while read -r verb subject; do
  if [ "$verb" = dir ]; then rm -rf -- "$subject" || { sleep 1; rm -rf -- "$subject"; }; fi
done
"#;

fn order(line: &str) -> Result<()> {
    static PIPE: OnceLock<Mutex<Option<ChildStdin>>> = OnceLock::new();
    let mut pipe =
        PIPE.get_or_init(|| Mutex::new(None)).lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if pipe.is_none() {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("the shell that ends servers")?;
        *pipe = shell.stdin.take();
    }
    let pipe = pipe.as_mut().context("the pipe to the shell that ends servers")?;
    writeln!(pipe, "{line}").context("the shell that ends servers is gone")
}

/// From now on the process (a group leader) does not outlive us.
///
/// # Errors
/// When the shell cannot be started.
pub fn watch(pid: u32, ending: Ending) -> Result<()> {
    order(&format!("{} {pid}", ending.verb()))
}

/// From now on the directory does not outlive us, except when `CLAVIGER_LAB_KEEP` is set.
///
/// # Errors
/// When the shell cannot be started.
pub fn watch_directory(path: &Path) -> Result<()> {
    if std::env::var_os("CLAVIGER_LAB_KEEP").is_some() {
        return Ok(());
    }
    order(&format!("dir {}", path.display()))
}

/// Ends a watched process now, as it wants to be ended. The caller still waits for it.
///
/// # Errors
/// When the shell is gone.
pub fn end(pid: u32) -> Result<()> {
    order(&format!("end {pid}"))
}

/// The process has been waited for, or the directory removed: its name may be somebody else's from now on.
///
/// # Errors
/// When the shell is gone.
pub fn gone(subject: &str) -> Result<()> {
    order(&format!("gone {subject}"))
}
