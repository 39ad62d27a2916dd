use async_trait::async_trait;

use super::{Call, Guarded};
use crate::{Anchored, Anchors, Result};

#[async_trait]
impl Anchors for Guarded {
    async fn anchored(&self, certificate: &[u8]) -> Result<Anchored> {
        self.call(Call::reads("anchors.anchored", &self.config), || async move {
            let anchors = self.inner.anchors();
            let anchors = anchors.ok_or_else(|| self.no_role("place that says whom to trust", "anchored"))?;
            anchors.anchored(certificate).await
        })
        .await
    }
}
