//! The strategies, as lists of steps. Which one a credential takes is its issuer's nature, which its offer says; a credential without an issuer
//! takes one only if its policy says that nobody but its copies has to know the value.
//!
//! `replace/1`, where the target holds one value: everything up to `set-at-issuer` changes nothing but our own database. Setting is the pivot:
//! from there on the copies follow, then their consumers, and at the end the old value must be refused.
//!
//! `dual/1`, where it holds several: the new value is added beside the old one and tried, and until the first copy is written all of it is
//! taken back if something fails. The copies follow, then their consumers; only when all of them are seen to run on the new value is
//! the old one ended, and must then be refused. Nobody's logins fail in between.
//!
//! `dual-minted/1`, where it holds several and makes each itself (an access key): which keys there are is noted, then a second one is made, its
//! secret sealed, and waited for until every server of the issuer knows it. Id and secret go into each object together. When every consumer
//! runs on it and nobody is seen to use the old one, that is suspended and must be refused; only then is it deleted, and refused again.
//!
//! `dual-named/1`, where it holds several and makes each under a name (a token Secret): a second one is made under a name that follows from the
//! operation, so that whoever repeats it finds the same value. Copies follow by their value, and those who name the old one are made to name
//! the new one. Then the end, as of a minted key.
//!
//! `alternating/1`, only where a policy asks for it and the target holds one value per user: two users take turns. The one that rests is let in with
//! a new password and seen to be the same to the target; name and password go into each object together. When every consumer runs as it
//! and no session of the old one is left, that one may log in no more, loses its password, and must be refused; it rests until its turn.
//!
//! `dual-told/1`, where it holds several, makes each itself and keeps our mark with it (a token): as `dual/1`, but the value is told once. What a
//! crash lost is found by the mark, taken away, and made again.
//!
//! `replace-asked/1`, where the issuer makes and holds the value by itself (a static role of a database engine): it is asked to change it, which is
//! the pivot and cannot be taken back; then as `replace/1`. The proof is made where one logs in with the value, if that is in the estate;
//! else the issuer's word is all there is.
//!
//! `copy-only/1`, where there is no issuer (a signing key, a random value that services share): the first copy is the pivot, the others
//! follow, then the consumers; at the end every copy must hold the new value. Nobody can refuse the old one, so nothing is proven of it.
//!
//! `reissue/1`, of a certificate with its private key: made again with another key, signed by itself or by an authority whose key lies in the
//! estate, checked, and then written as with `copy-only/1`, all fields of an object together.
//!
//! `replace-root/1`, where the issuer makes and holds the value and shows it to nobody (the root credential of a database engine): it is asked to
//! change it, which is the pivot and cannot be taken back, and has to log in with it. There is no copy to be written.

mod alternating;
mod minted;
mod named;
mod reissue;
mod retire;
mod root;

use claviger_backend::{Backend, Issuer, Offer, Overlap, Turns, ValueOrigin};
use claviger_core::{
    model::{ConsumerHow, CopyStage, CredentialKind},
    reference::Ref,
    saga::{Action, Step, StepPhase},
    view::{CopyView, CredentialDetail},
};

pub(super) use self::{
    alternating::alternating,
    minted::{End, minted},
    named::{Holders, named},
    reissue::reissue,
    retire::retire,
    root::root,
};
use super::{Refusal, certificate, refuse, swap::SWAP};
use crate::policy::Policy;

/// How a credential is rotated.
pub(super) enum Strategy<'e> {
    Replace,
    /// With who ends the old value.
    Dual(&'e dyn Issuer),
    /// The same, where the issuer makes the value.
    Minted(&'e dyn Issuer, Offer),
    /// The same, where it makes it under a name.
    Named(&'e dyn Issuer, Offer),
    /// With who ends the old user, and who knows both.
    Alternating(&'e dyn Issuer, &'e dyn Turns),
    /// The same, where copies hold nothing but the value, and the issuer keeps a mark with it.
    Told(&'e dyn Issuer),
    /// Where the issuer changes the value itself.
    Asked,
    /// The same, where it shows it to nobody.
    Root,
    CopyOnly,
    /// Of a certificate, which is made again.
    Reissue,
}

impl<'e> Strategy<'e> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Replace | Self::Asked | Self::Root => "replace",
            Self::Dual(_) | Self::Minted(..) | Self::Named(..) | Self::Told(_) => "dual",
            Self::Alternating(..) => ALTERNATING,
            Self::CopyOnly => COPY_ONLY,
            Self::Reissue => "reissue",
        }
    }

    /// The definition of its steps.
    pub(super) fn definition(&self) -> String {
        let variant = match self {
            Self::Minted(..) => "-minted",
            Self::Named(..) => "-named",
            Self::Told(_) => "-told",
            Self::Asked => "-asked",
            Self::Root => "-root",
            Self::Replace | Self::Dual(_) | Self::Alternating(..) | Self::CopyOnly | Self::Reissue => "",
        };
        format!("{}{variant}/1", self.name())
    }

    /// What fits the credential, if its policy does not ask for something else.
    pub(super) fn choose(
        backend: &'e dyn Backend,
        detail: &CredentialDetail,
        policy: Option<&Policy>,
    ) -> Result<Self, Refusal> {
        let at = &detail.credential.at;
        let wanted = policy.and_then(|policy| Some((policy.name.as_str(), policy.strategy.as_deref()?)));
        let capability = backend.capability();
        let issuer = backend.issuer().filter(|_| capability.issue);
        let offered = issuer.and_then(|issuer| Some((issuer, issuer.offer(at)?)));
        let shape = offered.map(|(_, offer)| (offer.overlap, offer.origin));
        let ends = capability.revoke && capability.verify;
        let asked = wanted.is_some_and(|(_, wanted)| wanted == ALTERNATING);
        let turns = backend.turns().filter(|_| asked && capability.alternate && capability.verify);
        let strategy = match (offered, shape) {
            (Some((issuer, _)), Some((Overlap::None, ValueOrigin::SetByUs))) => {
                turns.map_or(Self::Replace, |turns| Self::Alternating(issuer, turns))
            }
            (Some((issuer, _)), Some((Overlap::Dual, ValueOrigin::SetByUs)))
                if ends && (capability.identify || capability.issue_adds) =>
            {
                Self::Dual(issuer)
            }
            (Some((issuer, offer)), Some((Overlap::Dual, ValueOrigin::Minted)))
                if ends && capability.siblings =>
            {
                Self::Minted(issuer, offer)
            }
            (Some((issuer, offer)), Some((Overlap::Dual, ValueOrigin::MintedByName)))
                if ends && capability.issue_by_name && capability.siblings =>
            {
                Self::Named(issuer, offer)
            }
            (Some(_), Some((Overlap::None, ValueOrigin::Asked))) if capability.issue_asked => Self::Asked,
            (Some(_), Some((Overlap::None, ValueOrigin::Hidden))) if capability.issue_hidden => Self::Root,
            (Some((issuer, _)), Some((Overlap::Dual, ValueOrigin::MintedMarked)))
                if ends && capability.issue_marks =>
            {
                Self::Told(issuer)
            }
            (Some(_), _) => {
                let text = "its issuer would need a strategy that this version does not have";
                return Err(refuse(at, "no-strategy", text));
            }
            (None, _) if certificate::is_one(detail) => {
                if let Some((policy, _)) = wanted.filter(|(_, wanted)| *wanted == COPY_ONLY) {
                    let text = format!(
                        "policy `{policy}` asks for strategy `{COPY_ONLY}`, and it is a certificate or its private key, which no random value can take the place of: leave `strategy` out, and it is made again (`reissue`)"
                    );
                    return Err(refuse(at, "tls-value", text));
                }
                Self::Reissue
            }
            (None, _) if wanted.is_some_and(|(_, wanted)| wanted == COPY_ONLY) => {
                nobody_checks(detail)?;
                Self::CopyOnly
            }
            (None, _) => {
                let text = format!(
                    "backend `{}` cannot issue a `{}`: only its copies are known, or its kind cannot be rotated by this version; if nobody but its copies has to know the value, a policy with strategy = \"copy-only\" says so",
                    at.backend(),
                    detail.credential.kind
                );
                return Err(refuse(at, "no-issuer", text));
            }
        };
        match wanted {
            Some((policy, SWAP)) => Err(refuse(
                at,
                "swap-wanted",
                format!(
                    "policy `{policy}` wants short-lived identity in its place, which nothing begins by itself: `claviger swap {at} --dry-run` shows how"
                ),
            )),
            Some((policy, wanted)) if wanted != strategy.name() => Err(refuse(
                at,
                "no-strategy",
                format!(
                    "policy `{policy}` asks for strategy `{wanted}`; what this version has for its issuer is `{}`",
                    strategy.name()
                ),
            )),
            _ => Ok(strategy),
        }
    }
}

const COPY_ONLY: &str = "copy-only";
/// Never chosen without being asked for: it makes a second user.
const ALTERNATING: &str = "alternating";

/// A value that somebody checks must not be changed in its copies alone: whoever reads them would be locked out.
fn nobody_checks(detail: &CredentialDetail) -> Result<(), Refusal> {
    let (credential, at) = (&detail.credential, &detail.credential.at);
    let kinds = [CredentialKind::Opaque, CredentialKind::Password, CredentialKind::WebhookSecret];
    if !kinds.contains(&credential.kind) {
        let text = format!(
            "a `{}` has an issuer, even if it is not known here: its value cannot be made up",
            credential.kind
        );
        return Err(refuse(at, "has-issuer", text));
    }
    if credential.link != "none" {
        let text = format!(
            "whether it belongs to an issuer is `{}`: it may be somebody's password; scan with all backends first",
            credential.link
        );
        return Err(refuse(at, "has-issuer", text));
    }
    let within =
        |copy: &&CopyView| copy.stage == CopyStage::Current && copy.attributes.contains_key("document");
    if let Some(copy) = detail.copies.iter().find(within) {
        let text =
            format!("{} holds it within a document that names a server: that server checks it", copy.at);
        return Err(refuse(at, "has-issuer", text));
    }
    Ok(())
}

pub(super) fn replace(
    subject: &Ref,
    copies: &[&CopyView],
    staged: Vec<(Ref, String)>,
    consumers: &[(Ref, ConsumerHow)],
) -> Vec<Step> {
    use StepPhase::{AfterPivot, Pivot};
    let mut steps = prepare(Action::SealValues, subject, copies);
    steps.push(Step::new(Action::SetAtIssuer, subject.clone(), Pivot, "set the new value; the old one ends"));
    steps.push(Step::new(Action::VerifyNew, subject.clone(), AfterPivot, "log in with the new value"));
    steps.extend(copies.iter().map(|copy| write(copy, AfterPivot)));
    steps.extend(staged.into_iter().map(|(copy, version)| {
        let detail = format!("take the stage off version {version}, which an unfinished rotation left");
        Step::new(Action::ClearPending(version), copy, AfterPivot, detail)
    }));
    steps.extend(adopt(consumers, ALL));
    steps.push(refused(subject));
    steps
}

pub(super) fn dual(
    subject: &Ref,
    copies: &[&CopyView],
    consumers: &[(Ref, ConsumerHow)],
    end: End,
) -> Vec<Step> {
    let detail = "add the new value; the old one goes on working";
    let add = Step::new(Action::AddAtIssuer, subject.clone(), StepPhase::BeforePivot, detail);
    beside(prepare(Action::SealValues, subject, copies), add, copies, consumers, end)
}

pub(super) fn told(
    subject: &Ref,
    copies: &[&CopyView],
    consumers: &[(Ref, ConsumerHow)],
    end: End,
) -> Vec<Step> {
    let detail =
        "have another one made that may do the same, and seal its value; the old one goes on working";
    let make = Step::new(Action::MintMarked, subject.clone(), StepPhase::BeforePivot, detail);
    beside(prepare(Action::SealAccepted, subject, copies), make, copies, consumers, end)
}

/// What follows once there is a new value beside the old one.
fn beside(
    mut steps: Vec<Step>,
    make: Step,
    copies: &[&CopyView],
    consumers: &[(Ref, ConsumerHow)],
    end: End,
) -> Vec<Step> {
    use StepPhase::{AfterPivot, BeforePivot};
    let target = make.target.clone();
    steps.push(make);
    steps.push(Step::new(Action::VerifyNew, target.clone(), BeforePivot, "log in with the new value"));
    steps.extend(write_all(copies));
    let End { grace, token, capability, at_once } = end;
    steps.extend(adopt(consumers, at_once));
    if grace > 0 {
        let detail = format!("leave the old value for {grace} s, in case somebody still has it");
        steps.push(Step::new(Action::AwaitGrace(grace), target.clone(), AfterPivot, detail));
    }
    steps.push(Step::new(Action::Revoke(Some(token)), target.clone(), AfterPivot, "end the old value"));
    if capability.revoke_cache_seconds > 0 {
        let seconds = capability.revoke_cache_seconds;
        let detail = format!("wait {seconds} s, until no cache may still accept it");
        steps.push(Step::new(Action::AwaitCache(seconds), target.clone(), AfterPivot, detail));
    }
    steps.push(refused(&target));
    steps
}

pub(super) fn asked(
    subject: &Ref,
    login: Option<&Ref>,
    copies: &[&CopyView],
    consumers: &[(Ref, ConsumerHow)],
) -> Vec<Step> {
    use StepPhase::{AfterPivot, Pivot};
    let mut steps = prepare(Action::SealHeld, subject, copies);
    let detail = "have its issuer change the value, and read the new one; the old one ends";
    steps.push(Step::new(Action::AskIssuer, subject.clone(), Pivot, detail));
    let verify =
        |login: &Ref| Step::new(Action::VerifyNew, login.clone(), AfterPivot, "log in with the new value");
    steps.extend(login.map(verify));
    steps.extend(copies.iter().map(|copy| write(copy, AfterPivot)));
    steps.extend(adopt(consumers, ALL));
    let detail = "see that its issuer holds the new value: nowhere here can be logged in with the old one";
    let attest = || Step::new(Action::Attest, subject.clone(), AfterPivot, detail);
    steps.push(login.map_or_else(attest, refused));
    steps
}

pub(super) fn copy_only(subject: &Ref, copies: &[&CopyView], consumers: &[(Ref, ConsumerHow)]) -> Vec<Step> {
    let mut steps = prepare(Action::SealCopies, subject, copies);
    steps.extend(write_all(copies));
    steps.extend(adopt(consumers, ALL));
    let detail = "read every copy again: each must hold the new value";
    steps.push(Step::new(Action::Conclude, subject.clone(), StepPhase::AfterPivot, detail));
    steps
}

/// Where the old value goes on working, the first copy is what cannot be taken back unseen.
fn write_all(copies: &[&CopyView]) -> Vec<Step> {
    let phase = |index| if index == 0 { StepPhase::Pivot } else { StepPhase::AfterPivot };
    copies.iter().enumerate().map(|(index, copy)| write(copy, phase(index))).collect()
}

fn prepare(seal: Action, subject: &Ref, copies: &[&CopyView]) -> Vec<Step> {
    let (accepted, sealed) = match seal {
        Action::SealValues => (" and show that it is accepted", "make a new one; seal both in the journal"),
        Action::SealAccepted => (" and show that it is accepted", "seal it in the journal"),
        Action::SealHeld => (", which must be the one that its issuer holds", "seal it in the journal"),
        _ => ("", "make a new one; seal both in the journal"),
    };
    let mut steps = vec![Step::new(
        seal,
        subject.clone(),
        StepPhase::BeforePivot,
        format!("read the value from {}{accepted}; {sealed}", plural(copies.len(), "copy", "copies")),
    )];
    steps.extend(copies.iter().map(|copy| check(copy)));
    steps
}

fn check(copy: &CopyView) -> Step {
    let detail = "ask whether this copy may be written";
    Step::new(Action::CheckCopy, copy.at.clone(), StepPhase::BeforePivot, detail)
}

fn write(copy: &CopyView, phase: StepPhase) -> Step {
    let version =
        copy.version.as_deref().map_or_else(String::new, |version| format!(" (now version {version})"));
    let detail = format!("write the new value by compare-and-set{version}");
    Step::new(Action::WriteCopy, copy.at.clone(), phase, detail)
}

/// Where the old value has ended already, whoever still has it is down: all restart at once.
pub(super) const ALL: usize = usize::MAX;

/// Restarts of so many consumers at once, and a wait for each of them before the next ones.
pub(super) fn adopt(consumers: &[(Ref, ConsumerHow)], at_once: usize) -> Vec<Step> {
    let restart: Vec<_> = consumers.iter().filter(|(_, how)| needs_refresh(*how)).collect();
    let few = |few: &[&(Ref, ConsumerHow)]| {
        let refreshes = few.iter().map(|(consumer, how)| {
            let detail = "restart it so that it reads its copies again";
            Step::new(Action::Refresh(*how), consumer.clone(), StepPhase::AfterPivot, detail)
        });
        refreshes.chain(few.iter().map(|(consumer, _)| adopted(consumer))).collect::<Vec<_>>()
    };
    restart.chunks(at_once.max(1)).flat_map(few).collect()
}

/// The wait for a consumer that was restarted.
pub(super) fn adopted(consumer: &Ref) -> Step {
    let detail = "wait until it runs on the new value and is ready";
    Step::new(Action::AwaitAdoption, consumer.clone(), StepPhase::AfterPivot, detail)
}

pub(super) fn refused(subject: &Ref) -> Step {
    let detail = "log in with the old value: it must be refused";
    Step::new(Action::ProveRefused, subject.clone(), StepPhase::AfterPivot, detail)
}

fn needs_refresh(how: ConsumerHow) -> bool {
    matches!(how, ConsumerHow::Env | ConsumerHow::EnvFrom | ConsumerHow::Volume | ConsumerHow::Projected)
}

fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}
