//! A copy holds a value that its issuer refuses: whoever reads it cannot log in. Somebody changed the password at the target, or the copy, past us.
//!
//! Sources: OWASP NHI7:2025 (a change that did not reach every copy); NIST SP 800-53 r5 CA-7 (continuous monitoring), IA-5e. Rests on a login that was
//! refused, seen twice with the copy read again in between; what could not be asked is no refusal.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{nhi, sp800_53},
};
use crate::{agreement::Agreement, view::Severity};

pub(super) const RULE: Rule = Rule {
    slug: "verify-refused",
    severity: Severity::Critical,
    suggested: "Find out who changed it, then rotate it: that puts one accepted value into every copy.",
    frameworks: &[nhi("NHI7:2025"), sp800_53("CA-7")],
    check: Check::Verified(check),
};

fn check(seen: &Agreement, _: &Context) -> Option<Draft> {
    let first = seen.refused().next()?;
    let count = seen.refused().count();
    let whole = if count == seen.copies.len() { "every copy of it" } else { "some copies of it" };
    Some(
        Draft::of(&seen.at, format!("Its issuer refuses what {whole} holds"))
            .with("count", count)
            .with("places", facts::refs(seen.refused().map(|copy| &copy.at)))
            .with("evidence", first.evidence.as_str()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_a_refused_copy_alone() {
        use crate::agreement::Login::{Accepted, Refused, Unknown};
        let context = Context::new(sample::now());
        let seen = |logins: &[_]| sample::agreement("db/role/app", logins);
        let found = check(&seen(&[(Accepted, Some(0)), (Refused, Some(1))]), &context).expect("it holds");
        assert_eq!((found.evidence["count"].as_u64(), found.subject.as_str()), (Some(1), "db/role/app"));
        assert!(found.title.contains("some copies"));
        assert!(check(&seen(&[(Accepted, Some(0)), (Unknown, None)]), &context).is_none());
    }
}
