//! `kubectl apply` wrote the Secret's whole content into the annotation `kubectl.kubernetes.io/last-applied-configuration`: the value lies there
//! a second time, stays there when the Secret is changed by other means, and is printed by tools that hide `data`.
//!
//! Source: OWASP NHI2:2025.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::view::{CopyView, CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-last-applied",
    severity: Severity::High,
    suggested: "Apply the Secret server-side (`kubectl apply --server-side`), remove the annotation, then rotate the value.",
    frameworks: &[nhi("NHI2:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let annotated = || detail.copies.iter().filter(|copy| is_last_applied(copy));
    let count = annotated().count();
    (count > 0).then(|| {
        Draft::of(
            &detail.credential.at,
            "A Secret's annotation last-applied-configuration holds the value again",
        )
        .with("count", count)
        .with("places", facts::refs(annotated().map(|copy| &copy.at)))
    })
}

/// Of any stage: the annotation may hold the present value or a former one.
fn is_last_applied(copy: &CopyView) -> bool {
    facts::flag(&copy.attributes, "last_applied")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{CopyStage, CredentialKind},
    };

    #[test]
    fn holds_of_what_the_annotation_holds() {
        let password = || sample::credential("prod/web/Secret/db#password", CredentialKind::Password);
        let copy = || sample::copy("prod/web/Secret/db#password");
        let annotated = copy().staged(CopyStage::Former).say("last_applied", true);
        sample::holds(&RULE, password().copied(copy()).copied(annotated));
        sample::spares(&RULE, &password().copied(copy()).copied(copy().staged(CopyStage::Former)));
    }
}
