//! GitLab.

mod backend;
mod check;
mod config;
mod deploy_key;
mod inventory;
mod issuer;
mod letterbox;
mod names;
mod pages;
mod store;
mod token;
mod variable;
mod wire;

pub use self::{backend::GitlabBackend, config::GitlabConfig};
