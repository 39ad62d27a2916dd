use async_trait::async_trait;
use claviger_core::reference::Ref;

use super::{Call, Guarded};
use crate::{Backend as _, Descent, Ended, Offspring, Operation, Result};

impl Guarded {
    fn inner_offspring(&self, at: &Ref, operation: &'static str) -> Result<&dyn Offspring> {
        self.checked(self.capability().revoke, Some(at), operation)?;
        self.inner.offspring().ok_or_else(|| self.no_role("issuer of what something outlives", operation))
    }
}

#[async_trait]
impl Offspring for Guarded {
    fn whole(&self, subject: &Ref) -> Option<&'static str> {
        self.inner.offspring().filter(|_| self.capability().revoke)?.whole(subject)
    }

    async fn derived(&self, subject: &Ref) -> Result<Descent> {
        self.call(Call::reads("offspring.derived", &self.config).at(subject), || async move {
            self.inner_offspring(subject, "derived")?.derived(subject).await
        })
        .await
    }

    async fn end_derived(&self, op: &Operation, subject: &Ref, mark: &str) -> Result<Ended> {
        self.call(Call::changes("offspring.end_derived", op).at(subject), || async move {
            self.inner_offspring(subject, "end_derived")?.end_derived(op, subject, mark).await
        })
        .await
    }
}
