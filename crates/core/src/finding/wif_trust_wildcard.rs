//! A role takes tokens of another issuer without saying exactly whose, or for whom: who gets hold of such a token may become the role. Or it
//! takes anybody.
//!
//! Source: OWASP NHI6:2025. Backends say in `trust_gaps` what the role does not ask, in the words of [`crate::trust::Gap`].

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    trust::Gap,
    view::{IdentityView, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "wif-trust-wildcard",
    severity: Severity::Critical,
    suggested: "Name the exact subject and audience in the role's trust.",
    frameworks: &[nhi("NHI6:2025")],
    check: Check::Identity(check),
};

/// How bad, and what is wrong; `None`: another rule's business.
fn meaning(gap: Gap) -> Option<(Severity, &'static str)> {
    match gap {
        Gap::AnyPrincipal => Some((Severity::Critical, "Anybody may become this role")),
        Gap::SubjectMissing | Gap::SubjectWildcard => {
            Some((Severity::Critical, "Any workload of an issuer may become this role"))
        }
        Gap::AudienceMissing | Gap::AudienceWildcard => {
            Some((Severity::High, "This role takes tokens that were made for somebody else"))
        }
        Gap::SubjectPattern => Some((Severity::Medium, "Whoever meets a pattern may become this role")),
        Gap::Organisation => None,
    }
}

fn check(identity: &IdentityView, _: &Context) -> Option<Draft> {
    let attributes = &identity.attributes;
    let gaps = facts::gaps(attributes);
    // Gaps come with the worst first.
    let (severity, title) = gaps.iter().find_map(|gap| meaning(*gap))?;
    let words: Vec<&str> =
        gaps.iter().filter(|gap| meaning(**gap).is_some()).map(|gap| gap.as_str()).collect();
    let mut draft = Draft::of(&identity.at, title).with("trust_gaps", words);
    draft.severity = Some(severity);
    Some(facts::trust_evidence(draft, attributes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::IdentityKind};

    fn role(gaps: &[&str]) -> IdentityView {
        let mut role = sample::identity("aws/iam/role/deploy", IdentityKind::AwsRole);
        role.attributes.insert("trust_gaps".to_owned(), gaps.to_vec().into());
        role.attributes.insert("web_identity_subjects".to_owned(), vec!["repo:acme/web:*"].into());
        role
    }

    #[test]
    fn holds_of_roles_that_do_not_ask_whose_or_for_whom() {
        for (gaps, severity) in [
            (&["any-principal"][..], Severity::Critical),
            (&["subject-missing", "audience-missing"], Severity::Critical),
            (&["subject-wildcard"], Severity::Critical),
            (&["organisation", "audience-missing"], Severity::High),
            (&["audience-wildcard"], Severity::High),
            (&["subject-pattern"], Severity::Medium),
        ] {
            let draft = check(&role(gaps), &Context::new(sample::now())).expect("a finding");
            assert_eq!(draft.severity, Some(severity), "{gaps:?}");
            assert_eq!(draft.evidence["web_identity_subjects"][0], "repo:acme/web:*");
        }
        sample::holds_of_identity(&RULE, &role(&["subject-missing"]));
    }

    #[test]
    fn spares_exact_trusts_and_what_is_unknown() {
        sample::spares_identity(&RULE, &role(&[]));
        sample::spares_identity(&RULE, &role(&["organisation"]));
        sample::spares_identity(&RULE, &role(&["a word of tomorrow"]));
        let mut unknown = role(&[]);
        unknown.attributes.clear();
        sample::spares_identity(&RULE, &unknown);
    }
}
