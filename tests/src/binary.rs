//! The `claviger` binary under test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};

use crate::lab::assets;

/// The program: `$CLAVIGER_BINARY` where `tests/run` set it, else built by cargo first, so that no test looks at
/// yesterday's.
///
/// # Errors
/// When it does not build.
pub fn path() -> Result<PathBuf> {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = PATH.get() {
        return Ok(path.clone());
    }
    let path = match std::env::var_os("CLAVIGER_BINARY") {
        Some(path) => PathBuf::from(path),
        None => build()?,
    };
    ensure!(path.exists(), "{} is not there", path.display());
    Ok(PATH.get_or_init(|| path).clone())
}

fn build() -> Result<PathBuf> {
    let target = assets::target_directory().context("the target directory")?;
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "claviger-cli", "--bin", "claviger", "--target-dir"])
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("cargo build")?;
    ensure!(status.success(), "cargo build --bin claviger: {status}");
    Ok(target.join("debug/claviger"))
}

/// A command that runs it in `directory` with nothing of the developer's environment: no credentials, no
/// configuration, that directory as home.
///
/// # Errors
/// As [`path`].
pub fn command(directory: &std::path::Path) -> Result<Command> {
    Ok(crate::lab::daemon::bare_command(path()?, directory))
}
