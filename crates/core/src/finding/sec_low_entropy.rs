//! A machine's secret that can be guessed. A machine can hold 128 bits as well as 30.
//!
//! Sources: NIST SP 800-53 r5 IA-5c; PCI DSS 4.0.1 8.6.3 (complexity that fits the frequency of change). The estimate is made while the value is
//! in memory; only its verdict is kept.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{pci_dss, sp800_53},
};
use crate::{
    canonical::Weakness,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "sec-low-entropy",
    severity: Severity::Medium,
    suggested: "Rotate it to a generated value of 128 bits or more.",
    frameworks: &[sp800_53("IA-5c"), pci_dss("8.6.3")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let weak = || facts::weak(detail, &[Weakness::Short, Weakness::Guessable]);
    (facts::live(&detail.credential) && weak().next().is_some()).then(|| {
        Draft::of(&detail.credential.at, "The value can be guessed")
            .with("count", weak().count())
            .with("places", facts::refs(weak().map(|copy| &copy.at)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    #[test]
    fn holds_of_short_and_guessable_values() {
        let at = "prod/web/Secret/db#password";
        let password = || sample::credential(at, CredentialKind::Password);
        let weak = |weakness: Weakness| sample::copy(at).say("weak", weakness.to_string());
        sample::holds(&RULE, password().copied(weak(Weakness::Short)));
        sample::holds(&RULE, password().copied(weak(Weakness::Guessable)));
        sample::spares(&RULE, &password().copied(weak(Weakness::KnownDefault)));
        sample::spares(&RULE, &password().copied(sample::copy(at)));
    }
}
