//! GitHub and GitHub Enterprise Server.

mod access;
mod app;
mod backend;
mod check;
mod config;
mod deploy_key;
mod inventory;
mod issuer;
mod kept;
mod letterbox;
mod names;
mod sealed;
mod store;
mod token;
mod wire;
mod workloads;

pub use self::{
    backend::GithubBackend,
    config::{App, Application, GithubConfig},
};
