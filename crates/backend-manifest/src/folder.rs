//! Which files there are.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::format::Format;

/// Folders that hold what others made, or that hold no text.
const SKIPPED: &[&str] =
    &[".git", ".hg", ".svn", "node_modules", "target", "vendor", ".terraform", "__pycache__"];

/// A file worth reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Below the folder, `/` between segments.
    pub(crate) relative: String,
    /// How to read it.
    pub(crate) format: Format,
}

/// What lies in one top-level folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Files, by name.
    pub(crate) files: Vec<Entry>,
    /// What was not entered, with the reason, by relative path.
    pub(crate) unread: Vec<(String, String)>,
}

/// The parts of a folder by their name; `.` is the folder itself.
///
/// # Errors
/// The folder itself cannot be read.
pub(crate) fn parts(root: &Path) -> io::Result<BTreeMap<String, Part>> {
    let root = root.canonicalize()?;
    let mut parts = BTreeMap::from([(".".to_owned(), Part::default())]);
    for entry in sorted(&root)? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && !SKIPPED.contains(&name.as_str()) {
            let mut part = Part::default();
            walk(&root, &entry.path(), &name, &mut part);
            parts.insert(name, part);
        } else if !is_folder && let Some(part) = parts.get_mut(".") {
            add(&root, &entry, name, part);
        }
    }
    Ok(parts)
}

fn sorted(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

fn walk(root: &Path, folder: &Path, relative: &str, part: &mut Part) {
    // Depth is bounded by the file system's path length; the list keeps the stack flat anyway.
    let mut open = vec![(folder.to_owned(), relative.to_owned())];
    while let Some((folder, relative)) = open.pop() {
        let entries = match sorted(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                part.unread.push((relative, reason(&error)));
                continue;
            }
        };
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let below = format!("{relative}/{name}");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    if !SKIPPED.contains(&name.as_str()) {
                        open.push((entry.path(), below));
                    }
                }
                Ok(_) => add(root, &entry, below, part),
                Err(error) => part.unread.push((below, reason(&error))),
            }
        }
    }
    part.files.sort_by(|one, other| one.relative.cmp(&other.relative));
}

fn add(root: &Path, entry: &fs::DirEntry, relative: String, part: &mut Part) {
    match entry.file_type() {
        // A link within the folder shows what is read anyway, one that leads nowhere shows nothing.
        Ok(kind) if kind.is_symlink() => {
            let outside = entry.path().canonicalize().is_ok_and(|to| !to.starts_with(root));
            if outside {
                part.unread.push((relative, "a link out of the folder is not followed".to_owned()));
            }
        }
        Ok(kind) if kind.is_file() => {
            if let Some(format) = Format::of(&relative) {
                part.files.push(Entry { path: entry.path(), relative, format });
            }
        }
        // Sockets, pipes and devices are no manifests, and reading one could wait for ever.
        Ok(_) => {}
        Err(error) => part.unread.push((relative, reason(&error))),
    }
}

pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        kind => format!("could not be read: {kind}"),
    }
}
