//! The rotation of a value that we make. Which strategy it takes is the issuer's nature, which its offer says.
//!
//! `replace/1`, where the target holds one value: everything up to `set-at-issuer` changes nothing but our own database. Setting is the pivot:
//! from there on the copies follow, then their consumers, and at the end the old value must be refused.
//!
//! `dual/1`, where it holds several: the new value is added beside the old one and tried, and until the first copy is written all of it is
//! taken back if something fails. The copies follow, then their consumers; only when all of them are seen to run on the new value is
//! the old one ended, and must then be refused. Nobody's logins fail in between.

use claviger_backend::{Capability, Overlap};
use claviger_core::{
    model::{ConsumerHow, CopyStage, CredentialState},
    reference::Ref,
    saga::{Action, SagaKind, SagaPlan, Step, StepPhase},
    view::{CopyView, CredentialDetail},
};

use super::{Refusal, RotateOptions, readers, refuse};
use crate::{Engine, policy::policy_for};

/// Plans one rotation.
pub(super) async fn plan(
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
    let issuer = member.backend.issuer().filter(|_| capability.issue);
    let offered = issuer.and_then(|issuer| Some((issuer, issuer.offer(at)?)));
    let Some((issuer, offer)) = offered else {
        return Err(refuse(
            at,
            "no-issuer",
            format!(
                "backend `{}` cannot issue a `{}`: only its copies are known, or its kind cannot be rotated by this version",
                at.backend(),
                credential.kind
            ),
        ));
    };
    let strategy = match offer.overlap {
        Overlap::None => "replace",
        Overlap::Dual if capability.revoke && capability.identify && capability.verify => "dual",
        Overlap::Dual | Overlap::Alternating => {
            return Err(refuse(
                at,
                "no-strategy",
                "this version rotates by strategies `replace` and `dual` only",
            ));
        }
    };
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
        if let Some(wanted) = policy.strategy.as_deref().filter(|wanted| *wanted != strategy) {
            return Err(refuse(
                at,
                "no-strategy",
                format!(
                    "policy `{}` asks for strategy `{wanted}`; what this version has for its issuer is `{strategy}`",
                    policy.name
                ),
            ));
        }
        if policy.retain && strategy == "dual" {
            return Err(refuse(
                at,
                "retain",
                format!("policy `{}` says `retain`: the old value would be ended", policy.name),
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
    let mut notes = Vec::new();
    let (steps, reversible_until, breaks) = if strategy == "dual" {
        notes.push(
            "both values are accepted until the old one is ended, after every consumer below runs on the new one; it gets a name of its own, which the next scan lists"
                .to_owned(),
        );
        let ending = super::presence(issuer, at).await?;
        let grace = policy_for(&engine.estate.policies, credential).and_then(|policy| policy.grace);
        let grace = grace.and_then(|grace| u64::try_from(grace.num_seconds()).ok()).unwrap_or(0);
        notes.push(
            "whether somebody unknown still uses the old value is not measured: whoever does is cut off when it is ended"
                .to_owned(),
        );
        let steps = dual(at, &writable, &running, grace, ending, capability);
        let pivot = format!("{}:{}", Action::WriteCopy.name(), writable[0].at);
        (steps, pivot, declared.iter().map(|(consumer, _)| consumer.clone()).collect())
    } else {
        notes.push(format!(
            "{at} holds one value at a time: between the change and the restart of its consumers, new logins with the old value fail"
        ));
        let breaks = readers(detail).into_iter().map(|(consumer, _)| consumer).collect();
        (replace(at, &writable, &running), "set-at-issuer".to_owned(), breaks)
    };
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
        definition: format!("{strategy}/1"),
        credential: credential.id,
        subject: at.clone(),
        strategy: strategy.to_owned(),
        steps,
        breaks,
        reversible_until,
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

fn replace(subject: &Ref, copies: &[&CopyView], consumers: &[(Ref, ConsumerHow)]) -> Vec<Step> {
    use StepPhase::{AfterPivot, Pivot};
    let mut steps = prepare(subject, copies);
    steps.push(Step::new(Action::SetAtIssuer, subject.clone(), Pivot, "set the new value; the old one ends"));
    steps.push(Step::new(Action::VerifyNew, subject.clone(), AfterPivot, "log in with the new value"));
    steps.extend(copies.iter().map(|copy| write(copy, AfterPivot)));
    steps.extend(adopt(consumers));
    steps.push(refused(subject));
    steps
}

fn dual(
    subject: &Ref,
    copies: &[&CopyView],
    consumers: &[(Ref, ConsumerHow)],
    grace: u64,
    ending: String,
    capability: Capability,
) -> Vec<Step> {
    use StepPhase::{AfterPivot, BeforePivot, Pivot};
    let mut steps = prepare(subject, copies);
    let target = subject.clone();
    steps.push(Step::new(
        Action::AddAtIssuer,
        target.clone(),
        BeforePivot,
        "add the new value; the old one goes on working",
    ));
    steps.push(Step::new(Action::VerifyNew, target.clone(), BeforePivot, "log in with the new value"));
    steps.extend(
        copies
            .iter()
            .enumerate()
            .map(|(index, copy)| write(copy, if index == 0 { Pivot } else { AfterPivot })),
    );
    steps.extend(adopt(consumers));
    if grace > 0 {
        let detail = format!("leave the old value for {grace} s, in case somebody still has it");
        steps.push(Step::new(Action::AwaitGrace(grace), target.clone(), AfterPivot, detail));
    }
    steps.push(Step::new(Action::Revoke(Some(ending)), target.clone(), AfterPivot, "end the old value"));
    if capability.revoke_cache_seconds > 0 {
        let seconds = capability.revoke_cache_seconds;
        let detail = format!("wait {seconds} s, until no cache may still accept it");
        steps.push(Step::new(Action::AwaitCache(seconds), target, AfterPivot, detail));
    }
    steps.push(refused(subject));
    steps
}

fn prepare(subject: &Ref, copies: &[&CopyView]) -> Vec<Step> {
    let mut steps = vec![Step::new(
        Action::SealValues,
        subject.clone(),
        StepPhase::BeforePivot,
        format!(
            "read the value from {} and show that it is accepted; make a new one; seal both in the journal",
            plural(copies.len(), "copy", "copies")
        ),
    )];
    for copy in copies {
        let detail = "ask whether this copy may be written";
        steps.push(Step::new(Action::CheckCopy, copy.at.clone(), StepPhase::BeforePivot, detail));
    }
    steps
}

fn write(copy: &CopyView, phase: StepPhase) -> Step {
    let version =
        copy.version.as_deref().map_or_else(String::new, |version| format!(" (now version {version})"));
    let detail = format!("write the new value by compare-and-set{version}");
    Step::new(Action::WriteCopy, copy.at.clone(), phase, detail)
}

/// Restarts of all consumers, then a wait for each.
fn adopt(consumers: &[(Ref, ConsumerHow)]) -> Vec<Step> {
    let restart: Vec<_> = consumers.iter().filter(|(_, how)| needs_refresh(*how)).collect();
    let refreshes = restart.iter().map(|(consumer, how)| {
        let detail = "restart it so that it reads its copies again";
        Step::new(Action::Refresh(*how), consumer.clone(), StepPhase::AfterPivot, detail)
    });
    let adoptions = restart.iter().map(|(consumer, _)| {
        let detail = "wait until it runs on the new value and is ready";
        Step::new(Action::AwaitAdoption, consumer.clone(), StepPhase::AfterPivot, detail)
    });
    refreshes.chain(adoptions).collect()
}

fn refused(subject: &Ref) -> Step {
    let detail = "log in with the old value: it must be refused";
    Step::new(Action::ProveRefused, subject.clone(), StepPhase::AfterPivot, detail)
}

fn needs_refresh(how: ConsumerHow) -> bool {
    matches!(how, ConsumerHow::Env | ConsumerHow::EnvFrom | ConsumerHow::Volume | ConsumerHow::Projected)
}

fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}
