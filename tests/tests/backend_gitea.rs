//! The Gitea backend against a real Gitea.

#[path = "backend_gitea/contract.rs"]
mod contract;
#[path = "backend_gitea/deploy_key.rs"]
mod deploy_key;
#[path = "backend_gitea/inventory.rs"]
mod inventory;
#[path = "backend_gitea/login.rs"]
mod login;
#[path = "backend_gitea/secret.rs"]
mod secret;

use std::{sync::Arc, time::Duration};

use claviger_backend::{Backend, Operation, contract::Everything};
use claviger_backend_forge::{GiteaBackend, GiteaConfig, Login};
use claviger_core::{
    clock::SystemClock,
    id::{OperationKey, SagaId},
    model::ScopeStatus,
    reference::Ref,
    secret::SecretValue,
};
use claviger_tests::lab::gitea::{ADMINISTRATOR, Gitea};

fn value(text: &str) -> SecretValue {
    SecretValue::from_text(text.to_owned())
}

fn at(text: &str) -> Ref {
    Ref::from_text(text)
}

/// As the administrator, reading these owners only.
fn config(server: &Gitea, owners: &[&str]) -> GiteaConfig {
    GiteaConfig {
        url: server.address().to_owned(),
        ca: None,
        token: Some(value(server.token())),
        login: Some(Login { user: ADMINISTRATOR.to_owned(), password: value(server.password()) }),
        owners: owners.iter().map(ToString::to_string).collect(),
        known_hosts: Some(server.known_hosts().to_owned()),
    }
}

fn backend(config: GiteaConfig) -> GiteaBackend {
    GiteaBackend::new("forge", config, Arc::new(SystemClock)).expect("a usable configuration")
}

fn operation(name: &str) -> Operation {
    let run = format!("{}/{name}", std::process::id());
    let key = OperationKey::derive(SagaId(uuid::Uuid::NAMESPACE_OID), &run, "forge", 0);
    Operation { key, deadline: Duration::from_secs(30) }
}
