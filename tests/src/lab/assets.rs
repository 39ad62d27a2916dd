//! Where the servers' programs are. `tests/lab/install --paths` is the only one who knows; it is asked once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};

/// A program of the lab is not installed: the one failure that may skip a test.
#[derive(Debug, thiserror::Error)]
#[error("{name} is not installed: run tests/lab/install")]
pub struct NotInstalled {
    /// The name as `install --paths` prints it, such as `kube-apiserver`.
    pub name: &'static str,
}

/// The directory `tests/lab` of the checkout that this was built from.
pub fn lab_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lab")
}

/// Path of an installed program (or directory) by its name in `install --paths`.
///
/// # Errors
/// [`NotInstalled`] when it is not there; anything else when `install` itself cannot run.
pub fn path(name: &'static str) -> Result<PathBuf> {
    static PATHS: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    if let Some(paths) = PATHS.get() {
        return Ok(paths.get(name).cloned().ok_or(NotInstalled { name })?);
    }
    let found = ask()?;
    let path = PATHS.get_or_init(|| found).get(name).cloned();
    Ok(path.ok_or(NotInstalled { name })?)
}

fn ask() -> Result<BTreeMap<String, PathBuf>> {
    let output = installer()
        .arg("--paths")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("tests/lab/install --paths")?;
    ensure!(output.status.success(), "tests/lab/install --paths: {}", output.status);
    let text = String::from_utf8(output.stdout).context("tests/lab/install --paths")?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, path)| (name.to_owned(), PathBuf::from(path)))
        .collect())
}

/// Installs what is missing, its messages on our stderr. Quick when nothing is.
///
/// # Errors
/// When some server could not be had; the others are installed nevertheless.
pub fn install() -> Result<()> {
    let status = installer().stdin(Stdio::null()).status().context("tests/lab/install")?;
    ensure!(status.success(), "tests/lab/install could not install everything");
    Ok(())
}

/// The installer with the cache that belongs to the target directory we were built in.
fn installer() -> Command {
    let mut command = Command::new("bash");
    command.arg(lab_directory().join("install"));
    let decided =
        ["CLAVIGER_LAB_CACHE", "CARGO_TARGET_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    if !decided && let Some(target) = target_directory() {
        command.env("CARGO_TARGET_DIR", target);
    }
    command
}

/// Cargo marks a target directory with `CACHEDIR.TAG`; our program lies somewhere below it.
pub(crate) fn target_directory() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").exists()).map(Path::to_path_buf)
}
