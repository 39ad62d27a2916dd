//! The Kubernetes backend against a real API server, controller manager and (played) nodes.

#[path = "backend_kubernetes/contract.rs"]
mod contract;
#[path = "backend_kubernetes/faults.rs"]
mod faults;
#[path = "backend_kubernetes/issuer.rs"]
mod issuer;
#[path = "backend_kubernetes/named.rs"]
mod named;
#[path = "backend_kubernetes/paging.rs"]
mod paging;
#[path = "backend_kubernetes/rbac.rs"]
mod rbac;
#[path = "backend_kubernetes/repoint.rs"]
mod repoint;
#[path = "backend_kubernetes/runtime.rs"]
mod runtime;
#[path = "backend_kubernetes/scan.rs"]
mod scan;
#[path = "backend_kubernetes/store.rs"]
mod store;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_backend::{Backend, Message, Operation, Phase, channel};
use claviger_backend_kubernetes::{KubernetesBackend, KubernetesConfig, connect};
use claviger_core::{
    clock::SystemClock,
    id::{OperationKey, SagaId},
    model::{Labels, Scope, ScopeStatus},
    observation::{
        Content, Observation, ObservedConsumer, ObservedCopy, ObservedCredential, ObservedGrant,
        ObservedIdentity,
    },
    reference::Ref,
    secret::SecretValue,
};
use claviger_tests::lab::kubernetes::Kubernetes;
use serde_json::{Value, json};

/// A configuration for a kubeconfig and some namespaces.
fn config(kubeconfig: &Path, include: &[&str]) -> KubernetesConfig {
    KubernetesConfig {
        kubeconfig: Some(kubeconfig.to_path_buf()),
        include: include.iter().map(ToString::to_string).collect(),
        labels: Labels::from([("env".to_owned(), "lab".to_owned())]),
        ..KubernetesConfig::default()
    }
}

/// The administrator, seeing some namespaces only: tests share the cluster.
async fn admin(cluster: &Kubernetes, include: &[&str]) -> KubernetesBackend {
    connect("prod", config(cluster.kubeconfig(), include), Arc::new(SystemClock))
        .await
        .expect("a usable kubeconfig")
}

/// Makes a namespace that no other test uses.
fn namespace(cluster: &Kubernetes, name: &str, labels: Value) {
    let object =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    cluster.create(&[object]).expect("a namespace");
}

fn secret(namespace: &str, name: &str, kind: &str, data: &[(&str, &[u8])]) -> Value {
    let data: BTreeMap<&str, String> =
        data.iter().map(|(key, value)| (*key, STANDARD.encode(value))).collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "type": kind, "data": data})
}

fn at(text: &str) -> Ref {
    Ref::from_text(text)
}

fn value(text: &str) -> SecretValue {
    SecretValue::from_text(text.to_owned())
}

/// An operation of its own for each number.
fn operation(number: u128) -> Operation {
    let saga = SagaId(uuid::Uuid::from_u128(number));
    Operation { key: OperationKey::derive(saga, "test", "target", 0), deadline: Duration::from_secs(20) }
}

/// What a scan sent.
#[derive(Default)]
struct Seen {
    identities: Vec<ObservedIdentity>,
    credentials: Vec<ObservedCredential>,
    copies: Vec<ObservedCopy>,
    consumers: Vec<ObservedConsumer>,
    grants: Vec<ObservedGrant>,
    ends: BTreeMap<Scope, (ScopeStatus, Option<String>)>,
    /// The heaviest message, in bytes of values.
    heaviest: usize,
}

impl Seen {
    fn copy(&self, at: &str) -> &ObservedCopy {
        self.copies.iter().find(|copy| copy.at.as_str() == at).unwrap_or_else(|| panic!("no copy {at}"))
    }

    fn text(&self, at: &str) -> &str {
        text(self.copy(at))
    }

    fn end(&self, area: &str, part: &str) -> &(ScopeStatus, Option<String>) {
        self.ends
            .get(&Scope::new(area, part))
            .unwrap_or_else(|| panic!("no end of {area}/{part}: {:?}", self.ends.keys()))
    }

    fn all_complete(&self) {
        for (scope, (status, reason)) in &self.ends {
            assert_eq!(*status, ScopeStatus::Complete, "{scope}: {reason:?}");
        }
    }
}

fn text(copy: &ObservedCopy) -> &str {
    match &copy.content {
        Content::Value(value) => value.expose_text().unwrap_or("<binary>"),
        Content::Unreadable(why) => why,
    }
}

/// Both phases. The channel is as small as it can be, so that every wait in it is waited.
async fn scan(backend: &KubernetesBackend) -> Seen {
    let mut seen = Seen::default();
    for phase in [Phase::Issuers, Phase::Stores] {
        scan_phase(backend, phase, &mut seen).await;
    }
    seen
}

async fn scan_phase(backend: &KubernetesBackend, phase: Phase, seen: &mut Seen) {
    let (mut sink, mut messages) = channel(1);
    let read = async {
        let result = backend.inventory(phase, &mut sink).await;
        drop(sink);
        result
    };
    let take = async {
        while let Some(message) = messages.recv().await {
            match message {
                Message::Page(page) => {
                    let mut bytes = 0;
                    for item in page.items {
                        match item {
                            Observation::Identity(identity) => seen.identities.push(identity),
                            Observation::Credential(credential) => seen.credentials.push(credential),
                            Observation::Copy(copy) => {
                                if let Content::Value(value) = &copy.content {
                                    bytes += value.len();
                                }
                                seen.copies.push(copy);
                            }
                            Observation::Consumer(consumer) => seen.consumers.push(consumer),
                            Observation::Grant(grant) => seen.grants.push(grant),
                        }
                    }
                    seen.heaviest = seen.heaviest.max(bytes);
                }
                Message::ScopeEnd { scope, status, reason } => {
                    let before = seen.ends.insert(scope.clone(), (status, reason));
                    assert!(before.is_none(), "{scope} ended twice");
                }
            }
        }
    };
    let (result, ()) = tokio::join!(read, take);
    result.expect("the cluster can be read");
}
