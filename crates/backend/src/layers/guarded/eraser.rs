use async_trait::async_trait;
use claviger_core::reference::Ref;

use super::{Call, Guarded};
use crate::{Backend as _, Eraser, FormerValue, Operation, Result};

impl Guarded {
    fn inner_eraser(&self, claimed: bool, at: &Ref, operation: &'static str) -> Result<&dyn Eraser> {
        self.checked(claimed, Some(at), operation)?;
        self.inner.eraser().ok_or_else(|| self.no_role("store out of which values can be taken", operation))
    }
}

#[async_trait]
impl Eraser for Guarded {
    async fn erase(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        self.call(Call::changes("eraser.erase", op).at(at), || async move {
            self.inner_eraser(self.capability().write, at, "erase")?.erase(op, at, version).await
        })
        .await
    }

    async fn former(&self, at: &Ref) -> Result<Vec<FormerValue>> {
        self.call(Call::reads("eraser.former", &self.config).at(at), || async move {
            self.inner_eraser(self.capability().read, at, "former")?.former(at).await
        })
        .await
    }

    async fn destroy(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        self.call(Call::changes("eraser.destroy", op).at(at), || async move {
            self.inner_eraser(self.capability().write, at, "destroy")?.destroy(op, at, version).await
        })
        .await
    }
}
