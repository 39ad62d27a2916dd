//! Trusts: whom a system lets in that shows a token of somebody else's. How wide one is, and how an exact one is written.
//!
//! A trust is as good as what it asks of a token: the issuer's signature says only that the issuer knows the holder. Which holder is the
//! business of `sub` (OpenID Connect Core 1.0, section 2: unique within the issuer), and for whom the token was made that of `aud`; who does
//! not ask lets in everybody whom the issuer knows, and an issuer may know the whole world.
//!
//! To add a system: a file in `trust/` that turns its words into [`Gap`]s. Backends put them into the attribute `trust_gaps` of the identity
//! that is lent; the findings `wif-trust-wildcard` and `wif-trust-organisation` read them there.

mod aws;
mod google;
mod subject;
mod vault;

use std::collections::BTreeSet;

use serde_json::{Value, json};

pub use self::{
    aws::{AwsTrust, NotExact, WebIdentity},
    google::google_gaps,
    subject::{Breadth, breadth},
    vault::{JwtTrust, KubernetesTrust},
};

/// Something that a trust does not ask, or not exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gap {
    /// Anybody at all, with or without a token.
    AnyPrincipal,
    /// Nothing says whose the token must be.
    SubjectMissing,
    /// Whose it must be is a pattern that everybody at the issuer can meet.
    SubjectWildcard,
    /// Whose it must be is a pattern that several meet, within something that is named.
    SubjectPattern,
    /// Nothing says for whom the token must have been made.
    AudienceMissing,
    /// Any audience.
    AudienceWildcard,
    /// Everybody in an organisation or a group.
    Organisation,
}

impl Gap {
    /// Every gap, the worst first.
    pub const ALL: &'static [Self] = &[
        Self::AnyPrincipal,
        Self::SubjectMissing,
        Self::SubjectWildcard,
        Self::Organisation,
        Self::AudienceMissing,
        Self::AudienceWildcard,
        Self::SubjectPattern,
    ];

    /// The word in the attribute `trust_gaps`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnyPrincipal => "any-principal",
            Self::SubjectMissing => "subject-missing",
            Self::SubjectWildcard => "subject-wildcard",
            Self::SubjectPattern => "subject-pattern",
            Self::AudienceMissing => "audience-missing",
            Self::AudienceWildcard => "audience-wildcard",
            Self::Organisation => "organisation",
        }
    }

    /// Gaps as the attribute `trust_gaps` holds them.
    pub fn words(gaps: &BTreeSet<Self>) -> Value {
        json!(gaps.iter().map(|gap| gap.as_str()).collect::<Vec<_>>())
    }

    /// The gap of a subject's breadth; none of an exact one.
    pub fn of_subject(breadth: &Breadth) -> Option<Self> {
        match breadth {
            Breadth::One => None,
            Breadth::Several => Some(Self::SubjectPattern),
            Breadth::Organisation(_) => Some(Self::Organisation),
            Breadth::Anybody => Some(Self::SubjectWildcard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gap_has_a_word_of_its_own() {
        let words: BTreeSet<&str> = Gap::ALL.iter().map(|gap| gap.as_str()).collect();
        assert_eq!(words.len(), Gap::ALL.len());
        assert_eq!(Gap::words(&BTreeSet::from([Gap::Organisation])), json!(["organisation"]));
    }
}
