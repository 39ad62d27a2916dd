//! Where a certificate stands because somebody trusts it: beside stores of secrets, as it is public.

use async_trait::async_trait;
use claviger_core::reference::Ref;

use crate::Result;

/// Where it was found, and where nobody could look.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TrustedAt {
    /// The places, in no order, each once. Stores of secrets are not among them: a scan lists those.
    pub at: Vec<Ref>,
    /// Kinds of places that could not be read, each with the reason.
    pub unread: Vec<String>,
}

/// A system that is told whom to trust.
#[async_trait]
pub trait Trusting: Send + Sync {
    /// Every place in which exactly this certificate, DER, stands, alone or in a bundle. Only reads; what may not be read is an answer, not an error.
    async fn trusted_at(&self, certificate: &[u8]) -> Result<TrustedAt>;
}
