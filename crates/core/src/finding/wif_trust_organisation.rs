//! A role takes tokens of everybody in an organisation or a group: every repository, also the one that somebody makes tomorrow.
//!
//! Source: OWASP NHI6:2025, and PR.AA-05 of NIST CSF 2.0, as least privilege asks for the one workload that needs it. Backends say in `trust_gaps`
//! what the role does not ask, in the words of [`crate::trust::Gap`].

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{csf, nhi},
};
use crate::{
    trust::Gap,
    view::{IdentityView, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "wif-trust-organisation",
    severity: Severity::High,
    suggested: "Name the one repository, project or account that needs the role, and its branch or environment.",
    frameworks: &[nhi("NHI6:2025"), csf("PR.AA-05")],
    check: Check::Identity(check),
};

fn check(identity: &IdentityView, _: &Context) -> Option<Draft> {
    let attributes = &identity.attributes;
    facts::gaps(attributes).contains(&Gap::Organisation).then(|| {
        let draft = Draft::of(&identity.at, "Everybody in an organisation may become this role")
            .with("trust_gaps", vec![Gap::Organisation.as_str()]);
        facts::trust_evidence(draft, attributes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::IdentityKind};

    #[test]
    fn holds_of_roles_that_take_a_whole_organisation() {
        let role = |gap: &str| {
            let mut role = sample::identity("aws/iam/role/deploy", IdentityKind::AwsRole);
            role.attributes.insert("trust_gaps".to_owned(), vec![gap].into());
            role
        };
        sample::holds_of_identity(&RULE, &role("organisation"));
        sample::spares_identity(&RULE, &role("subject-pattern"));
        let mut unknown = role("organisation");
        unknown.attributes.clear();
        sample::spares_identity(&RULE, &unknown);
    }
}
