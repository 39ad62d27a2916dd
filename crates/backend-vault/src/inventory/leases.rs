//! How many leases there are below each mount: what a revocation of the mount's credential would take along.

use claviger_backend::ErrorKind;

use super::{Gaps, LeaseCounts, Survey};

/// Prefixes asked for at most; a count that stops here says so.
const PREFIXES: usize = 2000;

impl Survey<'_> {
    /// Counts by listing `sys/leases/lookup`, because the count endpoints of Vault and OpenBao only know irrevocable leases.
    pub(super) async fn leases(&self) -> (LeaseCounts, Gaps) {
        let mut counts = LeaseCounts::new();
        let mut gaps = Gaps::default();
        let mut waiting = vec![String::new()];
        let mut asked = 0;
        while let Some(prefix) = waiting.pop() {
            asked += 1;
            if asked > PREFIXES {
                let error = claviger_backend::Error::new(
                    ErrorKind::Unexpected,
                    "inventory",
                    format!("more than {PREFIXES} prefixes of leases: the counts stop there"),
                );
                gaps.add("sys/leases/lookup", &error);
                break;
            }
            match self.api.list("inventory", &format!("sys/leases/lookup/{prefix}")).await {
                Ok(names) => {
                    let (folders, leases): (Vec<String>, Vec<String>) =
                        names.into_iter().partition(|name| name.ends_with('/'));
                    if !leases.is_empty() {
                        *counts.entry(mount_of(&prefix)).or_default() += leases.len() as u64;
                    }
                    waiting.extend(folders.into_iter().map(|folder| format!("{prefix}{folder}")));
                }
                Err(error) => {
                    gaps.add("sys/leases/lookup (it takes `list` and `sudo`)", &error);
                    if error.kind() == ErrorKind::Denied {
                        break;
                    }
                }
            }
        }
        (counts, gaps)
    }
}

/// `auth/approle/login/` belongs to `auth/approle`, `database/creds/app/` to `database`. Mounts with slashes count at their first part.
fn mount_of(prefix: &str) -> String {
    let parts = if prefix.starts_with("auth/") { 2 } else { 1 };
    prefix.split('/').take(parts).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::mount_of;

    #[test]
    fn leases_belong_to_their_mount() {
        assert_eq!(mount_of("auth/approle/login/"), "auth/approle");
        assert_eq!(mount_of("database/creds/app/"), "database");
    }
}
