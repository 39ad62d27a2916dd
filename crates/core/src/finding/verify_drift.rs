//! Copies of one credential hold unlike values, as a verification read them: somebody wrote one of them past us. `copy-drift` says the same of what the
//! newest scan saw.
//!
//! Sources: OWASP NHI7:2025 (a rotation that did not reach every copy); NIST SP 800-53 r5 CA-7 (continuous monitoring).

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{nhi, sp800_53},
};
use crate::{
    agreement::{Agreement, Login},
    view::Severity,
};

pub(super) const RULE: Rule = Rule {
    slug: "verify-drift",
    severity: Severity::High,
    suggested: "See which value the issuer accepts, put that one everywhere, and restart what had read the other.",
    frameworks: &[nhi("NHI7:2025"), sp800_53("CA-7")],
    check: Check::Verified(check),
};

fn check(seen: &Agreement, _: &Context) -> Option<Draft> {
    if seen.values() < 2 {
        return None;
    }
    let accepted = seen.copies.iter().filter(|copy| copy.login == Login::Accepted);
    Some(
        Draft::of(&seen.at, format!("Its copies hold {} unlike values", seen.values()))
            .with("values", seen.values())
            .with("places", facts::refs(seen.copies.iter().map(|copy| &copy.at)))
            .with("accepted", facts::refs(accepted.map(|copy| &copy.at))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_unlike_values_and_not_of_unread_ones() {
        use crate::agreement::Login::{Accepted, Unknown};
        let context = Context::new(sample::now());
        let seen = |logins: &[_]| sample::agreement("db/role/app", logins);
        let found = check(&seen(&[(Accepted, Some(0)), (Unknown, Some(1))]), &context).expect("it holds");
        assert_eq!(found.evidence["accepted"].as_array().map(Vec::len), Some(1));
        assert!(
            check(&seen(&[(Accepted, Some(0)), (Accepted, Some(0)), (Unknown, None)]), &context).is_none()
        );
    }
}
