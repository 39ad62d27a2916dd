//! The `keys` directory: what must not lie in the database. One file per key, 32 random bytes in hex, mode 0600 in a directory of mode 0700.
//!
//! Which key is in force the database says, by the key's id; the files' names are for people. `fingerprint.key` is the one in force, `fingerprint.1.key`
//! one of a former epoch, `fingerprint.next.key` one that a rotation was about to put in force.

mod ready;

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use claviger_core::{
    own_key::{KeyId, KeyKind},
    random::Random,
    secret::SecretValue,
    signing::PrivateKey,
};

pub(crate) use self::ready::{Ready, file_of, ready, tidy, write_history};
use crate::error::{Exit, Failure, Result};

/// The public half of the signing key, to be given to whoever verifies exports.
const SIGNING_PUBLIC: &str = "signing.pub";

/// A key's file.
pub(crate) struct KeyFile {
    pub(crate) kind: KeyKind,
    pub(crate) id: KeyId,
    pub(crate) path: PathBuf,
    text: SecretValue,
}

impl KeyFile {
    fn read(path: PathBuf, kind: KeyKind) -> Result<Self> {
        guard(&path, 0o077)?;
        let text = SecretValue::new(fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?);
        let bytes = bytes_of(&text).ok_or_else(|| {
            Failure::new(
                111,
                Exit::Failed,
                format!("`{}` is no key: it should hold 64 hex digits", path.display()),
            )
            .hint("restore it from a backup; a new key would recognise no copy and open no sealed value")
        })?;
        Ok(Self { kind, id: KeyId::of(kind, &bytes), path, text })
    }

    /// The key.
    pub(crate) fn bytes(&self) -> [u8; 32] {
        bytes_of(&self.text).unwrap_or_default()
    }

    /// As it is written.
    pub(crate) fn text(&self) -> &SecretValue {
        &self.text
    }

    pub(crate) fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// 64 hex digits, with white space around.
pub(crate) fn bytes_of(text: &SecretValue) -> Option<[u8; 32]> {
    let text = text.expose_text()?.trim();
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// What a key's file may be called: `sealing.key`, `sealing.3.key`, `sealing.next.key`.
pub(crate) fn kind_of(name: &str) -> Option<KeyKind> {
    let stem = name.strip_suffix(".key")?;
    let (kind, rest) = stem.split_once('.').unwrap_or((stem, "next"));
    let numbered = !rest.is_empty() && rest.len() < 10 && rest.bytes().all(|byte| byte.is_ascii_digit());
    KeyKind::parse(kind).filter(|_| rest == "next" || numbered)
}

/// All keys of a directory, by name.
pub(crate) fn read_all(dir: &Path) -> Result<Vec<KeyFile>> {
    if !dir.is_dir() {
        return Err(Failure::new(110, Exit::Usage, format!("there are no keys in `{}`", dir.display())).hint(
            "nothing was begun. If this installation had keys, put them back (`claviger keys restore FILE` reads a backup): without them no copy is recognised and \
             no sealed value opened, and what targets hold stays as it is. `claviger init` makes keys for a new one",
        ));
    }
    guard(dir, 0o077)?;
    let mut names: Vec<String> = fs::read_dir(dir)
        .map_err(|error| Failure::file("read", dir, &error))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let keys = names.iter().filter_map(|name| Some((name, kind_of(name)?)));
    keys.map(|(name, kind)| KeyFile::read(dir.join(name), kind)).collect()
}

/// Makes what is missing and leaves what exists. Gives the names of what was made.
pub(crate) fn create(dir: &Path, random: &dyn Random) -> Result<Vec<PathBuf>> {
    make_directory(dir)?;
    let mut made = Vec::new();
    for kind in KeyKind::ALL {
        let path = dir.join(format!("{kind}.key"));
        if !path.exists() {
            generate(&path, random)?;
            made.push(path);
        }
    }
    made.extend(publish(dir)?);
    Ok(made)
}

pub(crate) fn make_directory(dir: &Path) -> Result<()> {
    if dir.exists() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| Failure::file("make the directory", dir, &error))
}

/// Writes a new key into a file that is not there.
pub(crate) fn generate(path: &Path, random: &dyn Random) -> Result<()> {
    let mut bytes = [0_u8; 32];
    random.fill(&mut bytes);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    write_new(path, &SecretValue::from_text(format!("{text}\n")))
}

/// Writes a file that only its owner reads and that is not there; it and its name outlive a power cut.
pub(crate) fn write_new(path: &Path, text: &SecretValue) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.expose())?;
        file.sync_all()
    };
    write().map_err(|error| Failure::file("write", path, &error))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    sync(dir.unwrap_or(Path::new(".")))
}

/// Makes what was renamed in a directory outlive a power cut.
pub(crate) fn sync(dir: &Path) -> Result<()> {
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| Failure::file("write", dir, &error))
}

/// Writes the public half of the signing key beside it, if it is not there.
pub(crate) fn publish(dir: &Path) -> Result<Option<PathBuf>> {
    let (path, key) = (dir.join(SIGNING_PUBLIC), dir.join("signing.key"));
    if path.exists() || !key.exists() {
        return Ok(None);
    }
    let key = PrivateKey::new(KeyFile::read(key, KeyKind::Signing)?.bytes());
    write_public(dir, &key)?;
    Ok(Some(path))
}

/// Writes the public half of the signing key beside it.
pub(crate) fn write_public(dir: &Path, key: &PrivateKey) -> Result<()> {
    let path = dir.join(SIGNING_PUBLIC);
    fs::write(&path, format!("{}\n", key.public())).map_err(|error| Failure::file("write", &path, &error))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_names_keys_and_nothing_else() {
        for (name, kind) in [
            ("sealing.key", Some(KeyKind::Sealing)),
            ("fingerprint.12.key", Some(KeyKind::Fingerprint)),
            ("signing.next.key", Some(KeyKind::Signing)),
            ("signing.pub", None),
            ("sealing..key", None),
            ("sealing.x.key", None),
            ("../sealing.key", None),
            ("sealing.1/../../x.key", None),
            ("other.key", None),
            ("sealing.key.bak", None),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }
}
