//! Chains of a big inventory: what is read link by link is what is drawn from everything, and it is read quickly.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::{Context as _, Result, ensure};
use claviger_core::{
    chain::{self, Limits, OPENS},
    clock::{Clock, ManualClock},
    fingerprint::{Fingerprint, FingerprintKey, Form},
    id::{CredentialId, ScanId},
    model::{
        Attributes, ConsumerHow, CopyStage, CredentialKind, CredentialState, IdentityKind, Labels, Place,
        PrivilegeLevel, Scope, ScopeStatus,
    },
    observation::{ObservedConsumer, ObservedGrant, ObservedIdentity},
    random::{Random, SeededRandom},
    reference::Ref,
    seal::SealingKey,
    view::{BackendScanView, Counts},
};
use claviger_engine::{Engine, Estate, Keys, Ports, chain::Eyes};
use claviger_store::{
    CopyLink, Inventory as _, LinkEvidence, Merged, MergedCopy, MergedCredential, MergedPage, ScanStart,
    SeaStore, Selection,
};
use claviger_testkit::database::{Kind, TestDatabase};
use serde_json::{Value, json};

/// A database, and an engine on it.
struct Bench {
    database: TestDatabase,
    store: SeaStore,
    engine: Engine,
    clock: Arc<ManualClock>,
    random: Arc<dyn Random>,
}

async fn bench() -> Result<Bench> {
    let clock = Arc::new(ManualClock::new("2026-06-01T12:00:00Z".parse()?));
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(7));
    let database = TestDatabase::new(Kind::Sqlite, clock.clone(), random.clone()).await?.context("SQLite")?;
    let store = database.open(clock.clone(), random.clone()).await?;
    let ports = Ports {
        inventory: Arc::new(store.clone()),
        journal: Arc::new(store.clone()),
        audit: Arc::new(store.clone()),
        approvals: Arc::new(store.clone()),
        incidents: Arc::new(store.clone()),
        notifications: Arc::new(store.clone()),
    };
    let keys =
        Arc::new(Keys { fingerprint: FingerprintKey::new([1; 32]), sealing: SealingKey::new([2; 32]) });
    let engine = Engine {
        estate: Estate::default(),
        ports,
        keys,
        clock: clock.clone(),
        random: random.clone(),
        actor: "test".to_owned(),
    };
    Ok(Bench { database, store, engine, clock, random })
}

fn at(text: impl Into<String>) -> Ref {
    Ref::from_text(text)
}

fn copy(place: &str, value: u32, issuer: Option<&str>) -> Merged {
    let mut print = [0; 32];
    print[..4].copy_from_slice(&value.to_be_bytes());
    Merged::Copy(Box::new(MergedCopy {
        at: at(place),
        field_at: at(place),
        pointer: String::new(),
        version: Some("1".to_owned()),
        stage: CopyStage::Current,
        place: Place::SecretStore,
        kind: CredentialKind::Opaque,
        fingerprint: (issuer.is_none() || !place.starts_with("forge"))
            .then_some((Form::Text, Fingerprint(print))),
        strong: true,
        handle: None,
        link: issuer.map(|issuer| CopyLink {
            issuer: at(issuer),
            evidence: if place.starts_with("forge") { LinkEvidence::Declared } else { LinkEvidence::Issuer },
        }),
        keep_link: false,
        refuted: Vec::new(),
        subject: None,
        created_at: None,
        updated_at: None,
        expires_at: None,
        last_used_at: None,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::new(),
    }))
}

fn consumer(workload: String, reads: &str, job: Option<&str>) -> Merged {
    let facts = job.map(|secret| ("ci_secret".to_owned(), json!(secret)));
    Merged::Consumer(ObservedConsumer {
        at: at(workload),
        reads: at(reads),
        how: ConsumerHow::Env,
        container: None,
        attributes: facts.into_iter().collect(),
    })
}

/// A namespace: Secrets that a workload reads each, an account with a token that a job deploys with, and what that may read: the next namespace.
fn namespace(number: u32, of: u32, secrets: u32) -> Vec<Merged> {
    let mut items = Vec::new();
    for secret in 0..secrets {
        let object = format!("prod/n{number}/Secret/s{secret}");
        items.push(copy(&format!("{object}#password"), number * secrets + secret + 1, None));
        items.push(consumer(format!("prod/n{number}/Deployment/d{secret}"), &object, None));
    }
    let (who, token) =
        (format!("prod/n{number}/ServiceAccount/robot"), format!("prod/n{number}/Secret/robot"));
    let ci = format!("forge/acme/r{number}/actions/secrets/TOKEN");
    items.push(Merged::Identity(ObservedIdentity {
        at: at(&who),
        kind: IdentityKind::KubernetesServiceAccount,
        created_at: None,
        last_used_at: None,
        disabled: false,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::new(),
    }));
    items.push(Merged::Credential(MergedCredential {
        at: at(&token),
        kind: CredentialKind::ServiceAccountToken,
        identity: Some(at(&who)),
        state: CredentialState::Active,
        created_at: None,
        rotated_at: None,
        expires_at: None,
        last_used_at: None,
        handle: None,
        verifier: None,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::new(),
    }));
    items.push(copy(&format!("{token}#token"), u32::MAX - number, Some(&token)));
    items.push(copy(&ci, 0, Some(&token)));
    items.push(consumer(format!("forge/acme/r{number}/workflows/w.yml#jobs/deploy"), &ci, Some("TOKEN")));
    let next = (number + 1) % of;
    // The Secrets of the next one by name, so that no chain is too wide to be drawn whole.
    let opens = ["robot", "s0", "s1"].map(|name| format!("prod/n{next}/Secret/{name}"));
    items.push(Merged::Grant(ObservedGrant {
        identity: at(&who),
        source: at(format!("prod/n{next}/RoleBinding/robot")),
        privilege: "Role/robot".to_owned(),
        reach: format!("n{next}"),
        level: PrivilegeLevel::Sensitive,
        attributes: BTreeMap::from([
            (OPENS.to_owned(), json!(opens)),
            ("rules".to_owned(), json!(["secrets: get (only: robot,s0,s1)"])),
        ]),
    }));
    items
}

impl Bench {
    async fn scan(&self, namespaces: u32, secrets: u32) -> Result<()> {
        let id = ScanId::generate(self.clock.as_ref(), self.random.as_ref());
        let now = self.clock.now();
        let systems = [("prod", "kubernetes"), ("forge", "gitea")];
        let backends = systems.map(|(name, kind)| (name.to_owned(), kind.to_owned())).to_vec();
        self.store.begin_scan(&ScanStart { id, at: now, backends }).await?;
        for number in 0..namespaces {
            let scope = Scope::new(format!("n{number}"), "");
            let items = namespace(number, namespaces, secrets);
            let page =
                MergedPage { backend: "prod".to_owned(), scope: scope.clone(), items, former: Vec::new() };
            self.store.merge(id, now, page).await?;
            self.store.end_scope(id, now, "prod", &scope, ScopeStatus::Complete, None).await?;
        }
        self.store.link(id, now).await?;
        for (name, kind) in systems {
            let view = BackendScanView {
                name: name.to_owned(),
                kind: kind.to_owned(),
                status: "complete".to_owned(),
                error: None,
                scopes: Vec::new(),
                counts: Counts::default(),
                duration_ms: 1,
            };
            self.store.end_backend(id, now, &view, &[]).await?;
        }
        self.store.end_scan(id, now, true).await?;
        Ok(())
    }

    async fn id_of(&self, text: &str) -> Result<CredentialId> {
        let all = self.store.credentials(self.clock.now(), &Selection::default()).await?;
        Ok(all.iter().find(|one| one.at.as_str() == text).with_context(|| format!("no {text}"))?.id)
    }

    async fn chain(&self, id: CredentialId) -> Result<Value> {
        let detail = self.store.credential(self.clock.now(), id).await?.context("it is there")?;
        Ok(serde_json::to_value(self.engine.chain(&detail, Eyes::All, Limits::WHOLE).await?)?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_link_by_link_is_what_everything_tells() -> Result<()> {
    let bench = bench().await?;
    bench.scan(30, 6).await?;
    let details = bench.store.details(bench.clock.now(), &Selection::default()).await?;
    let identities = bench.store.identities(&Selection::default()).await?;
    let coverage = bench.store.coverage().await?;
    let grants = identities.iter().flat_map(|identity| &identity.grants);
    let estate = chain::Estate::new(&details, grants, &coverage);
    ensure!(details.len() == 30 * 7, "{}", details.len());
    for text in [
        "prod/n7/Secret/robot",
        "prod/n7/Secret/s1#password",
        "prod/n7/Secret/s5#password",
        "prod/n0/Secret/robot",
    ] {
        let id = bench.id_of(text).await?;
        let whole = serde_json::to_value(estate.chain(id, Limits::WHOLE).context("it is there")?)?;
        let read = bench.chain(id).await?;
        ensure!(read == whole, "{text}: {read:#}\ninstead of {whole:#}");
    }
    let read = bench.chain(bench.id_of("prod/n7/Secret/robot").await?).await?.to_string();
    for words in [
        "prod/n8/Secret/s0#password",
        "prod/n9/Secret/robot#token",
        "prod/n6/Secret/robot",
        "forge/acme/r7/workflows",
    ] {
        ensure!(read.contains(words), "{words}: {read}");
    }
    let far = bench.chain(bench.id_of("prod/n7/Secret/s5#password").await?).await?;
    ensure!(far["opened_by"] == json!([]), "nobody may read it: {far:#}");
    bench.database.remove().await
}

/// Prints how long it takes: `name value unit`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "fills a database with a hundred thousand credentials"]
async fn a_hundred_thousand_credentials_are_followed_in_no_time() -> Result<()> {
    let bench = bench().await?;
    let begun = Instant::now();
    bench.scan(2_000, 50).await?;
    println!("chain_fill {} ms", begun.elapsed().as_millis());
    for text in ["prod/n700/Secret/robot", "prod/n700/Secret/s1#password", "prod/n700/Secret/s49#password"] {
        let id = bench.id_of(text).await?;
        bench.chain(id).await?;
        let begun = Instant::now();
        let chain = bench.chain(id).await?;
        let took = begun.elapsed();
        println!("chain {} ms ({text}, {} bytes)", took.as_millis(), chain.to_string().len());
        // As many rows as there are grants are looked at once, and nothing for each credential.
        ensure!(took.as_secs() < 10, "{text} took {took:?}");
    }
    bench.database.remove().await
}
