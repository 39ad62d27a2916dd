//! What is exposed goes first within a budget.
//!
//! Urgency is worth time: an exposed credential is treated as if it had waited so much longer. So it goes before all that is as due as it is, and nobody
//! waits for ever: whoever has waited longer than the most urgent one is worth is before it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    finding,
    model::CredentialState,
    view::{CredentialView, Severity},
};

/// Copies from which on a value is exposed by their number alone.
const MANY_COPIES: u32 = 5;

/// How exposed a credential is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// As all others.
    #[default]
    Usual,
    /// A grave finding, or copies in many places.
    Raised,
    /// A critical finding.
    High,
    /// Somebody else is known to have it.
    Leaked,
}

impl Urgency {
    const ALL: [Self; 4] = [Self::Usual, Self::Raised, Self::High, Self::Leaked];

    /// By what is known of a credential. Findings of age count for nothing: all that is due has them.
    pub fn of(credential: &CredentialView) -> Self {
        if credential.state == CredentialState::Compromised {
            return Self::Leaked;
        }
        let of_age = |slug: &str| ["age-", "rot-", "exp-"].iter().any(|begins| slug.starts_with(begins));
        let grave = credential.findings.iter().filter(|slug| !of_age(slug));
        let worst = grave.filter_map(|slug| Some(finding::rule(slug)?.severity)).map(by_severity).max();
        let spread = if credential.copies >= MANY_COPIES { Self::Raised } else { Self::Usual };
        worst.unwrap_or_default().max(spread)
    }

    /// The time that it is worth.
    pub const fn worth(self) -> TimeDelta {
        TimeDelta::days(match self {
            Self::Usual => 0,
            Self::Raised => 1,
            Self::High => 7,
            Self::Leaked => 365,
        })
    }

    /// The urgency that is worth this much.
    pub fn worth_of(worth: TimeDelta) -> Self {
        Self::ALL.into_iter().rev().find(|one| worth >= one.worth()).unwrap_or_default()
    }

    /// By this what may start is ordered; the least goes first.
    pub fn rank(self, starts_at: DateTime<Utc>) -> i64 {
        starts_at.timestamp_micros().saturating_sub(self.worth().num_microseconds().unwrap_or(i64::MAX))
    }
}

fn by_severity(severity: Severity) -> Urgency {
    match severity {
        Severity::Critical => Urgency::High,
        Severity::High => Urgency::Raised,
        _ => Urgency::Usual,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range")
    }

    fn urgency() -> impl Strategy<Value = Urgency> {
        prop::sample::select(Urgency::ALL.to_vec())
    }

    #[test]
    fn worth_is_read_back() {
        for one in Urgency::ALL {
            assert_eq!(Urgency::worth_of(one.worth()), one);
        }
        assert_eq!(Urgency::worth_of(TimeDelta::days(-3)), Urgency::Usual);
    }

    proptest! {
        /// Of two that are as due, the exposed one goes first; of two that are as exposed, the one that has waited longer; and whoever has waited longer than
        /// the other one is worth more is never behind it.
        #[test]
        fn the_exposed_go_first_and_nobody_waits_for_ever(
            left in urgency(), right in urgency(), first in 0_i64..100_000_000, second in 0_i64..100_000_000,
        ) {
            let goes_first = left.rank(at(first)) < right.rank(at(second));
            if first == second {
                prop_assert_eq!(goes_first, left > right);
            }
            if left == right {
                prop_assert_eq!(goes_first, first < second);
            }
            let longer = at(second) - at(first);
            if longer > right.worth() - left.worth() {
                prop_assert!(goes_first);
            }
        }
    }
}
