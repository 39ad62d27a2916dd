//! What a vault backend is built from. Reading files and environment variables is the caller's work.

use std::{path::PathBuf, sync::Arc};

use claviger_core::{fingerprint::FingerprintKey, secret::SecretValue};

/// Configuration of one server and one namespace of it.
pub struct VaultConfig {
    /// `https://host:port`, without user, path or query.
    pub address: String,
    /// PEM certificates of the authorities to trust instead of the machine's.
    pub ca: Option<Vec<u8>>,
    /// The namespace that all calls are made in; the root namespace when left out.
    pub namespace: Option<String>,
    /// How we log in.
    pub auth: VaultAuth,
    /// Globs (`*`, `?`) of mounts to read, such as `secret` or `auth/approle`; all when empty.
    pub include: Vec<String>,
    /// Globs of mounts to leave out; they win over `include`.
    pub exclude: Vec<String>,
    /// Mounts, or folders inside a KV mount (`secret/team`), to read although no list of mounts shows them.
    pub mounts: Vec<String>,
    /// Makes version tokens for KV version 1, which has no versions: a keyed digest of the content. Without it such mounts are
    /// read-only to us.
    pub version_key: Option<Arc<FingerprintKey>>,
}

/// How we log in. Tokens that a login gives live as long as their role says, and are renewed by another login.
pub enum VaultAuth {
    /// A token that exists already.
    Token(SecretValue),
    /// The `kubernetes` method with the pod's own ServiceAccount token.
    Kubernetes {
        /// Where the method is mounted, without `auth/`: `kubernetes`.
        mount: String,
        /// The role to log in as.
        role: String,
        /// The projected token's file; read at each login, because the kubelet replaces it.
        jwt: PathBuf,
    },
    /// The `approle` method.
    AppRole {
        /// Where the method is mounted, without `auth/`: `approle`.
        mount: String,
        /// Public half.
        role_id: String,
        /// Secret half.
        secret_id: SecretValue,
    },
}

/// Which mounts are ours to read.
pub(crate) struct MountFilter {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl MountFilter {
    pub(crate) fn new(include: Vec<String>, exclude: Vec<String>) -> Self {
        let tidy = |globs: Vec<String>| globs.iter().map(|glob| glob.trim_matches('/').to_owned()).collect();
        Self { include: tidy(include), exclude: tidy(exclude) }
    }

    /// The mounts that are asked for by their full names; `None` when there is a glob, or no list, and any mount may be meant.
    pub(crate) fn exact(&self) -> Option<&[String]> {
        let exact = !self.include.is_empty() && self.include.iter().all(|glob| !glob.contains(['*', '?']));
        exact.then_some(self.include.as_slice())
    }

    /// `mount` without slash at its end.
    pub(crate) fn admits(&self, mount: &str) -> bool {
        let hit = |globs: &[String]| globs.iter().any(|glob| matches(glob.as_bytes(), mount.as_bytes()));
        (self.include.is_empty() || hit(&self.include)) && !hit(&self.exclude)
    }
}

/// `*` is any run of characters, also of slashes; `?` is any one byte.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        if glob.get(at) == Some(&b'*') {
            star = Some((at, read));
            at += 1;
        } else if glob.get(at).is_some_and(|byte| *byte == b'?' || *byte == text[read]) {
            at += 1;
            read += 1;
        } else if let Some((star_at, star_read)) = star {
            // Let the last star take one byte more.
            at = star_at + 1;
            read = star_read + 1;
            star = Some((star_at, read));
        } else {
            return false;
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_mounts() {
        for (glob, mount, expected) in [
            ("secret", "secret", true),
            ("secret", "secrets", false),
            ("team-*", "team-a/kv", true),
            ("*kv", "team/kv", true),
            ("*a*b", "xaybzb", true),
            ("*a*b", "xaybz", false),
            ("k?", "kv", true),
            ("k?", "k", false),
        ] {
            assert_eq!(matches(glob.as_bytes(), mount.as_bytes()), expected, "{glob} on {mount}");
        }
    }

    #[test]
    fn exclusion_wins() {
        let filter = MountFilter::new(vec!["secret*".into()], vec!["secret-old/".into()]);
        assert!(filter.admits("secret"));
        assert!(!filter.admits("secret-old"));
        assert!(!filter.admits("kv"));
    }
}
