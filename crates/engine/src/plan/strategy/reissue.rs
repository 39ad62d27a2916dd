//! The steps of `reissue/1`.

use claviger_core::{
    model::ConsumerHow,
    reference::Ref,
    saga::{Action, Holder, Step, StepPhase},
};

use super::{adopt, plural};

pub(in crate::plan) fn reissue(
    subject: &Ref,
    holders: Vec<Holder>,
    authority: Option<&Holder>,
    consumers: &[(Ref, ConsumerHow)],
    grace: u64,
    at_once: usize,
) -> Vec<Step> {
    use StepPhase::{AfterPivot, BeforePivot, Pivot};
    let step = |action, at: &Ref, phase, detail: String| Step::new(action, at.clone(), phase, detail);
    let signer =
        authority.map_or("by itself".to_owned(), |holder| format!("by {}", holder.certificate.object()));
    let detail = format!(
        "read certificate and key from {}; make them again with another key, signed {signer}; seal both in the journal",
        plural(holders.len(), "object", "objects")
    );
    let mut steps = vec![step(Action::SealCertificate(authority.cloned()), subject, BeforePivot, detail)];
    for holder in &holders {
        let detail = "ask whether this object may be written".to_owned();
        steps.push(step(Action::CheckCopy, &holder.key, BeforePivot, detail));
    }
    let detail = "see that the key is the certificate's, that its signature holds, that it is valid, and that it says what the old one said".to_owned();
    steps.push(step(Action::VerifyCertificate(authority.cloned()), subject, BeforePivot, detail));
    for (index, holder) in holders.into_iter().enumerate() {
        let phase = if index == 0 { Pivot } else { AfterPivot };
        let trust = holder.trust.as_ref().and_then(Ref::field_name);
        let also = trust.map_or_else(String::new, |field| format!(", and the same certificate in {field},"));
        let target = holder.certificate.clone();
        let detail = format!("write the new certificate and its key{also} together, by compare-and-set");
        steps.push(step(Action::WriteCertificate(holder), &target, phase, detail));
    }
    steps.extend(adopt(consumers, at_once));
    if grace > 0 {
        let detail = format!("leave {grace} s in which it can still be taken back");
        steps.push(step(Action::AwaitGrace(grace), subject, AfterPivot, detail));
    }
    let detail = "read every object again: each must hold the new certificate and its key".to_owned();
    steps.push(step(Action::Conclude, subject, AfterPivot, detail));
    steps
}
