//! Tokens, and files for one pair of eyes.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Writes a file with mode 0600, in place of one that may be there.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, contents: &str) -> Result<()> {
    let _ = std::fs::remove_file(path);
    let mut file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(contents.as_bytes()).with_context(|| format!("write {}", path.display()))
}

/// 128 random bits in hex.
///
/// # Errors
/// When there is no randomness.
pub fn random_token() -> Result<String> {
    let (first, second) = (getrandom::u64().context("randomness")?, getrandom::u64().context("randomness")?);
    Ok(format!("{first:016x}{second:016x}"))
}
