use async_trait::async_trait;
use claviger_core::{reference::Ref, secret::SecretValue};

use super::{Call, Guarded};
use crate::{Backend as _, Decoys, Operation, Result};

impl Guarded {
    fn inner_decoys(&self, at: Option<&Ref>, operation: &'static str) -> Result<&dyn Decoys> {
        self.checked(self.capability().revoke, at, operation)?;
        self.inner.decoys().ok_or_else(|| self.no_role("issuer of decoys", operation))
    }
}

#[async_trait]
impl Decoys for Guarded {
    async fn plant(&self, op: &Operation, value: &SecretValue) -> Result<Ref> {
        self.call(Call::changes("decoys.plant", op), || async move {
            self.inner_decoys(None, "plant")?.plant(op, value).await
        })
        .await
    }

    async fn decoys(&self) -> Result<Vec<Ref>> {
        self.call(Call::reads("decoys.decoys", &self.config), || async move {
            self.inner_decoys(None, "decoys")?.decoys().await
        })
        .await
    }

    async fn clear(&self, op: &Operation, at: &Ref) -> Result<()> {
        self.call(Call::changes("decoys.clear", op).at(at), || async move {
            self.inner_decoys(Some(at), "clear")?.clear(op, at).await
        })
        .await
    }
}
