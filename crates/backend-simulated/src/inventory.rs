//! What a scan of the estate shows. It is small, so each scope is one page.

mod cluster;
mod forge;
mod issuers;
mod kv;

use chrono::{DateTime, Utc};
use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, CopyStage, Labels, OwnerEvidence, Place, Scope, ScopeStatus},
    observation::{Bundle, Content, ObservedCopy},
    reference::Ref,
};

use crate::{
    SimulatedBackend,
    estate::{Estate, Planted},
};

/// Weights of owner evidence: who is named as owner outweighs a team's label.
const OWNER_WEIGHTS: &[(&str, u8)] = &[("owner", 80), ("Owner", 80), ("team", 60)];

/// Identities, credentials, grants.
pub(crate) async fn issuers(backend: &SimulatedBackend, estate: &Estate, sink: &mut ScanSink) -> Result<()> {
    for (part, items) in [
        ("db", issuers::database(backend, estate)),
        ("iam", issuers::cloud(backend, estate)),
        ("auth", issuers::tokens(backend, estate)),
    ] {
        scope(estate, sink, &Scope::new(part, ""), part, items).await?;
    }
    let area = Scope::new("database", "static-roles");
    scope(estate, sink, &area, "auth", issuers::static_roles(backend, estate)).await?;
    let area = Scope::new("database", "connections");
    scope(estate, sink, &area, "auth", issuers::connections(backend, estate)).await?;
    for (name, namespace) in &estate.cluster.namespaces {
        let area = Scope::new(format!("k8s/{name}"), "service-accounts");
        if namespace.denied {
            deny(sink, &area).await?;
            continue;
        }
        scope(estate, sink, &area, "k8s", issuers::service_accounts(backend, estate, name, namespace))
            .await?;
    }
    if !estate.forge.deploy_keys.is_empty() {
        let area = Scope::new("forge", "deploy-keys");
        scope(estate, sink, &area, "forge", issuers::deploy_keys(backend, estate)).await?;
    }
    scope(estate, sink, &Scope::new("k8s", "rbac"), "k8s", issuers::bindings(backend, estate)).await
}

/// Copies and consumers.
pub(crate) async fn stores(backend: &SimulatedBackend, estate: &Estate, sink: &mut ScanSink) -> Result<()> {
    scope(estate, sink, &Scope::new("kv", ""), "kv", kv::copies(backend, estate)).await?;
    let area = Scope::new("database", "static-creds");
    scope(estate, sink, &area, "auth", backend.shown_fields(estate)).await?;
    for (path, _) in estate.secret_store.paths.iter().filter(|(_, entry)| entry.denied) {
        deny(sink, &Scope::new("kv", path.clone())).await?;
    }
    forge::copies(backend, estate, sink).await?;
    for (name, namespace) in &estate.cluster.namespaces {
        let parts = [
            ("secrets", cluster::secrets(backend, estate, name, namespace)),
            ("configmaps", cluster::config_maps(backend, name, namespace)),
            ("workloads", cluster::workloads(backend, name, namespace)),
        ];
        for (part, items) in parts {
            let area = Scope::new(format!("k8s/{name}"), part);
            if namespace.denied {
                deny(sink, &area).await?;
            } else {
                scope(estate, sink, &area, "k8s", items).await?;
            }
        }
    }
    Ok(())
}

async fn scope(
    estate: &Estate,
    sink: &mut ScanSink,
    scope: &Scope,
    part: &str,
    items: Vec<claviger_core::observation::Observation>,
) -> Result<()> {
    if estate.settings.unavailable.contains(part) {
        return sink.end(scope, ScopeStatus::Failed, Some(format!("`{part}` does not answer"))).await;
    }
    sink.page(scope, items).await?;
    sink.complete(scope).await
}

async fn deny(sink: &mut ScanSink, scope: &Scope) -> Result<()> {
    sink.end(scope, ScopeStatus::Denied, Some("closed to us".into())).await
}

/// Hints at owners in labels (`label:…`) or other maps.
fn owners(source: &str, labels: &Labels) -> Vec<OwnerEvidence> {
    let found = OWNER_WEIGHTS.iter().filter_map(|(key, weight)| {
        let owner = labels.get(*key)?;
        Some(OwnerEvidence { owner: owner.clone(), source: format!("{source}:{key}"), weight: *weight })
    });
    found.collect()
}

/// A copy with nothing but its place and value.
pub(crate) fn copy(at: Ref, key: &str, place: Place, value: &Planted) -> ObservedCopy {
    ObservedCopy {
        at,
        key: key.to_owned(),
        version: None,
        stage: CopyStage::Current,
        place,
        content: Content::Value(value.secret()),
        bundle: Bundle::default(),
        kind: None,
        issuer: None,
        created_at: None,
        updated_at: None,
        last_used_at: None,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::new(),
    }
}

/// Fills in when it was made and written.
fn dated(mut copy: ObservedCopy, created: DateTime<Utc>, updated: DateTime<Utc>) -> ObservedCopy {
    copy.created_at = Some(created);
    copy.updated_at = Some(updated);
    copy
}
