//! The Jenkins backend against a fake that was built from the Credentials plugin's documents.

#[path = "backend_jenkins/contract.rs"]
mod contract;
#[path = "backend_jenkins/credential.rs"]
mod credential;

use std::{sync::Arc, time::Duration};

use claviger_backend::{Backend, Message, Operation, Phase, channel};
use claviger_backend_forge::{JenkinsBackend, JenkinsConfig, Login};
use claviger_core::{
    clock::SystemClock,
    id::{OperationKey, SagaId},
    model::{Scope, ScopeStatus},
    observation::{Observation, ObservedCopy},
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

/// What a scan saw.
#[derive(Default)]
struct Everything {
    copies: Vec<ObservedCopy>,
    ends: Vec<(Scope, ScopeStatus)>,
}

impl Everything {
    async fn of(backend: &JenkinsBackend) -> Self {
        let mut seen = Self::default();
        for phase in [Phase::Issuers, Phase::Stores] {
            let (mut sink, mut receiver) = channel(4);
            let send = async {
                let outcome = backend.inventory(phase, &mut sink).await;
                drop(sink);
                outcome
            };
            let receive = async {
                while let Some(message) = receiver.recv().await {
                    match message {
                        Message::ScopeEnd { scope, status, .. } => seen.ends.push((scope, status)),
                        Message::Page(page) => {
                            seen.copies.extend(page.items.into_iter().filter_map(|item| match item {
                                Observation::Copy(copy) => Some(copy),
                                _ => None,
                            }))
                        }
                    }
                }
            };
            let (outcome, ()) = tokio::join!(send, receive);
            outcome.expect("an inventory");
        }
        seen
    }
}
