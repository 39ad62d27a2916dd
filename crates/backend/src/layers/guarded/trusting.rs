use async_trait::async_trait;

use super::{Call, Guarded};
use crate::{Result, TrustedAt, Trusting};

#[async_trait]
impl Trusting for Guarded {
    async fn trusted_at(&self, certificate: &[u8]) -> Result<TrustedAt> {
        self.call(Call::reads("trusting.trusted_at", &self.config), || async move {
            let trusting = self.inner.trusting();
            let trusting =
                trusting.ok_or_else(|| self.no_role("place that says whom to trust", "trusted-at"))?;
            trusting.trusted_at(certificate).await
        })
        .await
    }
}
