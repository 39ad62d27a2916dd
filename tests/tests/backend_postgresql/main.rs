//! The PostgreSQL backend against a real PostgreSQL.

mod connection;
mod inventory;
mod issue;
mod probe;
mod turns;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use claviger_backend::{
    Backend, Effect, Error, ErrorKind, Issuer, Message, Operation, PermissionStatus, Phase, Presence, Retry,
    Verdict, channel,
};
use claviger_backend_postgresql::{PostgresqlBackend, PostgresqlConfig};
use claviger_core::{
    clock::SystemClock,
    id::{OperationKey, SagaId},
    model::{CredentialState, PrivilegeLevel, ScopeStatus},
    observation::{Observation, ObservedCredential, ObservedGrant, ObservedIdentity, Verifier},
    reference::Ref,
    secret::SecretValue,
};
use claviger_tests::{
    lab::postgres::{Options, Postgres, connect},
    require_lab,
};
use tokio_postgres::Client;

fn value(text: &str) -> SecretValue {
    SecretValue::from_text(text.to_owned())
}

fn operation(name: &str) -> Operation {
    let saga = SagaId(uuid_of(name));
    Operation { key: OperationKey::derive(saga, "issue", "db/role/x", 0), deadline: Duration::from_secs(20) }
}

fn uuid_of(name: &str) -> uuid::Uuid {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes())
}

fn backend_as(server: &Postgres, user: &str, password: &str) -> PostgresqlBackend {
    let url = format!("postgres://{user}@127.0.0.1:{}/postgres", server.port());
    backend_at(PostgresqlConfig::new(url, Some(value(password))))
}

fn backend_at(config: PostgresqlConfig) -> PostgresqlBackend {
    PostgresqlBackend::new("db", config, Arc::new(SystemClock)).expect("a usable configuration")
}

fn superuser(server: &Postgres) -> PostgresqlBackend {
    backend_as(server, server.user(), server.password())
}

fn role(name: &str) -> Ref {
    Ref::new("db", ["role", name])
}

fn issuer(backend: &PostgresqlBackend) -> &dyn Issuer {
    backend.issuer().expect("an issuer")
}

async fn admin(server: &Postgres, sql: &str) -> Client {
    let client = server.connect("postgres").await.expect("the superuser's login");
    client.batch_execute(sql).await.expect("the seed");
    client
}

async fn stored(client: &Client, name: &str) -> Option<String> {
    client
        .query_one("SELECT rolpassword FROM pg_authid WHERE rolname = $1", &[&name])
        .await
        .expect("a row")
        .get(0)
}

/// The transaction that last wrote the role: the same as long as nothing wrote it.
async fn written(client: &Client, name: &str) -> String {
    client
        .query_one("SELECT xmin::text FROM pg_authid WHERE rolname = $1", &[&name])
        .await
        .expect("a row")
        .get(0)
}

#[derive(Default)]
struct Seen {
    identities: BTreeMap<String, ObservedIdentity>,
    credentials: BTreeMap<String, ObservedCredential>,
    grants: Vec<ObservedGrant>,
    scopes: BTreeMap<String, (ScopeStatus, Option<String>)>,
}

async fn scan(backend: &PostgresqlBackend) -> Result<Seen, Error> {
    let (mut sink, mut messages) = channel(2);
    let reader = async {
        let mut seen = Seen::default();
        while let Some(message) = messages.recv().await {
            match message {
                Message::Page(page) => {
                    for item in page.items {
                        match item {
                            Observation::Identity(it) => drop(seen.identities.insert(it.at.to_string(), it)),
                            Observation::Credential(it) => {
                                drop(seen.credentials.insert(it.at.to_string(), it))
                            }
                            Observation::Grant(it) => seen.grants.push(it),
                            Observation::Copy(_) | Observation::Consumer(_) => {
                                panic!("PostgreSQL has no copies")
                            }
                        }
                    }
                }
                Message::ScopeEnd { scope, status, reason } => {
                    assert!(
                        seen.scopes.insert(scope.to_string(), (status, reason)).is_none(),
                        "{scope} ends twice"
                    );
                }
            }
        }
        seen
    };
    let writer = async move {
        let result = backend.inventory(Phase::Issuers, &mut sink).await;
        drop(sink);
        result
    };
    let (result, seen) = tokio::join!(writer, reader);
    result.map(|()| seen)
}
