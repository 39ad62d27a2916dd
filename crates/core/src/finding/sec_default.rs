//! A value that products ship with or that everybody tries first.
//!
//! Sources: NIST SP 800-53 r5 IA-5e; PCI DSS 4.0.1 2.2.2.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{pci_dss, sp800_53},
};
use crate::{
    canonical::Weakness,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "sec-default",
    severity: Severity::Critical,
    suggested: "Rotate it to a generated value now.",
    frameworks: &[sp800_53("IA-5e"), pci_dss("2.2.2")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let weak = || facts::weak(detail, &[Weakness::KnownDefault]);
    (facts::live(&detail.credential) && weak().next().is_some()).then(|| {
        Draft::of(&detail.credential.at, "The value is a known default")
            .with("count", weak().count())
            .with("places", facts::refs(weak().map(|copy| &copy.at)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    #[test]
    fn holds_of_known_defaults() {
        let at = "prod/web/Secret/db#password";
        let password = || sample::credential(at, CredentialKind::Password);
        let weak = |weakness: Weakness| sample::copy(at).say("weak", weakness.to_string());
        sample::holds(&RULE, password().copied(weak(Weakness::KnownDefault)));
        sample::spares(&RULE, &password().copied(weak(Weakness::Short)));
        sample::spares(&RULE, &password().copied(sample::copy(at)));
    }
}
