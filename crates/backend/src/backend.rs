use async_trait::async_trait;
use claviger_core::model::Scope;

use crate::{
    Anchors, Authority, Capability, Decoys, Eraser, Federation, Issuer, Letterbox, Offspring, OwnLogin,
    Phase, Result, Runtime, ScanSink, Store, Trusting, Turns, Workloads,
};

/// Which backend this is. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendInfo {
    /// Name in the configuration, first segment of every ref.
    pub name: String,
    /// Kind in the configuration: `kubernetes`, `vault`, …
    pub kind: &'static str,
    /// Where it is, without user and password.
    pub endpoint: String,
}

/// Whether we hold a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermissionStatus {
    /// Yes.
    Present,
    /// No. The text says what is missing in the system's own words, e.g. a rule to add.
    Missing(String),
    /// The system does not tell without trying.
    Unknown(String),
}

/// One permission that a flow needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// `scan`, `rotate`, `revoke` or `mitigate`, or a part of one that is granted by itself, such as `revoke-pod`.
    pub flow: &'static str,
    /// What is needed, e.g. `list secrets`.
    pub name: String,
    /// Do we hold it?
    pub status: PermissionStatus,
}

/// A system that claviger reads and, in its roles, changes.
///
/// There are no default bodies, so that a wrapper that forgets a method does not compile; but for roles that few systems have.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Which backend this is.
    fn info(&self) -> &BackendInfo;

    /// What it can do; constant.
    fn capability(&self) -> Capability;

    /// Is it reachable, are we authenticated, and which permissions of each flow do we hold? Never changes anything.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind), `Unauthenticated`, `Config`: then no permission could be asked for.
    async fn check(&self) -> Result<Vec<Permission>>;

    /// Streams what there is, page by page, into `sink`. Never changes anything.
    ///
    /// Called once per [`Phase`] and scan. A page belongs to one scope; each scope begun is ended with its status, also a denied one. A
    /// scope that could not be read is not an error of the whole: only a backend that could read *nothing* returns `Err`. Values leave
    /// the backend only inside `Content::Value`. Memory is bounded by the page, not by the estate. Cancellation: dropping the future
    /// ends it; scopes not ended count as failed.
    async fn inventory(&self, phase: Phase, sink: &mut ScanSink) -> Result<()>;

    /// Might `missing`, which an earlier scan saw and this one did not name, still be there and be hidden by `unread`, which this scan named
    /// and could not read? A refused list of namespaces hides any namespace; one refused namespace hides itself alone. What nothing hides is
    /// gone.
    fn may_hide(&self, unread: &Scope, missing: &Scope) -> bool;

    /// Its role as issuer.
    fn issuer(&self) -> Option<&dyn Issuer>;

    /// Its role as issuer to two users that take turns.
    fn turns(&self) -> Option<&dyn Turns>;

    /// Its role as issuer of what is outlived by something that was obtained with it.
    fn offspring(&self) -> Option<&dyn Offspring> {
        None
    }

    /// Its role as issuer of decoys.
    fn decoys(&self) -> Option<&dyn Decoys> {
        None
    }

    /// Its role as a system to which we are logged in with something that may end.
    fn own_login(&self) -> Option<&dyn OwnLogin> {
        None
    }

    /// How long it wants to be left alone: the rest of what it said when it refused a call for want of room. The layers know; a backend itself does not.
    fn throttled(&self) -> Option<std::time::Duration> {
        None
    }

    /// Its role as store.
    fn store(&self) -> Option<&dyn Store>;

    /// Its role as a store out of which values can be taken.
    fn eraser(&self) -> Option<&dyn Eraser> {
        None
    }

    /// Its role as a store that takes values and shows none.
    fn letterbox(&self) -> Option<&dyn Letterbox> {
        None
    }

    /// Its role as a system that is told which certificates to trust.
    fn trusting(&self) -> Option<&dyn Trusting> {
        None
    }

    /// Its role as runtime.
    fn runtime(&self) -> Option<&dyn Runtime>;

    /// Its role as issuer of tokens that are bound to objects and lie nowhere.
    fn anchors(&self) -> Option<&dyn Anchors> {
        None
    }

    /// Its role as the one who says what a person may do.
    fn authority(&self) -> Option<&dyn Authority> {
        None
    }

    /// Its role as a system that accepts short-lived identities.
    fn federation(&self) -> Option<&dyn Federation> {
        None
    }

    /// Its role as the platform on which workloads run that have them.
    fn workloads(&self) -> Option<&dyn Workloads> {
        None
    }
}
