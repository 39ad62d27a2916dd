//! What each action does: `run`, `undo`, `reconcile`, one file per action or pair of actions.
//!
//! Contract. `run` may be begun again after any crash once `reconcile` said that it did not happen, and is idempotent at the target by
//! its operation key or expectation. `reconcile` only observes. `undo` is only called before the pivot succeeded, and is idempotent.

pub(super) mod adoption;
mod anchor;
mod asked;
mod certificate;
mod copies;
mod derived;
pub(super) mod issue;
mod marked;
mod mint;
mod named;
mod pair;
mod pending;
mod post;
mod probe;
mod quarantine;
mod repoint;
mod revoke;
mod rights;
mod root;
mod scrub;
mod seal;
mod session;
mod swap;
mod take_over;
mod timer;
mod turn;

use chrono::{DateTime, Utc};
use claviger_core::{
    reference::Ref,
    saga::{Action, Step},
};
use claviger_store::port::SagaRecord;

use super::context::{Context, Done, Ran, Trouble};

pub(super) use self::{
    anchor::holds_last_record,
    asked::is_held,
    issue::new_at,
    scrub::left_in,
    seal::{public_half, read_whole},
};
pub(crate) use self::{mint::PUBLIC_HALF, seal::leaf_at};

/// What an observation says of an interrupted step.
#[expect(
    clippy::large_enum_variant,
    reason = "made once per step and matched at once: a box would buy nothing"
)]
pub(super) enum Seen {
    /// It happened, with this result.
    Happened(Done),
    /// It did not; why we think so.
    NotHappened(String),
    /// It may have happened and not be seen yet: ask again then.
    Later(DateTime<Utc>),
    /// It made these, and nobody can ever know their values: take them away, then it did not happen.
    Orphans(Vec<Ref>),
}

pub(super) async fn run(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    match &step.action {
        Action::SealValues => seal::both(cx).await,
        Action::SealCopies => seal::copies(cx).await,
        Action::SealAccepted => seal::accepted(cx).await,
        Action::SealHeld => asked::seal(cx).await,
        Action::SealOld => seal::old(cx).await,
        Action::TakeOver(_) => take_over::run(cx).await,
        Action::RestoreAtIssuer => issue::restore(cx, step).await,
        Action::CheckCopy => copies::check(cx, step).await,
        Action::SetAtIssuer => issue::set(cx, step).await,
        Action::AddAtIssuer => issue::add(cx, step).await,
        Action::SealPair => pair::seal(cx).await,
        Action::MintAtIssuer => mint::mint(cx, step).await,
        Action::SealNamed(own) => named::seal(cx, own).await,
        Action::CheckConsumer(from) => repoint::check(cx, step, from).await,
        Action::MintByName => named::mint(cx, step).await,
        Action::SealUser => pair::seal_user(cx).await,
        Action::WakeUser(name) => turn::wake(cx, step, name).await,
        Action::CompareUsers => turn::compare(cx).await,
        Action::AwaitNoSessions(seconds) => session::none(cx, step, *seconds).await,
        Action::MintMarked => marked::mint(cx, step).await,
        Action::AskIssuer => asked::ask(cx, step).await,
        Action::VerifyNew => probe::new(cx, step).await,
        Action::WriteCopy => copies::write(cx, step).await,
        Action::WritePairs(pairs) => pair::write(cx, step, pairs).await,
        Action::PostCopy => post::post(cx, step).await,
        Action::ClearPending(version) => pending::clear(cx, step, version).await,
        Action::Refresh(how) => adoption::refresh(cx, step, *how).await,
        Action::Repoint(redirect) => repoint::repoint(cx, step, redirect).await,
        Action::AwaitAdoption => adoption::adopted(cx, step).await,
        Action::ControlProbe => probe::control(cx).await,
        Action::Revoke(expect) => revoke::revoke(cx, step, expect.as_deref()).await,
        Action::AwaitCache(seconds) => Ok(timer::since_last(cx, step, u64::from(*seconds))),
        Action::AwaitGrace(seconds) => Ok(timer::since_last(cx, step, *seconds)),
        Action::AwaitWindow { window, zone } => timer::opening(cx, window, zone),
        Action::AwaitQuiet(quiet) => quarantine::quiet(cx, step, *quiet).await,
        Action::Disable => quarantine::disable(cx, step).await,
        Action::Enable => quarantine::enable(cx, step).await,
        Action::ProveDisabled => probe::disabled(cx).await,
        Action::ProveRefused => probe::refused(cx, step).await,
        Action::Conclude => probe::concluded(cx).await,
        Action::Attest => asked::attest(cx).await,
        Action::SealCertificate(authority) => certificate::seal(cx, authority.as_ref()).await,
        Action::VerifyCertificate(authority) => certificate::verify(cx, authority.as_ref()).await,
        Action::WriteCertificate(holder) => certificate::write(cx, step, holder).await,
        Action::NoteRoot(login) => root::note(cx, login.as_ref()).await,
        Action::RotateRoot(login) => root::rotate(cx, step, login.as_ref()).await,
        Action::VerifyRoot => root::verify(cx, step).await,
        Action::AttestRoot => root::attest(cx).await,
        Action::EndDerived(mark) => derived::end(cx, step, mark).await,
        Action::ScrubCopy => scrub::copy(cx, step).await,
        Action::ScrubFormer => scrub::former(cx, step).await,
        Action::ConcludeScrub => scrub::concluded(cx).await,
        Action::NoteAnchor(expect) => anchor::note(cx, step, expect).await,
        Action::EndAnchor(expect) => anchor::end(cx, step, expect).await,
        Action::RemakeAnchor(former) => anchor::remake(cx, step, former).await,
        Action::ProveAnchor(expect) => anchor::prove(cx, step, expect).await,
        Action::NoteRights(who) => rights::note(cx, step, who).await,
        Action::CutBinding(parties) => rights::cut(cx, step, parties).await,
        Action::ProveCut(who) => rights::prove(cx, step, who).await,
        Action::AttestEnded => derived::attest(cx).await,
        Action::CheckHolder(binding) => swap::check(cx, step, binding).await,
        Action::Federate(arrangement) => swap::federate(cx, step, arrangement).await,
        Action::Bind(binding) => swap::bind(cx, step, binding).await,
        Action::TryIdentity(arrangement) => swap::login(cx, arrangement).await,
        Action::AwaitUnread(object) => swap::unread(cx, step, object).await,
        Action::CompareRights(arrangement) => swap::compare(cx, arrangement).await,
        Action::AwaitEntry(arrangement) => swap::entered(cx, arrangement).await,
    }
}

pub(super) async fn reconcile(cx: &Context<'_>, step: &Step) -> Result<Seen, Trouble> {
    match &step.action {
        Action::SetAtIssuer | Action::RestoreAtIssuer => issue::observe(cx).await,
        Action::AddAtIssuer => issue::observe_added(cx).await,
        Action::MintAtIssuer => mint::observe(cx, step).await,
        Action::MintByName => named::observe(cx, step).await,
        Action::Repoint(redirect) => repoint::observe(cx, step, redirect).await,
        Action::WakeUser(name) => turn::observe(cx, step, name).await,
        Action::MintMarked => marked::observe(cx, step).await,
        Action::AskIssuer => asked::observe(cx, step).await,
        Action::WriteCopy => copies::observe(cx, step).await,
        Action::WritePairs(pairs) => pair::observe(cx, pairs).await,
        Action::WriteCertificate(holder) => certificate::observe(cx, holder).await,
        Action::RotateRoot(login) => root::observe(cx, step, login.as_ref()).await,
        Action::PostCopy => post::observe(cx, step).await,
        Action::ClearPending(version) => pending::observe(cx, step, version).await,
        Action::Disable => quarantine::observe(cx, step).await,
        Action::Enable => quarantine::observe_enabled(cx, step).await,
        Action::Revoke(expect) => revoke::observe(cx, step, expect.as_deref()).await,
        Action::EndAnchor(expect) => anchor::observe(cx, step, expect).await,
        Action::Federate(arrangement) => swap::observe_federated(cx, step, arrangement).await,
        Action::Bind(binding) => swap::observe_bound(cx, step, binding).await,
        // A refresh carries its operation key to the target: doing it again is no second rollout. What is ended or taken out is looked for again
        // first. The others change nothing.
        Action::Refresh(_)
        | Action::SealValues
        | Action::SealCopies
        | Action::SealAccepted
        | Action::SealHeld
        | Action::SealOld
        | Action::TakeOver(_)
        | Action::SealPair
        | Action::SealNamed(_)
        | Action::CheckConsumer(_)
        | Action::SealUser
        | Action::CheckCopy
        | Action::VerifyNew
        | Action::CompareUsers
        | Action::AwaitNoSessions(_)
        | Action::AwaitAdoption
        | Action::ControlProbe
        | Action::AwaitCache(_)
        | Action::AwaitGrace(_)
        | Action::AwaitWindow { .. }
        | Action::AwaitQuiet(_)
        | Action::ProveDisabled
        | Action::ProveRefused
        | Action::Conclude
        | Action::EndDerived(_)
        | Action::ScrubCopy
        | Action::ScrubFormer
        | Action::ConcludeScrub
        | Action::Attest
        | Action::SealCertificate(_)
        | Action::VerifyCertificate(_)
        | Action::NoteRoot(_)
        | Action::NoteAnchor(_)
        | Action::RemakeAnchor(_)
        | Action::ProveAnchor(_)
        | Action::NoteRights(_)
        | Action::CutBinding(_)
        | Action::ProveCut(_)
        | Action::AttestEnded
        | Action::CheckHolder(_)
        | Action::TryIdentity(_)
        | Action::AwaitUnread(_)
        | Action::CompareRights(_)
        | Action::AwaitEntry(_)
        // The issuer logs in once more.
        | Action::VerifyRoot
        | Action::AttestRoot => Ok(Seen::NotHappened("it may safely be done again".to_owned())),
    }
}

pub(super) async fn undo(cx: &Context<'_>, step: &Step) -> Result<(), Trouble> {
    match &step.action {
        Action::SetAtIssuer => issue::take_back(cx, step).await,
        Action::AddAtIssuer => issue::take_away(cx, step).await,
        Action::MintAtIssuer => mint::take_away(cx, step).await,
        Action::MintByName => named::take_away(cx, step).await,
        Action::WakeUser(_) => turn::unwake(cx, step).await,
        Action::MintMarked => marked::take_away(cx, step).await,
        Action::Federate(arrangement) => swap::unfederate(cx, step, arrangement).await,
        Action::Bind(binding) => swap::unbind(cx, step, binding).await,
        Action::Disable => quarantine::undo(cx, step).await,
        // A revocation, or a change that the issuer was asked for, that was refused changed nothing; one that was carried out is never taken
        // back, and never unwound; nor is a rollback, which goes forward or waits.
        Action::Revoke(_)
        | Action::AskIssuer
        | Action::RestoreAtIssuer
        | Action::Enable
        | Action::WriteCopy
        | Action::WritePairs(_)
        | Action::PostCopy
        | Action::ClearPending(_)
        | Action::Refresh(_)
        | Action::Repoint(_)
        | Action::SealValues
        | Action::SealCopies
        | Action::SealAccepted
        | Action::SealHeld
        | Action::SealOld
        | Action::TakeOver(_)
        | Action::SealPair
        | Action::SealNamed(_)
        | Action::CheckConsumer(_)
        | Action::SealUser
        | Action::CheckCopy
        | Action::VerifyNew
        | Action::CompareUsers
        | Action::AwaitNoSessions(_)
        | Action::AwaitAdoption
        | Action::ControlProbe
        | Action::AwaitCache(_)
        | Action::AwaitGrace(_)
        | Action::AwaitWindow { .. }
        | Action::AwaitQuiet(_)
        | Action::ProveDisabled
        | Action::ProveRefused
        | Action::Conclude
        | Action::EndDerived(_)
        | Action::ScrubCopy
        | Action::ScrubFormer
        | Action::ConcludeScrub
        | Action::Attest
        | Action::SealCertificate(_)
        | Action::VerifyCertificate(_)
        | Action::WriteCertificate(_)
        | Action::NoteRoot(_)
        | Action::RotateRoot(_)
        | Action::VerifyRoot
        | Action::AttestRoot
        | Action::NoteAnchor(_)
        | Action::EndAnchor(_)
        | Action::RemakeAnchor(_)
        | Action::ProveAnchor(_)
        | Action::NoteRights(_)
        | Action::CutBinding(_)
        | Action::ProveCut(_)
        | Action::AttestEnded
        | Action::CheckHolder(_)
        | Action::TryIdentity(_)
        | Action::AwaitUnread(_)
        | Action::CompareRights(_)
        | Action::AwaitEntry(_) => Ok(()),
    }
}

/// What the undo of a step changes: its target, or what it made.
pub(super) fn undo_target(record: &SagaRecord, step: &Step) -> Ref {
    match step.action {
        Action::AddAtIssuer | Action::MintAtIssuer | Action::MintByName | Action::MintMarked => {
            mint::made(record, step).unwrap_or_else(|| step.target.clone())
        }
        _ => step.target.clone(),
    }
}
