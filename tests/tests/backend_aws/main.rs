//! The AWS backend against ministack, with authentication and policies on. An emulator: it shows that our calls and answers fit
//! together, not what AWS itself does.

mod connection;
mod contract;
mod federation;
mod inventory;
mod issuer;
mod store;
mod trust;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use claviger_backend::{Backend, Error, Issuer, Message, Operation, Phase, Store, channel};
use claviger_backend_aws::{AwsBackend, AwsConfig};
use claviger_core::{
    clock::SystemClock,
    id::{OperationKey, SagaId},
    model::{CopyStage, ScopeStatus},
    observation::{Content, Observation, ObservedCopy, ObservedCredential, ObservedGrant, ObservedIdentity},
    reference::Ref,
    secret::SecretValue,
};
use claviger_tests::lab::ministack::{Call, Ministack, REGION};
use serde_json::{Value, json};

fn value(text: &str) -> SecretValue {
    SecretValue::from_text(text.to_owned())
}

fn operation(name: &str) -> Operation {
    let saga = SagaId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()));
    Operation { key: OperationKey::derive(saga, "write", "aws/x", 0), deadline: Duration::from_secs(20) }
}

fn backend_with(server: &Ministack, id: &str, secret: &str) -> AwsBackend {
    let config = AwsConfig {
        region: Some(REGION.to_owned()),
        endpoint: Some(server.endpoint().to_owned()),
        access_key_id: Some(value(id)),
        secret_access_key: Some(value(secret)),
        propagation_seconds: Some(0),
        ..AwsConfig::default()
    };
    AwsBackend::new("aws", config, Arc::new(SystemClock)).expect("a usable configuration")
}

fn root(server: &Ministack) -> AwsBackend {
    let (id, secret) = server.root_key();
    backend_with(server, id, secret)
}

fn issuer(backend: &AwsBackend) -> &dyn Issuer {
    backend.issuer().expect("an issuer")
}

fn store(backend: &AwsBackend) -> &dyn Store {
    backend.store().expect("a store")
}

fn at(path: &str) -> Ref {
    Ref::new("aws", [path])
}

/// Makes the calls as root and gives their answers; none may be refused.
fn seed(server: &Ministack, calls: &[(&'static str, &'static str, Value)]) -> Vec<Value> {
    let list: Vec<Call> = calls
        .iter()
        .map(|(service, operation, parameters)| Call { service, operation, parameters: parameters.clone() })
        .collect();
    let answers = server.calls(&list).expect("the seed");
    for (answer, (service, operation, _)) in answers.iter().zip(calls) {
        assert!(answer.get("Error").is_none(), "{service} {operation}: {answer}");
    }
    answers
}

fn allow(actions: &[&str], resource: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]}).to_string()
}

/// A user with one key and one inline policy: (id, secret).
fn user_with(server: &Ministack, name: &str, policy: &str) -> (String, String) {
    let answers = seed(
        server,
        &[
            ("iam", "create_user", json!({"UserName": name})),
            (
                "iam",
                "put_user_policy",
                json!({"UserName": name, "PolicyName": "own", "PolicyDocument": policy}),
            ),
            ("iam", "create_access_key", json!({"UserName": name})),
        ],
    );
    let text = |field: &str| answers[2]["AccessKey"][field].as_str().expect("a key").to_owned();
    (text("AccessKeyId"), text("SecretAccessKey"))
}

#[derive(Default)]
struct Seen {
    identities: BTreeMap<String, ObservedIdentity>,
    credentials: BTreeMap<String, ObservedCredential>,
    grants: Vec<ObservedGrant>,
    copies: Vec<ObservedCopy>,
    scopes: BTreeMap<String, (ScopeStatus, Option<String>)>,
}

impl Seen {
    /// The copies at a place, as (stage, text), in the order that they came.
    fn at(&self, at: &str) -> Vec<(CopyStage, &str)> {
        let here = self.copies.iter().filter(|copy| copy.at.as_str() == at);
        here.map(|copy| match &copy.content {
            Content::Value(value) => (copy.stage, value.expose_text().unwrap_or("<binary>")),
            Content::Unreadable(_) => (copy.stage, "<unreadable>"),
        })
        .collect()
    }

    fn copy(&self, at: &str) -> &ObservedCopy {
        self.copies.iter().find(|copy| copy.at.as_str() == at).expect("a copy")
    }
}

async fn scan(backend: &AwsBackend) -> Result<Seen, Error> {
    let mut seen = Seen::default();
    for phase in [Phase::Issuers, Phase::Stores] {
        let (mut sink, mut messages) = channel(2);
        let writer = async move {
            let result = backend.inventory(phase, &mut sink).await;
            drop(sink);
            result
        };
        let reader = async {
            while let Some(message) = messages.recv().await {
                match message {
                    Message::Page(page) => page.items.into_iter().for_each(|item| take(&mut seen, item)),
                    Message::ScopeEnd { scope, status, reason } => {
                        let before = seen.scopes.insert(scope.to_string(), (status, reason));
                        assert!(before.is_none(), "{scope} ends twice");
                    }
                }
            }
        };
        tokio::join!(writer, reader).0?;
    }
    Ok(seen)
}

fn take(seen: &mut Seen, item: Observation) {
    match item {
        Observation::Identity(it) => {
            assert!(seen.identities.insert(it.at.to_string(), it).is_none(), "an identity twice");
        }
        Observation::Credential(it) => {
            assert!(seen.credentials.insert(it.at.to_string(), it).is_none(), "a credential twice");
        }
        Observation::Grant(it) => seen.grants.push(it),
        Observation::Copy(it) => seen.copies.push(it),
        Observation::Consumer(_) => panic!("AWS shows no consumers"),
    }
}
