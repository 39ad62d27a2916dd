use async_trait::async_trait;
use claviger_core::{reference::Ref, secret::SecretValue};

use super::{Call, Guarded};
use crate::{Anchor, Anchored, Anchors, Backend as _, Operation, Result, Sample, Standing};

impl Guarded {
    fn inner_anchors(&self, at: &Ref, operation: &'static str) -> Result<&dyn Anchors> {
        self.checked(self.capability().revoke, Some(at), operation)?;
        self.inner
            .anchors()
            .ok_or_else(|| self.no_role("issuer of tokens that are bound to objects", operation))
    }
}

#[async_trait]
impl Anchors for Guarded {
    fn anchor(&self, subject: &Ref) -> Option<Anchor> {
        self.inner.anchors().filter(|_| self.capability().revoke)?.anchor(subject)
    }

    async fn anchored(&self, subject: &Ref) -> Result<Anchored> {
        self.call(Call::reads("anchors.anchored", &self.config).at(subject), || async move {
            self.inner_anchors(subject, "anchored")?.anchored(subject).await
        })
        .await
    }

    async fn standing(&self, subject: &Ref) -> Result<Standing> {
        self.call(Call::reads("anchors.standing", &self.config).at(subject), || async move {
            self.inner_anchors(subject, "standing")?.standing(subject).await
        })
        .await
    }

    async fn sample(&self, subject: &Ref, expect: &str, seconds: u32) -> Result<Sample> {
        self.call(Call::reads("anchors.sample", &self.config).at(subject), || async move {
            self.inner_anchors(subject, "sample")?.sample(subject, expect, seconds).await
        })
        .await
    }

    async fn record(&self, subject: &Ref, expect: &str) -> Result<SecretValue> {
        self.call(Call::reads("anchors.record", &self.config).at(subject), || async move {
            self.inner_anchors(subject, "record")?.record(subject, expect).await
        })
        .await
    }

    async fn end(&self, op: &Operation, subject: &Ref, expect: &str) -> Result<()> {
        self.call(Call::changes("anchors.end", op).at(subject), || async move {
            self.inner_anchors(subject, "end")?.end(op, subject, expect).await
        })
        .await
    }

    async fn remake(
        &self,
        op: &Operation,
        subject: &Ref,
        record: &SecretValue,
        former: &str,
    ) -> Result<String> {
        self.call(Call::changes("anchors.remake", op).at(subject), || async move {
            self.inner_anchors(subject, "remake")?.remake(op, subject, record, former).await
        })
        .await
    }
}
