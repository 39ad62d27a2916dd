//! The GitHub backend against a fake of GitHub, which holds every request and every answer against GitHub's own description of its API. Not against GitHub.

#[path = "backend_github/client.rs"]
mod client;
#[path = "backend_github/contract.rs"]
mod contract;
#[path = "backend_github/deploy_key.rs"]
mod deploy_key;
#[path = "backend_github/inventory.rs"]
mod inventory;
#[path = "backend_github/secret.rs"]
mod secret;
#[path = "backend_github/token.rs"]
mod token;

use std::{sync::Arc, time::Duration};

use claviger_backend::{Backend, Operation, contract::Everything};
use claviger_backend_forge::{GithubBackend, GithubConfig};
use claviger_core::{
    clock::SystemClock,
    id::{OperationKey, SagaId},
    model::{Scope, ScopeStatus},
    random::OsRandom,
    reference::Ref,
    secret::SecretValue,
};
use claviger_tests::lab::github::Github;

const ALL: &[(&str, &str)] = &[("*", "write")];

fn value(text: &str) -> SecretValue {
    SecretValue::from_text(text.to_owned())
}

fn at(text: &str) -> Ref {
    Ref::from_text(text)
}

/// With this token, reading everything that it sees.
fn config(server: &Github, token: &str) -> GithubConfig {
    GithubConfig {
        url: server.address().to_owned(),
        ca: None,
        token: Some(value(token)),
        app: None,
        application: None,
        owners: Vec::new(),
        ssh_host: None,
        known_hosts: None,
    }
}

fn backend(config: GithubConfig) -> GithubBackend {
    GithubBackend::new("forge", config, Arc::new(SystemClock), Arc::new(OsRandom))
        .expect("a usable configuration")
}

fn operation(name: &str) -> Operation {
    let run = format!("{}/{name}", std::process::id());
    let key = OperationKey::derive(SagaId(uuid::Uuid::NAMESPACE_OID), &run, "forge", 0);
    Operation { key, deadline: Duration::from_secs(30) }
}

/// The fake has heard and said nothing that GitHub does not describe.
fn as_described(server: &Github) {
    assert_eq!(server.violations(), Vec::<String>::new());
}
