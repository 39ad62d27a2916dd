//! What a scan may see, in few words.

use anyhow::Result;
use chrono::{DateTime, Utc};
use claviger_core::{
    fingerprint::{Fingerprint, Form},
    id::{CredentialId, ScanId},
    model::{
        Attributes, ConsumerHow, CopyStage, CredentialKind, CredentialState, Handle, HandleScheme,
        IdentityKind, Labels, OwnerEvidence, Place, PrivilegeLevel, Scope, ScopeStatus,
    },
    observation::{ObservedConsumer, ObservedGrant, ObservedIdentity},
    reference::Ref,
    view::{BackendScanView, Counts, CredentialView},
};
use claviger_store::{
    CopyLink, Inventory as _, LinkEvidence, MergeSummary, Merged, MergedCopy, MergedCredential, MergedPage,
    ScanStart, Selection,
};

use super::Bench;

pub(crate) fn at(text: &str) -> Ref {
    Ref::from_text(text)
}

pub(crate) fn value(byte: u8) -> Fingerprint {
    Fingerprint([byte; 32])
}

/// A current copy of a strong value.
pub(crate) fn copy(place: &str, byte: u8) -> MergedCopy {
    MergedCopy {
        at: at(place),
        field_at: at(place),
        pointer: String::new(),
        version: Some("1".to_owned()),
        stage: CopyStage::Current,
        place: Place::SecretStore,
        kind: CredentialKind::Opaque,
        fingerprint: Some((Form::Text, value(byte))),
        strong: true,
        handle: None,
        link: None,
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
    }
}

pub(crate) fn former(place: &str, version: &str, byte: u8) -> MergedCopy {
    MergedCopy { stage: CopyStage::Former, version: Some(version.to_owned()), ..copy(place, byte) }
}

pub(crate) fn linked(copy: MergedCopy, issuer: &str, evidence: LinkEvidence) -> MergedCopy {
    MergedCopy { link: Some(CopyLink { issuer: at(issuer), evidence }), ..copy }
}

pub(crate) fn role(name: &str) -> MergedCredential {
    MergedCredential {
        at: at(name),
        kind: CredentialKind::Password,
        identity: Some(at(name)),
        state: CredentialState::Active,
        created_at: None,
        rotated_at: None,
        expires_at: None,
        last_used_at: None,
        handle: None,
        verifier: Some(value(200)),
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::new(),
    }
}

pub(crate) fn handle(text: &str) -> Option<Handle> {
    Some(Handle::new(HandleScheme::AwsAccessKeyId, text))
}

pub(crate) fn identity(name: &str) -> ObservedIdentity {
    ObservedIdentity {
        at: at(name),
        kind: IdentityKind::DatabaseRole,
        created_at: None,
        last_used_at: None,
        disabled: false,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::new(),
    }
}

pub(crate) fn owner(name: &str, weight: u8) -> OwnerEvidence {
    OwnerEvidence { owner: name.to_owned(), source: "label:owner".to_owned(), weight }
}

pub(crate) fn consumer(workload: &str, reads: &str, how: ConsumerHow) -> ObservedConsumer {
    ObservedConsumer {
        at: at(workload),
        reads: at(reads),
        how,
        container: None,
        attributes: Attributes::new(),
    }
}

pub(crate) fn grant(who: &str, privilege: &str, level: PrivilegeLevel) -> ObservedGrant {
    ObservedGrant {
        identity: at(who),
        source: at("db/grants"),
        privilege: privilege.to_owned(),
        reach: "*".to_owned(),
        level,
        attributes: Attributes::new(),
    }
}

pub(crate) fn items(copies: impl IntoIterator<Item = MergedCopy>) -> Vec<Merged> {
    copies.into_iter().map(|copy| Merged::Copy(Box::new(copy))).collect()
}

pub(crate) fn backend_view(name: &str) -> BackendScanView {
    BackendScanView {
        name: name.to_owned(),
        kind: "test".to_owned(),
        status: "complete".to_owned(),
        error: None,
        scopes: Vec::new(),
        counts: Counts::default(),
        duration_ms: 1,
    }
}

pub(crate) fn ns() -> Scope {
    Scope::new("ns", "secrets")
}

impl Bench {
    pub(crate) async fn begin(&self) -> Result<ScanId> {
        self.clock.advance(chrono::Duration::hours(1));
        let id = ScanId::generate(self.clock.as_ref(), self.random.as_ref());
        let backends = vec![("k".to_owned(), "test".to_owned()), ("db".to_owned(), "test".to_owned())];
        self.store.begin_scan(&ScanStart { id, at: self.now(), backends }).await?;
        Ok(id)
    }

    pub(crate) async fn page(&self, scan: ScanId, scope: &Scope, items: Vec<Merged>) -> Result<MergeSummary> {
        let page = MergedPage { backend: "k".to_owned(), scope: scope.clone(), items, former: Vec::new() };
        Ok(self.store.merge(scan, self.now(), page).await?)
    }

    pub(crate) async fn end(&self, scan: ScanId, scope: &Scope, status: ScopeStatus) -> Result<()> {
        self.store.end_scope(scan, self.now(), "k", scope, status, None).await?;
        Ok(())
    }

    /// A whole scan of one scope: what it merged, and what linking changed.
    pub(crate) async fn scan(&self, items: Vec<Merged>) -> Result<(MergeSummary, MergeSummary)> {
        let scan = self.begin().await?;
        let merged = self.page(scan, &ns(), items).await?;
        self.end(scan, &ns(), ScopeStatus::Complete).await?;
        let linked = self.store.link(scan, self.now()).await?;
        let missing = self.store.missing_scopes(scan, "k").await?;
        self.store.end_backend(scan, self.now(), &backend_view("k"), &missing).await?;
        self.store.end_scan(scan, self.now(), true).await?;
        Ok((merged, linked))
    }

    pub(crate) async fn credentials(&self) -> Result<Vec<CredentialView>> {
        Ok(self.store.credentials(self.now(), &Selection::default()).await?)
    }

    /// `ref: copies` of every credential.
    pub(crate) async fn groups(&self) -> Result<Vec<(String, Vec<String>)>> {
        let details = self.store.details(self.now(), &Selection::default()).await?;
        let groups = details.into_iter().map(|detail| {
            let copies = detail.copies.iter().map(|copy| match copy.stage {
                CopyStage::Current => copy.at.to_string(),
                stage => format!("{}@{}:{stage}", copy.at, copy.version.as_deref().unwrap_or_default()),
            });
            (detail.credential.at.to_string(), copies.collect())
        });
        Ok(groups.collect())
    }

    pub(crate) async fn id_of(&self, credential: &str) -> Result<CredentialId> {
        let found = self.credentials().await?.into_iter().find(|one| one.at.as_str() == credential);
        Ok(found.unwrap_or_else(|| panic!("there is no {credential}")).id)
    }
}

pub(crate) fn group(credential: &str, copies: &[&str]) -> (String, Vec<String>) {
    (credential.to_owned(), copies.iter().map(|copy| (*copy).to_owned()).collect())
}

pub(crate) fn days(number: i64, before: DateTime<Utc>) -> DateTime<Utc> {
    before - chrono::Duration::days(number)
}
