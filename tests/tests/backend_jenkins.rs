//! The Jenkins backend against a fake that was built from the Credentials plugin's documents.

#[path = "backend_jenkins/contract.rs"]
mod contract;
#[path = "backend_jenkins/credential.rs"]
mod credential;

use std::{sync::Arc, time::Duration};

use claviger_backend::{Backend, Operation, contract::Everything};
use claviger_backend_forge::{JenkinsBackend, JenkinsConfig, Login};
use claviger_core::{
    clock::SystemClock,
    id::{OperationKey, SagaId},
    reference::Ref,
    secret::SecretValue,
};
use claviger_tests::lab::jenkins::{Jenkins, USER};

fn value(text: &str) -> SecretValue {
    SecretValue::from_text(text.to_owned())
}

fn at(text: &str) -> Ref {
    Ref::from_text(text)
}

fn backend_as(server: &Jenkins, user: &str) -> JenkinsBackend {
    let config = JenkinsConfig {
        url: server.address().to_owned(),
        ca: None,
        login: Login { user: user.to_owned(), password: value(&server.token(user)) },
        owners: Vec::new(),
    };
    JenkinsBackend::new("ci", config, Arc::new(SystemClock)).expect("a usable configuration")
}

fn backend(server: &Jenkins) -> JenkinsBackend {
    backend_as(server, USER)
}

fn operation(name: &str) -> Operation {
    let key = OperationKey::derive(SagaId(uuid::Uuid::NAMESPACE_OID), name, "jenkins", 0);
    Operation { key, deadline: Duration::from_secs(30) }
}
