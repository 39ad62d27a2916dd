//! The swap of a static credential to short-lived workload identity: definition `swap/1`.
//!
//! In this order: seal the value and show that it is accepted; have the system that will accept the identity know it; bring the identity to every
//! workload beside the static credential; log in with it as the workload would, and compare what both may do; let the workloads take it; wait until
//! nobody uses the static one any more; suspend that and show that it is refused; end it, which is the pivot; show that it is refused. Everything up to
//! the pivot is taken back if something fails, or if somebody wants it: then all is as it was.
//!
//! A workload whose manifest is another system's, or whose program has to learn to log in, is changed by its owner, by a patch that is written for it; the
//! saga waits until that is seen.
//!
//! Where nobody but the workload's own runs is given its token (a CI job), no login of ours is tried: what is written down for both is compared, and after the
//! patch the saga waits until the system that lets the runs in tells that it did. No value is needed for that; without one the end is attested. Nothing that
//! was made for such a workload is taken away once its owner has moved it.

use std::collections::BTreeSet;

use claviger_backend::{
    Backend, Candidate, Capability, Ending, ErrorKind, Federation, Holder, Issuer, Offered, Proposal, Reads,
    StoreState, Suspension, ValueOrigin, Workloads,
};
use claviger_core::{
    model::CredentialState,
    reference::Ref,
    saga::{Action, Arrangement, Binding, Evidence, Quiet, SagaKind, SagaPlan, Side, Step, StepPhase},
    view::{CredentialDetail, CredentialView},
};
use claviger_store::port::Selection;
use serde::Serialize;

use super::{
    Plan, Refusal, presence, refuse,
    revocation::{current, descent, end_derived, is_own, may_end},
    scrub,
    strategy::{End, refused, retire},
    window,
};
use crate::{
    Engine, Result,
    policy::{Policy, policy_for},
    selector::Selector,
};

/// The strategy's name.
pub(crate) const SWAP: &str = "swap";

/// How swaps are made.
#[derive(Debug, Clone, Copy, Default)]
pub struct SwapOptions {
    /// Change no manifest: write the patches, and wait until somebody has applied them.
    pub by_hand: bool,
    /// Go on although these copies will hold a dead value, and nobody knows who reads them.
    pub leave_stale: bool,
}

/// A change of a manifest, for people and their tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// The workload.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// A name for the file.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Why its owner has to apply it. `None`: claviger does what it says.
    pub by_hand: Option<String>,
}

/// What would be done.
#[derive(Debug, Clone, PartialEq)]
pub struct SwapPlan {
    /// The plan, with its hash.
    pub plan: Plan,
    /// The changes of manifests in it.
    pub patches: Vec<Patch>,
}

impl SwapPlan {
    /// What would be made at the systems that accept the identities: whom they let in, and what for.
    pub fn arrangements(&self) -> Vec<&Arrangement> {
        let steps = self.plan.subjects.iter().flat_map(|subject| &subject.steps);
        let made = steps.filter_map(|step| match &step.action {
            Action::Federate(arrangement) => Some(arrangement),
            _ => None,
        });
        made.collect()
    }
}

impl Engine {
    /// Plans the swap of everything that the selector matches. What is no candidate is refused, with the reason.
    ///
    /// # Errors
    /// Nothing matches, or the database fails.
    pub async fn plan_swap(&self, selector: &Selector, options: &SwapOptions) -> Result<SwapPlan> {
        let chosen = self.select(selector).await?;
        self.plan_swap_of_these(&chosen, options).await
    }

    /// The same of these credentials.
    ///
    /// # Errors
    /// The database.
    pub async fn plan_swap_of_these(
        &self,
        chosen: &[CredentialView],
        options: &SwapOptions,
    ) -> Result<SwapPlan> {
        let (mut subjects, mut refused, mut patches) = (Vec::new(), Vec::new(), Vec::new());
        for credential in chosen {
            let Some(detail) = self.detail(credential.id).await? else { continue };
            match plan(self, &detail, options).await {
                Ok((plan, changes)) => {
                    subjects.push(plan);
                    patches.extend(changes);
                }
                Err(refusal) => refused.push(refusal),
            }
        }
        Ok(SwapPlan { plan: Plan::of(subjects, refused), patches })
    }
}

/// One workload with what becomes of it.
struct Turned {
    holder: Holder,
    object: Ref,
    proposal: Proposal,
}

async fn plan(
    engine: &Engine,
    detail: &CredentialDetail,
    options: &SwapOptions,
) -> Result<(SagaPlan, Vec<Patch>), Refusal> {
    let credential = &detail.credential;
    let at = &credential.at;
    if credential.state != CredentialState::Active {
        let text = format!("its state is `{}`: only an active credential is swapped", credential.state);
        return Err(refuse(at, "not-active", text));
    }
    may_end(engine, detail)?;
    let (backend, issuer, ending) = issuer(engine, at)?;
    let policy = policy_for(&engine.estate.policies, credential)
        .map_err(|error| refuse(at, "policy-undecided", error.to_string()))?;
    let (quiet, grace) = quiet(at, issuer, policy)?;
    let mut notes = Vec::new();
    let read = read(engine, detail).await?;
    let held = scrub::readable(engine, detail) && backend.capability().verify;
    // Where nobody of us can log in, what is written down is compared, which needs no value.
    if !held && (read.is_empty() || !read.iter().all(|(consumer, _)| runs_alone(engine, consumer))) {
        let text = "no copy of its value can be read: what it may do cannot be compared with what would take its place";
        return Err(refuse(at, "no-value", text));
    }
    let unread = unread(engine, detail, &read);
    if let Some(first) = unread.first().filter(|_| !options.leave_stale) {
        let text = format!(
            "{first} holds it too, and nobody is known who reads it there: whoever does would be cut off; take it out or rotate first, or accept it with `--leave-stale`"
        );
        return Err(refuse(at, "copy-elsewhere", text));
    }
    if read.is_empty() {
        let text = "no workload is known that reads it: there is nobody to be given another identity; if nobody needs it, `claviger revoke` ends it";
        return Err(refuse(at, "no-consumer", text));
    }
    let mut turned = Vec::new();
    for (consumer, object) in read {
        turned.push(turn(engine, detail, &consumer, object, options).await?);
    }
    let patches = patches(engine, &turned).await?;

    let capability = Capability {
        disable: backend.capability().disable && ending.suspension == Suspension::Refused,
        ..backend.capability()
    };
    let end = End { grace, token: presence(issuer, at).await?, capability, at_once: 1 };
    let descent = descent(backend, at, &ending).await?;
    let mut steps = towards(at, &turned, held);
    steps.extend(retirement(at, quiet, end, policy));
    if let Some(step) = end_derived(at, &ending, &descent) {
        let after = steps.iter().position(|step| matches!(step.action, Action::Revoke(_)));
        steps.insert(after.map_or(steps.len(), |index| index + 1), step);
    }
    steps.push(refused(at));
    settle(&mut steps);

    notes.extend(descent.notes);
    notes.extend(ending.notes);
    for one in &turned {
        notes.extend(one.proposal.notes.iter().cloned());
        notes.extend(one.holder.notes.iter().cloned());
        notes.extend(
            one.proposal
                .by_hand
                .iter()
                .map(|why| format!("{} is changed by its owner, by the patch: {why}", one.holder.consumer)),
        );
    }
    if !held {
        notes.push("no copy of its value can be read: that it is refused in the end is its issuer's word (attested), and no login can show it".to_owned());
    }
    notes.extend(unread.iter().map(|copy| format!("{copy} will hold a dead value")));
    let mut said = BTreeSet::new();
    notes.retain(|note| said.insert(note.clone()));
    let plan = SagaPlan {
        kind: SagaKind::Swap,
        definition: format!("{SWAP}/1"),
        credential: credential.id,
        subject: at.clone(),
        strategy: SWAP.to_owned(),
        steps,
        breaks: Vec::new(),
        reversible_until: format!("{}:{at}", Action::Revoke(None).name()),
        notes,
    };
    Ok((plan, patches))
}

fn issuer<'e>(engine: &'e Engine, at: &Ref) -> Result<(&'e dyn Backend, &'e dyn Issuer, Ending), Refusal> {
    let member = engine.estate.member(at.backend()).map_err(|_| {
        let text = format!("backend `{}` is not configured or could not be built", at.backend());
        refuse(at, "no-backend", text)
    })?;
    let backend = member.backend.as_ref();
    let Some(issuer) = backend.issuer().filter(|_| backend.capability().revoke) else {
        return Err(refuse(
            at,
            "no-revoke",
            "nobody is known here who could refuse it: it cannot be retired",
        ));
    };
    let ending = issuer.ending(at);
    match ending.refused {
        Some((code, reason)) => Err(refuse(at, code, reason)),
        None => Ok((backend, issuer, ending)),
    }
}

/// What has to be seen before the static credential is retired, and its grace in seconds.
fn quiet(at: &Ref, issuer: &dyn Issuer, policy: Option<&Policy>) -> Result<(Quiet, u64), Refusal> {
    let offer = issuer.offer(at);
    // As rotations know it: who makes keys tells when they were used.
    let tells =
        offer.is_some_and(|offer| matches!(offer.origin, ValueOrigin::Minted | ValueOrigin::MintedByName));
    let grain = offer.map_or(0, |offer| offer.last_used_grain);
    let best = match (tells, grain) {
        (false, _) => Evidence::Blind,
        (true, 0) => Evidence::Measured,
        (true, _) => Evidence::Sampled,
    };
    let least = policy.and_then(|policy| policy.evidence);
    if let (Some(policy), Some(least)) = (policy, least.filter(|least| best < *least)) {
        let text = format!(
            "policy `{}` wants `{}` evidence that nobody uses it before it is retired, and of its issuer there is `{}` at most: lower `evidence` for it",
            policy.name,
            least.word(),
            best.word()
        );
        return Err(refuse(at, "evidence", text));
    }
    let grace = policy.and_then(|policy| policy.grace).map_or(0, |grace| grace.num_seconds());
    let grace = u64::try_from(grace).unwrap_or(0);
    let least = least.unwrap_or(Evidence::Sampled);
    Ok((Quiet { seconds: grace, grain, least }, grace))
}

/// Who reads which object with it: a workload that names the object stops without it, whatever of it it reads.
async fn read(engine: &Engine, detail: &CredentialDetail) -> Result<BTreeSet<(Ref, Ref)>, Refusal> {
    let at = &detail.credential.at;
    let objects: BTreeSet<Ref> = current(detail).map(|copy| copy.at.object()).collect();
    let known = engine
        .ports
        .inventory
        .consumers(&Selection::default())
        .await
        .map_err(|error| refuse(at, "inventory", format!("its consumers could not be read: {error}")))?;
    let reads = known.into_iter().map(|consumer| (consumer.at, consumer.copy.object()));
    Ok(reads.filter(|(_, object)| objects.contains(object)).collect())
}

/// Copies that nobody is known to read, and that do not go with the credential itself.
fn unread(engine: &Engine, detail: &CredentialDetail, read: &BTreeSet<(Ref, Ref)>) -> Vec<Ref> {
    current(detail)
        .map(|copy| &copy.at)
        .filter(|copy| !is_own(engine, detail, copy))
        .filter(|copy| !read.iter().any(|(_, object)| *object == copy.object()))
        .cloned()
        .collect()
}

/// What becomes of one workload. The system that knows the credential is asked first, then the others.
async fn turn(
    engine: &Engine,
    detail: &CredentialDetail,
    consumer: &Ref,
    object: Ref,
    options: &SwapOptions,
) -> Result<Turned, Refusal> {
    let at = &detail.credential.at;
    let holder = platform(engine, at, consumer)?.holder(consumer, &object).await;
    let holder = holder.map_err(|error| match error.kind() {
        ErrorKind::Invalid => {
            let text = format!(
                "{consumer} reads it from {object}, whose place no volume with a token takes: move it into a Secret, and let the workload read that as a file"
            );
            refuse(at, "not-a-secret", text)
        }
        _ => {
            refuse(at, "runtime-silent", format!("{consumer} could not be looked at: {}", error.message()))
        }
    })?;
    match &holder.reads {
        // What its platform alone can tell is not a matter of who accepts what.
        Reads::Fixed(code, why) if runs_alone(engine, consumer) => {
            return Err(refuse(at, code, format!("{consumer}: {why}")));
        }
        Reads::Files(_) | Reads::Fixed(..) | Reads::Given => {}
        Reads::Nothing => {
            let text = format!("{consumer} does not read {object} any more: scan again");
            return Err(refuse(at, "scan-again", text));
        }
    }
    let candidate = Candidate {
        subject: at,
        issuer: issuer(engine, at)?.0.info(),
        identity: detail.credential.identity.as_ref(),
        object: &object,
        holder: &holder,
    };
    let mut proposal = proposal(engine, &candidate).await?;
    if let (Reads::Fixed(code, why), None) = (&holder.reads, &proposal.mounting.folder) {
        return Err(refuse(at, code, format!("{consumer}: {why}")));
    }
    let source = "its manifest is changed at its source";
    match &holder.changeable {
        StoreState::Writable if options.by_hand => {
            proposal.by_hand.get_or_insert_with(|| "patches are asked for, and not applied".to_owned());
        }
        StoreState::Writable => {}
        StoreState::ManagedElsewhere(system) => {
            proposal.by_hand.get_or_insert_with(|| format!("it is managed by {system}: {source}"));
        }
        StoreState::Refused(why) => {
            proposal.by_hand.get_or_insert_with(|| format!("claviger may not change it ({why}): {source}"));
        }
    }
    Ok(Turned { holder, object, proposal })
}

fn platform<'e>(engine: &'e Engine, at: &Ref, consumer: &Ref) -> Result<&'e dyn Workloads, Refusal> {
    let member = engine.estate.member(consumer.backend()).ok();
    let backend = member.map(|member| member.backend.as_ref());
    let may = |capability: Capability| capability.bind || capability.vouch;
    backend.filter(|backend| may(backend.capability())).and_then(|backend| backend.workloads()).ok_or_else(
        || {
            let text = format!(
                "{consumer} reads it, and what runs there has no short-lived identity that is known here: change it at its source, scan, then revoke this one"
            );
            refuse(at, "no-platform", text)
        },
    )
}

/// Are the tokens of what runs there made in its own runs, and nowhere else?
fn runs_alone(engine: &Engine, consumer: &Ref) -> bool {
    engine.estate.member(consumer.backend()).is_ok_and(|member| {
        let capability = member.backend.capability();
        capability.vouch && !capability.bind
    })
}

async fn proposal(engine: &Engine, candidate: &Candidate<'_>) -> Result<Proposal, Refusal> {
    let at = candidate.subject;
    let of = |backend: &'_ dyn Backend| backend.capability().federate;
    let own = engine.estate.member(at.backend()).ok();
    let others = engine.estate.members().filter(|member| member.backend.info().name.as_str() != at.backend());
    let mut why = None;
    for member in own.into_iter().chain(others) {
        let backend = member.backend.as_ref();
        let Some(federation) = backend.federation().filter(|_| of(backend)) else { continue };
        match offered(federation, candidate).await? {
            Offered::Yes(proposal) => return Ok(*proposal),
            Offered::No { code: "not-federated", .. } => {}
            Offered::No { code, reason } => {
                why.get_or_insert_with(|| refuse(at, code, reason));
            }
        }
    }
    Err(why.unwrap_or_else(|| {
        let text = "no system here accepts a short-lived identity in its place: rotate it instead";
        refuse(at, "not-federated", text)
    }))
}

async fn offered(federation: &dyn Federation, candidate: &Candidate<'_>) -> Result<Offered, Refusal> {
    federation.offers(candidate).await.map_err(|error| {
        let text =
            format!("whether an identity could take its place could not be asked: {}", error.message());
        refuse(candidate.subject, "federation-silent", text)
    })
}

async fn patches(engine: &Engine, turned: &[Turned]) -> Result<Vec<Patch>, Refusal> {
    let mut patches: Vec<Patch> = Vec::new();
    for Turned { holder, proposal, .. } in turned {
        let consumer = &holder.consumer;
        let platform = platform(engine, consumer, consumer)?;
        let (file, text) = platform.patch(consumer, &proposal.mounting).await.map_err(|error| {
            refuse(consumer, "runtime-silent", format!("its patch could not be made: {}", error.message()))
        })?;
        // Several may stand in one file, which changes once.
        if patches.iter().any(|patch| patch.file == file && patch.text == text) {
            continue;
        }
        patches.push(Patch { at: consumer.clone(), file, text, by_hand: proposal.by_hand.clone() });
    }
    Ok(patches)
}

/// Everything up to the point where nobody needs the static credential any more.
fn towards(at: &Ref, turned: &[Turned], held: bool) -> Vec<Step> {
    let step = |action, target: &Ref, detail: String| {
        Step::new(action, target.clone(), StepPhase::BeforePivot, detail)
    };
    let mut steps = Vec::new();
    if held {
        steps.push(step(Action::SealOld, at, "read the value from a copy and seal it".to_owned()));
        let detail = "log in with it: the positive control of the proof".to_owned();
        steps.push(step(Action::ControlProbe, at, detail));
    }
    let ours = |one: &&Turned| one.proposal.by_hand.is_none();
    let binding = |one: &Turned, to| Binding { mounting: one.proposal.mounting.clone(), to };
    for one in turned.iter().filter(ours) {
        let detail = "ask whether its manifest may be changed";
        let action = Action::CheckHolder(binding(one, Side::Over));
        steps.push(step(action, &one.holder.consumer, detail.to_owned()).named(&tag(turned, one)));
    }
    let mut seen = BTreeSet::new();
    let arrangements: Vec<_> =
        turned.iter().filter(|one| seen.insert(one.proposal.arrangement.at.clone())).collect();
    for one in arrangements.iter().filter(|one| one.proposal.makes) {
        let arrangement = &one.proposal.arrangement;
        let detail = format!("let {} log in there, with the same rights", arrangement.account);
        steps.push(step(Action::Federate(arrangement.clone()), &arrangement.at, detail));
    }
    let brought = |steps: &mut Vec<Step>, to: Side, detail: &str| {
        for one in turned.iter().filter(ours) {
            let consumer = &one.holder.consumer;
            let word = format!("{}{}", to.word(), tag(turned, one));
            steps.push(step(Action::Bind(binding(one, to)), consumer, detail.to_owned()).named(&word));
            let detail = "see its rollout come to its end".to_owned();
            steps.push(step(Action::AwaitAdoption, consumer, detail).named(&word));
        }
    };
    brought(
        &mut steps,
        Side::Beside,
        "add the short-lived identity beside the static credential, and roll it out",
    );
    for one in &arrangements {
        let arrangement = &one.proposal.arrangement;
        if let Some(runs) = &one.holder.runs {
            let detail = format!(
                "compare what is written down for {} with what is for the static credential: a token of `{}` is made in its own runs alone, so that no login of ours can try it",
                arrangement.at, runs.subject
            );
            steps.push(step(Action::CompareRights(arrangement.clone()), &arrangement.at, detail));
            continue;
        }
        let detail = format!(
            "log in as {} with a token of {} s, and compare what it may do with what the static credential may",
            arrangement.account, arrangement.lifetime
        );
        steps.push(step(Action::TryIdentity(arrangement.clone()), &arrangement.at, detail));
    }
    brought(
        &mut steps,
        Side::Over,
        "let it take the short-lived identity, name the static credential no more, and roll it out",
    );
    for one in turned.iter().filter(|one| one.proposal.by_hand.is_some()) {
        let detail =
            format!("wait until its owner has applied the patch, so that it names {} no more", one.object);
        let action = Action::AwaitUnread(one.object.clone());
        steps.push(step(action, &one.holder.consumer, detail).named(&tag(turned, one)));
    }
    for (one, runs) in arrangements.iter().filter_map(|one| Some((one, one.holder.runs.as_ref()?))) {
        let arrangement = &one.proposal.arrangement;
        let detail =
            format!("wait until {} tells that a run of `{}` was let in", arrangement.at, runs.subject);
        steps.push(step(Action::AwaitEntry(arrangement.clone()), &arrangement.at, detail));
    }
    steps
}

/// Tells the objects of one workload apart in step ids, where it reads several.
fn tag(turned: &[Turned], one: &Turned) -> String {
    let same = turned.iter().filter(|other| other.holder.consumer == one.holder.consumer).count();
    match same {
        1 => String::new(),
        _ => format!("-{}", one.object.as_str().rsplit('/').next().unwrap_or_default()),
    }
}

fn retirement(at: &Ref, quiet: Quiet, end: End, policy: Option<&Policy>) -> Vec<Step> {
    let seen = match (quiet.grain, quiet.least) {
        (0, _) => {
            "see by its issuer's last use, where that is told, that nobody uses it since the last workload moved"
        }
        (_, Evidence::Blind) => {
            "see by its issuer's last use that nobody is seen to use it since the last workload moved: of the time in which it moved the issuer tells nothing, and its policy takes that (blind)"
        }
        _ => {
            "see by its issuer's last use that nobody uses it since the last workload moved: wait until a time of which the issuer can tell it has begun"
        }
    };
    let mut steps = retire(at, "credential", (quiet, seen.to_owned()), end);
    if let Some(limits) = policy.and_then(|policy| policy.timing.window) {
        window::gate(&mut steps, at, limits);
    }
    steps
}

/// Its end is the pivot: whatever comes before can be taken back.
fn settle(steps: &mut [Step]) {
    let Some(pivot) = steps.iter().position(|step| matches!(step.action, Action::Revoke(_))) else { return };
    for (index, step) in steps.iter_mut().enumerate() {
        step.phase = match index.cmp(&pivot) {
            std::cmp::Ordering::Less => StepPhase::BeforePivot,
            std::cmp::Ordering::Equal => StepPhase::Pivot,
            std::cmp::Ordering::Greater => StepPhase::AfterPivot,
        };
    }
}
