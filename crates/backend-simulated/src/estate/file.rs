use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use super::{Estate, FORMAT};

/// Why the file could not be used. Holds no content of it.
#[derive(Debug, thiserror::Error)]
pub enum EstateError {
    /// Reading, writing or locking failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not an estate.
    #[error("{path}: not an estate: line {line}, column {column}")]
    Malformed {
        /// The file.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// It was written by another version.
    #[error("{path}: format {found}, this program reads {FORMAT}")]
    Format {
        /// The file.
        path: String,
        /// The format found.
        found: u32,
    },
}

/// An estate's file. Writers take a lock beside it and replace it as a whole, so that a reader, who takes none, sees one state or the
/// next, and a killed writer leaves the former one. It is not synced to disk: it survives the process, not the machine.
#[derive(Debug, Clone)]
pub struct EstateFile {
    path: PathBuf,
}

impl EstateFile {
    /// The file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a new estate. Mode 0600. What is there is replaced.
    ///
    /// # Errors
    /// [`EstateError::Io`].
    pub fn create(&self, estate: &Estate) -> Result<(), EstateError> {
        let _lock = self.lock()?;
        self.replace(estate)
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`EstateError`]; an absent file is `Io`.
    pub fn load(&self) -> Result<Estate, EstateError> {
        let text = zeroize::Zeroizing::new(std::fs::read(&self.path).map_err(|error| self.io(error))?);
        let estate: Estate = serde_json::from_slice(&text).map_err(|error| EstateError::Malformed {
            path: self.path.display().to_string(),
            line: error.line(),
            column: error.column(),
        })?;
        if estate.format == FORMAT {
            Ok(estate)
        } else {
            Err(EstateError::Format { path: self.path.display().to_string(), found: estate.format })
        }
    }

    /// Changes it under the lock, as somebody other than claviger would: no effect is recorded.
    ///
    /// # Errors
    /// [`EstateError`].
    pub fn edit<T>(&self, change: impl FnOnce(&mut Estate) -> T) -> Result<T, EstateError> {
        let _lock = self.lock()?;
        let mut estate = self.load()?;
        let result = change(&mut estate);
        self.replace(&estate)?;
        Ok(result)
    }

    /// Waits for the lock. It ends when the returned file is dropped, or its process dies.
    pub(crate) fn lock(&self) -> Result<File, EstateError> {
        let file = private(&self.beside("lock"), false).map_err(|error| self.io(error))?;
        file.lock().map_err(|error| self.io(error))?;
        Ok(file)
    }

    /// Replaces the file. The caller holds the lock.
    pub(crate) fn replace(&self, estate: &Estate) -> Result<(), EstateError> {
        let text = serde_json::to_vec_pretty(estate).map_err(|error| self.io(error.into()))?;
        let text = zeroize::Zeroizing::new(text);
        let fresh = self.beside("new");
        let write = || {
            private(&fresh, true)?.write_all(&text)?;
            std::fs::rename(&fresh, &self.path)
        };
        write().map_err(|error| self.io(error))
    }

    fn beside(&self, extension: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".");
        name.push(extension);
        PathBuf::from(name)
    }

    fn io(&self, source: std::io::Error) -> EstateError {
        EstateError::Io { path: self.path.display().to_string(), source }
    }
}

impl EstateError {
    /// True if there is no such file.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == ErrorKind::NotFound)
    }
}

fn private(path: &Path, truncate: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(truncate);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
