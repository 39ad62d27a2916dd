//! Black-box tests of the `claviger` binary against real servers, and what they need: the [`lab`] that starts the servers
//! and the [`estate`] that is planted in them.
//!
//! This library knows servers and their wire formats. It must not know claviger's crates, so that a mistake in our model
//! of Kubernetes is not made twice. A test that wants to look at claviger looks through the binary ([`binary`]), as a person
//! does; only a backend's contract tests take its crate, as a dev-dependency.
//!
//! One more server: a file in `lab/` with a type that has `start()`, a line in [`lab`], its pins in `tests/lab/`, a branch
//! in `tests/lab/install`, and (when it is to be seeded) a file in `estate/`.

pub mod binary;
pub mod estate;
pub mod lab;
