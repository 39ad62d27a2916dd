//! A kubeconfig with a token or key of its own lies in a store or a file: the way into the cluster that nobody logs in for.
//!
//! Sources: OWASP NHI6:2025 and NHI7:2025. A kubeconfig whose user is an `exec` plugin carries nothing and is not a credential.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CopyView, CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "kubeconfig-embedded",
    severity: Severity::High,
    suggested: "Let CI log in through OIDC, or issue a bound token per job; then revoke what this kubeconfig carries.",
    frameworks: &[nhi("NHI6:2025"), nhi("NHI7:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let embedded = || {
        facts::current(detail)
            .filter(|copy| credential.kind == CredentialKind::Kubeconfig || says_kubeconfig(copy))
    };
    let count = embedded().count();
    let holds = facts::live(credential) && credential.long_lived && count > 0;
    holds.then(|| {
        Draft::of(&credential.at, "A kubeconfig carries its own credential")
            .with("count", count)
            .with("places", facts::refs(embedded().map(|copy| &copy.at)))
    })
}

fn says_kubeconfig(copy: &CopyView) -> bool {
    facts::text(&copy.attributes, "format") == Some("kubeconfig")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_what_lies_in_a_kubeconfig() {
        let at = "prod/ci/Secret/kubeconfig#config/users/0/user/token";
        let token = || sample::credential(at, CredentialKind::ServiceAccountToken);
        sample::holds(&RULE, token().copied(sample::copy(at).say("format", "kubeconfig")));
        sample::holds(&RULE, sample::credential(at, CredentialKind::Kubeconfig).copied(sample::copy(at)));
        sample::spares(&RULE, &token().copied(sample::copy(at)));
    }
}
