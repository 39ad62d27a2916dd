//! Are the keys here the ones of this database? Asked before anything is done.

use std::{fs, path::Path};

use claviger_core::{
    fingerprint::FingerprintKey,
    own_key::{KeyKind, KeyState, OwnKey},
    seal::SealingKey,
    signing::PrivateKey,
};
use claviger_engine::Keys;
use claviger_store::SeaStore;

use super::{KeyFile, read_all, sync, write_public};
use crate::error::{Exit, Failure, Result};

/// How signing keys followed each other, for whoever verifies without the database.
const HISTORY: &str = "signing.history";

/// The keys that are in force, and what is kept of former ones.
pub(crate) struct Ready {
    pub(crate) keys: Keys,
    /// An installation of before heads were signed has none.
    pub(crate) signing: Option<PrivateKey>,
}

/// Takes the keys that the database says are in force. What a rotation left half renamed is put in order; the first keys that a database sees become its
/// own.
///
/// # Errors
/// 690: a key that is wanted is not here. 691: another one is.
pub(crate) async fn ready(store: &SeaStore, dir: &Path) -> Result<Ready> {
    let files = read_all(dir)?;
    let mut known = store.own_keys().await?;
    for kind in KeyKind::ALL {
        if known.iter().any(|key| key.kind == kind) {
            continue;
        }
        let path = dir.join(format!("{kind}.key"));
        match files.iter().find(|file| file.path == path) {
            Some(file) => {
                let public = (kind == KeyKind::Signing).then(|| PrivateKey::new(file.bytes()).public());
                store.register_key(kind, file.id, public).await?;
            }
            None if kind == KeyKind::Signing => {}
            None => return Err(missing(dir, kind, None)),
        }
    }
    if known.len() < KeyKind::ALL.len() {
        known = store.own_keys().await?;
    }
    for key in known.iter().filter(|key| key.state == KeyState::Current) {
        if file_of(&files, key).is_none() && key.kind != KeyKind::Signing {
            return Err(absent(dir, key, &files));
        }
    }
    let lost = known.iter().find(|key| {
        key.kind == KeyKind::Sealing
            && key.state == KeyState::Former
            && key.left > 0
            && file_of(&files, key).is_none()
    });
    if let Some(key) = lost {
        return Err(missing(dir, key.kind, Some(key)));
    }
    for key in known.iter().filter(|key| key.state == KeyState::Former && file_of(&files, key).is_none()) {
        if key.kind == KeyKind::Fingerprint && key.left > 0 {
            tracing::warn!(
                key = %key.id,
                epoch = key.epoch,
                left = key.left,
                "a former fingerprint key is not in the keys directory: values that are known by it alone are not recognised"
            );
        }
    }
    tidy(dir, &files, &known);
    let ring = |kind: KeyKind| {
        let of = |state: KeyState| known.iter().filter(move |key| key.kind == kind && key.state == state);
        let former: Vec<[u8; 32]> =
            of(KeyState::Former).filter_map(|key| Some(file_of(&files, key)?.bytes())).collect();
        let lost = of(KeyState::Lost).map(|key| key.id).collect::<Vec<_>>();
        let current = of(KeyState::Current).find_map(|key| Some(file_of(&files, key)?.bytes()));
        (current, former, lost)
    };
    let (fingerprint, prints, _) = ring(KeyKind::Fingerprint);
    let (sealing, seals, lost) = ring(KeyKind::Sealing);
    let (Some(fingerprint), Some(sealing)) = (fingerprint, sealing) else {
        return Err(Failure::bug("the database names no key in force"));
    };
    if let Some(key) =
        known.iter().find(|key| key.kind == KeyKind::Fingerprint && key.state == KeyState::Current)
    {
        store.bind_fingerprint_key(key.id);
    }
    let signing = ring(KeyKind::Signing).0.map(PrivateKey::new);
    let other = files.iter().find(|file| file.path == dir.join("signing.key"));
    if let (None, Some(file)) = (&signing, other)
        && let Some(key) =
            known.iter().find(|key| key.kind == KeyKind::Signing && key.state == KeyState::Current)
    {
        return Err(another(file, key));
    }
    Ok(Ready {
        keys: Keys {
            fingerprint: FingerprintKey::new(fingerprint)
                .with_former(prints.into_iter().map(FingerprintKey::new).collect()),
            sealing: SealingKey::new(sealing)
                .with_former(seals.into_iter().map(SealingKey::new).collect())
                .with_lost(lost),
        },
        signing,
    })
}

/// The file that holds a key, whatever its name.
pub(crate) fn file_of<'f>(files: &'f [KeyFile], key: &OwnKey) -> Option<&'f KeyFile> {
    files.iter().find(|file| file.kind == key.kind && file.id == key.id)
}

/// What is left to do after a rotation's commit: names, and what others read. A directory that cannot be written, such as a mounted Secret, is left as it
/// is: names mean nothing to us.
pub(crate) fn tidy(dir: &Path, files: &[KeyFile], known: &[OwnKey]) {
    let mut renamed = false;
    let wanted = |key: &OwnKey| match key.state {
        KeyState::Current => format!("{}.key", key.kind),
        _ => format!("{}.{}.key", key.kind, key.epoch),
    };
    // Former ones first: they may have the name of the one in force.
    for state in [KeyState::Former, KeyState::Current] {
        for key in known.iter().filter(|key| key.state == state) {
            let path = dir.join(wanted(key));
            let Some(file) = file_of(files, key).filter(|file| file.path != path) else { continue };
            // Nothing is overwritten.
            if path.exists() {
                continue;
            }
            match fs::rename(&file.path, &path) {
                Ok(()) => {
                    renamed = true;
                    if key.kind == KeyKind::Signing && state == KeyState::Current {
                        let _ = write_public(dir, &PrivateKey::new(file.bytes()));
                    }
                }
                Err(error) => {
                    tracing::debug!(file = %file.path.display(), %error, "a key's file keeps its name")
                }
            }
        }
    }
    if renamed {
        let _ = sync(dir);
    }
}

/// Writes how the signing keys followed each other, for whoever verifies exports elsewhere.
pub(crate) async fn write_history(store: &SeaStore, dir: &Path) -> Result<()> {
    let mut text = String::new();
    for succession in store.successions().await? {
        text.push_str(&serde_json::to_string(&succession).map_err(|error| Failure::bug(error.to_string()))?);
        text.push('\n');
    }
    let (path, next) = (dir.join(HISTORY), dir.join(format!("{HISTORY}.new")));
    fs::write(&next, text)
        .and_then(|()| fs::rename(&next, &path))
        .map_err(|error| Failure::file("write", &path, &error))?;
    sync(dir)
}

/// A key that is in force is not here: is another one?
fn absent(dir: &Path, key: &OwnKey, files: &[KeyFile]) -> Failure {
    let path = dir.join(format!("{}.key", key.kind));
    match files.iter().find(|file| file.path == path) {
        Some(file) => another(file, key),
        None => missing(dir, key.kind, Some(key)),
    }
}

const LOST: &str = "nothing was begun, and what the targets hold is as it was when work stopped. Put the directory back that was in use, or read a backup with \
     `claviger keys restore FILE`; only where it is lost for good, `claviger keys adopt --reason TEXT` goes on with new keys, and says what that costs";

fn missing(dir: &Path, kind: KeyKind, key: Option<&OwnKey>) -> Failure {
    let which = key.map(|key| format!(" {}", key.id)).unwrap_or_default();
    let sealed = match key {
        Some(key) if kind == KeyKind::Sealing && key.left > 0 => {
            format!(": {} sealed values of work under way cannot be opened", key.left)
        }
        _ => String::new(),
    };
    let message = format!("the {kind} key{which} of this database is not in `{}`{sealed}", dir.display());
    Failure::new(690, Exit::Stuck, message).hint(LOST)
}

fn another(file: &KeyFile, key: &OwnKey) -> Failure {
    let message = format!(
        "`{}` is another key ({}) than the one of this database ({})",
        file.path.display(),
        file.id,
        key.id
    );
    Failure::new(691, Exit::Stuck, message).hint(LOST)
}
