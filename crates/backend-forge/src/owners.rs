//! Whose things are read: globs of users, organisations and groups.

/// Which owners are ours to read.
pub(crate) struct Owners(Vec<String>);

impl Owners {
    pub(crate) fn new(globs: Vec<String>) -> Self {
        Self(globs)
    }

    pub(crate) fn admit(&self, owner: &str) -> bool {
        // Names are unlike only where more than their case is.
        let owner = owner.to_lowercase();
        self.0.is_empty()
            || self.0.iter().any(|glob| matches(glob.to_lowercase().as_bytes(), owner.as_bytes()))
    }
}

/// `*` is any run of characters, `?` any one byte.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            matches(rest, text) || text.split_first().is_some_and(|(_, text)| matches(glob, text))
        }
        (Some((b'?', glob)), Some((_, text))) => matches(glob, text),
        (Some((one, glob)), Some((other, text))) => one == other && matches(glob, text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names_whatever_their_case() {
        let owners = |globs: &[&str]| Owners::new(globs.iter().map(ToString::to_string).collect());
        for (globs, owner, expected) in [
            (&[][..], "acme", true),
            (&["acme"], "Acme", true),
            (&["acme"], "acme2", false),
            (&["team-*", "x?z"], "team-a", true),
            (&["team-*", "x?z"], "xyz", true),
            (&["*a*b"], "xaybz", false),
        ] {
            assert_eq!(owners(globs).admit(owner), expected, "{globs:?} on {owner}");
        }
    }
}
