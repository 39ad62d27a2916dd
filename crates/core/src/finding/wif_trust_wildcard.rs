//! A cloud role that takes tokens of an OIDC issuer without saying whose: any workload of that issuer, of any customer, may become the role.
//!
//! Source: OWASP NHI6:2025. The backend says `trust_wildcard` where `sub` is missing or a bare wildcard, or where anybody is trusted.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::view::{IdentityView, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "wif-trust-wildcard",
    severity: Severity::Critical,
    suggested: "Name the exact `sub` and `aud` in the role's trust policy.",
    frameworks: &[nhi("NHI6:2025")],
    check: Check::Identity(check),
};

fn check(identity: &IdentityView, _: &Context) -> Option<Draft> {
    let attributes = &identity.attributes;
    let holds = facts::flag(attributes, "web_identity") && facts::flag(attributes, "trust_wildcard");
    holds.then(|| {
        let facts = ["web_identity_providers", "web_identity_subjects", "web_identity_audiences"];
        facts.into_iter().filter_map(|key| Some((key, attributes.get(key)?.clone()))).fold(
            Draft::of(&identity.at, "Any workload of an OIDC issuer may become this role")
                .with("trust_wildcard", true),
            |draft, (key, value)| draft.with(key, value),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::IdentityKind};

    #[test]
    fn holds_of_roles_that_trust_any_subject() {
        let role = |wildcard: bool| {
            let mut role = sample::identity("aws/iam/role/deploy", IdentityKind::AwsRole);
            role.attributes.insert("web_identity".to_owned(), true.into());
            role.attributes.insert("trust_wildcard".to_owned(), wildcard.into());
            role
        };
        sample::holds_of_identity(&RULE, &role(true));
        sample::spares_identity(&RULE, &role(false));
        let mut other = role(true);
        other.attributes.remove("web_identity");
        sample::spares_identity(&RULE, &other);
    }
}
