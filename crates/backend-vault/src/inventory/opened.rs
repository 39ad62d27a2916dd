//! Which secrets of key-value stores a policy lets its holder read.

use std::collections::BTreeSet;

use super::rights::Rule;
use crate::mounts::{MountKind, Mounts};

/// As many paths as a grant names.
const PATHS: usize = 50;

/// What a policy opens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// Paths of refs, with `*` as in a chain's patterns.
    pub(super) paths: Vec<String>,
    /// Some rule stands for less than the pattern says: what is said of a single secret may be too much.
    pub(super) maybe: bool,
}

/// Of these rules. Vault's documentation, "Policies": `*` stands for any rest, `+` for one segment; a version 2 store is read below `<mount>/data/`.
pub(super) fn of(rules: &[Rule], mounts: &Mounts) -> Opened {
    let stores = mounts.mounts.iter().filter_map(|mount| match mount.kind {
        MountKind::Kv1 => Some((mount.path.as_str(), false)),
        MountKind::Kv2 => Some((mount.path.as_str(), true)),
        _ => None,
    });
    let stores: Vec<(&str, bool)> = stores.collect();
    let mut paths = BTreeSet::new();
    let mut maybe = false;
    for rule in rules.iter().filter(|rule| may(rule, "read") || may(rule, "root")) {
        // A `+` at the end is one segment, where a pattern's star is any rest.
        let ends_open = rule.path.ends_with("/+");
        let path =
            if ends_open { rule.path.trim_end_matches('+').to_owned() + "*" } else { rule.path.clone() };
        let opened: Vec<String> =
            stores.iter().filter_map(|(mount, versioned)| within(&path, mount, *versioned)).collect();
        maybe |= ends_open && !opened.is_empty();
        paths.extend(opened);
    }
    Opened { paths: paths.into_iter().take(PATHS).collect(), maybe }
}

/// Does some rule take rights away? It wins over another of the same path, and a longer path wins over a shorter one.
pub(super) fn denies(rules: &[Rule]) -> bool {
    rules.iter().any(|rule| may(rule, "deny"))
}

fn may(rule: &Rule, capability: &str) -> bool {
    rule.capabilities.iter().any(|has| has == capability)
}

/// The path of refs that a rule's path opens in this store.
fn within(path: &str, mount: &str, versioned: bool) -> Option<String> {
    let root = if versioned { format!("{mount}/data/") } else { format!("{mount}/") };
    if let Some(prefix) = path.strip_suffix('*')
        && !prefix.contains('+')
        && root.starts_with(prefix)
    {
        // It covers the whole store.
        return Some(format!("{mount}/*"));
    }
    let rest = path.strip_prefix(&root)?;
    let segments: Vec<&str> =
        rest.split('/').map(|segment| if segment == "+" { "*" } else { segment }).collect();
    (!rest.is_empty()).then(|| format!("{mount}/{}", segments.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mounts::Mount;

    fn opened(paths: &[(&str, &str)]) -> Opened {
        let rules: Vec<Rule> = paths
            .iter()
            .map(|(path, capability)| Rule {
                path: (*path).to_owned(),
                capabilities: vec![(*capability).to_owned()],
            })
            .collect();
        let mount = |path: &str, kind| Mount { path: path.to_owned(), kind };
        let mounts = Mounts {
            mounts: vec![
                mount("kv", MountKind::Kv2),
                mount("old", MountKind::Kv1),
                mount("database", MountKind::Database),
            ],
            folders: Vec::new(),
            gap: None,
            missing: Vec::new(),
        };
        of(&rules, &mounts)
    }

    #[test]
    fn rules_that_read_open_what_lies_below_them() {
        for (path, expected) in [
            ("kv/data/app/*", vec!["kv/app/*"]),
            ("kv/data/app/db", vec!["kv/app/db"]),
            ("kv/data/+/db", vec!["kv/*/db"]),
            ("kv/data/app*", vec!["kv/app*"]),
            ("kv/*", vec!["kv/*"]),
            ("old/app/*", vec!["old/app/*"]),
            ("*", vec!["kv/*", "old/*"]),
            ("kv/metadata/*", vec![]),
            ("database/creds/app", vec![]),
            ("kv/data/+", vec!["kv/*"]),
            ("kv2/data/x", vec![]),
        ] {
            assert_eq!(opened(&[(path, "read")]).paths, expected, "{path}");
        }
        assert_eq!(opened(&[("kv/data/app/*", "list")]).paths, Vec::<String>::new());
    }

    #[test]
    fn what_is_said_too_widely_or_denied_is_uncertain() {
        assert!(opened(&[("kv/data/+", "read")]).maybe);
        assert!(!opened(&[("kv/data/app/*", "read")]).maybe);
        let rule = |capability: &str| Rule {
            path: "kv/data/app/x".to_owned(),
            capabilities: vec![capability.to_owned()],
        };
        assert!(denies(&[rule("read"), rule("deny")]) && !denies(&[rule("read")]));
    }
}
