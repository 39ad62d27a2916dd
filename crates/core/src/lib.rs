//! The domain of claviger: what credentials are, how they are recognised, what a rotation may do next, what the audit log says.
//!
//! This crate does no I/O and must not know tokio, SeaORM, Kubernetes or HTTP: everything that decides whether a credential could be lost
//! is testable here without a server. Time and randomness come in as parameters ([`clock::Clock`], [`random::Random`]).
//!
//! To add a kind of credential: a word in [`model::CredentialKind`], its recognition in `canonical`, a line in the CLI's documentation.

pub mod agreement;
pub mod approval;
pub mod audit;
pub mod canonical;
pub mod certificate;
pub mod chain;
pub mod clock;
pub mod finding;
pub mod fingerprint;
pub mod firing;
pub mod format;
pub mod id;
pub mod incident;
pub mod leak;
pub mod model;
pub mod notice;
pub mod observation;
pub mod own_key;
pub mod password;
pub mod patch;
pub mod random;
pub mod reference;
pub mod resemblance;
pub mod saga;
pub mod schedule;
pub mod scram;
pub mod seal;
pub mod secret;
pub mod signing;
pub mod ssh_key;
pub mod trust;
pub mod view;
pub mod webhook;
pub mod workflow;
