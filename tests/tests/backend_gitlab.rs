//! The GitLab backend against a fake that was built from GitLab's documents.

#[path = "backend_gitlab/contract.rs"]
mod contract;
#[path = "backend_gitlab/inventory.rs"]
mod inventory;
#[path = "backend_gitlab/token.rs"]
mod token;
#[path = "backend_gitlab/variable.rs"]
mod variable;

use std::{sync::Arc, time::Duration};

use claviger_backend::{Backend, Operation, contract::Everything};
use claviger_backend_forge::{GitlabBackend, GitlabConfig};
use claviger_core::{
    clock::SystemClock,
    fingerprint::FingerprintKey,
    id::{OperationKey, SagaId},
    model::ScopeStatus,
    reference::Ref,
    secret::SecretValue,
};
use claviger_tests::lab::gitlab::Gitlab;

fn value(text: &str) -> SecretValue {
    SecretValue::from_text(text.to_owned())
}

fn at(text: &str) -> Ref {
    Ref::from_text(text)
}

/// With this token.
fn backend_as(server: &Gitlab, token: &str) -> GitlabBackend {
    let config = GitlabConfig {
        url: server.address().to_owned(),
        ca: None,
        token: value(token),
        owners: Vec::new(),
        version_key: Arc::new(FingerprintKey::new([3; 32])),
    };
    GitlabBackend::new("forge", config, Arc::new(SystemClock)).expect("a usable configuration")
}

/// As the administrator.
fn backend(server: &Gitlab) -> GitlabBackend {
    backend_as(server, &server.token())
}

fn operation(name: &str) -> Operation {
    let key = OperationKey::derive(SagaId(uuid::Uuid::NAMESPACE_OID), name, "gitlab", 0);
    Operation { key, deadline: Duration::from_secs(30) }
}
