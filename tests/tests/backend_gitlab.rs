//! The GitLab backend against a fake that was built from GitLab's documents.

#[path = "backend_gitlab/contract.rs"]
mod contract;
#[path = "backend_gitlab/deploy_key.rs"]
mod deploy_key;
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
use claviger_tests::lab::{gitea::Gitea, gitlab::Gitlab};

fn value(text: &str) -> SecretValue {
    SecretValue::from_text(text.to_owned())
}

fn at(text: &str) -> Ref {
    Ref::from_text(text)
}

/// With this token.
fn backend_as(server: &Gitlab, token: &str) -> GitlabBackend {
    built(config(server, token))
}

/// As the administrator, with an SSH server behind it.
fn with_ssh(server: &Gitlab, ssh: &Gitea) -> GitlabBackend {
    let known_hosts = Some(ssh.known_hosts().to_owned());
    built(GitlabConfig { known_hosts, ..config(server, &server.token()) })
}

fn built(config: GitlabConfig) -> GitlabBackend {
    GitlabBackend::new("forge", config, Arc::new(SystemClock)).expect("a usable configuration")
}

fn config(server: &Gitlab, token: &str) -> GitlabConfig {
    GitlabConfig {
        url: server.address().to_owned(),
        ca: None,
        token: value(token),
        owners: Vec::new(),
        known_hosts: None,
        version_key: Arc::new(FingerprintKey::new([3; 32])),
    }
}

/// As the administrator.
fn backend(server: &Gitlab) -> GitlabBackend {
    backend_as(server, &server.token())
}

fn operation(name: &str) -> Operation {
    let key = OperationKey::derive(SagaId(uuid::Uuid::NAMESPACE_OID), name, "gitlab", 0);
    Operation { key, deadline: Duration::from_secs(30) }
}
