//! What `deploy/` ships, on the lab's real API server: it renders, the server takes it, each flow does its work with its shipped role and nothing else,
//! and no rule of a role can be taken away.

mod chart;
mod doctor;
mod flow;
mod grant;
mod policy;
mod review;
mod robot;
mod role;
mod trust;
mod unit;

use std::path::{Path, PathBuf};

/// A file of `deploy/`.
pub(crate) fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}
