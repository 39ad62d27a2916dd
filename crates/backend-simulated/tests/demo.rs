//! What recognition makes of the built-in estate.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{TimeZone, Utc};
use claviger_backend::{Backend, Message, Phase, channel};
use claviger_backend_simulated::{EstateFile, SimulatedBackend, SimulatedConfig, estate::demo};
use claviger_core::{
    canonical::{Input, Strength, leaves},
    clock::ManualClock,
    model::{CopyStage, CredentialKind, Handle},
    observation::{Content, Observation, ObservedCopy},
    random::SeededRandom,
};

/// What a scan shows.
#[derive(Default)]
struct Scanned {
    /// Leaves by ref, with the word of their kind; `!` marks a weak one.
    leaves: BTreeMap<String, String>,
    /// Kinds of the issuers' credentials.
    credentials: BTreeMap<String, CredentialKind>,
    /// Handles that issuers list.
    issued: BTreeSet<Handle>,
    /// Handles that values show.
    copied: BTreeSet<Handle>,
}

impl Scanned {
    fn take(&mut self, item: Observation) {
        match item {
            Observation::Credential(credential) => {
                self.credentials.insert(credential.at.to_string(), credential.kind);
                self.issued.extend(credential.handle);
            }
            Observation::Copy(copy) => self.open(&copy),
            _ => {}
        }
    }

    fn open(&mut self, copy: &ObservedCopy) {
        let Content::Value(value) = &copy.content else { return };
        let input = Input { key: &copy.key, place: copy.place, kind: copy.kind, bundle: &copy.bundle };
        for leaf in leaves(&input, value) {
            let weak = if leaf.strength == Strength::Strong { "" } else { "!" };
            let stage = if copy.stage == CopyStage::Former { " (former)" } else { "" };
            self.leaves
                .insert(format!("{}{stage}", copy.at.within(&leaf.pointer)), format!("{}{weak}", leaf.kind));
            self.copied.extend(leaf.handle);
        }
    }
}

fn scanned(seed: u64) -> Scanned {
    let now = Utc.with_ymd_and_hms(2030, 6, 1, 0, 0, 0).single().expect("a date");
    let folder = tempfile::tempdir().expect("a folder");
    let file = EstateFile::new(folder.path().join("estate.json"));
    file.create(&demo(&SeededRandom::new(seed), now)).expect("an estate");
    let config = SimulatedConfig { path: file.path().to_owned() };
    let backend = SimulatedBackend::open("sim", config, Arc::new(ManualClock::new(now))).expect("opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut found = Scanned::default();
    runtime.block_on(async {
        let (mut sink, mut receiver) = channel(64);
        backend.inventory(Phase::Issuers, &mut sink).await.expect("scans");
        backend.inventory(Phase::Stores, &mut sink).await.expect("scans");
        drop(sink);
        while let Some(message) = receiver.recv().await {
            if let Message::Page(page) = message {
                page.items.into_iter().for_each(|item| found.take(item));
            }
        }
    });
    found
}

const EXPECTED: &str = "\
sim/k8s/ci/Secret/aws#aws_secret_access_key access-key
sim/k8s/ci/Secret/deployer-token#token service-account-token
sim/k8s/ci/Secret/terraform#VAULT_TOKEN token
sim/k8s/ci/Secret/vault-bootstrap#VAULT_TOKEN token
sim/k8s/legacy/ConfigMap/mail#SMTP_PASSWORD password
sim/k8s/legacy/Deployment/batch#containers/app/env/DB_PASSWORD password
sim/k8s/legacy/Secret/backup#aws_secret_access_key access-key
sim/k8s/legacy/Secret/default-token-x7k2p#token service-account-token
sim/k8s/legacy/Secret/reporting#password password
sim/k8s/payments/ConfigMap/app#database-url password
sim/k8s/payments/Secret/db#password password
sim/k8s/payments/Secret/session#signing-key opaque
sim/k8s/payments/Secret/stripe-webhook#webhook-secret webhook-secret
sim/k8s/shop-dev/Deployment/mailer#containers/app/env/SENDGRID_API_KEY api-key
sim/k8s/shop-dev/Secret/pull#.dockerconfigjson/auths/registry.acme.example/password registry
sim/k8s/shop-dev/Secret/s3#aws_secret_access_key access-key
sim/k8s/shop-dev/Secret/stripe#api-key api-key
sim/k8s/shop/Secret/cache#redis-url password
sim/k8s/shop/Secret/db#password password
sim/k8s/shop/Secret/prometheus-token#token service-account-token
sim/k8s/shop/Secret/pull#.dockerconfigjson/auths/registry.acme.example/password registry
sim/k8s/shop/Secret/s3#aws_secret_access_key access-key
sim/k8s/shop/Secret/stripe#api-key api-key
sim/kv/analytics/db#password password
sim/kv/ci/aws#aws_secret_access_key access-key
sim/kv/ci/github#token token
sim/kv/ci/kubeconfig#kubeconfig/users/deployer/token service-account-token
sim/kv/payments/db#password password
sim/kv/payments/session#signing-key opaque
sim/kv/shop/cache#password password
sim/kv/shop/db#password (former) password
sim/kv/shop/db#password password";

#[test]
fn every_planted_value_is_recognised_and_nothing_else() {
    for seed in 1..=3 {
        let mut shown: Vec<String> =
            scanned(seed).leaves.iter().map(|(at, kind)| format!("{at} {kind}")).collect();
        shown.sort();
        assert_eq!(shown.join("\n"), EXPECTED, "seed {seed}");
    }
}

#[test]
fn copies_name_the_issuers_credential_and_every_issuer_lists_its_own() {
    let seen = scanned(4);
    let kinds = |kind| seen.credentials.values().filter(|held| **held == kind).count();
    assert_eq!(kinds(CredentialKind::Password), 6);
    assert_eq!(kinds(CredentialKind::AccessKey), 4);
    assert_eq!(kinds(CredentialKind::Token), 4);
    assert_eq!(kinds(CredentialKind::ServiceAccountToken), 3);
    // Three users' keys lie in copies, the fourth key nowhere; of the token Secrets each shows itself, one also in a kubeconfig.
    assert!(seen.copied.is_subset(&seen.issued), "{:?} is not issued", seen.copied.difference(&seen.issued));
    assert_eq!(seen.copied.len(), 6);
}
