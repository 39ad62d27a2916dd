use async_trait::async_trait;
use claviger_core::{
    reference::Ref,
    saga::{Party, Person, Question},
};

use super::{Call, Guarded};
use crate::{Authority, Backend as _, Operation, Result, Rights};

impl Guarded {
    fn inner_authority(&self, at: Option<&Ref>, operation: &'static str) -> Result<&dyn Authority> {
        self.checked(self.capability().revoke, at, operation)?;
        self.inner.authority().ok_or_else(|| self.no_role("authority over rights", operation))
    }
}

#[async_trait]
impl Authority for Guarded {
    fn is_at(&self, server: &str) -> bool {
        self.inner.authority().is_some_and(|authority| authority.is_at(server))
    }

    async fn rights(&self, who: &Person) -> Result<Rights> {
        self.call(Call::reads("authority.rights", &self.config), || async move {
            self.inner_authority(None, "rights")?.rights(who).await
        })
        .await
    }

    async fn may(&self, who: &Person, questions: &[Question]) -> Result<Vec<bool>> {
        self.call(Call::reads("authority.may", &self.config), || async move {
            self.inner_authority(None, "may")?.may(who, questions).await
        })
        .await
    }

    async fn cut(&self, op: &Operation, binding: &Ref, parties: &[Party]) -> Result<Vec<Party>> {
        self.call(Call::changes("authority.cut", op).at(binding), || async move {
            self.inner_authority(Some(binding), "cut")?.cut(op, binding, parties).await
        })
        .await
    }
}
