//! The rotation of a server's certificate, which an authority of the estate signs: two objects hold it, and a workload mounts one of them.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend_simulated::{
    Estate, EstateFile,
    estate::{Container, KvEntry, KvVersion, Mount, ObjectKind, ObjectName, Planted, Secret, SecretType},
};
use claviger_core::{
    certificate::{self, Identity},
    clock::{Clock as _, SystemClock},
    model::CredentialState,
    secret::SecretValue,
};
use claviger_engine::plan::{Plan, RotateOptions};
use claviger_engine::selector::Selector;
use claviger_store::{Inventory as _, Journal as _};
use claviger_testkit::database::{Kind, TestDatabase};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::{
    invariants::{self, current, sealed},
    named::deployment,
    world::{Process, Saga, Trial, World, copy, open, policy},
};

/// The certificate, by its first copy.
pub(crate) const SUBJECT: &str = "sim/k8s/payments/Secret/web-tls#tls.crt";
/// The objects that hold it and its key.
const OBJECTS: [&str; 2] = ["sim/k8s/payments/Secret/web-tls", "sim/kv/payments/tls"];
const AUTHORITY: &str = "sim/k8s/payments/Secret/authority";
/// Signs itself, and is trusted beside itself.
const ALONE: &str = "sim/k8s/payments/Secret/alone";

/// A certificate and its key, PEM.
struct Made {
    params: CertificateParams,
    certificate: String,
    key: KeyPair,
}

fn params(name: &str, now: DateTime<Utc>, days: i64) -> CertificateParams {
    let mut params = CertificateParams::new([format!("{name}.shop")]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, name);
    let seconds = |at: DateTime<Utc>| u64::try_from(at.timestamp()).expect("after 1970");
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + std::time::Duration::from_secs(seconds(now - TimeDelta::days(300)));
    params.not_after = epoch + std::time::Duration::from_secs(seconds(now + TimeDelta::days(days)));
    params
}

fn authority(now: DateTime<Utc>) -> Made {
    let mut params = params("authority", now, 3000);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    Made { certificate: params.self_signed(&key).expect("an authority").pem(), params, key }
}

fn signed(name: &str, by: &Made, now: DateTime<Utc>) -> Made {
    let (params, key) = (params(name, now, 20), KeyPair::generate().expect("a key"));
    let issuer = Issuer::from_params(&by.params, &by.key);
    let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
    Made { certificate, params, key }
}

fn alone(name: &str, now: DateTime<Utc>) -> Made {
    let (params, key) = (params(name, now, 20), KeyPair::generate().expect("a key"));
    Made { certificate: params.self_signed(&key).expect("a certificate").pem(), params, key }
}

fn secret<const N: usize>(now: DateTime<Utc>, fields: [(&str, String); N]) -> Secret {
    Secret {
        uid: "uid-of-a-certificate".to_owned(),
        version: 1,
        kind: SecretType::Opaque,
        created_at: now - TimeDelta::days(300),
        updated_at: now - TimeDelta::days(300),
        labels: Default::default(),
        annotations: Default::default(),
        immutable: false,
        managed_by: None,
        written_by: None,
        data: fields.map(|(key, value)| (key.to_owned(), Planted::text(value))).into(),
    }
}

/// An authority, a certificate of it in two objects, one that signs itself, and a workload that mounts the first.
pub(crate) fn plant(estate: &mut Estate) {
    let now = SystemClock.now();
    let ca = authority(now);
    let web = signed("web", &ca, now);
    let chain = format!("{}{}", web.certificate, ca.certificate);
    let own = alone("alone", now);
    let tokens = estate.legacy_tokens("payments");
    let held = estate.cluster.namespaces.get_mut("payments").expect("its namespace");
    let pair = |made: &Made| [("tls.crt", made.certificate.clone()), ("tls.key", made.key.serialize_pem())];
    held.secrets.insert("authority".to_owned(), secret(now, pair(&ca)));
    let key = web.key.serialize_pem();
    let fields = [("tls.crt", chain.clone()), ("tls.key", key.clone()), ("ca.crt", ca.certificate.clone())];
    held.secrets.insert("web-tls".to_owned(), secret(now, fields));
    let trusted = [
        ("tls.crt", own.certificate.clone()),
        ("tls.key", own.key.serialize_pem()),
        ("ca.crt", own.certificate.clone()),
    ];
    held.secrets.insert("alone".to_owned(), secret(now, trusted));
    let object = ObjectName { kind: ObjectKind::Secret, name: "web-tls".to_owned() };
    let container = Container {
        name: "proxy".to_owned(),
        mounts: vec![Mount { object, sub_path: None }],
        ..Container::default()
    };
    held.deployments.insert("proxy".to_owned(), deployment(container, now));
    held.start("proxy", now - TimeDelta::hours(30), &tokens).expect("all that it reads was planted");
    let fields = [("tls.crt", chain), ("tls.key", key)];
    let fields = fields.map(|(name, value)| (name.to_owned(), Planted::text(value))).into();
    let version = KvVersion { number: 1, created_at: now - TimeDelta::days(300), written_by: None, fields };
    let entry = KvEntry { versions: vec![version], labels: Default::default(), denied: false };
    estate.secret_store.paths.insert("payments/tls".to_owned(), entry);
}

pub(crate) async fn plan(process: &Process, subject: &str) -> Result<Plan> {
    let selector = Selector::parse(subject)?;
    Ok(process.engine.plan_rotation(&selector, &RotateOptions::default()).await?)
}

/// Certificate and key of an object, which belong together.
async fn held(process: &Process, object: &str) -> Result<Identity> {
    let field = |name: &str| format!("{object}#{name}");
    let certificate = SecretValue::new(current(process, &field("tls.crt")).await?);
    let key = SecretValue::new(current(process, &field("tls.key")).await?);
    Identity::find(&certificate, &key).map_err(|unfit| anyhow::anyhow!("{object} is torn: {unfit}"))
}

/// The certificate before, which belongs to the key that the world keeps.
fn before(world: &World, identity: &Identity) -> bool {
    identity.key_is_in(&SecretValue::new(world.old.clone()))
}

/// L and C: no object is torn, and each holds the old pair or one that is sealed.
pub(crate) async fn pairs_work(world: &World, process: &Process) -> Result<()> {
    let over = process.store().unfinished().await?.is_empty();
    let packed = sealed(process).await?.into_iter().map(SecretValue::new);
    let known: Vec<_> = packed.filter_map(|packed| Identity::unpack(&packed)).collect();
    for object in OBJECTS {
        let held = held(process, object).await?;
        let is_known = known.iter().any(|known| known.certificate() == held.certificate());
        ensure!(over || before(world, &held) || is_known, "{object} holds a pair that nobody knows");
    }
    Ok(())
}

/// Both objects and the pods hold the same pair, which the authority has signed, and whom to trust is as it was.
async fn in_step(world: &World, process: &Process, dir: &Path) -> Result<Identity> {
    let [one, other] = [held(process, OBJECTS[0]).await?, held(process, OBJECTS[1]).await?];
    ensure!(one.certificate() == other.certificate(), "the objects are out of step");
    let authority = held(process, AUTHORITY).await?;
    ensure!(certificate::is_signed_by(one.certificate(), authority.certificate()), "nobody would trust it");
    for object in OBJECTS {
        let chain = SecretValue::new(current(process, &format!("{object}#tls.crt")).await?);
        ensure!(authority.is_in(&chain), "the chain of {object} is gone");
    }
    let trust = SecretValue::new(current(process, &format!("{}#ca.crt", OBJECTS[0])).await?);
    ensure!(authority.is_in(&trust) && !one.is_in(&trust), "it trusts somebody else");
    let estate = world.observer(dir).estate()?;
    let pods = &estate.cluster.namespaces["payments"].deployments["proxy"].pods;
    let keys: Vec<_> =
        pods.iter().flat_map(|pod| &pod.holds).filter(|(at, _)| at.contains("tls.key")).collect();
    ensure!(!keys.is_empty(), "the pods hold no key");
    for (at, key) in keys {
        ensure!(one.key_is_in(&key.secret()), "a pod still runs on another key, read at {at}");
    }
    Ok(one)
}

/// A line of a private key, as a leak would have it.
async fn lines(world: &World, process: &Process) -> Result<Vec<Vec<u8>>> {
    let now = current(process, &format!("{}#tls.key", OBJECTS[0])).await?;
    let line = |pem: &[u8]| pem.split(|byte| *byte == b'\n').nth(1).map(<[u8]>::to_vec).unwrap_or_default();
    Ok(vec![line(&world.old), line(&now)])
}

/// After it came to rest.
pub(crate) async fn at_rest(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    let now = in_step(world, process, dir).await?;
    ensure!(before(world, &now) != began, "began: {began}, and the key says otherwise");
    let receipts = process.store().receipts(None).await?;
    ensure!(
        receipts.len() == usize::from(began)
            && receipts
                .iter()
                .all(|receipt| receipt.verdict == "unprovable" && receipt.detail.contains("until 2")),
        "{receipts:?}"
    );
    let detail = process.store().credential(SystemClock.now(), world.plan().credential).await?;
    let credential = detail.context("the credential")?.credential;
    let ends = now.facts()?.not_after;
    ensure!(
        credential.expires_at == ends,
        "it says that it ends at {:?}, and it does at {ends:?}",
        credential.expires_at
    );
    ensure!(credential.state == CredentialState::Active, "{:?}", credential.state);
    let lines = lines(world, process).await?;
    ensure!(lines.iter().all(|line| line.len() > 40), "there is no key to look for");
    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    invariants::settled(world, process, database, dir, &lines).await
}

/// After it was given up or taken back.
pub(crate) async fn as_before(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let now = in_step(world, process, dir).await?;
    ensure!(before(world, &now), "it is another pair");
    invariants::told(world, process, dir).await
}

async fn started() -> Result<(World, tempfile::TempDir, Process)> {
    let world = World::prepare(Saga::Reissue, Kind::Sqlite).await?.context("SQLite is built in")?;
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    let process = open(dir.path(), &world.database, Trial::default()).await?;
    Ok((world, dir, process))
}

async fn refused(process: &Process, subject: &str, code: &str, says: &str) -> Result<()> {
    let plan = plan(process, subject).await?;
    ensure!(plan.subjects.is_empty(), "it is planned: {subject}");
    let refusal = plan.refused.first().context("a refusal")?;
    ensure!(refusal.code == code && refusal.reason.contains(says), "{refusal:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_has_signed_others_is_not_rotated_and_no_random_value_takes_a_certificates_place()
-> Result<()> {
    let (world, _dir, mut process) = started().await?;
    refused(&process, &format!("{AUTHORITY}#tls.crt"), "signs-others", OBJECTS[0]).await?;
    let planned = world.plan();
    ensure!(planned.definition == "reissue/1" && planned.strategy == "reissue", "{}", planned.definition);
    ensure!(planned.notes.iter().any(|note| note.contains(AUTHORITY)), "{:?}", planned.notes);
    ensure!(planned.breaks.is_empty(), "{:?}", planned.breaks);
    process.engine.estate.policies.push(policy("sim/k8s/payments/Secret/*", Some("copy-only"), None)?);
    refused(&process, SUBJECT, "tls-value", "reissue").await?;
    Ok(())
}

/// The authority's key is no longer in the estate, or another system writes the Secret: claviger keeps its hands off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_here_can_sign_or_somebody_else_writes_is_left_alone() -> Result<()> {
    let (_world, dir, process) = started().await?;
    let file = EstateFile::new(dir.path().join("estate.json"));
    let key = file.load()?.cluster.namespaces["payments"].secrets["authority"].data["tls.key"].clone();
    file.edit(|estate| {
        let held = estate.cluster.namespaces.get_mut("payments").expect("its namespace");
        let another = KeyPair::generate().expect("a key").serialize_pem();
        let authority = held.secrets.get_mut("authority").expect("the authority");
        authority.data.insert("tls.key".to_owned(), Planted::text(another));
    })?;
    refused(&process, SUBJECT, "no-issuer", "CN=authority").await?;
    file.edit(|estate| {
        let held = estate.cluster.namespaces.get_mut("payments").expect("its namespace");
        held.secrets
            .get_mut("authority")
            .expect("the authority")
            .data
            .insert("tls.key".to_owned(), key.clone());
        held.secrets.get_mut("web-tls").expect("the Secret").managed_by = Some("cert-manager/web".to_owned());
    })?;
    process
        .engine
        .scan(&claviger_engine::scan::ScanOptions::default(), &claviger_engine::progress::Silent)
        .await?;
    refused(&process, SUBJECT, "managed-elsewhere", "Certificate `web`").await?;
    Ok(())
}

/// What signs itself is trusted by its own copy: the field beside it follows in the same write, and one elsewhere is a reason to ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_signs_itself_takes_the_copy_beside_it_along_and_names_the_others() -> Result<()> {
    let (_world, dir, process) = started().await?;
    let file = EstateFile::new(dir.path().join("estate.json"));
    let subject = format!("{ALONE}#tls.crt");
    let planned = plan(&process, &subject).await?.subjects.into_iter().next().context("a plan")?;
    ensure!(planned.notes.iter().any(|note| note.contains("signs itself")), "{:?}", planned.notes);
    let old = held(&process, ALONE).await?;
    let done = process.attempt(planned).await.context("it did not crash")??;
    ensure!(done.state == "done", "{:?}", done.reason);
    let new = held(&process, ALONE).await?;
    let trust = SecretValue::new(current(&process, &format!("{ALONE}#ca.crt")).await?);
    ensure!(new.certificate() != old.certificate(), "it is the old one");
    ensure!(
        certificate::check(old.certificate(), &new, None, SystemClock.now()).is_ok(),
        "it is not as it was"
    );
    ensure!(new.is_in(&trust) && !old.is_in(&trust), "the copy beside it was left behind");

    // Somebody trusts it elsewhere.
    let now = SystemClock.now();
    let pem = current(&process, &format!("{ALONE}#tls.crt")).await?;
    let pem = String::from_utf8(pem)?;
    file.edit(|estate| {
        let held = estate.cluster.namespaces.get_mut("payments").expect("its namespace");
        held.secrets.insert("trusts".to_owned(), secret(now, [("server.crt", pem)]));
    })?;
    process
        .engine
        .scan(&claviger_engine::scan::ScanOptions::default(), &claviger_engine::progress::Silent)
        .await?;
    refused(&process, &subject, "trusted-elsewhere", "sim/k8s/payments/Secret/trusts#server.crt").await?;
    let stale = RotateOptions { leave_stale: true, ..RotateOptions::default() };
    let planned = process.engine.plan_rotation(&Selector::parse(&subject)?, &stale).await?;
    let notes = &planned.subjects.first().context("a plan")?.notes;
    ensure!(notes.iter().any(|note| note.contains("trusts#server.crt")), "{notes:?}");

    // No store of secrets: a bundle among others' certificates.
    let pem = String::from_utf8(current(&process, &format!("{ALONE}#tls.crt")).await?)?;
    let other = String::from_utf8(current(&process, SUBJECT).await?)?;
    file.edit(|estate| {
        let held = estate.cluster.namespaces.get_mut("payments").expect("its namespace");
        held.secrets.remove("trusts");
        let map = held.config_maps.get_mut("app").expect("the ConfigMap");
        map.data.insert("bundle".to_owned(), Planted::text(format!("{other}{pem}")));
        map.data.insert("other".to_owned(), Planted::text(other));
    })?;
    process
        .engine
        .scan(&claviger_engine::scan::ScanOptions::default(), &claviger_engine::progress::Silent)
        .await?;
    refused(&process, &subject, "trusted-elsewhere", "sim/k8s/payments/ConfigMap/app#bundle holds").await?;
    Ok(())
}

/// A pair that somebody has changed in one object since is nobody's to overwrite.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_that_was_changed_meanwhile_changes_nothing() -> Result<()> {
    let (world, dir, process) = started().await?;
    let now = SystemClock.now();
    EstateFile::new(dir.path().join("estate.json")).edit(|estate| {
        let other = alone("other", now);
        let held = estate.cluster.namespaces.get_mut("payments").expect("its namespace");
        let secret = held.secrets.get_mut("web-tls").expect("the Secret");
        secret.data.insert("tls.crt".to_owned(), Planted::text(other.certificate.clone()));
        secret.data.insert("tls.key".to_owned(), Planted::text(other.key.serialize_pem()));
    })?;
    let outcome = process.attempt(world.plan().clone()).await.context("it did not crash")??;
    let reason = outcome.reason.unwrap_or_default();
    ensure!(
        outcome.state == "unwound" && reason.contains("another certificate"),
        "{}: {reason}",
        outcome.state
    );
    ensure!(world.observer(dir.path()).effects()?.is_empty(), "something was changed");
    Ok(())
}
