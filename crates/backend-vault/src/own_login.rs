//! The token that we work with: `GET auth/token/lookup-self`, `POST auth/token/renew-self`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_backend::{Error, ErrorKind, OwnLogin, OwnState, Renewal, Result};
use serde_json::json;

use crate::{
    backend::VaultBackend,
    inventory::{TokenInfo, own_token},
};

impl VaultBackend {
    async fn own_state(&self, operation: &'static str) -> Result<OwnState> {
        let found = own_token(&self.api, operation).await?;
        let token = found.ok_or_else(|| {
            Error::new(
                ErrorKind::Denied,
                operation,
                "our token may not look itself up, so nobody knows when it ends",
            )
            .with_hint("give it `read` on `auth/token/lookup-self` (the default policy has that)")
        })?;
        Ok(OwnState {
            at: self.names.token(&token.accessor),
            since: since(&token),
            expires_at: token.expire_time.as_deref().and_then(time),
            renewal: match (self.api.logs_in(), token.renewable) {
                (true, _) => Renewal::ByItself,
                (false, Some(true)) => Renewal::Asked,
                (false, _) => Renewal::Never,
            },
        })
    }
}

#[async_trait]
impl OwnLogin for VaultBackend {
    async fn own(&self) -> Result<OwnState> {
        self.own_state("own").await
    }

    async fn renew(&self) -> Result<OwnState> {
        let what = "POST auth/token/renew-self";
        let call = self.api.call("renew", what, true);
        self.api.post("renew", "auth/token/renew-self", &json!({}), true).await?.good(call)?;
        self.own_state("renew").await
    }
}

/// The server counts from the newest renewal.
fn since(token: &TokenInfo) -> Option<DateTime<Utc>> {
    let renewed = token.last_renewal_time.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    renewed.or_else(|| DateTime::from_timestamp(token.creation_time, 0).filter(|_| token.creation_time > 0))
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}
