//! Every version of every secret below a folder of a KV mount.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use claviger_backend::{Error, ErrorKind, Result, ScanSink};
use claviger_core::{
    canonical::Neighbours,
    fingerprint::FingerprintKey,
    model::{Attributes, CopyStage, Labels, OwnerEvidence, Place, Scope, ScopeStatus},
    observation::{Bundle, Content, Observation, ObservedCopy},
    secret::SecretValue,
};
use futures::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::json;
use vaultrs::api::kv2::responses::ReadSecretMetadataResponse;

use super::{Fields, VersionMetadata, ask_version, field::digest, read_version, value_of};
use crate::{
    client::{Api, ApiPath},
    labels::{managed_by, owners, time},
    names::Names,
};

/// Secrets read at the same time.
const CONCURRENCY: usize = 8;
/// A page is sent when it has this many copies …
const PAGE_COPIES: usize = 256;
/// … or values of this many bytes.
const PAGE_BYTES: usize = 1024 * 1024;
/// Where the metadata of a secret is denied we ask for older versions until there are none; at most this many.
const BLIND_VERSIONS: u64 = 64;

/// Reads one KV mount.
pub(crate) struct Walk<'a> {
    pub(crate) api: &'a Api,
    pub(crate) names: &'a Names,
    pub(crate) mount: &'a str,
    /// KV version 2?
    pub(crate) versioned: bool,
    pub(crate) version_key: Option<&'a Arc<FingerprintKey>>,
}

/// One secret, read.
struct Leaf {
    path: String,
    copies: Vec<Observation>,
    bytes: usize,
    trouble: Option<Error>,
}

/// What holds of a whole path.
#[derive(Default)]
struct Facts {
    created_at: Option<DateTime<Utc>>,
    labels: Labels,
    attributes: Attributes,
}

impl Walk<'_> {
    /// Walks from `folder` (empty, or with a slash at its end) down. Each folder is a scope; a secret whose values are denied is one too.
    ///
    /// # Errors
    /// Only when the reader of the scan has gone.
    pub(crate) async fn run(&self, folder: &str, sink: &mut ScanSink) -> Result<()> {
        let mut waiting = vec![folder.to_owned()];
        let mut down: Option<String> = None;
        while let Some(folder) = waiting.pop() {
            let scope = self.scope(&folder);
            if let Some(reason) = &down {
                sink.end(&scope, ScopeStatus::Failed, Some(reason.clone())).await?;
                continue;
            }
            let listed = match self.list(&folder).await {
                Ok(listed) => listed,
                Err(error) => {
                    if error.kind() == ErrorKind::Unavailable {
                        down = Some(error.message().to_owned());
                    }
                    sink.end(&scope, status_of(&error), Some(error.message().to_owned())).await?;
                    continue;
                }
            };
            let (folders, leaves): (Vec<String>, Vec<String>) =
                listed.into_iter().partition(|name| name.ends_with('/'));
            waiting.extend(folders.into_iter().rev().map(|name| format!("{folder}{name}")));
            self.read_leaves(&folder, &scope, leaves, sink).await?;
        }
        Ok(())
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let part = if self.versioned { "metadata/" } else { "" };
        self.api.list("inventory", &format!("{}/{part}{folder}", self.mount)).await
    }

    fn scope(&self, path: &str) -> Scope {
        Scope::new(format!("{}/{path}", self.mount).trim_end_matches('/'), "")
    }

    async fn read_leaves(
        &self,
        folder: &str,
        scope: &Scope,
        leaves: Vec<String>,
        sink: &mut ScanSink,
    ) -> Result<()> {
        let total = leaves.len();
        let mut read = stream::iter(leaves)
            .map(|name| async move {
                let path = format!("{folder}{name}");
                let mut leaf = Leaf { path, copies: Vec::new(), bytes: 0, trouble: None };
                let result = if self.versioned {
                    self.read_v2(&mut leaf).await
                } else {
                    self.read_v1(&mut leaf).await
                };
                leaf.trouble = result.err();
                leaf
            })
            .buffer_unordered(CONCURRENCY);
        let mut page = Vec::new();
        let mut bytes = 0;
        let mut denied = Vec::new();
        let mut failed: Option<Error> = None;
        while let Some(leaf) = read.next().await {
            bytes += leaf.bytes;
            page.extend(leaf.copies);
            if page.len() >= PAGE_COPIES || bytes >= PAGE_BYTES {
                sink.page(scope, std::mem::take(&mut page)).await?;
                bytes = 0;
            }
            match leaf.trouble {
                None => {}
                Some(error) if error.kind() == ErrorKind::Denied => {
                    let own = Scope::new(format!("{}/{}", self.mount, leaf.path), "");
                    sink.end(&own, ScopeStatus::Denied, Some(error.message().to_owned())).await?;
                    denied.push(leaf.path);
                }
                Some(error) => failed = failed.or(Some(error)),
            }
        }
        sink.page(scope, page).await?;
        match (failed, denied.as_slice()) {
            (Some(error), _) => sink.end(scope, ScopeStatus::Failed, Some(error.message().to_owned())).await,
            (None, []) => sink.complete(scope).await,
            // Not complete: what the denied ones held must not be taken for gone.
            (None, [first, ..]) => {
                let reason = format!(
                    "values of {} of {total} secrets are denied to us, such as {first}",
                    denied.len()
                );
                sink.end(scope, ScopeStatus::Denied, Some(reason)).await
            }
        }
    }

    async fn read_v2(&self, leaf: &mut Leaf) -> Result<()> {
        let held = self.api.held().await?;
        let what = format!("GET {}/metadata/{}", self.mount, leaf.path);
        let call = self.api.call("inventory", &what, false);
        // vaultrs resolves `.` and `..` in names away; such a name is refused here first.
        ApiPath::new("inventory", &leaf.path)?;
        let metadata =
            self.api.typed(call, vaultrs::kv2::read_metadata(&held.typed, self.mount, &leaf.path)).await;
        let metadata = match metadata {
            Ok(metadata) => metadata,
            // It was deleted after it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Denied => return self.read_without_metadata(leaf).await,
            Err(error) => return Err(error),
        };
        let facts = self.facts(&metadata);
        let mut versions: Vec<u64> = metadata
            .versions
            .iter()
            .filter(|(_, version)| !version.destroyed && self.readable(&version.deletion_time))
            .filter_map(|(number, _)| number.parse().ok())
            .collect();
        versions.sort_unstable_by(|left, right| right.cmp(left));
        for number in versions {
            let stage =
                if number == metadata.current_version { CopyStage::Current } else { CopyStage::Former };
            self.read_version(leaf, Some(number), stage, Some(&facts)).await?;
        }
        Ok(())
    }

    /// Metadata may be denied where values are not: the newest version says which it is, and the older ones are tried downwards.
    async fn read_without_metadata(&self, leaf: &mut Leaf) -> Result<()> {
        let Some(newest) = self.read_version(leaf, None, CopyStage::Current, None).await? else {
            return Ok(());
        };
        for number in (1..newest).rev().take(usize::try_from(BLIND_VERSIONS).unwrap_or(usize::MAX)) {
            if self.read_version(leaf, Some(number), CopyStage::Former, None).await?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Reads one version into `leaf`; gives its number, or `None` when there is none such.
    async fn read_version(
        &self,
        leaf: &mut Leaf,
        number: Option<u64>,
        stage: CopyStage,
        facts: Option<&Facts>,
    ) -> Result<Option<u64>> {
        let what = format!("GET {}/data/{}", self.mount, leaf.path);
        let call = self.api.call("inventory", &what, false);
        let answer = ask_version(self.api, call, self.mount, &leaf.path, number).await?;
        if answer.status == 403 {
            if stage == CopyStage::Current || leaf.copies.is_empty() {
                leaf.copies.push(self.unreadable(&leaf.path, number, stage, facts));
            }
            return answer.good(call).map(|_| None);
        }
        let answer = if answer.status == 404 { answer } else { answer.good(call)? };
        let Some(version) = read_version(&answer, call)? else { return Ok(None) };
        let found = version.metadata.version;
        if let Some(fields) = &version.data {
            let own;
            let facts = match facts {
                Some(facts) => facts,
                None => {
                    own = Facts {
                        created_at: None,
                        labels: version.metadata.custom_metadata.clone().unwrap_or_default(),
                        attributes: Attributes::from([("kv_version".to_owned(), json!(2))]),
                    };
                    &own
                }
            };
            self.push(leaf, fields, Some(&version.metadata), stage, facts);
        }
        Ok(Some(found))
    }

    async fn read_v1(&self, leaf: &mut Leaf) -> Result<()> {
        let what = format!("GET {}/{}", self.mount, leaf.path);
        let call = self.api.call("inventory", &what, false);
        let encoded = ApiPath::new("inventory", &format!("{}/{}", self.mount, leaf.path))?;
        let answer = self.api.send(call, Method::GET, &encoded, "", None, None).await?;
        let facts =
            Facts { attributes: Attributes::from([("kv_version".to_owned(), json!(1))]), ..Facts::default() };
        match answer.status {
            404 => return Ok(()),
            403 => leaf.copies.push(self.unreadable(&leaf.path, None, CopyStage::Current, Some(&facts))),
            _ => {}
        }
        let answer = answer.good(call)?;
        let fields = answer.data::<Fields<'_>>(call)?.unwrap_or_default();
        self.push(leaf, &fields, None, CopyStage::Current, &facts);
        Ok(())
    }

    fn push(
        &self,
        leaf: &mut Leaf,
        fields: &Fields<'_>,
        metadata: Option<&VersionMetadata>,
        stage: CopyStage,
        facts: &Facts,
    ) {
        let object = self.names.object(&format!("{}/{}", self.mount, leaf.path));
        let version = match metadata {
            Some(metadata) => Some(metadata.version.to_string()),
            None => self.version_key.map(|key| digest(key, fields)),
        };
        let values: Vec<(&str, SecretValue)> =
            fields.iter().map(|(key, raw)| (key.as_ref(), value_of(raw))).collect();
        let beside = Neighbours::of(values.iter().map(|(key, value)| (*key, value)));
        for (key, value) in values {
            leaf.bytes += value.len();
            leaf.copies.push(Observation::Copy(ObservedCopy {
                at: object.field(key),
                key: key.to_owned(),
                version: version.clone(),
                stage,
                place: Place::SecretStore,
                content: Content::Value(value),
                bundle: beside.describe(key),
                kind: None,
                issuer: None,
                created_at: facts.created_at,
                updated_at: metadata.and_then(|metadata| time(&metadata.created_time)),
                last_used_at: None,
                owners: owners("custom_metadata", &facts.labels),
                labels: facts.labels.clone(),
                attributes: facts.attributes.clone(),
            }));
        }
    }

    /// The path is there and its values are denied.
    fn unreadable(
        &self,
        path: &str,
        number: Option<u64>,
        stage: CopyStage,
        facts: Option<&Facts>,
    ) -> Observation {
        let labels = facts.map(|facts| facts.labels.clone()).unwrap_or_default();
        let owners: Vec<OwnerEvidence> = owners("custom_metadata", &labels);
        Observation::Copy(ObservedCopy {
            at: self.names.object(&format!("{}/{path}", self.mount)),
            key: String::new(),
            version: number.map(|number| number.to_string()),
            stage,
            place: Place::SecretStore,
            content: Content::Unreadable("reading the value is denied to us (HTTP 403)".to_owned()),
            bundle: Bundle::default(),
            kind: None,
            issuer: None,
            created_at: facts.and_then(|facts| facts.created_at),
            updated_at: None,
            last_used_at: None,
            owners,
            labels,
            attributes: facts.map(|facts| facts.attributes.clone()).unwrap_or_default(),
        })
    }

    fn facts(&self, metadata: &ReadSecretMetadataResponse) -> Facts {
        let numbers = |kept: &dyn Fn(&vaultrs::api::kv2::responses::SecretMetadata) -> bool| {
            let mut found: Vec<u64> = metadata
                .versions
                .iter()
                .filter(|(_, version)| kept(version))
                .filter_map(|(number, _)| number.parse().ok())
                .collect();
            found.sort_unstable();
            found
        };
        let mut attributes = Attributes::from([
            ("kv_version".to_owned(), json!(2)),
            ("cas_required".to_owned(), json!(metadata.cas_required)),
            ("versions".to_owned(), json!(metadata.versions.len())),
            ("max_versions".to_owned(), json!(metadata.max_versions)),
        ]);
        let deleted = numbers(&|version| !version.destroyed && !self.readable(&version.deletion_time));
        let destroyed = numbers(&|version| version.destroyed);
        for (key, found) in [("deleted_versions", deleted), ("destroyed_versions", destroyed)] {
            if !found.is_empty() {
                attributes.insert(key.to_owned(), json!(found));
            }
        }
        let labels: BTreeMap<String, String> =
            metadata.custom_metadata.clone().unwrap_or_default().into_iter().collect();
        if let Some(manager) = managed_by(&labels) {
            attributes.insert("managed_by".to_owned(), json!(manager));
        }
        Facts { created_at: time(&metadata.created_time), labels, attributes }
    }

    /// A deletion time may lie ahead (`delete_version_after`): until then the version is readable.
    fn readable(&self, deletion_time: &str) -> bool {
        deletion_time.is_empty() || time(deletion_time).is_some_and(|at| at > self.api.clock().now())
    }
}

fn status_of(error: &Error) -> ScopeStatus {
    if error.kind() == ErrorKind::Denied { ScopeStatus::Denied } else { ScopeStatus::Failed }
}
