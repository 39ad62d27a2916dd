//! The suite that every backend must pass: trials made from what its capability claims.
//!
//! ```ignore
//! // tests/contract.rs of a backend, with `harness = false`
//! fn main() -> std::process::ExitCode {
//!     let arguments = libtest_mimic::Arguments::from_args();
//!     libtest_mimic::run(&arguments, claviger_backend::contract::trials("vault", backend, fixture)).exit_code()
//! }
//! ```
//!
//! A [`Fixture`] names what the trials may touch. A capability that is claimed without a subject to try it on is a *failed* trial: a claim that
//! nothing shows is what the suite is there to prevent. Trials run one at a time and leave credential and copy as they found them, the
//! subject of the revocation excepted.
//!
//! If `trials` is called within a tokio runtime, they run on it (a backend's connections live there); else on one of their own.
//!
//! To add a rule of the contract: the sentence at the method in `roles.rs` or `backend.rs`, and a trial in the file of its role here.

mod adding;
mod asking;
mod bench;
mod description;
mod erasing;
mod everything;
mod federating;
mod hiding;
mod inventory;
mod issuer;
mod marking;
mod minting;
mod naming;
mod posting;
mod runtime;
mod store;
mod turns;

use std::sync::Arc;

use claviger_core::{model::ConsumerHow, reference::Ref, secret::SecretValue};
use libtest_mimic::Trial;

use self::bench::Bench;
pub use self::everything::Everything;
use crate::Backend;

/// A credential and the value that its issuer accepts now.
pub struct Subject {
    /// Its ref.
    pub at: Ref,
    /// Its value.
    pub value: SecretValue,
}

/// A workload.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Its ref.
    pub at: Ref,
    /// How it reads.
    pub how: ConsumerHow,
}

/// A static credential whose place a short-lived identity can take, and one workload that reads it as files.
pub struct Swappable {
    /// The credential.
    pub credential: Subject,
    /// The object that the workload reads.
    pub object: Ref,
    /// The workload; it runs as the credential's identity.
    pub consumer: Ref,
}

/// Counts what took place at the target, as the target sees it: rollouts of a consumer, changes of a credential.
pub type Counter = Box<dyn Fn() -> u64 + Send + Sync>;

/// Makes a value that the issuer takes, another one each time.
pub type NewValue = Box<dyn Fn() -> SecretValue + Send + Sync>;

/// What the trials may touch.
#[derive(Default)]
pub struct Fixture {
    /// A credential that can be set, verified, identified and restored.
    pub credential: Option<Subject>,
    /// A credential beside which the issuer can make another; its identity has a slot free.
    pub mintable: Option<Subject>,
    /// A credential beside which the issuer makes another under the operation's name.
    pub nameable: Option<Subject>,
    /// A user that can take turns with another, who is not there or rests.
    pub alternating: Option<Subject>,
    /// A credential beside which the issuer can make another that carries our mark.
    pub marked: Option<Subject>,
    /// A credential beside which the issuer takes another value of ours.
    pub addable: Option<Subject>,
    /// Values for the one beside `addable`.
    pub new_beside: Option<NewValue>,
    /// A credential whose value the issuer makes, holds and shows; it has another one afterwards.
    pub asked: Option<Subject>,
    /// A credential whose value the issuer makes, and shows nobody; with the one that it has now. It has another one afterwards.
    pub hidden: Option<Subject>,
    /// A credential that will be revoked; it is gone afterwards.
    pub revocable: Option<Subject>,
    /// A credential of the same issuer that does not exist.
    pub absent_credential: Option<Ref>,
    /// Values for `credential`.
    pub new_value: Option<NewValue>,
    /// A field that can be read and written.
    pub copy: Option<Ref>,
    /// Another field of the same object, with a value in it.
    pub copy_beside: Option<Ref>,
    /// A field that does not exist, in a place that we may read.
    pub absent_copy: Option<Ref>,
    /// A place that takes a value and shows none, and has one.
    pub posted: Option<Ref>,
    /// Another one beside it, in which there is nothing.
    pub absent_posted: Option<Ref>,
    /// A workload that can be refreshed.
    pub consumer: Option<Consumer>,
    /// A workload that does not exist.
    pub absent_consumer: Option<Consumer>,
    /// Two objects of the same kind: `consumer` names the first, and nothing of the second.
    pub objects: Option<(Ref, Ref)>,
    /// Which of the two it names, as the target sees it.
    pub named: Option<Box<dyn Fn() -> Ref + Send + Sync>>,
    /// A credential whose place a short-lived identity can take.
    pub swappable: Option<Swappable>,
    /// How often `consumer` was rolled out so far.
    pub rollouts: Option<Counter>,
    /// How often anything was changed at the target so far, where it can be counted.
    pub changes: Option<Counter>,
    /// Values that the backend knows, its own credential first: none may show up in what it prints.
    pub secrets: Vec<SecretValue>,
}

/// The trials for a backend.
pub fn trials(name: &str, backend: Arc<dyn Backend>, fixture: Fixture) -> Vec<Trial> {
    let bench = Arc::new(Bench::new(backend, fixture));
    let mut trials = description::trials(&bench);
    trials.extend(inventory::trials(&bench));
    trials.extend(issuer::trials(&bench));
    trials.extend(minting::trials(&bench));
    trials.extend(naming::trials(&bench));
    trials.extend(turns::trials(&bench));
    trials.extend(marking::trials(&bench));
    trials.extend(adding::trials(&bench));
    trials.extend(asking::trials(&bench));
    trials.extend(hiding::trials(&bench));
    trials.extend(store::trials(&bench));
    trials.extend(erasing::trials(&bench));
    trials.extend(posting::trials(&bench));
    trials.extend(runtime::trials(&bench));
    trials.extend(federating::trials(&bench));
    trials.into_iter().map(|trial| trial.named(name)).collect()
}
