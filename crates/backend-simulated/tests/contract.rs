//! The contract suite on the simulated estate, bare and behind the layers.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{TimeZone, Utc};
use claviger_backend::{
    Backend,
    contract::{Consumer, Fixture, Subject, Swappable, trials},
    layers::{Guarded, LayerConfig},
};
use claviger_backend_simulated::{
    EstateFile, SimulatedBackend, SimulatedConfig,
    estate::{
        Connection, DeployKey, EnvSource, Estate, ForgeSecret, Mount, ObjectKind, ObjectName, Password,
        Planted, StaticRole, VaultToken, demo,
    },
    observer::Observer,
};
use claviger_core::{
    clock::ManualClock, model::ConsumerHow, random::SeededRandom, reference::Ref, secret::SecretValue,
    ssh_key,
};

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let folder = tempfile::tempdir().expect("a folder for estates");
    let mut all = Vec::new();
    for (name, layers, told) in
        [("simulated", false, false), ("simulated_guarded", true, false), ("simulated_told", true, true)]
    {
        let file = EstateFile::new(folder.path().join(format!("{name}.json")));
        let (backend, fixture) = bench(&file, told);
        let backend: Arc<dyn Backend> =
            if layers { Arc::new(Guarded::new(backend, LayerConfig::default())) } else { backend };
        all.extend(trials(name, backend, fixture));
    }
    libtest_mimic::run(&arguments, all).exit_code()
}

fn bench(file: &EstateFile, told: bool) -> (Arc<SimulatedBackend>, Fixture) {
    let now = Utc.with_ymd_and_hms(2030, 6, 1, 0, 0, 0).single().expect("a date");
    let mut estate = demo(&SeededRandom::new(11), now);
    let payments = estate.cluster.namespaces.get_mut("payments").expect("its namespace");
    let next = payments.secrets["db"].clone();
    payments.secrets.insert("db-next".to_owned(), next);
    estate.settings.tokens_are_told = told;
    let held = Planted::text("engine-0123456789abcdef");
    let mut role = estate.database.roles["payments_app"].clone();
    role.password = Some(Password::scram(held.expose(), &[3; 16]));
    estate.database.roles.insert("static_app".into(), role);
    let held = StaticRole { role: "static_app".into(), value: held, rotated_at: now, rotations: 0 };
    estate.secret_store.static_roles.insert("app".into(), held);
    let held = Planted::text("root-0123456789abcdef");
    let mut role = estate.database.roles["payments_app"].clone();
    role.password = Some(Password::scram(held.expose(), &[4; 16]));
    estate.database.roles.insert("engine".into(), role);
    estate.secret_store.connections.insert("pg".into(), Connection { role: "engine".into(), value: held });
    let posted =
        ForgeSecret { value: Planted::text("posted-0123456789"), created_at: now, writes: 0, marker: None };
    let secrets = [("DB_PASSWORD".to_owned(), posted)].into();
    estate.forge.repositories.insert("acme/shop".to_owned(), secrets);
    let public = ssh_key::public_line(&ssh_key::ed25519(&SeededRandom::new(5))).expect("a public half");
    let key = DeployKey { public, read_only: true, created_at: now };
    estate.forge.deploy_keys.insert("acme/shop".to_owned(), [("first".to_owned(), key)].into());
    swappable(&mut estate);
    file.create(&estate).expect("an estate");
    let config = SimulatedConfig { path: file.path().to_owned() };
    let backend = SimulatedBackend::open("sim", config, Arc::new(ManualClock::new(now))).expect("opens");
    (Arc::new(backend), fixture(file, &estate))
}

fn fixture(file: &EstateFile, estate: &Estate) -> Fixture {
    let at = |text: &str| Ref::from_text(text);
    let password = || estate.secret_store.paths["payments/db"].versions[0].fields["password"].secret();
    let token =
        || estate.legacy_token("ci", "deployer-token", "deployer").expect("it is in the estate").secret();
    let scraped = || {
        estate.legacy_token("shop", "prometheus-token", "prometheus").expect("it is in the estate").secret()
    };
    let puller = || estate.secret_store.tokens["puller"].value.secret();
    let (drawn, beside) = (AtomicU64::new(0), AtomicU64::new(1000));
    let observer = |file: &EstateFile| Observer::new("sim", file.clone());
    let (rollouts, changes, named) = (observer(file), observer(file), observer(file));
    Fixture {
        posted: Some(at("sim/forge/acme/shop/actions/secrets/DB_PASSWORD")),
        absent_posted: Some(at("sim/forge/acme/shop/actions/secrets/NOTHING")),
        credential: Some(Subject { at: at("sim/db/role/payments_app"), value: password() }),
        mintable: Some(mintable(estate)),
        nameable: Some(Subject { at: at("sim/k8s/shop/Secret/prometheus-token"), value: scraped() }),
        alternating: Some(Subject { at: at("sim/db/role/payments_app"), value: password() }),
        marked: Some(marked(estate)),
        addable: Some(Subject {
            at: at("sim/forge/acme/shop/deploy-keys/first"),
            value: ssh_key::ed25519(&SeededRandom::new(5)),
        }),
        new_beside: Some(Box::new(move || {
            ssh_key::ed25519(&SeededRandom::new(beside.fetch_add(1, Ordering::SeqCst)))
        })),
        asked: Some(Subject {
            at: at("sim/database/static-roles/app"),
            value: estate.secret_store.static_roles["app"].value.secret(),
        }),
        hidden: Some(Subject {
            at: at("sim/database/config/pg"),
            value: estate.secret_store.connections["pg"].value.secret(),
        }),
        revocable: Some(Subject { at: at("sim/k8s/ci/Secret/deployer-token"), value: token() }),
        absent_credential: Some(at("sim/db/role/nobody")),
        new_value: Some(Box::new(move || {
            let number = drawn.fetch_add(1, Ordering::SeqCst);
            SecretValue::from_text(format!("new-{number}-0123456789abcdef"))
        })),
        copy: Some(at("sim/kv/payments/db#password")),
        copy_beside: Some(at("sim/kv/payments/db#username")),
        absent_copy: Some(at("sim/kv/payments/nothing#password")),
        consumer: Some(Consumer { at: at("sim/k8s/payments/Deployment/api"), how: ConsumerHow::Env }),
        absent_consumer: Some(Consumer {
            at: at("sim/k8s/payments/Deployment/nothing"),
            how: ConsumerHow::Env,
        }),
        rollouts: Some(Box::new(move || {
            let estate = rollouts.estate().expect("reads");
            estate.cluster.namespaces["payments"].deployments["api"].rollouts.len() as u64
        })),
        objects: Some((at("sim/k8s/payments/Secret/db"), at("sim/k8s/payments/Secret/db-next"))),
        named: Some(Box::new(move || {
            let estate = named.estate().expect("reads");
            match &estate.cluster.namespaces["payments"].deployments["api"].containers[0].env["DB_PASSWORD"] {
                EnvSource::Field { object, .. } => {
                    Ref::new("sim", ["k8s", "payments", &object.kind.to_string(), &object.name])
                }
                EnvSource::Literal(_) => Ref::from_text("a literal"),
            }
        })),
        swappable: Some(Swappable {
            credential: Subject { at: at("sim/auth/token/accessor/puller"), value: puller() },
            object: at("sim/k8s/shop/Secret/puller"),
            consumer: at("sim/k8s/shop/Deployment/cart"),
        }),
        changes: Some(Box::new(move || changes.effective_mutations().expect("reads"))),
        secrets: vec![password(), token(), SecretValue::from_text("posted-0123456789".into())],
    }
}

/// The only key of its user: a slot is free.
fn mintable(estate: &Estate) -> Subject {
    let (id, key) = estate.cloud.users["shop-assets"].keys.first_key_value().expect("a key");
    let at = Ref::new("sim", ["iam", "user", "shop-assets", "access-key", id]);
    Subject { at, value: key.secret.secret() }
}

/// A token that is no root token.
fn marked(estate: &Estate) -> Subject {
    let ordinary = |policies: &[String]| !policies.iter().any(|policy| policy == "root");
    let found = estate.secret_store.tokens.iter().find(|(_, token)| ordinary(&token.policies));
    let (accessor, token) = found.expect("a token");
    Subject { at: Ref::new("sim", ["auth", "token", "accessor", accessor]), value: token.value.secret() }
}

/// A workload that mounts a Secret with a token of the store, and runs with an account of its own.
fn swappable(estate: &mut Estate) {
    let (_, token) =
        estate.secret_store.tokens.iter().find(|(_, it)| it.policies != ["root"]).expect("a token");
    let value = Planted::text("hvs.CAESIJ-a-token-that-is-swapped");
    let token = VaultToken { value: value.clone(), ..token.clone() };
    estate.secret_store.tokens.insert("puller".to_owned(), token);
    let object = ObjectName { kind: ObjectKind::Secret, name: "puller".to_owned() };
    let mut secret = estate.cluster.namespaces["payments"].secrets["db"].clone();
    secret.data = [("token".to_owned(), value)].into();
    let shop = estate.cluster.namespaces.get_mut("shop").expect("its namespace");
    shop.secrets.insert("puller".to_owned(), secret);
    let cart = shop.deployments.get_mut("cart").expect("its workload");
    cart.service_account = Some("prometheus".to_owned());
    cart.containers[0].mounts.push(Mount { object, sub_path: None });
}
