//! The inventory: pages in, credentials out.

mod agreement;
mod facts;
mod finding;
mod history;
mod item;
mod kept;
mod key;
mod link;
mod merge;
mod outcome;
mod rekey;
mod returned;
mod scan;
mod successor;
mod view;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    agreement::Agreement,
    chain::Pattern,
    fingerprint::Fingerprint,
    id::{CredentialId, ScanId},
    model::{CredentialState, Scope, ScopeStatus},
    reference::Ref,
    view::{
        BackendScanView, ConsumerView, CopyView, Counts, CredentialDetail, CredentialView, FindingView,
        GrantView, HistoryView, IdentityView, ReprobeView, ReturnedView, ScanView,
    },
};

use super::SeaStore;
use crate::{Inventory, MergeSummary, MergedPage, Result, RotationEnd, ScanStart, Selection};

#[async_trait]
impl Inventory for SeaStore {
    async fn begin_scan(&self, scan: &ScanStart) -> Result<()> {
        self.database.watched(self.start_scan(scan)).await
    }

    async fn merge(&self, scan: ScanId, at: DateTime<Utc>, page: MergedPage) -> Result<MergeSummary> {
        self.database.watched(self.merge_page(scan, at, page)).await
    }

    async fn end_scope(
        &self,
        scan: ScanId,
        at: DateTime<Utc>,
        backend: &str,
        scope: &Scope,
        status: ScopeStatus,
        reason: Option<&str>,
    ) -> Result<MergeSummary> {
        self.database.watched(self.note_scope(scan, at, backend, scope, status, reason)).await
    }

    async fn link(&self, scan: ScanId, at: DateTime<Utc>) -> Result<MergeSummary> {
        self.database.watched(self.link_all(scan, at)).await
    }

    async fn missing_scopes(&self, scan: ScanId, backend: &str) -> Result<Vec<Scope>> {
        self.database.watched(self.unnamed_scopes(scan, backend)).await
    }

    async fn end_backend(
        &self,
        scan: ScanId,
        at: DateTime<Utc>,
        view: &BackendScanView,
        gone: &[Scope],
    ) -> Result<()> {
        self.database.watched(self.finish_backend(scan, at, view, gone)).await
    }

    async fn end_scan(&self, scan: ScanId, at: DateTime<Utc>, complete: bool) -> Result<()> {
        self.database.watched(self.finish_scan(scan, at, complete)).await
    }

    async fn counts(&self, backend: &str) -> Result<Counts> {
        self.database.watched(self.count_backend(backend)).await
    }

    async fn coverage(&self) -> Result<Vec<BackendScanView>> {
        self.database.watched(self.newest_coverage()).await
    }

    async fn last_scan(&self) -> Result<Option<ScanView>> {
        self.database.watched(self.newest_scan()).await
    }

    async fn credentials(&self, now: DateTime<Utc>, selection: &Selection) -> Result<Vec<CredentialView>> {
        self.database.watched(self.list_credentials(now, selection)).await
    }

    async fn credential(&self, now: DateTime<Utc>, id: CredentialId) -> Result<Option<CredentialDetail>> {
        self.database.watched(self.one_credential(now, id)).await
    }

    async fn details(&self, now: DateTime<Utc>, selection: &Selection) -> Result<Vec<CredentialDetail>> {
        self.database.watched(self.list_details(now, selection, true)).await
    }

    async fn subjects(&self, now: DateTime<Utc>, selection: &Selection) -> Result<Vec<CredentialDetail>> {
        self.database.watched(self.list_details(now, selection, false)).await
    }

    async fn subjects_of(&self, now: DateTime<Utc>, ids: &[CredentialId]) -> Result<Vec<CredentialDetail>> {
        self.database.watched(self.some_subjects(now, ids)).await
    }

    async fn within(&self, pattern: Pattern<'_>, limit: u64) -> Result<(Vec<(Ref, CredentialId)>, bool)> {
        self.database.watched(self.lying_within(pattern, limit)).await
    }

    async fn openings(&self, backends: &[&str]) -> Result<Vec<GrantView>> {
        self.database.watched(self.list_openings(backends)).await
    }

    async fn authenticators(&self, identities: &[Ref]) -> Result<Vec<CredentialId>> {
        self.database.watched(self.held_by(identities)).await
    }

    async fn unread(&self) -> Result<Vec<CredentialId>> {
        self.database.watched(self.without_value()).await
    }

    async fn identities(&self, selection: &Selection) -> Result<Vec<IdentityView>> {
        self.database.watched(self.list_identities(selection)).await
    }

    async fn copies(&self, selection: &Selection) -> Result<Vec<CopyView>> {
        self.database.watched(self.list_copies(selection)).await
    }

    async fn consumers(&self, selection: &Selection) -> Result<Vec<ConsumerView>> {
        self.database.watched(self.list_consumers(selection)).await
    }

    async fn by_fingerprint(&self, fingerprints: &[Fingerprint]) -> Result<Vec<(Fingerprint, CredentialId)>> {
        self.database.watched(self.find_fingerprints(fingerprints)).await
    }

    async fn note_findings(
        &self,
        at: DateTime<Utc>,
        actor: &str,
        findings: Vec<FindingView>,
    ) -> Result<MergeSummary> {
        self.database.watched(self.keep_findings(at, actor, findings)).await
    }

    async fn close_findings(&self, at: DateTime<Utc>, rules: &[&str]) -> Result<u64> {
        self.database.watched(self.end_findings(at, rules)).await
    }

    async fn returned(&self) -> Result<Vec<ReturnedView>> {
        self.database.watched(self.list_returned()).await
    }

    async fn record_reprobe(&self, credential: CredentialId, probe: &ReprobeView) -> Result<()> {
        self.database.watched(self.note_reprobe(credential, probe)).await
    }

    async fn agreements(&self) -> Result<Vec<Agreement>> {
        self.list_agreements().await
    }

    async fn record_agreements(&self, agreements: &[Agreement]) -> Result<()> {
        self.keep_agreements(agreements).await
    }

    async fn forget_agreements(&self, credentials: &[CredentialId]) -> Result<()> {
        self.drop_agreements(credentials).await
    }

    async fn record_verification(&self, at: DateTime<Utc>) -> Result<()> {
        self.note_verification(at).await
    }

    async fn last_verification(&self) -> Result<Option<DateTime<Utc>>> {
        self.newest_verification().await
    }

    async fn findings(&self) -> Result<Vec<FindingView>> {
        self.database.watched(self.open_findings()).await
    }

    async fn history(&self, since: Option<DateTime<Utc>>, limit: u64) -> Result<Vec<HistoryView>> {
        self.database.watched(self.list_history(since, limit)).await
    }

    async fn cached_links(&self, verifier: &Fingerprint) -> Result<Vec<(Fingerprint, bool)>> {
        self.database.watched(self.read_cache(verifier)).await
    }

    async fn cache_links(&self, results: Vec<(Fingerprint, Fingerprint, bool)>) -> Result<()> {
        self.database.watched(self.write_cache(results)).await
    }

    async fn record_rotation(
        &self,
        at: DateTime<Utc>,
        credential: CredentialId,
        copies: Vec<(Ref, Option<String>, Fingerprint)>,
        end: RotationEnd,
    ) -> Result<()> {
        self.database.watched(self.note_rotation(at, credential, copies, end)).await
    }

    async fn record_validity(&self, places: &[Ref], made: DateTime<Utc>, ends: DateTime<Utc>) -> Result<()> {
        self.database.watched(self.note_validity(places, made, ends)).await
    }

    async fn record_state(
        &self,
        at: DateTime<Utc>,
        credential: CredentialId,
        state: CredentialState,
        detail: &str,
    ) -> Result<()> {
        self.database.watched(self.note_state(at, credential, state, detail)).await
    }
}
