//! Gitea and Forgejo.

mod backend;
mod check;
mod config;
mod deploy_key;
mod inventory;
mod issuer;
mod letterbox;
mod names;
mod store;
mod token;
mod wire;

pub use self::{backend::GiteaBackend, config::GiteaConfig};
