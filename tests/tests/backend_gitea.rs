//! The Gitea backend against a real Gitea.

#[path = "backend_gitea/contract.rs"]
mod contract;
#[path = "backend_gitea/inventory.rs"]
mod inventory;
#[path = "backend_gitea/login.rs"]
mod login;
#[path = "backend_gitea/secret.rs"]
mod secret;

use std::{sync::Arc, time::Duration};

use claviger_backend::{Backend, Message, Operation, Phase, channel};
use claviger_backend_forge::{GiteaBackend, GiteaConfig, Login};
use claviger_core::{
    clock::SystemClock,
    id::{OperationKey, SagaId},
    model::{Scope, ScopeStatus},
    observation::{Observation, ObservedConsumer, ObservedCopy, ObservedCredential, ObservedGrant},
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

/// What a scan saw.
#[derive(Default)]
struct Seen {
    credentials: Vec<ObservedCredential>,
    copies: Vec<ObservedCopy>,
    consumers: Vec<ObservedConsumer>,
    grants: Vec<ObservedGrant>,
    ends: Vec<(Scope, ScopeStatus, Option<String>)>,
}

impl Seen {
    async fn of(backend: &GiteaBackend) -> Self {
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
                        Observation::Identity(_) => {}
                    }
                }
            }
        }
    }

    fn credential(&self, at: &str) -> &ObservedCredential {
        self.credentials
            .iter()
            .find(|one| one.at.as_str() == at)
            .unwrap_or_else(|| panic!("{at} is not listed"))
    }

    fn copy(&self, at: &str) -> &ObservedCopy {
        self.copies.iter().find(|one| one.at.as_str() == at).unwrap_or_else(|| panic!("{at} is not listed"))
    }

    fn end(&self, area: &str, part: &str) -> ScopeStatus {
        let scope = Scope::new(area, part);
        let end = self.ends.iter().find(|(one, ..)| *one == scope);
        end.unwrap_or_else(|| panic!("{scope} has no end in {:?}", self.ends)).1
    }
}
