//! Jenkins, with its Credentials plugin.

mod backend;
mod check;
mod config;
mod crumb;
mod inventory;
mod letterbox;
mod names;
mod wire;
mod xml;

pub use self::{backend::JenkinsBackend, config::JenkinsConfig};
