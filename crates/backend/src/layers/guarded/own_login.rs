use async_trait::async_trait;

use super::{Call, Guarded};
use crate::{OwnLogin, OwnState, Result};

impl Guarded {
    fn inner_own(&self, operation: &'static str) -> Result<&dyn OwnLogin> {
        self.inner.own_login().ok_or_else(|| self.no_role("teller of its own login", operation))
    }
}

#[async_trait]
impl OwnLogin for Guarded {
    async fn own(&self) -> Result<OwnState> {
        self.call(
            Call::reads("own_login.own", &self.config),
            || async move { self.inner_own("own")?.own().await },
        )
        .await
    }

    async fn renew(&self) -> Result<OwnState> {
        // A repeat is fine, so it is limited and retried as what reads.
        self.call(Call::reads("own_login.renew", &self.config), || async move {
            self.inner_own("renew")?.renew().await
        })
        .await
    }
}
