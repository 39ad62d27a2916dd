//! Tokens that are bound to a ServiceAccount, which is made again; and a client certificate, whose user and group are cut from their bindings.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use claviger_backend_simulated::{
    Estate,
    estate::{Planted, Secret, SecretType, UserBinding},
};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    model::CredentialState,
    saga::{Action, Party},
};
use claviger_engine::{
    plan::{Plan, RevokeOptions},
    selector::Selector,
};
use claviger_store::{Inventory as _, Journal as _};
use claviger_testkit::database::TestDatabase;
use rcgen::{CertificateParams, DnType, KeyPair};

use crate::{
    invariants,
    world::{Process, World},
};

/// The account; a Deployment runs with it, and it has a token in a Secret too.
pub(crate) const ACCOUNT: &str = "sim/k8s/shop/ServiceAccount/prometheus";
/// That token.
pub(crate) const TOKEN: &str = "sim/k8s/shop/Secret/prometheus-token";
/// The kubeconfig.
pub(crate) const KUBECONFIG: &str = "sim/k8s/ci/Secret/dana#config";
/// Longer than a dead owner's lease, or the takeover alone would wait long enough.
pub(crate) const CACHE: u32 = 3;

pub(crate) fn plant_account(estate: &mut Estate) {
    estate.settings.revoke_cache_seconds = CACHE;
    let shop = estate.cluster.namespaces.get_mut("shop").expect("its namespace");
    let account = shop.service_accounts.get_mut("prometheus").expect("its account");
    account.annotations.insert("eks.amazonaws.com/role-arn".to_owned(), "arn".to_owned());
    shop.deployments.get_mut("cart").expect("its workload").service_account = Some("prometheus".to_owned());
}

/// A kubeconfig with a certificate of user `dana` in group `ops`, who are bound alone, together, and beside others.
pub(crate) fn plant_certificate(estate: &mut Estate) {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, "dana");
    params.distinguished_name.push(DnType::OrganizationName, "ops");
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let config = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: {{server: 'https://kubernetes.default.svc'}}\ncontexts:\n- name: x\n  context: {{cluster: c, user: dana}}\nusers:\n- name: dana\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
        STANDARD.encode(certificate),
        STANDARD.encode(key.serialize_pem())
    );
    let now = SystemClock.now() - TimeDelta::days(30);
    let secret = Secret {
        uid: "uid-of-a-kubeconfig".to_owned(),
        version: 1,
        kind: SecretType::Opaque,
        created_at: now,
        updated_at: now,
        labels: Default::default(),
        annotations: Default::default(),
        immutable: false,
        managed_by: None,
        written_by: None,
        data: [("config".to_owned(), Planted::text(config))].into(),
    };
    let ci = estate.cluster.namespaces.get_mut("ci").expect("its namespace");
    ci.secrets.insert("dana".to_owned(), secret);
    let bind = |subjects: &[Party], role: &str, reach: &str| UserBinding {
        subjects: subjects.to_vec(),
        role: role.to_owned(),
        reach: reach.to_owned(),
    };
    let (dana, ops, lee) = (Party::user("dana"), Party::group("ops"), Party::user("lee"));
    estate.cluster.user_bindings = [
        ("dana-edit", bind(std::slice::from_ref(&dana), "ClusterRole/edit", "ci")),
        ("ops-view", bind(&[ops.clone(), lee.clone()], "ClusterRole/view", "*")),
        ("both", bind(&[dana.clone(), ops, lee.clone()], "ClusterRole/admin", "shop")),
        ("lee-edit", bind(std::slice::from_ref(&lee), "ClusterRole/edit", "shop")),
    ]
    .map(|(name, binding)| (name.to_owned(), binding))
    .into();
}

/// The account's own saga; the token in its Secret has one of its own, which `ending` knows.
pub(crate) async fn plan_account(process: &Process) -> Result<Plan> {
    let options = RevokeOptions { recreate: true, ..RevokeOptions::default() };
    let mut plan = process.engine.plan_revocation_with(&Selector::parse(ACCOUNT)?, &options).await?;
    let subjects: Vec<_> = plan.subjects.iter().map(|subject| subject.subject.to_string()).collect();
    ensure!(subjects == [TOKEN, ACCOUNT], "{subjects:?}");
    let blast = plan.blast.last().context("its blast radius")?;
    ensure!(blast.breaks.iter().any(|at| at.as_str() == "sim/k8s/shop/Deployment/cart"), "{blast:?}");
    ensure!(blast.derived.len() == 1, "{blast:?}");
    plan.subjects.remove(0);
    let steps: Vec<_> = plan.subjects[0].steps.iter().map(|step| step.action.name()).collect();
    let expected = [
        "note-anchor",
        "control-probe",
        "end-anchor",
        "remake-anchor",
        "refresh",
        "await-cache",
        "prove-anchor",
        "await-adoption",
    ];
    ensure!(steps == expected, "{steps:?}");
    // Without being told so, it only ends what can be ended without it, and says what goes on.
    let less =
        process.engine.plan_revocation_with(&Selector::parse(ACCOUNT)?, &RevokeOptions::default()).await?;
    ensure!(less.subjects.len() == 1 && less.refused[0].code == "bound-tokens", "{:?}", less.refused);
    let absent = Selector::parse(&format!("{ACCOUNT}-that-is-not"))?;
    let absent = process.engine.plan_revocation_with(&absent, &RevokeOptions::default()).await?;
    ensure!(absent.subjects.is_empty() && absent.refused[0].code == "already-gone", "{:?}", absent.refused);
    Ok(plan)
}

pub(crate) async fn plan_certificate(process: &Process) -> Result<Plan> {
    let selector = Selector::parse("sim/k8s/ci/Secret/dana*")?;
    let plan = process.engine.plan_revocation_with(&selector, &RevokeOptions::default()).await?;
    let cuts = plan.subjects.iter().flat_map(|subject| &subject.steps);
    let cuts: Vec<_> = cuts.filter(|step| matches!(step.action, Action::CutBinding(_))).collect();
    ensure!(cuts.len() == 3, "{cuts:?} {:?}", plan.refused);
    Ok(plan)
}

fn uid(world: &World) -> Option<&str> {
    world.plan().steps.iter().find_map(|step| match &step.action {
        Action::EndAnchor(expect) => Some(expect.as_str()),
        _ => None,
    })
}

/// Made again with all that people gave it, or as it was.
pub(crate) fn seen_account(world: &World, dir: &Path, began: bool) -> Result<()> {
    let observer = world.observer(dir);
    let estate = observer.estate()?;
    let shop = estate.cluster.namespaces.get("shop").context("the namespace")?;
    let account = shop.service_accounts.get("prometheus").context("the account was not made again")?;
    ensure!((Some(account.uid.as_str()) != uid(world)) == began, "its uid, and began: {began}");
    ensure!(account.annotations.contains_key("eks.amazonaws.com/role-arn"), "{account:?}");
    ensure!(observer.accepts_token(&world.old, &SystemClock)? != began, "its token, and began: {began}");
    if began {
        // Whoever makes the Secret again gets another token.
        let again = estate.legacy_token("shop", "prometheus-token", "prometheus").context("a token")?;
        ensure!(!again.is(&world.old), "the leaked token would come back");
        ensure!(shop.deployments["cart"].rollouts.len() == 1, "{:?}", shop.deployments["cart"].rollouts);
    }
    Ok(())
}

pub(crate) async fn account_at_rest(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    seen_account(world, dir, began)?;
    proven(world, process, dir, began).await?;
    invariants::settled(world, process, database, dir, &[&world.old]).await
}

/// One receipt where it began, of a refusal after the cache window.
pub(crate) async fn proven(world: &World, process: &Process, dir: &Path, began: bool) -> Result<()> {
    let receipts = process.store().receipts(None).await?;
    ensure!(receipts.len() == usize::from(began), "{receipts:?}");
    let Some(receipt) = receipts.first() else { return Ok(()) };
    ensure!(receipt.verdict == "proven" && receipt.control == receipt.probe, "{receipt:?}");
    ensure!(receipt.detail.contains("every token of that uid"), "{receipt:?}");
    let gone = world.observer(dir).estate()?.cluster.tombstones;
    let ended = gone.first().context("a tombstone")?.at;
    ensure!(receipt.observed_at >= ended + TimeDelta::seconds(i64::from(CACHE)), "an early refusal");
    Ok(())
}

/// Dana and ops are named nowhere, and the others as before; or nothing is changed.
pub(crate) fn seen_certificate(world: &World, dir: &Path, began: bool) -> Result<()> {
    let bindings = world.observer(dir).estate()?.cluster.user_bindings;
    let cut = [Party::user("dana"), Party::group("ops")];
    let named = bindings.values().flat_map(|binding| &binding.subjects).filter(|party| cut.contains(party));
    let named = named.count();
    ensure!(named == if began { 0 } else { 4 }, "{named} are left, began: {began}");
    ensure!(bindings.len() == 4, "a binding was deleted");
    let lee = bindings.values().filter(|binding| binding.subjects.contains(&Party::user("lee"))).count();
    ensure!(lee == 3, "somebody else was cut: {lee}");
    Ok(())
}

pub(crate) async fn certificate_at_rest(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    seen_certificate(world, dir, began)?;
    let receipts = process.store().receipts(None).await?;
    ensure!(receipts.len() == usize::from(began), "{receipts:?}");
    if let Some(receipt) = receipts.first() {
        ensure!(
            receipt.verdict == "attested" && receipt.detail.contains("goes on logging in"),
            "{receipt:?}"
        );
        let detail = process.store().credential(SystemClock.now(), world.plan().credential).await?;
        let state = detail.context("the credential")?.credential.state;
        ensure!(state == CredentialState::Mitigated, "{state:?}");
    }
    invariants::settled(world, process, database, dir, &[&world.old]).await
}
