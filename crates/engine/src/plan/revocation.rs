//! The revocation of a credential that its issuer can delete: definition `revoke/1`.
//!
//! The value is read from a copy while there still is one: without it nobody can show that it is refused, and the best verdict is `attested`.

use claviger_core::{
    model::{CopyStage, CredentialState},
    saga::{Action, SagaKind, SagaPlan, Step, StepPhase},
    view::CredentialDetail,
};

use super::{Refusal, presence, readers, refuse};
use crate::{Engine, policy::policy_for};

/// Plans one revocation. Asks the issuer for the presence token, so that a re-created credential is not deleted by an old plan.
pub(super) async fn plan(engine: &Engine, detail: &CredentialDetail) -> Result<SagaPlan, Refusal> {
    use StepPhase::{AfterPivot, BeforePivot, Pivot};
    let credential = &detail.credential;
    let at = &credential.at;
    if matches!(credential.state, CredentialState::RevokedProven | CredentialState::Gone) {
        return Err(refuse(at, "already-gone", format!("its state is `{}`", credential.state)));
    }
    let member = engine.estate.member(at.backend()).map_err(|_| {
        refuse(
            at,
            "no-backend",
            format!("backend `{}` is not configured or could not be built", at.backend()),
        )
    })?;
    let capability = member.backend.capability();
    let issuer = member.backend.issuer().filter(|_| capability.revoke).ok_or_else(|| {
        refuse(
            at,
            "no-revoke",
            format!("backend `{}` cannot revoke a `{}` in this version", at.backend(), credential.kind),
        )
    })?;
    if credential.attributes.get("own").and_then(serde_json::Value::as_bool) == Some(true) {
        return Err(refuse(
            at,
            "self-lock",
            "it is the credential that claviger's own connection uses: revoking it would lock claviger out",
        ));
    }
    let policy = policy_for(&engine.estate.policies, credential)
        .map_err(|error| refuse(at, "policy-undecided", error.to_string()))?;
    if let Some(policy) = policy.filter(|policy| policy.retain) {
        return Err(refuse(
            at,
            "retain",
            format!("policy `{}` says `retain`: it is never revoked", policy.name),
        ));
    }
    let presence = presence(issuer, at).await?;
    let readable = detail.copies.iter().any(|copy| {
        copy.stage == CopyStage::Current
            && copy.fingerprint.is_some()
            && engine
                .estate
                .member(copy.at.backend())
                .is_ok_and(|member| member.backend.capability().read && member.backend.store().is_some())
    });
    let mut steps = Vec::new();
    let provable = readable && capability.verify;
    if provable {
        steps.push(Step::new(
            Action::SealOld,
            at.clone(),
            BeforePivot,
            "read the value from a copy and seal it, so that its refusal can be proven",
        ));
        steps.push(Step::new(
            Action::ControlProbe,
            at.clone(),
            BeforePivot,
            "log in with it: the positive control of the proof",
        ));
    }
    steps.push(Step::new(
        Action::Revoke(Some(presence)),
        at.clone(),
        Pivot,
        "make it unusable at its issuer",
    ));
    if capability.revoke_cache_seconds > 0 {
        let seconds = capability.revoke_cache_seconds;
        steps.push(Step::new(
            Action::AwaitCache(seconds),
            at.clone(),
            AfterPivot,
            format!("wait {seconds} s, until no cache may still accept it"),
        ));
    }
    steps.push(Step::new(
        Action::ProveRefused,
        at.clone(),
        AfterPivot,
        "log in with it: it must be refused; and it must not be there again",
    ));

    let mut notes = Vec::new();
    if !provable {
        notes.push("no copy of its value can be read: the verdict will be `attested` at most".to_owned());
    }
    let others: Vec<_> = detail
        .copies
        .iter()
        .filter(|copy| copy.stage == CopyStage::Current && copy.at.object() != *at)
        .collect();
    notes.extend(
        others.iter().map(|copy| format!("{} holds the same value and will hold a dead one", copy.at)),
    );
    if let Some(identity) = &detail.identity {
        notes.push(format!("it authenticates {} ({} privilege)", identity.at, identity.privilege));
    }
    Ok(SagaPlan {
        kind: SagaKind::Revocation,
        definition: "revoke/1".to_owned(),
        credential: credential.id,
        subject: at.clone(),
        strategy: "revoke".to_owned(),
        steps,
        breaks: readers(detail).into_iter().map(|(consumer, _)| consumer).collect(),
        reversible_until: "revoke".to_owned(),
        notes,
    })
}
