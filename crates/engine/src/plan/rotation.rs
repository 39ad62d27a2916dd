//! Plans one rotation: what is refused, which copies and consumers take part, and what the reader should know.

use claviger_backend::{Backend, Pairing, Prospect};
use claviger_core::{
    model::{CopyStage, CredentialState},
    reference::Ref,
    saga::{Action, SagaKind, SagaPlan, StepPhase},
    view::{CopyView, CredentialDetail, CredentialView},
};

use super::{
    Refusal, RotateOptions, asked, certificate, evidence, named, pair, post, readers, refuse,
    root::{self, Engines},
    strategy::{self, End, Holders, Strategy},
    window,
};
use crate::{
    Engine,
    policy::{Policy, policy_for},
};

/// Plans one rotation.
pub(super) async fn plan(
    engine: &Engine,
    detail: &CredentialDetail,
    options: &RotateOptions,
    engines: &Engines,
) -> Result<SagaPlan, Refusal> {
    let credential = &detail.credential;
    let at = &credential.at;
    // A certificate that has ended is what has to be made again most.
    let ended = credential.state == CredentialState::Expired && certificate::is_one(detail);
    if credential.state != CredentialState::Active && !ended {
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
    let policy = policy_for(&engine.estate.policies, credential)
        .map_err(|error| refuse(at, "policy-undecided", error.to_string()))?;
    asked::not_held_by_another(detail)?;
    let strategy = Strategy::choose(member.backend.as_ref(), detail, policy)?;
    if detail.credential.attributes.get("own").and_then(serde_json::Value::as_bool) == Some(true) {
        return Err(refuse(
            at,
            "self-lock",
            "it is the credential that claviger's own connection uses: rotating it would lock claviger out; use another account for the connection",
        ));
    }
    let Prospect { mut notes, shown_at, account, .. } =
        prospect(member.backend.as_ref(), at, &strategy).await?;
    if matches!(strategy, Strategy::Replace | Strategy::Alternating(..)) {
        notes.extend(engines.not_an_account(engine, credential).await?);
    }
    let gathered = match &strategy {
        Strategy::Asked => Some(asked::gathered(engine, detail, shown_at.as_ref()).await?),
        _ => None,
    };
    let detail = gathered.as_ref().map_or(detail, |gathered| &gathered.detail);
    if let Some(policy) = policy {
        let ends = matches!(
            strategy,
            Strategy::Dual(_)
                | Strategy::Minted(..)
                | Strategy::Told(_)
                | Strategy::Named(..)
                | Strategy::Alternating(..)
        );
        if policy.retain && ends {
            return Err(refuse(
                at,
                "retain",
                format!("policy `{}` says `retain`: the old value would be ended", policy.name),
            ));
        }
    }
    if !options.no_grace {
        evidence::enough(at, &strategy, policy)?;
    }
    // What stands beside the secret in its copies, and has to be changed together with it.
    let (own, pairing) = match &strategy {
        Strategy::Minted(issuer, offer) => {
            let own = pair::room(*issuer, offer, at).await?;
            (Some((KEY_ID, own.public_half)), None)
        }
        Strategy::Alternating(issuer, turns) => {
            let pairing = pair::turn(*turns, at).await?;
            (Some((USER, pair::name(*issuer, at).await?)), Some(pairing))
        }
        _ => (None, None),
    };
    // What lies at the issuer under the subject's name is no copy of it: the new one gets a name of its own.
    let (place, pointed) = match &strategy {
        Strategy::Named(..) => {
            (Some(named::own(detail)?), named::pointed(engine, detail, options.leave_stale).await?)
        }
        _ => (None, named::Pointed::default()),
    };
    let is_own = |copy: &&CopyView| place.is_some() && copy.at.object() == *at;
    if matches!(strategy, Strategy::Root) {
        let root = root::root(engine, at, account.as_ref(), options.leave_stale).await?;
        notes.extend(root::notes(at, &root));
        return Ok(SagaPlan {
            kind: SagaKind::Rotation,
            definition: strategy.definition(),
            credential: credential.id,
            subject: at.clone(),
            strategy: strategy.name().to_owned(),
            steps: strategy::root(at, root.login),
            breaks: root.breaks,
            reversible_until: Action::RotateRoot(None).name().to_owned(),
            notes,
        });
    }
    let mut current: Vec<&CopyView> =
        detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current && !is_own(copy)).collect();
    current.extend(behind(engine, detail));
    let blind = if post::can(&strategy) { post::blind(engine, detail) } else { Vec::new() };
    current.retain(|copy| !blind.iter().any(|blind| blind.at == copy.at));
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
    if place.is_some() && writable.is_empty() && pointed.movable.is_empty() {
        return Err(refuse(
            at,
            "no-consumer",
            "nobody is known whom claviger could give the new one, neither a workload that names it nor another copy: make another by hand, give it to whoever uses this one, then revoke this one",
        ));
    }
    // What its issuer shows, whoever needs it can read there.
    if writable.is_empty() && place.is_none() && gathered.is_none() {
        return Err(refuse(
            at,
            "no-copy",
            "no copy of it is known that claviger can write: the new value would be known to nobody; scan the store that holds it, or declare the copy under [[credentials]]",
        ));
    }
    let mut left_out = stale;
    let mut objects = Vec::new();
    if let Some((what, id)) = &own {
        let paired = pair::paired(engine, at, (*what, id.as_str()), &writable).await?;
        if let Some((copy, why)) = paired.without.first().filter(|_| !options.leave_stale) {
            return Err(refuse(
                at,
                if *what == USER { "copy-without-user" } else { "copy-without-id" },
                format!(
                    "the {what} and the secret in {} cannot be changed together: {why}; keep both in one object, or accept that the old value stays there with `--leave-stale`",
                    copy.at
                ),
            ));
        }
        if paired.objects.is_empty() {
            return Err(refuse(at, "no-copy", format!("no copy of it holds its {what} beside its secret")));
        }
        left_out.extend(paired.without.into_iter().map(|(copy, _)| copy));
        objects = paired.objects;
    }
    // A workload in a folder of manifests runs nowhere: whoever applies the folder restarts it.
    let (running, declared): (Vec<_>, Vec<_>) = readers(detail).into_iter().partition(|(consumer, _)| {
        engine.estate.member(consumer.backend()).is_ok_and(|member| {
            let capability = member.backend.capability();
            capability.refresh && capability.adopted && member.backend.runtime().is_some()
        })
    });
    let names = |consumer: &Ref| {
        let fixed = pointed.fixed.iter().map(|(other, _)| other);
        pointed.movable.iter().map(|(other, _)| other).chain(fixed).any(|other| other == consumer)
    };
    let running: Vec<_> = running.into_iter().filter(|(consumer, _)| !names(consumer)).collect();
    let declared: Vec<_> = declared.into_iter().filter(|(consumer, _)| !names(consumer)).collect();
    let first_copy =
        writable.first().map_or_else(String::new, |copy| format!("{}:{}", Action::WriteCopy.name(), copy.at));
    let grace =
        policy.filter(|_| !options.no_grace).and_then(|policy| policy.grace).map(|grace| grace.num_seconds());
    let grace = grace.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    // One after the other unless the policy says how many: the first that does not come up is the only one.
    let at_once = policy.and_then(|policy| policy.consumers_at_once).map_or(1, usize::from);
    let readers_of =
        |consumers: &[(Ref, _)]| consumers.iter().map(|(consumer, _)| consumer.clone()).collect();
    let reissue = match &strategy {
        Strategy::Reissue => {
            Some(certificate::reissue(engine, detail, &writable, options.leave_stale).await?)
        }
        _ => None,
    };
    let (mut steps, reversible_until, breaks) = match &strategy {
        Strategy::Replace => {
            let staged = staged(engine, &writable).await?;
            notes.extend(staged.iter().map(|(copy, version)| format!(
                "an unfinished rotation of somebody else has staged version {version} at {copy}: if only its value is accepted it is taken up as the old one; at the end it is staged no more"
            )));
            notes.push(format!(
                "{at} holds one value at a time: between the change and the restart of its consumers, new logins with the old value fail"
            ));
            let steps = strategy::replace(at, &writable, staged, &running);
            (steps, "set-at-issuer".to_owned(), readers_of(&readers(detail)))
        }
        Strategy::Dual(issuer) => {
            notes.push(
                "both values are accepted until the old one is ended, after every consumer below runs on the new one; it gets a name of its own, which the next scan lists"
                    .to_owned(),
            );
            notes.push(
                "whether somebody unknown still uses the old value is not measured: whoever does is cut off when it is ended"
                    .to_owned(),
            );
            let token = super::presence(*issuer, at).await?;
            let end = End { grace, token, capability: member.backend.capability(), at_once };
            let steps = strategy::dual(at, &writable, &running, end);
            (steps, first_copy, readers_of(&declared))
        }
        Strategy::Told(issuer) => {
            notes.push(
                "both are accepted until the old one is ended, after every consumer below runs on the new one; that is told once and gets a name of its own, which the next scan lists"
                    .to_owned(),
            );
            notes.push(
                "whether somebody unknown still uses the old one is not measured, as its issuer keeps no last use: whoever does is cut off when it is ended"
                    .to_owned(),
            );
            let token = super::presence(*issuer, at).await?;
            let end = End { grace, token, capability: member.backend.capability(), at_once };
            let steps = strategy::told(at, &writable, &running, end);
            (steps, first_copy, readers_of(&declared))
        }
        Strategy::Minted(issuer, offer) => {
            notes.push(
                "both keys are accepted until the old one is suspended, after every consumer below runs on the new one; it gets an id of its own, which the next scan lists"
                    .to_owned(),
            );
            notes.push(
                "the evidence that nobody else uses the old key is when its issuer last saw it used, which it tells some minutes late; who signs with it rarely is not seen"
                    .to_owned(),
            );
            let token = super::presence(*issuer, at).await?;
            let pivot = objects[0][0].copy.clone();
            let end = End { grace, token, capability: member.backend.capability(), at_once };
            let steps = strategy::minted(at, objects, &running, offer.settles_within, end);
            let pivot = format!("{}:{pivot}", Action::WritePairs(Vec::new()).name());
            (steps, pivot, readers_of(&declared))
        }
        Strategy::Named(issuer, offer) => {
            let quiet = named::quiet(offer, policy, grace);
            notes.extend(named::notes(detail, quiet));
            let token = super::presence(*issuer, at).await?;
            let end = End { grace, token, capability: member.backend.capability(), at_once };
            let own = place.clone().unwrap_or_else(|| at.clone());
            let holders = Holders { own, copies: &writable, pointed: &pointed.movable, readers: &running };
            let steps = strategy::named(at, &holders, quiet, end);
            let pivot = steps.iter().find(|step| step.phase == StepPhase::Pivot).map(|step| step.id.clone());
            let mut breaks: Vec<Ref> = readers_of(&declared);
            breaks.extend(pointed.fixed.iter().map(|(consumer, _)| consumer.clone()));
            notes.extend(pointed.fixed.iter().map(|(consumer, why)| {
                format!("{consumer} names it and goes on naming it ({why}): it stops working when the old one is suspended")
            }));
            (steps, pivot.unwrap_or_default(), breaks)
        }
        Strategy::Alternating(issuer, _) => {
            let pairing = pairing.ok_or_else(|| refuse(at, "no-strategy", "nobody takes over from it"))?;
            notes.extend(turn_notes(engine, credential, policy, &pairing));
            let token = super::presence(*issuer, at).await?;
            let pivot = objects[0][0].copy.clone();
            let end = End { grace, token, capability: member.backend.capability(), at_once };
            let steps = strategy::alternating(at, &pairing, objects, &running, end);
            let pivot = format!("{}:{pivot}", Action::WritePairs(Vec::new()).name());
            (steps, pivot, readers_of(&declared))
        }
        Strategy::Asked => {
            let login = gathered.as_ref().and_then(|gathered| gathered.login.as_ref());
            notes.push(format!(
                "{at} holds one value at a time, which its issuer makes: between the change and the restart of its consumers, new logins with the old value fail, and the change cannot be taken back"
            ));
            if login.is_none() {
                notes.push(
                    "nowhere in the estate can be logged in with it: that the old value is refused will be its issuer's word (`attested`)"
                        .to_owned(),
                );
            }
            let steps = strategy::asked(at, login, &writable, &running);
            (steps, Action::AskIssuer.name().to_owned(), readers_of(&readers(detail)))
        }
        Strategy::Root => return Err(refuse(at, "no-strategy", "it has no copies to be written")),
        Strategy::Reissue => {
            let reissue =
                reissue.ok_or_else(|| refuse(at, "no-strategy", "there is nothing to make again"))?;
            notes.extend(reissue.notes);
            // Whoever checks a certificate that signs itself needs the new one, so until all have restarted some refuse it.
            let breaks =
                if reissue.signs_itself { readers_of(&readers(detail)) } else { readers_of(&declared) };
            let authority = reissue.authority.as_ref();
            // Where it signs itself, whoever has restarted refuses whoever has not: they go together.
            let at_once = if reissue.signs_itself { strategy::ALL } else { at_once };
            let steps = strategy::reissue(at, reissue.holders, authority, &running, grace, at_once);
            let pivot = steps.iter().find(|step| step.phase == StepPhase::Pivot).map(|step| step.id.clone());
            (steps, pivot.unwrap_or_default(), breaks)
        }
        Strategy::CopyOnly => {
            notes.push(
                "it has no issuer: nobody can be asked to refuse the old value, and until the last consumer has restarted some work with the old one and some with the new"
                    .to_owned(),
            );
            let steps = strategy::copy_only(at, &writable, &running);
            (steps, first_copy, readers_of(&readers(detail)))
        }
    };
    post::weave(engine, &mut steps, &blind);
    notes.extend(post::notes(engine, &blind));
    let limits = policy.filter(|_| !options.no_grace).and_then(|policy| policy.timing.window);
    if let Some(limits) = limits {
        window::gate(&mut steps, at, limits);
    }
    notes.extend(
        left_out.iter().map(|copy| format!("{} cannot be written and will hold the old value", copy.at)),
    );
    notes.extend(writable.iter().filter(|copy| copy.evidence == "claimed").map(|copy| format!("{} is only claimed to be a copy: it must hold the value that the issuer accepts, else nothing is changed", copy.at)));
    notes.extend(
        declared
            .iter()
            .map(|(consumer, _)| format!("{consumer} reads it too, and claviger cannot restart it")),
    );
    Ok(SagaPlan {
        kind: SagaKind::Rotation,
        definition: strategy.definition(),
        credential: credential.id,
        subject: at.clone(),
        strategy: strategy.name().to_owned(),
        steps,
        breaks,
        reversible_until,
        notes,
    })
}

/// Places where the credential's value is staged and another one is current: somebody else's rotation has changed the target and not its copy.
fn behind<'d>(engine: &Engine, detail: &'d CredentialDetail) -> impl Iterator<Item = &'d CopyView> {
    let is_current =
        |at: &Ref| detail.copies.iter().any(|copy| copy.stage == CopyStage::Current && copy.at == *at);
    let stages =
        |at: &Ref| engine.estate.member(at.backend()).is_ok_and(|member| member.backend.capability().pending);
    let staged = detail.copies.iter().filter(|copy| copy.stage == CopyStage::Pending);
    let behind: Vec<_> = staged.filter(|copy| !is_current(&copy.at) && stages(&copy.at)).collect();
    behind.into_iter()
}

/// Versions that somebody else's rotation has left staged beside the copies, one of each object.
async fn staged(engine: &Engine, copies: &[&CopyView]) -> Result<Vec<(Ref, String)>, Refusal> {
    let mut staged: Vec<(Ref, String)> = Vec::new();
    for copy in copies {
        let Ok(member) = engine.estate.member(copy.at.backend()) else { continue };
        let Some(store) = member.backend.store().filter(|_| member.backend.capability().pending) else {
            continue;
        };
        if staged.iter().any(|(at, _)| at.object() == copy.at.object()) {
            continue;
        }
        let pending = store.pending(&copy.at).await.map_err(|error| {
            let reason = format!("whether an unfinished rotation left something there: {}", error.message());
            refuse(&copy.at, "copy-unread", reason)
        })?;
        staged.extend(pending.map(|pending| (copy.at.clone(), pending.version)));
    }
    Ok(staged)
}

/// What the halves are called that stand beside a secret.
const KEY_ID: &str = "key id";
const USER: &str = "user name";

/// What the reader should know of two users that take turns.
fn turn_notes(
    engine: &Engine,
    credential: &CredentialView,
    policy: Option<&Policy>,
    pairing: &Pairing,
) -> Vec<String> {
    let (at, standby) = (&credential.at, &pairing.standby);
    let mut notes = vec![
        format!("both users log in until {at} rests, after every consumer below runs as {standby} and no session of {at} is left; sessions are seen in samples: one between two of them is not"),
        "consumers must read the user's name from the copies too: one that has it from elsewhere fails to log in after its restart".to_owned(),
    ];
    notes.extend(pairing.notes.iter().cloned());
    let next = CredentialView { at: standby.clone(), ..credential.clone() };
    let holds = policy_for(&engine.estate.policies, &next).ok().flatten();
    if holds.map(|policy| &policy.name) != policy.map(|policy| &policy.name) {
        notes.push(format!(
            "the policy's selector does not match {standby}: its own rotation would be by another one"
        ));
    }
    notes
}

/// What the issuer says of another value for this credential: a refusal, or what the reader should know.
async fn prospect(backend: &dyn Backend, at: &Ref, strategy: &Strategy<'_>) -> Result<Prospect, Refusal> {
    let issuer = backend.issuer().filter(|_| !matches!(strategy, Strategy::CopyOnly | Strategy::Reissue));
    let Some(issuer) = issuer else { return Ok(Prospect::default()) };
    let prospect = issuer.prospect(at).await.map_err(|error| {
        refuse(at, "issuer-silent", format!("its issuer could not be asked: {}", error.message()))
    })?;
    match prospect.refused.clone() {
        Some((code, reason)) => Err(refuse(at, code, reason)),
        None => Ok(prospect),
    }
}

pub(super) fn can_write(engine: &Engine, copy: &CopyView) -> bool {
    engine.estate.member(copy.at.backend()).is_ok_and(|member| {
        let capability = member.backend.capability();
        capability.read
            && capability.write
            && capability.write_with_expect
            && member.backend.store().is_some()
    })
}
