//! The due date of its policy has passed.
//!
//! Sources: NIST SP 800-53 r5 IA-5f; PCI DSS 4.0.1 8.6.3.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{pci_dss, sp800_53},
};
use crate::view::{CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "rot-overdue",
    severity: Severity::High,
    suggested: "Rotate it now, and see why the schedule did not.",
    frameworks: &[sp800_53("IA-5f"), pci_dss("8.6.3")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let due = credential.next_due_at.filter(|due| *due < context.now)?;
    if !facts::usable(credential) {
        return None;
    }
    let draft = Draft::of(&credential.at, format!("It was due for rotation on {}", facts::day(due)))
        .with("due_at", facts::instant(due));
    Some(match &credential.policy {
        Some(policy) => draft.with("policy", policy.as_str()),
        None => draft,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    #[test]
    fn holds_after_the_due_date() {
        let due = |days| {
            let mut detail = sample::credential("db/role/app", CredentialKind::Password);
            detail.credential.next_due_at = Some(sample::days_ago(days));
            detail
        };
        sample::holds(&RULE, due(1));
        sample::spares(&RULE, &due(-1));
        sample::spares(&RULE, &sample::credential("db/role/app", CredentialKind::Password));
    }
}
