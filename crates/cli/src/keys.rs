//! The `keys` directory: what must not lie in the database. One file per key, 32 random bytes in hex, mode 0600 in a directory of mode 0700.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use claviger_core::{
    fingerprint::FingerprintKey, random::Random, seal::SealingKey, secret::SecretValue, signing::PrivateKey,
};
use claviger_engine::Keys;

use crate::error::{Exit, Failure, Result};

const FINGERPRINT: &str = "fingerprint.key";
const SEALING: &str = "sealing.key";
/// Signs heads of the audit log. Its public half lies beside it, to be given to whoever verifies exports.
const SIGNING: &str = "signing.key";
const SIGNING_PUBLIC: &str = "signing.pub";

/// Makes what is missing and leaves what exists. Gives the names of what was made.
pub(crate) fn create(dir: &Path, random: &dyn Random) -> Result<Vec<PathBuf>> {
    if !dir.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| Failure::file("make the directory", dir, &error))?;
    }
    let mut made = Vec::new();
    for name in [FINGERPRINT, SEALING, SIGNING] {
        let path = dir.join(name);
        if path.exists() {
            continue;
        }
        let mut bytes = [0_u8; 32];
        random.fill(&mut bytes);
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            writeln!(file, "{text}")?;
            file.sync_all()
        };
        write().map_err(|error| Failure::file("write", &path, &error))?;
        made.push(path);
    }
    let public = dir.join(SIGNING_PUBLIC);
    if !public.exists() {
        let text = format!("{}\n", signing(dir)?.public());
        fs::write(&public, text).map_err(|error| Failure::file("write", &public, &error))?;
        made.push(public);
    }
    Ok(made)
}

/// Reads the key that signs heads of the audit log. Installations of before there was one get it by `init`.
pub(crate) fn signing(dir: &Path) -> Result<PrivateKey> {
    let path = dir.join(SIGNING);
    if !path.exists() {
        return Err(Failure::new(113, Exit::Usage, format!("there is no signing key in `{}`", dir.display())).hint(
            "`claviger init` makes it and leaves the other keys as they are; if this installation had one, restore it: exports signed with another key are refused",
        ));
    }
    Ok(PrivateKey::new(read(&path)?))
}

/// Reads the keys.
pub(crate) fn load(dir: &Path) -> Result<Keys> {
    if !dir.is_dir() {
        return Err(Failure::new(110, Exit::Usage, format!("there are no keys in `{}`", dir.display()))
            .hint("`claviger init` makes them; if this installation had keys, restore them: without them no copy is recognised any more"));
    }
    guard(dir, 0o077)?;
    Ok(Keys {
        fingerprint: FingerprintKey::new(read(&dir.join(FINGERPRINT))?),
        sealing: SealingKey::new(read(&dir.join(SEALING))?),
    })
}

/// Reads a person's private key. Nobody else may read its file.
pub(crate) fn person(file: &Path) -> Result<PrivateKey> {
    guard(file, 0o077)?;
    let text = SecretValue::new(fs::read(file).map_err(|error| Failure::file("read", file, &error))?);
    PrivateKey::parse(&text).map_err(|error| {
        Failure::config(32, format!("`{}` cannot be used: {error}", file.display()))
            .hint("`claviger approve --new-key FILE` makes one")
    })
}

/// Reads a secret of a person. Nobody else may read its file.
pub(crate) fn private(file: &Path) -> Result<Vec<u8>> {
    guard(file, 0o077)?;
    fs::read(file).map_err(|error| Failure::file("read", file, &error))
}

fn read(path: &Path) -> Result<[u8; 32]> {
    guard(path, 0o077)?;
    let text = fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    let text = text.trim();
    let bytes: Option<Vec<u8>> = (text.len() == 64 && text.is_ascii())
        .then(|| (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect())
        .flatten();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        Failure::new(
            111,
            Exit::Failed,
            format!("`{}` is no key: it should hold 64 hex digits", path.display()),
        )
        .hint("restore it from a backup; a new key would recognise no copy and open no sealed value")
    })
}

/// A key that others can read is no key.
fn guard(path: &Path, forbidden: u32) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|error| Failure::file("read", path, &error))?;
    let mode = metadata.permissions().mode();
    if mode & forbidden != 0 {
        return Err(Failure::new(
            112,
            Exit::Refused,
            format!("`{}` can be read or written by others (mode {:o})", path.display(), mode & 0o777),
        )
        .hint(format!("chmod go= '{}'", path.display())));
    }
    Ok(())
}
