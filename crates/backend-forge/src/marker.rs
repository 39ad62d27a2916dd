//! The marker that we leave beside a value that nobody can read: `[claviger <operation key> <time>]` behind what people wrote there. By it a
//! write of ours is known again, and the ledger knows which value it stands for.
//!
//! Whoever changes the value and leaves the text as it is leaves the marker too: a forge's own form for editing does that. Where the forge
//! tells no time of the last write, nobody can see it.

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest as _, Sha256};

const OPEN: &str = "[claviger ";

/// A marker that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The operation key of the write.
    pub(crate) key: String,
    /// When it was, by our clock.
    pub(crate) at: DateTime<Utc>,
}

/// What people wrote, and the marker behind it.
pub(crate) fn read(text: &str) -> (&str, Option<Marker>) {
    let trimmed = text.trim_end();
    let Some(start) = trimmed.rfind(OPEN).filter(|_| trimmed.ends_with(']')) else { return (text, None) };
    let inner = &trimmed[start + OPEN.len()..trimmed.len() - 1];
    let marker = inner.split_once(' ').and_then(|(key, at)| {
        let is_key = key.len() == 36 && key.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let at = DateTime::parse_from_rfc3339(at).ok()?.with_timezone(&Utc);
        is_key.then(|| Marker { key: key.to_owned(), at })
    });
    match marker {
        Some(marker) => (trimmed[..start].trim_end(), Some(marker)),
        None => (text, None),
    }
}

/// The text with this marker in place of an older one, in at most `most` characters: people's words are cut, the marker never.
pub(crate) fn write(text: &str, marker: &Marker, most: usize) -> String {
    let own = format!("{OPEN}{} {}]", marker.key, marker.at.to_rfc3339_opts(SecondsFormat::Secs, true));
    let (said, _) = read(text);
    let room = most.saturating_sub(own.len() + 1);
    let said: String = said.chars().take(room).collect();
    if said.trim().is_empty() { own } else { format!("{} {own}", said.trim_end()) }
}

/// The version of a place: the marker's key, else a digest of all that the forge tells of it.
pub(crate) fn version(text: &str, created_at: &str) -> String {
    match read(text) {
        (_, Some(marker)) => marker.key,
        (said, None) => {
            let digest = Sha256::digest(format!("{created_at}\0{said}"));
            let digits: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
            format!("unmarked-{digits}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(key: &str) -> Marker {
        Marker { key: key.to_owned(), at: DateTime::from_timestamp(1_790_000_000, 0).expect("a time") }
    }

    const ONE: &str = "0b7f8a52-6f1e-5f0a-9d3c-2a1b3c4d5e6f";
    const TWO: &str = "1b7f8a52-6f1e-5f0a-9d3c-2a1b3c4d5e6f";

    #[test]
    fn what_people_wrote_stays_and_only_the_newest_marker_does() {
        let first = write("used by deploy", &marker(ONE), 4096);
        assert_eq!(read(&first), ("used by deploy", Some(marker(ONE))));
        let second = write(&first, &marker(TWO), 4096);
        assert_eq!(read(&second), ("used by deploy", Some(marker(TWO))));
        assert_eq!(second.matches(OPEN).count(), 1);
        assert_eq!(write("", &marker(ONE), 4096), write("  ", &marker(ONE), 4096));
        assert_eq!(version(&second, "x"), TWO);
    }

    #[test]
    fn what_only_looks_like_one_is_peoples_text() {
        for text in [
            "[claviger is great]",
            "[claviger 1 2]",
            &format!("[claviger {ONE} yesterday]"),
            "see [claviger",
            &format!("[claviger {ONE} 2026-11-28T00:00:00Z] and more"),
        ] {
            assert_eq!(read(text), (text, None));
            assert!(version(text, "").starts_with("unmarked-"));
        }
        assert_ne!(version("a", ""), version("b", ""));
        assert_ne!(version("a", "1"), version("a", "2"));
    }

    #[test]
    fn a_long_text_is_cut_and_the_marker_never() {
        let long = "ü".repeat(5000);
        let text = write(&long, &marker(ONE), 4096);
        assert!(text.chars().count() <= 4096);
        assert_eq!(read(&text).1, Some(marker(ONE)));
    }
}
