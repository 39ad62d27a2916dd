//! The backend contract: what a system must do so that the engine can read it, change it and prove what it did.
//!
//! A backend implements [`Backend`] and any of the roles [`Issuer`] (with [`Turns`] where two users can take turns, and [`Offspring`] where what was
//! obtained with a credential outlives it), [`Store`] (with [`Eraser`] where values can be taken out), [`Letterbox`] where values are taken and shown to nobody, [`Runtime`]; [`Anchors`]
//! where tokens are bound to objects and lie nowhere, [`Authority`] where rights can be cut of what cannot be refused, [`Federation`] where short-lived
//! identities are accepted, [`Workloads`] where the programs run that have them. What it can do it says in [`Capability`],
//! which the planner reads: what a backend cannot do is refused when the plan is made. The contract knows no vendor, no database and
//! no saga.
//!
//! To add a backend: one crate `backend-<system>` that implements the traits, one line in the CLI's registry, and the contract suite
//! run on it. `crates/README.md` walks through it.

mod anchor;
mod authority;
mod backend;
mod capability;
#[cfg(feature = "contract")]
pub mod contract;
mod decoy;
mod ending;
mod eraser;
mod error;
mod federation;
pub mod layers;
mod letterbox;
mod operation;
mod own_login;
mod roles;
mod sink;
mod trusting;
mod turns;

pub use self::{
    anchor::{Anchor, Anchored, Anchors, Sample, Standing},
    authority::{Authority, Hold, Rights},
    backend::{Backend, BackendInfo, Permission, PermissionStatus},
    capability::{Capability, Overlap, ValueOrigin},
    decoy::{DECOY, Decoys},
    ending::{Derived, Descent, Ended, Ending, Offspring, Suspension},
    eraser::{Eraser, FormerValue},
    error::{Effect, Error, ErrorKind, Result, Retry},
    federation::{
        Candidate, Entry, Federation, Granted, Holder, Lent, Loan, Offered, Proposal, Reads, Runs, Uses,
        Workloads,
    },
    letterbox::{Letterbox, Marked},
    operation::Operation,
    own_login::{OwnLogin, OwnState, Renewal},
    roles::{
        Account, Adoption, Expect, Field, Held, Identified, Issued, Issuer, Offer, PendingValue, Presence,
        Probe, Prospect, Restore, Runtime, Sibling, Store, StoreState, StoredValue, ValueForm, Verdict,
    },
    sink::{Message, Page, Phase, ScanSink, channel},
    trusting::{TrustedAt, Trusting},
    turns::{Likeness, Pairing, Sessions, Turn, Turns},
};
