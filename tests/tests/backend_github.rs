//! The GitHub backend against a fake of GitHub, which holds every request and every answer against GitHub's own description of its API. Not against GitHub.

#[path = "backend_github/client.rs"]
mod client;
#[path = "backend_github/contract.rs"]
mod contract;
#[path = "backend_github/inventory.rs"]
mod inventory;
#[path = "backend_github/secret.rs"]
mod secret;
#[path = "backend_github/token.rs"]
mod token;

use std::{sync::Arc, time::Duration};

use claviger_backend::{Backend, Message, Operation, Phase, channel};
use claviger_backend_forge::{GithubBackend, GithubConfig};
use claviger_core::{
    clock::SystemClock,
    id::{OperationKey, SagaId},
    model::{Scope, ScopeStatus},
    observation::{
        Observation, ObservedConsumer, ObservedCopy, ObservedCredential, ObservedGrant, ObservedIdentity,
    },
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

/// What a scan saw.
#[derive(Default)]
struct Seen {
    credentials: Vec<ObservedCredential>,
    copies: Vec<ObservedCopy>,
    consumers: Vec<ObservedConsumer>,
    grants: Vec<ObservedGrant>,
    identities: Vec<ObservedIdentity>,
    ends: Vec<(Scope, ScopeStatus, Option<String>)>,
}

impl Seen {
    async fn of(backend: &GithubBackend) -> Self {
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
