use std::sync::Arc;

use chrono::{DateTime, TimeZone, Utc};
use claviger_backend::{
    Adoption, Backend, ErrorKind, Expect, Issuer, Operation, Presence, Runtime, Store, Verdict,
};
use claviger_core::{
    clock::ManualClock,
    id::{OperationKey, SagaId},
    model::ConsumerHow,
    random::SeededRandom,
    reference::Ref,
    secret::SecretValue,
};

use crate::{
    Fault, FaultPlan, SimulatedBackend, SimulatedConfig,
    estate::{EstateFile, demo},
    fault::FaultAt,
    observer::Observer,
};

struct World {
    backend: SimulatedBackend,
    observer: Observer,
    clock: Arc<ManualClock>,
    file: EstateFile,
    _folder: tempfile::TempDir,
}

fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2030, 1, 2, 3, 4, 5).unwrap()
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let file = EstateFile::new(folder.path().join("estate.json"));
    file.create(&demo(&SeededRandom::new(7), start())).unwrap();
    let clock = Arc::new(ManualClock::new(start()));
    let config = SimulatedConfig { path: file.path().to_owned() };
    let backend = SimulatedBackend::open("sim", config, clock.clone()).unwrap();
    World { backend, observer: Observer::new("sim", file.clone()), clock, file, _folder: folder }
}

impl World {
    fn with(fault: Fault, index: u64) -> Self {
        let mut world = world();
        world.backend = world.backend.with_faults(Arc::new(FaultAt { index, fault }));
        world
    }
}

fn at(text: &str) -> Ref {
    Ref::from_text(text)
}

fn secret(text: &str) -> SecretValue {
    SecretValue::from_text(text.to_owned())
}

fn op(number: u32) -> Operation {
    let key = OperationKey::derive(SagaId(uuid::Uuid::nil()), "test", "target", number);
    Operation { key, deadline: std::time::Duration::from_secs(5) }
}

const ROLE: &str = "sim/db/role/payments_app";

#[tokio::test]
async fn setting_a_password_ends_the_old_one_and_a_snapshot_brings_it_back() {
    let world = world();
    let old = world.backend.read(&at("sim/kv/payments/db#password")).await.unwrap().unwrap().value;
    assert_eq!(world.backend.verify(&at(ROLE), &old).await.unwrap().verdict, Verdict::Accepted);
    let saved = world.backend.snapshot(&at(ROLE)).await.unwrap().unwrap();
    world.backend.issue(&op(1), &at(ROLE), Some(&secret("new-value"))).await.unwrap();
    assert_eq!(
        world.backend.verify(&at(ROLE), &secret("new-value")).await.unwrap().verdict,
        Verdict::Accepted
    );
    assert!(matches!(world.backend.verify(&at(ROLE), &old).await.unwrap().verdict, Verdict::Refused(_)));
    world.backend.restore(&op(2), &at(ROLE), &saved).await.unwrap();
    assert!(world.observer.accepts("payments_app", old.expose(), &*world.clock).unwrap());
    assert_eq!(world.observer.effective_mutations().unwrap(), 2);
}

#[tokio::test]
async fn issuing_the_same_value_again_is_no_effect() {
    let world = world();
    for number in 0..3 {
        world.backend.issue(&op(number), &at(ROLE), Some(&secret("new-value"))).await.unwrap();
    }
    let effects = world.observer.effects().unwrap();
    assert_eq!(effects.len(), 1);
    assert_eq!((effects[0].seq, effects[0].operation.as_str(), &effects[0].target), (1, "issue", &at(ROLE)));
    assert_eq!(effects[0].key, op(0).key.to_string());
    assert_eq!(world.backend.boundaries(), 1);
}

#[tokio::test]
async fn a_refused_character_is_invalid_without_effect() {
    let world = world();
    world.file.edit(|estate| estate.settings.refused_characters = "%".into()).unwrap();
    let error = world.backend.issue(&op(1), &at(ROLE), Some(&secret("a%b"))).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(world.observer.effective_mutations().unwrap(), 0);
}

#[tokio::test]
async fn pods_hold_what_they_read_until_a_rollout() {
    let world = world();
    let place = at("sim/k8s/payments/Secret/db#password");
    world.backend.issue(&op(1), &at(ROLE), Some(&secret("new-value"))).await.unwrap();
    let version = world.backend.read(&place).await.unwrap().unwrap().version;
    world.backend.write(&op(2), &place, &secret("new-value"), &Expect::Version(version)).await.unwrap();
    let accepted = |world: &World| -> Vec<bool> {
        let logins = world.observer.witness_logins(&*world.clock).unwrap();
        logins
            .into_iter()
            .filter(|login| login.consumer == at("sim/k8s/payments/Deployment/api"))
            .map(|login| login.accepted)
            .collect()
    };
    assert_eq!(accepted(&world), [false]);
    let api = at("sim/k8s/payments/Deployment/api");
    assert!(matches!(world.backend.adopted(&op(3), &api).await.unwrap(), Adoption::Pending(_)));
    world.backend.refresh(&op(3), &api, ConsumerHow::Env).await.unwrap();
    assert!(matches!(world.backend.adopted(&op(3), &api).await.unwrap(), Adoption::Adopted(_)));
    assert_eq!(accepted(&world), [true]);
}

#[tokio::test]
async fn a_rollout_takes_its_time_and_the_old_pods_serve_until_then() {
    let world = world();
    world.file.edit(|estate| estate.settings.rollout_seconds = 30).unwrap();
    let api = at("sim/k8s/payments/Deployment/api");
    world.backend.issue(&op(1), &at(ROLE), Some(&secret("new-value"))).await.unwrap();
    let place = at("sim/k8s/payments/Secret/db#password");
    let version = world.backend.read(&place).await.unwrap().unwrap().version;
    world.backend.write(&op(2), &place, &secret("new-value"), &Expect::Version(version)).await.unwrap();
    world.backend.refresh(&op(3), &api, ConsumerHow::Env).await.unwrap();
    world.backend.refresh(&op(3), &api, ConsumerHow::Env).await.unwrap();
    let rollouts =
        world.observer.estate().unwrap().cluster.namespaces["payments"].deployments["api"].rollouts.len();
    assert_eq!(rollouts, 1);
    let api_works = |world: &World| {
        world
            .observer
            .witness_logins(&*world.clock)
            .unwrap()
            .iter()
            .find(|login| login.consumer == api)
            .unwrap()
            .accepted
    };
    assert!(matches!(world.backend.adopted(&op(3), &api).await.unwrap(), Adoption::Pending(_)));
    assert!(!api_works(&world));
    world.clock.advance(chrono::Duration::seconds(31));
    assert!(matches!(world.backend.adopted(&op(3), &api).await.unwrap(), Adoption::Adopted(_)));
    assert!(api_works(&world));
}

#[tokio::test]
async fn a_broken_deployment_fails_and_goes_on_with_the_old() {
    let world = world();
    let api = at("sim/k8s/payments/Deployment/api");
    world
        .file
        .edit(|estate| {
            let namespace = estate.cluster.namespaces.get_mut("payments").unwrap();
            namespace.deployments.get_mut("api").unwrap().broken = Some("CrashLoopBackOff".into());
        })
        .unwrap();
    world.backend.refresh(&op(3), &api, ConsumerHow::Env).await.unwrap();
    assert_eq!(
        world.backend.adopted(&op(3), &api).await.unwrap(),
        Adoption::Failing("CrashLoopBackOff".into())
    );
    assert!(world.observer.witness_logins(&*world.clock).unwrap().iter().all(|login| login.accepted));
}

#[tokio::test]
async fn a_deleted_token_is_accepted_for_the_cache_window_and_again_once_its_name_is_reused() {
    let world = world();
    world.file.edit(|estate| estate.settings.revoke_cache_seconds = 10).unwrap();
    let subject = at("sim/k8s/ci/Secret/deployer-token");
    let token = world.backend.read(&subject.field("token")).await.unwrap().unwrap().value;
    assert_eq!(world.backend.identify(&token).await.unwrap().unwrap().at, subject);
    let Presence::Present(seen) = world.backend.presence(&subject).await.unwrap() else {
        panic!("it is there")
    };
    let error = world.backend.revoke(&op(1), &subject, Some("other")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let kept = world.observer.estate().unwrap().cluster.namespaces["ci"].secrets["deployer-token"].clone();
    world.backend.revoke(&op(1), &subject, Some(&seen)).await.unwrap();
    world.backend.revoke(&op(1), &subject, Some(&seen)).await.unwrap();
    assert_eq!(world.observer.effective_mutations().unwrap(), 1);
    assert_eq!(world.backend.presence(&subject).await.unwrap(), Presence::Absent);
    assert_eq!(world.backend.verify(&subject, &token).await.unwrap().verdict, Verdict::Accepted);
    world.clock.advance(chrono::Duration::seconds(10));
    assert!(matches!(world.backend.verify(&subject, &token).await.unwrap().verdict, Verdict::Refused(_)));

    world
        .file
        .edit(|estate| {
            let namespace = estate.cluster.namespaces.get_mut("ci").unwrap();
            namespace.secrets.insert("deployer-token".into(), kept);
        })
        .unwrap();
    assert_eq!(world.backend.verify(&subject, &token).await.unwrap().verdict, Verdict::Accepted);
}

#[tokio::test]
async fn a_stale_write_conflicts_and_changes_nothing_and_former_versions_stay() {
    let world = world();
    let place = at("sim/kv/shop/db#password");
    let old = world.backend.read(&place).await.unwrap().unwrap();
    let stale = Expect::Version("1".into());
    let error = world.backend.write(&op(1), &place, &secret("x"), &stale).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let version =
        world.backend.write(&op(1), &place, &secret("x"), &Expect::Version(old.version)).await.unwrap();
    let now = world.backend.read(&place).await.unwrap().unwrap();
    assert_eq!((version.as_str(), now.version.as_str(), now.value.expose()), ("3", "3", b"x".as_slice()));
    assert_eq!(now.written_by, Some(op(1).key.to_string()));
    let user = world.backend.read(&at("sim/kv/shop/db#username")).await.unwrap().unwrap();
    assert_eq!(user.value.expose(), b"shop_app");
    let copies = world.observer.copies_of(old.value.expose()).unwrap();
    assert!(
        copies.iter().any(|copy| copy.at == place && copy.stage == claviger_core::model::CopyStage::Former)
    );
}

#[tokio::test]
async fn closed_places_are_denied() {
    let world = world();
    for text in ["sim/kv/hr/payroll#password", "sim/k8s/hr/Secret/payroll#password"] {
        assert_eq!(world.backend.read(&at(text)).await.err().unwrap().kind(), ErrorKind::Denied);
        assert!(matches!(
            world.backend.writable(&at(text)).await.unwrap(),
            claviger_backend::StoreState::Refused(_)
        ));
    }
}

#[tokio::test]
async fn faults_fire_once_and_say_what_they_did() {
    use claviger_backend::Effect::{NotApplied, Unknown};
    for (fault, effect, applied) in [
        (Fault::ErrorBefore, NotApplied, false),
        (Fault::Deny, NotApplied, false),
        (Fault::LostRequest, Unknown, false),
        (Fault::ErrorAfterEffect, Unknown, true),
    ] {
        let world = World::with(fault, 0);
        let error = world.backend.issue(&op(1), &at(ROLE), Some(&secret("new-value"))).await.err().unwrap();
        assert_eq!(error.effect(), effect, "{fault:?}");
        assert_eq!(
            world.observer.accepts("payments_app", b"new-value", &*world.clock).unwrap(),
            applied,
            "{fault:?}"
        );
        world.backend.issue(&op(1), &at(ROLE), Some(&secret("new-value"))).await.unwrap();
        assert_eq!(world.observer.effective_mutations().unwrap(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_repeated_write_loses_its_own_race() {
    let world = World::with(Fault::Repeat, 0);
    let place = at("sim/kv/shop/db#password");
    let version = world.backend.read(&place).await.unwrap().unwrap().version;
    world.backend.write(&op(1), &place, &secret("x"), &Expect::Version(version)).await.unwrap();
    assert_eq!(world.observer.effective_mutations().unwrap(), 1);
    assert_eq!(world.backend.read(&place).await.unwrap().unwrap().version, "3");
}

#[tokio::test(start_paused = true)]
async fn a_crashed_process_does_nothing_more() {
    for (fault, applied) in [(Fault::CrashBefore, false), (Fault::CrashAfter, true)] {
        let world = World::with(fault, 0);
        let mut signal = world.backend.crash_signal();
        let (subject, value) = (at(ROLE), secret("new-value"));
        let run = async {
            let _ = world.backend.issue(&op(1), &subject, Some(&value)).await;
            panic!("a dead process goes on");
        };
        tokio::select! {
            biased;
            () = signal.crashed() => {}
            () = run => {}
        }
        assert!(signal.has_crashed());
        assert_eq!(
            world.observer.accepts("payments_app", b"new-value", &*world.clock).unwrap(),
            applied,
            "{fault:?}"
        );
        let place = at("sim/kv/payments/db#password");
        let later = world.backend.read(&place);
        assert!(tokio::time::timeout(std::time::Duration::from_secs(3600), later).await.is_err());
        let later = world.backend.identify(&value);
        assert!(tokio::time::timeout(std::time::Duration::from_secs(3600), later).await.is_err());

        let config = SimulatedConfig { path: world.file.path().to_owned() };
        let next = SimulatedBackend::open("sim", config, world.clock.clone()).unwrap();
        next.issue(&op(1), &at(ROLE), Some(&secret("new-value"))).await.unwrap();
        assert_eq!(world.observer.effective_mutations().unwrap(), 1, "{fault:?}");
    }
}

#[test]
fn an_estate_that_is_none_is_a_coded_error_without_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("estate.json");
    let open = || {
        let config = SimulatedConfig { path: path.clone() };
        SimulatedBackend::open("sim", config, Arc::new(ManualClock::new(start()))).err().unwrap()
    };
    assert!(open().hint().is_some());
    std::fs::write(&path, "{\"key\": \"hunter2\", ").unwrap();
    let error = open();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}

#[test]
fn fault_plans_can_be_shared() {
    fn assert_plan(_: &dyn FaultPlan) {}
    assert_plan(&FaultAt { index: 0, fault: Fault::None });
    let world = world();
    assert_eq!(world.backend.info().kind, "simulated");
}
