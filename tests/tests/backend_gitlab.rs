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

use claviger_backend::{Backend, Message, Operation, Phase, channel};
use claviger_backend_forge::{GitlabBackend, GitlabConfig};
use claviger_core::{
    clock::SystemClock,
    fingerprint::FingerprintKey,
    id::{OperationKey, SagaId},
    model::{Scope, ScopeStatus},
    observation::{
        Observation, ObservedConsumer, ObservedCopy, ObservedCredential, ObservedGrant, ObservedIdentity,
    },
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

/// What a scan saw.
#[derive(Default)]
struct Everything {
    identities: Vec<ObservedIdentity>,
    credentials: Vec<ObservedCredential>,
    copies: Vec<ObservedCopy>,
    consumers: Vec<ObservedConsumer>,
    grants: Vec<ObservedGrant>,
    ends: Vec<(Scope, ScopeStatus, Option<String>)>,
}

impl Everything {
    async fn of(backend: &GitlabBackend) -> Self {
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
                    seen.take(message);
                }
            };
            let (outcome, ()) = tokio::join!(send, receive);
            outcome.expect("an inventory");
        }
        seen
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::ScopeEnd { scope, status, reason } => self.ends.push((scope, status, reason)),
            Message::Page(page) => {
                for item in page.items {
                    match item {
                        Observation::Credential(it) => self.credentials.push(it),
                        Observation::Copy(it) => self.copies.push(it),
                        Observation::Consumer(it) => self.consumers.push(it),
                        Observation::Grant(it) => self.grants.push(it),
                        Observation::Identity(it) => self.identities.push(it),
                    }
                }
            }
        }
    }

    fn credential(&self, at: &str) -> &ObservedCredential {
        let found = self.credentials.iter().find(|one| one.at.as_str() == at);
        found.unwrap_or_else(|| panic!("{at} is not listed"))
    }

    fn copy(&self, at: &str) -> &ObservedCopy {
        let found = self.copies.iter().find(|one| one.at.as_str() == at);
        found.unwrap_or_else(|| panic!("{at} is not listed"))
    }

    fn end(&self, area: &str, part: &str) -> ScopeStatus {
        let scope = Scope::new(area, part);
        let end = self.ends.iter().find(|(one, ..)| *one == scope);
        end.unwrap_or_else(|| panic!("{scope} has no end in {:?}", self.ends)).1
    }
}
