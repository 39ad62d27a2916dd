//! The rotation of a value that we make and set, at a target that holds one value: strategy `replace`, definition `replace/1`.
//!
//! Everything up to `set-at-issuer` changes nothing but our own database. Setting is the pivot: from there on the copies follow, then their
//! consumers, and at the end the old value must be refused.

use claviger_backend::{Overlap, ValueOrigin};
use claviger_core::{
    model::{ConsumerHow, CopyStage, CredentialState},
    reference::Ref,
    saga::{Action, SagaKind, SagaPlan, Step, StepPhase},
    view::{CopyView, CredentialDetail},
};

use super::{Refusal, RotateOptions, readers, refuse};
use crate::{Engine, policy::policy_for};

/// Plans one rotation.
pub(super) fn plan(
    engine: &Engine,
    detail: &CredentialDetail,
    options: &RotateOptions,
) -> Result<SagaPlan, Refusal> {
    let credential = &detail.credential;
    let at = &credential.at;
    if credential.state != CredentialState::Active {
        return Err(refuse(
            at,
            "not-active",
            format!("its state is `{}`: only an active credential is rotated", credential.state),
        ));
    }
    let member = engine.estate.member(at.backend()).map_err(|_| {
        refuse(
            at,
            "no-backend",
            format!("backend `{}` is not configured or could not be built", at.backend()),
        )
    })?;
    let capability = member.backend.capability();
    if !capability.issue || member.backend.issuer().is_none() {
        return Err(refuse(
            at,
            "no-issuer",
            format!(
                "backend `{}` cannot issue a `{}`: only its copies are known, or its kind cannot be rotated by this version",
                at.backend(),
                credential.kind
            ),
        ));
    }
    if capability.origin != ValueOrigin::SetByUs || capability.overlap != Overlap::None {
        return Err(refuse(at, "no-strategy", "this version rotates by strategy `replace` only"));
    }
    if detail.credential.attributes.get("own").and_then(serde_json::Value::as_bool) == Some(true) {
        return Err(refuse(
            at,
            "self-lock",
            "it is the credential that claviger's own connection uses: rotating it would lock claviger out; use another account for the connection",
        ));
    }
    if let Some(policy) = policy_for(&engine.estate.policies, credential) {
        if policy.approvals > 0 {
            return Err(refuse(
                at,
                "approval",
                format!(
                    "policy `{}` wants {} approvals, which this version cannot take",
                    policy.name, policy.approvals
                ),
            ));
        }
        if let Some(strategy) = policy.strategy.as_deref().filter(|strategy| *strategy != "replace") {
            return Err(refuse(
                at,
                "no-strategy",
                format!(
                    "policy `{}` asks for strategy `{strategy}`; this version has `replace`",
                    policy.name
                ),
            ));
        }
    }
    let current: Vec<&CopyView> =
        detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current).collect();
    let (writable, stale): (Vec<&CopyView>, Vec<&CopyView>) =
        current.into_iter().partition(|copy| can_write(engine, copy));
    if !stale.is_empty() && !options.leave_stale {
        let names: Vec<_> = stale.iter().map(|copy| copy.at.as_str()).collect();
        return Err(refuse(
            at,
            "copy-read-only",
            format!(
                "claviger cannot write {}: change {} at the source, or accept that the old value stays there with `--leave-stale`",
                names.join(", "),
                if names.len() == 1 { "it" } else { "them" }
            ),
        ));
    }
    if writable.is_empty() {
        return Err(refuse(
            at,
            "no-copy",
            "no copy of it is known that claviger can write: the new value would be known to nobody; scan the store that holds it, or declare the copy under [[credentials]]",
        ));
    }
    // A workload in a folder of manifests runs nowhere: whoever applies the folder restarts it.
    let (running, declared): (Vec<_>, Vec<_>) = readers(detail).into_iter().partition(|(consumer, _)| {
        engine.estate.member(consumer.backend()).is_ok_and(|member| {
            let capability = member.backend.capability();
            capability.refresh && capability.adopted && member.backend.runtime().is_some()
        })
    });
    let steps = steps(at, &writable, &running);
    let mut notes = vec![format!(
        "{} holds one value at a time: between the change and the restart of its consumers, new logins with the old value fail",
        at
    )];
    notes.extend(
        stale.iter().map(|copy| format!("{} cannot be written and will hold the old value", copy.at)),
    );
    notes.extend(writable.iter().filter(|copy| copy.evidence == "claimed").map(|copy| format!("{} is only claimed to be a copy: it must hold the value that the issuer accepts, else nothing is changed", copy.at)));
    notes.extend(
        declared
            .iter()
            .map(|(consumer, _)| format!("{consumer} reads it too, and claviger cannot restart it")),
    );
    Ok(SagaPlan {
        kind: SagaKind::Rotation,
        definition: "replace/1".to_owned(),
        credential: credential.id,
        subject: at.clone(),
        strategy: "replace".to_owned(),
        steps,
        breaks: readers(detail).into_iter().map(|(consumer, _)| consumer).collect(),
        reversible_until: "set-at-issuer".to_owned(),
        notes,
    })
}

fn can_write(engine: &Engine, copy: &CopyView) -> bool {
    engine.estate.member(copy.at.backend()).is_ok_and(|member| {
        let capability = member.backend.capability();
        capability.read
            && capability.write
            && capability.write_with_expect
            && member.backend.store().is_some()
    })
}

fn steps(subject: &Ref, copies: &[&CopyView], consumers: &[(Ref, ConsumerHow)]) -> Vec<Step> {
    use StepPhase::{AfterPivot, BeforePivot, Pivot};
    let mut steps = vec![Step::new(
        Action::SealValues,
        subject.clone(),
        BeforePivot,
        format!(
            "read the value from {} and show that it is accepted; make a new one; seal both in the journal",
            plural(copies.len(), "copy", "copies")
        ),
    )];
    for copy in copies {
        steps.push(Step::new(
            Action::CheckCopy,
            copy.at.clone(),
            BeforePivot,
            "ask whether this copy may be written",
        ));
    }
    steps.push(Step::new(Action::SetAtIssuer, subject.clone(), Pivot, "set the new value; the old one ends"));
    steps.push(Step::new(Action::VerifyNew, subject.clone(), AfterPivot, "log in with the new value"));
    for copy in copies {
        let version =
            copy.version.as_deref().map_or_else(String::new, |version| format!(" (now version {version})"));
        steps.push(Step::new(
            Action::WriteCopy,
            copy.at.clone(),
            AfterPivot,
            format!("write the new value by compare-and-set{version}"),
        ));
    }
    let restart: Vec<_> = consumers.iter().filter(|(_, how)| needs_refresh(*how)).collect();
    for (consumer, how) in &restart {
        steps.push(Step::new(
            Action::Refresh(*how),
            consumer.clone(),
            AfterPivot,
            "restart it so that it reads its copies again",
        ));
    }
    for (consumer, _) in &restart {
        steps.push(Step::new(
            Action::AwaitAdoption,
            consumer.clone(),
            AfterPivot,
            "wait until it runs on the new value and is ready",
        ));
    }
    steps.push(Step::new(
        Action::ProveRefused,
        subject.clone(),
        AfterPivot,
        "log in with the old value: it must be refused",
    ));
    steps
}

fn needs_refresh(how: ConsumerHow) -> bool {
    matches!(how, ConsumerHow::Env | ConsumerHow::EnvFrom | ConsumerHow::Volume | ConsumerHow::Projected)
}

fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}
