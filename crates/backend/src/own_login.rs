//! What we log in with ourselves: how long it lasts, and how it is made to last longer.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::reference::Ref;

use crate::Result;

/// How what we log in with comes to last longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// By asking for it, with itself.
    Asked,
    /// By itself: the backend logs in anew before it ends.
    ByItself,
    /// Not at all: somebody has to bring another one.
    Never,
}

/// What we log in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnState {
    /// Its ref as a credential.
    pub at: Ref,
    /// Since when it lasts as it does: its making, or its newest renewal.
    pub since: Option<DateTime<Utc>>,
    /// When it ends; `None`: not by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// How it comes to last longer.
    pub renewal: Renewal,
}

/// A backend whose own credential may end.
#[async_trait]
pub trait OwnLogin: Send + Sync {
    /// How it stands. Changes nothing.
    async fn own(&self) -> Result<OwnState>;

    /// Makes it last longer, and says how it stands then; that it does not last longer than before is no error: it may have come to its longest life. Repeat
    /// is fine. Cancellation: effect unknown; [`OwnLogin::own`] tells.
    async fn renew(&self) -> Result<OwnState>;
}
