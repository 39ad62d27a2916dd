use async_trait::async_trait;
use claviger_core::{reference::Ref, secret::SecretValue};

use super::{Call, Guarded};
use crate::{Backend as _, Expect, Letterbox, Marked, Operation, Result, StoreState};

impl Guarded {
    fn inner_letterbox(&self, at: &Ref, operation: &'static str) -> Result<&dyn Letterbox> {
        self.checked(self.capability().post, Some(at), operation)?;
        self.inner
            .letterbox()
            .ok_or_else(|| self.no_role("store that takes values and shows none", operation))
    }
}

#[async_trait]
impl Letterbox for Guarded {
    fn takes(&self, at: &Ref) -> bool {
        self.inner.letterbox().filter(|_| self.capability().post).is_some_and(|inner| inner.takes(at))
    }

    async fn marked(&self, at: &Ref) -> Result<Option<Marked>> {
        self.call(Call::reads("letterbox.marked", &self.config).at(at), || async move {
            self.inner_letterbox(at, "marked")?.marked(at).await
        })
        .await
    }

    async fn open(&self, at: &Ref) -> Result<StoreState> {
        self.call(Call::reads("letterbox.open", &self.config).at(at), || async move {
            self.inner_letterbox(at, "open")?.open(at).await
        })
        .await
    }

    async fn post(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<Marked> {
        self.call(Call::changes("letterbox.post", op).at(at), || async move {
            self.inner_letterbox(at, "post")?.post(op, at, value, expect).await
        })
        .await
    }
}
