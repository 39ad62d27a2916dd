//! Objects that tokens are bound to: a ServiceAccount, a pod. Such tokens lie nowhere, so that no credential of the inventory stands for them; the
//! object does: definitions `recreate/1` and `end-object/1`.
//!
//! What ends with it is looked at first: nothing that must stay (`retain`, a legal hold, claviger's own), nobody who would not come back.

use claviger_backend::{Anchor, Anchored, Anchors, Derived, Descent, ErrorKind, Standing};
use claviger_core::{
    id::CredentialId,
    model::{ConsumerHow, CredentialKind, CredentialState},
    reference::Ref,
    saga::{Action, SagaKind, SagaPlan, Step, StepPhase},
    view::{CredentialDetail, CredentialView, IdentityView},
};
use claviger_store::port::Selection;

use super::{FORCED, Refusal, RevokeOptions, blast, blast::Blast, refuse, revocation, strategy};
use crate::{Engine, Error, Result, policy::policy_for, selector::Selector};

/// So many pods are named.
const NAMED: usize = 50;

/// The object that a selector names and nothing else, if tokens are bound to it.
pub(super) fn named(engine: &Engine, selector: &Selector) -> Option<(Ref, Anchor)> {
    let at = selector.named()?;
    let anchor = anchors(engine, &at)?.anchor(&at)?;
    Some((at, anchor))
}

fn anchors<'e>(engine: &'e Engine, at: &Ref) -> Option<&'e dyn Anchors> {
    engine.estate.member(at.backend()).ok()?.backend.anchors()
}

/// The id under which sagas of an object's tokens are kept: always the same.
pub(super) fn id(at: &Ref) -> CredentialId {
    CredentialId::bound_to(at.as_str())
}

/// What stands for the tokens that are bound to an object, for policies and guards.
pub(crate) async fn stand_in(engine: &Engine, plan: &SagaPlan) -> Result<Option<CredentialView>> {
    let at = &plan.subject;
    if plan.credential != id(at) {
        return Ok(None);
    }
    let account = match anchors(engine, at).filter(|anchors| anchors.anchor(at).is_some()) {
        // One that is gone already belongs to nobody.
        Some(anchors) => anchors.anchored(at).await.ok().and_then(|anchored| anchored.account),
        None => None,
    };
    Ok(Some(detail(engine, at, account.as_ref()).await?.credential))
}

pub(super) async fn detail(engine: &Engine, at: &Ref, account: Option<&Ref>) -> Result<CredentialDetail> {
    let account = account.unwrap_or(at);
    let inventory = &engine.ports.inventory;
    let identities = inventory.identities(&Selection::default()).await?;
    let identity: Option<IdentityView> = identities.into_iter().find(|identity| identity.at == *account);
    let consumers = inventory.consumers(&Selection::default()).await?;
    let consumers: Vec<_> = consumers.into_iter().filter(|consumer| consumer.copy == *at).collect();
    let now = engine.clock.now();
    let credential = CredentialView {
        id: id(at),
        at: at.clone(),
        kind: CredentialKind::BoundToken,
        backend: at.backend().to_owned(),
        identity: Some(account.clone()),
        owner: identity.as_ref().and_then(|identity| identity.owner.clone()),
        state: CredentialState::Active,
        long_lived: false,
        created_at: None,
        last_rotated_at: None,
        expires_at: None,
        last_used_at: None,
        age_days: None,
        next_due_at: None,
        policy: None,
        copies: 0,
        consumers: u32::try_from(consumers.len()).unwrap_or(u32::MAX),
        findings: Vec::new(),
        link: "none".to_owned(),
        labels: identity.as_ref().map(|identity| identity.labels.clone()).unwrap_or_default(),
        attributes: Default::default(),
        first_seen: now,
        last_seen: now,
    };
    let (owners, copies, history) = (Vec::new(), Vec::new(), Vec::new());
    Ok(CredentialDetail { credential, identity, owners, copies, consumers, history })
}

/// The plan, with what it takes with it.
pub(super) async fn plan(
    engine: &Engine,
    (at, anchor): (&Ref, Anchor),
    options: &RevokeOptions,
) -> Result<std::result::Result<(SagaPlan, Blast), Refusal>> {
    let Some(anchors) = anchors(engine, at) else {
        return Ok(Err(refuse(at, "no-backend", "its backend could not be built")));
    };
    if anchor == Anchor::Remade && !options.recreate {
        let standing = anchors.standing(at).await;
        return Ok(Err(if matches!(standing, Ok(Standing::Absent)) { gone(at) } else { go_on(at) }));
    }
    let anchored = match anchors.anchored(at).await {
        Ok(anchored) => anchored,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Err(gone(at))),
        Err(error) => {
            let text = format!("its issuer could not be asked: {}", error.message());
            return Ok(Err(refuse(at, "issuer-silent", text)));
        }
    };
    let detail = detail(engine, at, anchored.account.as_ref()).await?;
    if let Some(refusal) = hindered(engine, &detail, &anchored, anchor, options).await? {
        return Ok(Err(refusal));
    }
    let plan = match steps(engine, &detail, &anchored, anchor, options) {
        Ok(plan) => plan,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let derived = anchored.users.iter().map(|(user, _)| Derived {
        at: user.clone(),
        what: "its bound tokens".to_owned(),
        certain: true,
    });
    let descent = Descent { derived: derived.collect(), ..Descent::default() };
    let blast = blast::of(engine, &detail, &plan, descent, false).await?;
    Ok(Ok((plan, blast)))
}

/// There is no such object.
fn gone(at: &Ref) -> Refusal {
    refuse(at, "already-gone", "it is gone, and the tokens that were bound to it with it")
}

/// Bound tokens of an account that stays.
fn go_on(at: &Ref) -> Refusal {
    refuse(
        at,
        "bound-tokens",
        "tokens that are bound to it or to its pods lie nowhere and go on until they end by themselves: those of a pod with it, others when they expire, which the API server bounds by `--service-account-max-token-expiration` and does not tell (pods' own tokens last up to a year by default); `--recreate-service-account` ends them all, and `claviger revoke` of a pod's ref ends that pod's",
    )
}

/// What stands against it.
async fn hindered(
    engine: &Engine,
    detail: &CredentialDetail,
    anchored: &Anchored,
    anchor: Anchor,
    options: &RevokeOptions,
) -> Result<Option<Refusal>> {
    let at = &detail.credential.at;
    if let Some((code, why)) = &anchored.refused {
        return Ok(Some(refuse(at, code, why)));
    }
    if let Err(refusal) = revocation::may_end(engine, detail) {
        return Ok(Some(refusal));
    }
    if anchor == Anchor::Left && anchored.remade_by.is_none() && !options.force {
        let text = "no controller would make another one: what runs in it would stop for good; `--force` ends it all the same";
        return Ok(Some(refuse(at, "no-controller", text)));
    }
    if anchor == Anchor::Left {
        return Ok(None);
    }
    for credential in engine.ports.inventory.credentials(engine.clock.now(), &Selection::default()).await? {
        if credential.identity.as_ref() != Some(at) {
            continue;
        }
        let Some(other) = engine.detail(credential.id).await? else { continue };
        if let Err(refusal) = revocation::may_end(engine, &other) {
            let text = format!("{} would end with it, and must not: {}", credential.at, refusal.reason);
            return Ok(Some(refuse(at, &refusal.code, text)));
        }
    }
    Ok(None)
}

fn steps(
    engine: &Engine,
    detail: &CredentialDetail,
    anchored: &Anchored,
    anchor: Anchor,
    options: &RevokeOptions,
) -> std::result::Result<SagaPlan, Refusal> {
    use StepPhase::{AfterPivot, BeforePivot, Pivot};
    let at = &detail.credential.at;
    let expect = || anchored.presence.clone();
    let member =
        engine.estate.member(at.backend()).map_err(|_| refuse(at, "no-backend", "it is not configured"))?;
    let seconds = member.backend.capability().revoke_cache_seconds;
    let step = |action, phase, detail: &str| Step::new(action, at.clone(), phase, detail);
    let remade = anchor == Anchor::Remade;
    let note = match remade {
        true => "bind a token of our own to it, and seal that and the object as it is",
        false => "bind a token of our own to it, and seal that",
    };
    let mut steps = vec![
        step(Action::NoteAnchor(expect()), BeforePivot, note),
        step(Action::ControlProbe, BeforePivot, "log in with that token: the positive control of the proof"),
        step(Action::EndAnchor(expect()), Pivot, "delete it: every token that is bound to it ends with it"),
    ];
    let mut notes = anchored.notes.clone();
    let mut breaks: Vec<Ref> = Vec::new();
    let mut waits = Vec::new();
    if remade {
        let text = "make it again as it was: the same name, and another uid";
        steps.push(step(Action::RemakeAnchor(expect()), AfterPivot, text));
        let readers: Vec<Ref> = super::readers(detail).into_iter().map(|(consumer, _)| consumer).collect();
        breaks.extend(readers.iter().cloned());
        breaks.extend(anchored.users.iter().filter(|(_, by)| by.is_none()).map(|(user, _)| user.clone()));
        notes.extend(pods(anchored, options.leave_stale));
        if !options.leave_stale {
            let (refreshes, adoptions) = restarts(engine, detail, readers);
            steps.extend(refreshes);
            waits = adoptions;
        }
    } else {
        notes.push(match &anchored.remade_by {
            Some(by) => format!("{by} makes another one, whose tokens are others"),
            None => "nobody makes another one".to_owned(),
        });
    }
    if seconds > 0 {
        let text = format!("wait {seconds} s, until no cache may still accept its tokens");
        steps.push(step(Action::AwaitCache(seconds), AfterPivot, &text));
    }
    let text = "log in with the token of our own: it must be refused, as all of that uid are";
    steps.push(step(Action::ProveAnchor(expect()), AfterPivot, text));
    steps.extend(waits);
    breaks.sort();
    breaks.dedup();
    Ok(SagaPlan {
        kind: SagaKind::Revocation,
        definition: if remade { "recreate/1" } else { "end-object/1" }.to_owned(),
        credential: detail.credential.id,
        subject: at.clone(),
        strategy: if options.force { FORCED.to_owned() } else { "end-with-object".to_owned() },
        steps,
        breaks,
        reversible_until: format!("{}:{at}", Action::EndAnchor(String::new()).name()),
        notes,
    })
}

/// Restarts of whoever runs with it, and the waits for them: after the proof, as what is dead cannot wait for them.
fn restarts(engine: &Engine, detail: &CredentialDetail, readers: Vec<Ref>) -> (Vec<Step>, Vec<Step>) {
    let running = readers.into_iter().filter(|consumer| {
        engine.estate.member(consumer.backend()).is_ok_and(|member| {
            let capability = member.backend.capability();
            capability.refresh && capability.adopted && member.backend.runtime().is_some()
        })
    });
    let running: Vec<_> = running.map(|consumer| (consumer, ConsumerHow::Projected)).collect();
    let policy = policy_for(&engine.estate.policies, &detail.credential).ok().flatten();
    // All of them are without access already, unless the policy wants them to restart one after the other.
    match policy.and_then(|policy| policy.consumers_at_once) {
        Some(few) => (strategy::adopt(&running, usize::from(few)), Vec::new()),
        None => {
            let steps = strategy::adopt(&running, strategy::ALL);
            steps.into_iter().partition(|step| matches!(step.action, Action::Refresh(_)))
        }
    }
}

/// What the pods that run with it go through.
fn pods(anchored: &Anchored, stay: bool) -> Vec<String> {
    if anchored.users.is_empty() {
        return vec!["no pod runs with it now".to_owned()];
    }
    let names: Vec<&str> = anchored.users.iter().take(NAMED).map(|(at, _)| at.as_str()).collect();
    let more = anchored.users.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let mut notes = vec![format!(
        "{} pods run with it and lose their access to the API until they are restarted, or until their kubelet replaces their token, which it does after 80 % of that token's lifetime or a day: {}{more}",
        anchored.users.len(),
        names.join(", ")
    )];
    let alone: Vec<&str> =
        anchored.users.iter().filter(|(_, by)| by.is_none()).map(|(at, _)| at.as_str()).collect();
    if !alone.is_empty() {
        notes.push(format!(
            "no controller would make these again, and claviger does not restart them: {}",
            alone.join(", ")
        ));
    }
    if stay {
        notes.push("`--leave-stale`: nobody is restarted".to_owned());
    }
    notes
}

/// `--recreate-service-account` is for one account.
pub(super) fn must_be_account(selector: &Selector, anchor: Option<&(Ref, Anchor)>) -> Result<()> {
    if matches!(anchor, Some((_, Anchor::Remade))) {
        return Ok(());
    }
    Err(Error::Refused {
        subject: Ref::from_text(selector.text()),
        code: "no-account",
        reason: "`--recreate-service-account` is for exactly one ServiceAccount: name its ref, without globs"
            .to_owned(),
    })
}
