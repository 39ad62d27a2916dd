//! The Vault backend against a real OpenBao.

#[path = "backend_vault/contract.rs"]
mod contract;
#[path = "backend_vault/faults.rs"]
mod faults;
#[path = "backend_vault/issuer.rs"]
mod issuer;
#[path = "backend_vault/issuers.rs"]
mod issuers;
#[path = "backend_vault/kv.rs"]
mod kv;
#[path = "backend_vault/store.rs"]
mod store;
#[path = "backend_vault/tokens.rs"]
mod tokens;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use claviger_backend::{Backend, Message, Operation, Phase, channel};
use claviger_backend_vault::{VaultAuth, VaultBackend, VaultConfig};
use claviger_core::{
    clock::SystemClock,
    fingerprint::FingerprintKey,
    id::{OperationKey, SagaId},
    model::{Scope, ScopeStatus},
    observation::{Content, Observation, ObservedCopy, ObservedCredential, ObservedGrant, ObservedIdentity},
    reference::Ref,
    secret::SecretValue,
};
use claviger_tests::lab::openbao::OpenBao;
use serde_json::{Value, json};

/// A configuration with a token and nothing else.
fn config(address: &str, token: &str) -> VaultConfig {
    VaultConfig {
        address: address.to_owned(),
        ca: None,
        namespace: None,
        auth: VaultAuth::Token(value(token)),
        include: Vec::new(),
        exclude: Vec::new(),
        mounts: Vec::new(),
        version_key: Some(Arc::new(FingerprintKey::new([7; 32]))),
    }
}

fn backend(config: VaultConfig) -> VaultBackend {
    VaultBackend::new("vault", config, Arc::new(SystemClock)).expect("a usable configuration")
}

/// As root, reading the given mounts only.
fn root(server: &OpenBao, mounts: &[&str]) -> VaultBackend {
    let include = mounts.iter().map(ToString::to_string).collect();
    backend(VaultConfig { include, ..config(server.address(), server.token()) })
}

fn value(text: &str) -> SecretValue {
    SecretValue::from_text(text.to_owned())
}

fn at(text: &str) -> Ref {
    Ref::from_text(text)
}

fn operation(step: &str) -> Operation {
    let saga = SagaId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, b"test"));
    Operation { key: OperationKey::derive(saga, step, "vault", 0), deadline: Duration::from_secs(20) }
}

/// A token with this policy, made by root: (token, accessor).
async fn token_with(server: &OpenBao, policy: &str, rules: &str, more: Value) -> (String, String) {
    server.write(&format!("sys/policies/acl/{policy}"), &json!({ "policy": rules })).await.expect("a policy");
    let mut body = json!({ "policies": [policy] });
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let made = server.write("auth/token/create", &body).await.expect("a token");
    let text = |key: &str| made["auth"][key].as_str().expect("a text").to_owned();
    (text("client_token"), text("accessor"))
}

/// What one phase showed.
#[derive(Default)]
struct Seen {
    identities: BTreeMap<Ref, ObservedIdentity>,
    credentials: BTreeMap<Ref, ObservedCredential>,
    copies: Vec<ObservedCopy>,
    grants: Vec<ObservedGrant>,
    scopes: BTreeMap<Scope, (ScopeStatus, Option<String>)>,
}

impl Seen {
    /// (field, version, text) of every copy below a path, in order; unreadable ones as `?`.
    fn values(&self, below: &str) -> Vec<(String, Option<String>, String)> {
        let mut found: Vec<_> = self
            .copies
            .iter()
            .filter(|copy| copy.at.as_str().starts_with(below))
            .map(|copy| {
                let text = match &copy.content {
                    Content::Value(value) => value.expose_text().expect("UTF-8").to_owned(),
                    Content::Unreadable(_) => "?".to_owned(),
                };
                (copy.at.as_str().to_owned(), copy.version.clone(), text)
            })
            .collect();
        found.sort();
        found
    }

    fn status(&self, area: &str, part: &str) -> Option<ScopeStatus> {
        self.scopes.get(&Scope::new(area, part)).map(|(status, _)| *status)
    }

    fn reason(&self, area: &str, part: &str) -> &str {
        self.scopes.get(&Scope::new(area, part)).and_then(|(_, reason)| reason.as_deref()).unwrap_or_default()
    }

    fn incomplete(&self) -> Vec<String> {
        self.scopes
            .iter()
            .filter(|(_, (status, _))| *status != ScopeStatus::Complete)
            .map(|(scope, _)| scope.to_string())
            .collect()
    }
}

async fn scan(backend: &VaultBackend, phase: Phase) -> claviger_backend::Result<Seen> {
    let (mut sink, mut receiver) = channel(2);
    let gather = async {
        let mut seen = Seen::default();
        while let Some(message) = receiver.recv().await {
            match message {
                Message::Page(page) => {
                    for item in page.items {
                        match item {
                            Observation::Identity(item) => {
                                drop(seen.identities.insert(item.at.clone(), item))
                            }
                            Observation::Credential(item) => {
                                drop(seen.credentials.insert(item.at.clone(), item))
                            }
                            Observation::Copy(item) => seen.copies.push(item),
                            Observation::Grant(item) => seen.grants.push(item),
                            Observation::Consumer(_) => panic!("a secret store has no consumers"),
                        }
                    }
                }
                Message::ScopeEnd { scope, status, reason } => {
                    assert!(
                        seen.scopes.insert(scope.clone(), (status, reason)).is_none(),
                        "{scope} ended twice"
                    );
                }
            }
        }
        seen
    };
    let produce = async {
        let result = backend.inventory(phase, &mut sink).await;
        drop(sink);
        result
    };
    let (seen, result) = tokio::join!(gather, produce);
    result.map(|()| seen)
}
