use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    agreement::Agreement,
    chain::Pattern,
    fingerprint::{Fingerprint, Form},
    id::{CredentialId, ScanId},
    model::{
        Attributes, CopyStage, CredentialKind, CredentialState, Handle, Labels, OwnerEvidence, Place, Scope,
        ScopeStatus,
    },
    observation::{ObservedConsumer, ObservedGrant, ObservedIdentity},
    reference::Ref,
    view::{
        BackendScanView, ConsumerView, CopyView, Counts, CredentialDetail, CredentialView, FindingView,
        GrantView, HistoryView, IdentityView, ReprobeView, ReturnedView, ScanView,
    },
};

use crate::Result;

/// How a copy is known to belong to a credential, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkEvidence {
    /// The store is the issuer.
    Issuer,
    /// The issuer recognised the value.
    Lookup,
    /// The issuer's verifier was recomputed from the value.
    Verifier,
    /// A public name that both show.
    Handle,
    /// A login with it was accepted.
    Login,
    /// Said in the configuration.
    Declared,
    /// A user and host beside the value name the credential; not proven.
    Claimed,
}

impl LinkEvidence {
    /// The word that is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Lookup => "lookup",
            Self::Verifier => "verifier",
            Self::Handle => "handle",
            Self::Login => "login",
            Self::Declared => "declared",
            Self::Claimed => "claimed",
        }
    }

    /// True if the value itself, or a name derived from it, was checked: false for [`Self::Declared`] and [`Self::Claimed`].
    pub const fn is_proof(self) -> bool {
        !matches!(self, Self::Declared | Self::Claimed)
    }
}

/// A link found while the value was in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyLink {
    /// The credential's ref at its issuer.
    pub issuer: Ref,
    /// How it is known.
    pub evidence: LinkEvidence,
}

/// A copy after the fingerprint stage: no value any more. One leaf of one version of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedCopy {
    /// Object, field and inner pointer. Unique together with stage and version for former ones; together with stage else.
    pub at: Ref,
    /// The field that the store hands out whole, without the inner pointer.
    pub field_at: Ref,
    /// Inner pointer within the field's value.
    pub pointer: String,
    /// Store's version token.
    pub version: Option<String>,
    /// Which version.
    pub stage: CopyStage,
    /// What kind of place.
    pub place: Place,
    /// What it seems to be.
    pub kind: CredentialKind,
    /// Fingerprint and form; `None` where the value could not be read.
    pub fingerprint: Option<(Form, Fingerprint)>,
    /// False for weak or well-known values: they never join copies by fingerprint alone.
    pub strong: bool,
    /// Public name found in or beside the value.
    pub handle: Option<Handle>,
    /// The issuer's credential, where known.
    pub link: Option<CopyLink>,
    /// True if some issuer could not be asked in this scan: then, where `link` is `None` and the fingerprint is the same as before, the link of
    /// the earlier scan stands. Else `None` takes a former link away.
    pub keep_link: bool,
    /// Issuers that were asked all the same and whose value it is not: a link to one of them does not stand.
    pub refuted: Vec<Ref>,
    /// User, role or subject that the bundle names.
    pub subject: Option<String>,
    /// When the place or value was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When this version was written.
    pub updated_at: Option<DateTime<Utc>>,
    /// When the value itself ends (JWT, certificate).
    pub expires_at: Option<DateTime<Utc>>,
    /// When the store says it was last read.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Labels.
    pub labels: Labels,
    /// Hints at the owner.
    pub owners: Vec<OwnerEvidence>,
    /// Facts.
    pub attributes: Attributes,
}

/// A credential at its issuer, without its verifier.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedCredential {
    /// Its ref at the issuer.
    pub at: Ref,
    /// What it is.
    pub kind: CredentialKind,
    /// The identity.
    pub identity: Option<Ref>,
    /// State at the issuer.
    pub state: CredentialState,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When its value last changed.
    pub rotated_at: Option<DateTime<Utc>>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Public name.
    pub handle: Option<Handle>,
    /// Keyed digest of the issuer's verifier: a change means that the value changed.
    pub verifier: Option<Fingerprint>,
    /// Labels.
    pub labels: Labels,
    /// Hints at the owner.
    pub owners: Vec<OwnerEvidence>,
    /// Facts.
    pub attributes: Attributes,
}

/// An identity to be merged.
pub type MergedIdentity = ObservedIdentity;
/// A consumer to be merged. Unique by (at, reads, how, container).
pub type MergedConsumer = ObservedConsumer;
/// A grant to be merged. Unique by (identity, source, privilege, reach).
pub type MergedGrant = ObservedGrant;

/// One item of a page.
#[derive(Debug, Clone)]
pub enum Merged {
    /// An identity.
    Identity(MergedIdentity),
    /// A credential at its issuer.
    Credential(MergedCredential),
    /// A copy.
    Copy(Box<MergedCopy>),
    /// A consumer.
    Consumer(MergedConsumer),
    /// A grant.
    Grant(MergedGrant),
}

/// One page of one scope.
pub struct MergedPage {
    /// Name of the backend.
    pub backend: String,
    /// The scope.
    pub scope: Scope,
    /// The items.
    pub items: Vec<Merged>,
    /// By which fingerprints of former epochs its values and verifiers may be known, each with today's.
    pub former: Vec<(Fingerprint, Fingerprint)>,
}

/// What a merge or a scan's end changed. A second scan of an unchanged estate counts nothing but `unchanged`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergeSummary {
    /// New rows.
    pub appeared: u64,
    /// Rows whose facts changed.
    pub changed: u64,
    /// Rows that are gone.
    pub vanished: u64,
    /// Rows of which only `last_seen` moved.
    pub unchanged: u64,
}

/// The start of a scan.
pub struct ScanStart {
    /// Its id.
    pub id: ScanId,
    /// When.
    pub at: DateTime<Utc>,
    /// `(name, kind)` of the backends that will be read.
    pub backends: Vec<(String, String)>,
}

/// Which rows of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Include what is gone.
    pub gone: bool,
    /// Only after this ref, for paging.
    pub after: Option<Ref>,
    /// At most so many.
    pub limit: Option<u64>,
}

/// How a rotation ended for the copies that it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotationEnd {
    /// They hold a new value.
    Rotated {
        /// The new value's ref at its issuer, where it has a name of its own: another token, key or user. The copies are its from now on.
        successor: Option<Ref>,
    },
    /// They hold the former value again.
    RolledBack,
}

/// The inventory.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Begins a scan.
    async fn begin_scan(&self, scan: &ScanStart) -> Result<()>;

    /// Merges one page, in one transaction, batched: upserts rows under the scan's epoch, and records history for what appeared or changed.
    /// Repeating a page changes nothing. A copy that came alone may have its credential at once; what it has for good, and what has appeared,
    /// is for [`Inventory::link`] to say.
    async fn merge(&self, scan: ScanId, at: DateTime<Utc>, page: MergedPage) -> Result<MergeSummary>;

    /// Ends a scope. Where it is [`ScopeStatus::Complete`], rows of this scope that this scan did not see will be marked gone by
    /// [`Inventory::link`]; in any other case nothing is. A scope may end once in each phase of a scan: that is why nothing is gone before the
    /// last phase is over, and one bad end of several counts. The summary is empty.
    async fn end_scope(
        &self,
        scan: ScanId,
        at: DateTime<Utc>,
        backend: &str,
        scope: &Scope,
        status: ScopeStatus,
        reason: Option<&str>,
    ) -> Result<MergeSummary>;

    /// Marks gone what the completely read scopes of this scan no longer show, then links copies to credentials, on the database: by issuer link, by handle, by fingerprint (strong ones only). Copies that no issuer claims
    /// form a credential of their own per strong fingerprint, or per place for weak ones. A credential's id stays with its issuer ref; without
    /// one it stays with its group when the value changes in place. Idempotent. Gives what changed.
    async fn link(&self, scan: ScanId, at: DateTime<Utc>) -> Result<MergeSummary>;

    /// Scopes of a backend that earlier scans saw things in and this one did not name at all, e.g. a deleted namespace; ordered.
    async fn missing_scopes(&self, scan: ScanId, backend: &str) -> Result<Vec<Scope>>;

    /// Ends a backend within a scan. Of its [missing scopes](Inventory::missing_scopes), what is in those of `gone` is marked gone: the caller
    /// knows that nothing which could not be read may hide them.
    async fn end_backend(
        &self,
        scan: ScanId,
        at: DateTime<Utc>,
        view: &BackendScanView,
        gone: &[Scope],
    ) -> Result<()>;

    /// Ends the scan; links once more, as [`Inventory::end_backend`] may have marked rows gone.
    async fn end_scan(&self, scan: ScanId, at: DateTime<Utc>, complete: bool) -> Result<()>;

    /// What is in the inventory of one backend now.
    async fn counts(&self, backend: &str) -> Result<Counts>;

    /// The newest scan of each backend that is in the inventory.
    async fn coverage(&self) -> Result<Vec<BackendScanView>>;

    /// The newest finished scan.
    async fn last_scan(&self) -> Result<Option<ScanView>>;

    /// Credentials ordered by ref. `age_days` is relative to `now`; `policy` and `next_due_at` are left to the caller.
    async fn credentials(&self, now: DateTime<Utc>, selection: &Selection) -> Result<Vec<CredentialView>>;

    /// One credential whole. Absence is an answer.
    async fn credential(&self, now: DateTime<Utc>, id: CredentialId) -> Result<Option<CredentialDetail>>;

    /// Credentials whole, ordered by ref, for findings and reports; `after` and `limit` page through them.
    async fn details(&self, now: DateTime<Utc>, selection: &Selection) -> Result<Vec<CredentialDetail>>;

    /// As [`Inventory::details`], with what rules look at: of the history only which consumers are gone, and no findings.
    async fn subjects(&self, now: DateTime<Utc>, selection: &Selection) -> Result<Vec<CredentialDetail>>;

    /// As [`Inventory::subjects`], of these; ordered by ref. One that is not there is left out.
    async fn subjects_of(&self, now: DateTime<Utc>, ids: &[CredentialId]) -> Result<Vec<CredentialDetail>>;

    /// Current copies of credentials in the objects that the pattern covers, in the order of their refs, of at most `limit`; true if there may be more.
    async fn within(&self, pattern: Pattern<'_>, limit: u64) -> Result<(Vec<(Ref, CredentialId)>, bool)>;

    /// Grants of these backends that say that they open something.
    async fn openings(&self, backends: &[&str]) -> Result<Vec<GrantView>>;

    /// Credentials that their issuers list for these identities.
    async fn authenticators(&self, identities: &[Ref]) -> Result<Vec<CredentialId>>;

    /// Credentials of which nothing is known but a place whose value could not be read.
    async fn unread(&self) -> Result<Vec<CredentialId>>;

    /// Identities ordered by ref.
    async fn identities(&self, selection: &Selection) -> Result<Vec<IdentityView>>;

    /// Copies ordered by ref.
    async fn copies(&self, selection: &Selection) -> Result<Vec<CopyView>>;

    /// Consumers ordered by ref.
    async fn consumers(&self, selection: &Selection) -> Result<Vec<ConsumerView>>;

    /// Credentials that have, or had, a copy with one of these fingerprints.
    async fn by_fingerprint(&self, fingerprints: &[Fingerprint]) -> Result<Vec<(Fingerprint, CredentialId)>>;

    /// Notes findings that hold at `at`: new ones get `first_seen = at`, known ones keep theirs. An evaluation calls it page by page with one
    /// `at`, then [`Inventory::close_findings`]. New ones of the highest severity are told in the audit log, by one entry of `actor`'s, in the same
    /// transaction. Repeating a page changes nothing.
    async fn note_findings(
        &self,
        at: DateTime<Utc>,
        actor: &str,
        findings: Vec<FindingView>,
    ) -> Result<MergeSummary>;

    /// Ends an evaluation: closes the findings of `rules` that were last noted before `at`. Gives how many.
    async fn close_findings(&self, at: DateTime<Utc>, rules: &[&str]) -> Result<u64>;

    /// Revoked credentials that are there again: their value in a place that did not hold it when they were revoked, or themselves at their issuer.
    async fn returned(&self) -> Result<Vec<ReturnedView>>;

    /// Keeps what trying a revoked credential again showed; of several the newest. It holds until the credential is revoked once more.
    async fn record_reprobe(&self, credential: CredentialId, probe: &ReprobeView) -> Result<()>;

    /// What the newest verification of each credential saw, of those that are not gone.
    async fn agreements(&self) -> Result<Vec<Agreement>>;

    /// Keeps what a verification saw; of each credential the newest.
    async fn record_agreements(&self, agreements: &[Agreement]) -> Result<()>;

    /// Forgets what was seen of credentials of which nothing is to be said any more.
    async fn forget_agreements(&self, credentials: &[CredentialId]) -> Result<()>;

    /// A verification of everything was begun.
    async fn record_verification(&self, at: DateTime<Utc>) -> Result<()>;

    /// When the newest verification of everything was begun.
    async fn last_verification(&self) -> Result<Option<DateTime<Utc>>>;

    /// Open findings, worst first.
    async fn findings(&self) -> Result<Vec<FindingView>>;

    /// What changed since `since`, newest first, at most `limit`.
    async fn history(&self, since: Option<DateTime<Utc>>, limit: u64) -> Result<Vec<HistoryView>>;

    /// Result of an earlier comparison of a candidate's fingerprint with a verifier's digest.
    async fn cached_links(&self, verifier: &Fingerprint) -> Result<Vec<(Fingerprint, bool)>>;

    /// Keeps results of comparisons: (candidate fingerprint, verifier digest, equal).
    async fn cache_links(&self, results: Vec<(Fingerprint, Fingerprint, bool)>) -> Result<()>;

    /// Copies were written by a rotation or by its rollback: their new versions and fingerprints, and whose they are. A rotation sets the
    /// credential's `last_rotated_at` too; after a rollback the value is as old as it was. History says which of the two. What follows under
    /// a name of its own is in the inventory from now on, with what is known of it; the next scan adds the rest. Repeat changes nothing more.
    async fn record_rotation(
        &self,
        at: DateTime<Utc>,
        credential: CredentialId,
        copies: Vec<(Ref, Option<String>, Fingerprint)>,
        end: RotationEnd,
    ) -> Result<()>;

    /// What was written to these places ends by itself then, as a certificate does. Places that are not known are passed over.
    async fn record_validity(&self, places: &[Ref], made: DateTime<Utc>, ends: DateTime<Utc>) -> Result<()>;

    /// A revocation came to rest: the credential's new state. Its fingerprints are kept, so that its return is seen.
    async fn record_state(
        &self,
        at: DateTime<Utc>,
        credential: CredentialId,
        state: CredentialState,
        detail: &str,
    ) -> Result<()>;
}
