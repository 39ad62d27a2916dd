//! Do copies still log in, and do they still agree? What a verification saw, and what is kept of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{id::CredentialId, reference::Ref};

/// What a login with a copy's value came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Login {
    /// Its issuer accepts it.
    Accepted,
    /// Its issuer refuses it.
    Refused,
    /// Nobody could say.
    Unknown,
}

impl Login {
    /// The word that is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// One copy, read and tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedCopy {
    /// Where it lies.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// What a login with it came to.
    pub login: Login,
    /// Which of the credential's values it holds: copies with one number hold one value. `None` where it could not be read.
    pub value: Option<u32>,
    /// When that was seen.
    pub seen_at: DateTime<Utc>,
    /// On what it rests, or why nothing is known; no secret.
    pub evidence: String,
}

/// A credential's copies, read and tried together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// When it was looked at.
    pub checked_at: DateTime<Utc>,
    /// Its copies.
    pub copies: Vec<CheckedCopy>,
}

impl Agreement {
    /// How many unlike values its copies hold, of those that could be read.
    pub fn values(&self) -> usize {
        let mut values: Vec<u32> = self.copies.iter().filter_map(|copy| copy.value).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    }

    /// The copies whose value the issuer refuses.
    pub fn refused(&self) -> impl Iterator<Item = &CheckedCopy> {
        self.copies.iter().filter(|copy| copy.login == Login::Refused)
    }

    /// True if something is wrong: not if something is unknown.
    pub fn is_broken(&self) -> bool {
        self.values() > 1 || self.refused().next().is_some()
    }

    /// The same, with what was known before in place of what could not be found out now: a target that is down mends nothing. Values are compared within
    /// one look only, so where a copy could not be read that was before, what was known of all stands if it was broken.
    #[must_use]
    pub fn after(mut self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        for copy in &mut self.copies {
            let known = before.copies.iter().find(|other| other.at == copy.at);
            if let Some(known) =
                known.filter(|known| copy.login == Login::Unknown && known.login == Login::Refused)
            {
                let why = std::mem::take(&mut copy.evidence);
                copy.login = known.login;
                copy.seen_at = known.seen_at;
                copy.evidence = format!("{}; could not be asked again: {why}", first(&known.evidence));
            }
        }
        // One that could not be read then either tells nothing of what was seen then.
        let was_read = |at: &Ref| before.copies.iter().any(|other| other.at == *at && other.value.is_some());
        let is_unread = self.copies.iter().any(|copy| copy.value.is_none() && was_read(&copy.at));
        if self.values() < 2 && before.values() > 1 && is_unread {
            for copy in &mut self.copies {
                let known = before.copies.iter().find(|other| other.at == copy.at);
                copy.value = known.and_then(|known| known.value);
            }
        }
        self
    }
}

/// What stands before what was appended.
fn first(evidence: &str) -> &str {
    evidence.split("; could not be asked again").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn seen(copies: &[(&str, Login, Option<u32>)]) -> Agreement {
        let copy = |(at, login, value): &(&str, Login, Option<u32>)| CheckedCopy {
            at: Ref::from_text(*at),
            login: *login,
            value: *value,
            seen_at: DateTime::UNIX_EPOCH,
            evidence: login.as_str().to_owned(),
        };
        Agreement {
            credential: CredentialId(Uuid::nil()),
            at: Ref::from_text("db/role/app"),
            checked_at: DateTime::UNIX_EPOCH,
            copies: copies.iter().map(copy).collect(),
        }
    }

    #[test]
    fn what_is_unknown_is_neither_broken_nor_mended() {
        use Login::{Accepted, Refused, Unknown};
        let down = || seen(&[("kv/a", Unknown, None), ("kv/b", Unknown, None)]);
        assert!(!down().after(None).is_broken());
        let well = seen(&[("kv/a", Accepted, Some(0)), ("kv/b", Accepted, Some(0))]);
        assert!(!down().after(Some(&well)).is_broken());
        let refused = seen(&[("kv/a", Accepted, Some(0)), ("kv/b", Refused, Some(1))]);
        let still = down().after(Some(&refused));
        assert_eq!(still.refused().map(|copy| copy.at.as_str()).collect::<Vec<_>>(), ["kv/b"]);
        assert_eq!(still.values(), 2);
        // However often it is asked in vain, the sentence stays one.
        let again = down().after(Some(&still));
        assert_eq!(again.copies[1].evidence, still.copies[1].evidence);
        assert!(
            !seen(&[("kv/a", Accepted, Some(0)), ("kv/b", Accepted, Some(0))])
                .after(Some(&again))
                .is_broken()
        );
        // The issuer is down, and the copies are read again: they agree.
        let apart = seen(&[("kv/a", Unknown, Some(0)), ("kv/b", Unknown, Some(1))]);
        assert!(apart.is_broken());
        assert!(
            !seen(&[("kv/a", Unknown, Some(0)), ("kv/b", Unknown, Some(0))]).after(Some(&apart)).is_broken()
        );
        let one_is_down = seen(&[("kv/a", Unknown, Some(0)), ("kv/b", Unknown, None)]);
        assert!(one_is_down.after(Some(&apart)).is_broken());
        // One that nobody can ever read stands in nobody's way.
        let never = |second| {
            seen(&[("kv/a", Accepted, Some(0)), ("kv/b", Unknown, Some(second)), ("kv/c", Unknown, None)])
        };
        assert!(!never(0).after(Some(&never(1))).is_broken());
    }
}
