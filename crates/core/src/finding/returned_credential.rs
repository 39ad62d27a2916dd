//! What was revoked is there again: its value lies in a place that did not hold it when it was revoked, or its issuer lists it again. Somebody
//! restored a backup, a pipeline wrote an old value, or a controller made an object again; a legacy ServiceAccount token that is made again
//! under its old name is the same token, and works.
//!
//! Sources: OWASP NHI1:2025 (improper offboarding); NIST SP 800-53 r5 IA-5e, PS-4b; NIST CSF 2.0 RS.MI-01.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{csf, nhi, sp800_53},
};
use crate::view::{Reprobe, ReturnedView, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "returned-credential",
    severity: Severity::Critical,
    suggested: "Find out who put it back, revoke it again (`claviger revoke REF --reason returned`), and take the value out of that place.",
    frameworks: &[nhi("NHI1:2025"), csf("RS.MI-01"), sp800_53("PS-4b")],
    check: Check::Returned(check),
};

fn check(returned: &ReturnedView, _: &Context) -> Option<Draft> {
    let credential = &returned.credential;
    let draft = match &returned.copy {
        Some(copy) => Draft::of(copy, format!("It holds a value of {credential}, which was revoked"))
            .with("copy", copy.as_str()),
        None => match returned.probe.as_ref().map(|probe| probe.answer) {
            Some(Reprobe::AcceptedAgain) => {
                Draft::of(credential, "Its issuer accepts it again, and it was revoked")
            }
            _ => Draft::of(credential, "Its issuer lists it again, and it was revoked"),
        },
    };
    let draft = match &returned.probe {
        Some(probe) => draft
            .with("probe", probe.answer.as_str())
            .with("probed_at", facts::instant(probe.at))
            .with("probe_evidence", probe.evidence.as_str()),
        None => draft,
    };
    let draft = draft
        .with("credential", credential.as_str())
        .with("state", returned.state.as_str())
        .with("revoked_at", facts::instant(returned.revoked_at));
    Some(draft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::CredentialState, reference::Ref, view::ReprobeView};

    fn returned(copy: Option<&str>) -> ReturnedView {
        ReturnedView {
            credential: Ref::from_text("db/role/app"),
            state: CredentialState::RevokedProven,
            revoked_at: chrono::DateTime::from_timestamp(0, 0).expect("in range"),
            copy: copy.map(Ref::from_text),
            probe: None,
        }
    }

    #[test]
    fn a_copy_and_an_issuer_are_told_apart() {
        let context = Context::new(chrono::DateTime::from_timestamp(9, 0).expect("in range"));
        let copy = check(&returned(Some("kv/a#b")), &context).expect("it holds");
        assert_eq!(copy.subject.as_str(), "kv/a#b");
        assert_eq!(copy.evidence["credential"], "db/role/app");
        let issuer = check(&returned(None), &context).expect("it holds");
        assert_eq!(issuer.subject.as_str(), "db/role/app");
        assert!(!issuer.evidence.contains_key("copy"));
    }

    #[test]
    fn what_a_trial_showed_is_evidence() {
        let at = chrono::DateTime::from_timestamp(5, 0).expect("in range");
        let context = Context::new(at);
        let tried = |answer, copy| {
            let probe = ReprobeView { at, answer, evidence: "SQLSTATE 28P01".to_owned() };
            check(&ReturnedView { probe: Some(probe), ..returned(copy) }, &context).expect("it holds")
        };
        let accepted = tried(Reprobe::AcceptedAgain, None);
        assert!(
            accepted.title.contains("accepts it again") && accepted.evidence["probe"] == "accepted-again"
        );
        assert!(tried(Reprobe::ListedAgain, None).title.contains("lists it again"));
        let refused = tried(Reprobe::StillRefused, Some("kv/a#b"));
        assert_eq!(refused.evidence["probe"], "still-refused");
        assert_eq!(refused.evidence["probe_evidence"], "SQLSTATE 28P01");
    }
}
