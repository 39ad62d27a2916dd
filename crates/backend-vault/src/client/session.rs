//! The token that we work with, and how it comes about.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::secret::SecretValue;
use reqwest::Url;
use vaultrs::client::{VaultClient, VaultClientSettings};

use super::Api;
use crate::config::VaultAuth;

/// A token in use, and the vaultrs client that carries it.
pub(crate) struct Held {
    pub(crate) token: SecretValue,
    pub(crate) typed: VaultClient,
    /// When the token of a login ends; a configured token is used until it is refused.
    until: Option<DateTime<Utc>>,
}

impl Held {
    fn fresh(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| now + Duration::seconds(60) < until)
    }
}

impl Api {
    /// Do we log in, and so get another token by ourselves when one ends?
    pub(crate) fn logs_in(&self) -> bool {
        !matches!(self.auth, VaultAuth::Token(_))
    }

    /// The token in use; logs in when there is none or it is about to end.
    ///
    /// # Errors
    /// `Unauthenticated` when the login is refused; whatever the call meets.
    pub(crate) async fn held(&self) -> Result<Arc<Held>> {
        let mut slot = self.held.lock().await;
        if let Some(held) = slot.as_ref().filter(|held| held.fresh(self.clock.now())) {
            return Ok(Arc::clone(held));
        }
        let held = Arc::new(self.log_in().await?);
        *slot = Some(Arc::clone(&held));
        Ok(held)
    }

    async fn log_in(&self) -> Result<Held> {
        let asked_at = self.clock.now();
        let answer = match &self.auth {
            VaultAuth::Token(token) => {
                let token = text(token, "the token")?;
                return Ok(Held {
                    typed: self.typed_client(token)?,
                    token: SecretValue::from_text(token.to_owned()),
                    until: None,
                });
            }
            VaultAuth::Kubernetes { mount, role, jwt } => {
                let read = tokio::fs::read(jwt).await.map(SecretValue::new);
                let jwt = read.map_err(|error| {
                    let message = format!(
                        "the ServiceAccount token {} cannot be read ({})",
                        jwt.display(),
                        error.kind()
                    );
                    Error::new(ErrorKind::Config, "login", message)
                })?;
                let anonymous = self.typed_client("")?;
                let what = format!("POST auth/{mount}/login");
                let call = self.call("login", &what, true);
                self.typed(
                    call,
                    vaultrs::auth::kubernetes::login(
                        &anonymous,
                        mount,
                        role,
                        text(&jwt, "the ServiceAccount token")?,
                    ),
                )
                .await
            }
            VaultAuth::AppRole { mount, role_id, secret_id } => {
                let anonymous = self.typed_client("")?;
                let what = format!("POST auth/{mount}/login");
                let call = self.call("login", &what, true);
                self.typed(
                    call,
                    vaultrs::auth::approle::login(
                        &anonymous,
                        mount,
                        role_id,
                        text(secret_id, "the secret-id")?,
                    ),
                )
                .await
            }
        };
        let given = answer.map_err(|error| match error.kind() {
            ErrorKind::Invalid | ErrorKind::Denied => {
                Error::new(ErrorKind::Unauthenticated, "login", error.message())
                    .with_hint("check the role, its bound names and audience, and the credential in `auth`")
            }
            _ => error,
        })?;
        let until = match i64::try_from(given.lease_duration) {
            Ok(0) | Err(_) => None,
            Ok(seconds) => {
                Duration::try_seconds(seconds).and_then(|lease| asked_at.checked_add_signed(lease))
            }
        };
        let typed = self.typed_client(&given.client_token)?;
        Ok(Held { typed, token: SecretValue::from_text(given.client_token), until })
    }

    /// A vaultrs client with this token on our own HTTP client.
    ///
    /// vaultrs would take whatever is left out from `VAULT_*` of the environment, so nothing is; and its settings print the token in
    /// their `Debug`, so nothing here prints them.
    fn typed_client(&self, token: &str) -> Result<VaultClient> {
        let broken =
            |_| Error::new(ErrorKind::Config, "connect", "no HTTP client for the server could be made");
        let settings = VaultClientSettings {
            // Made without TLS: the HTTP client inside is replaced below, and loading the machine's authorities for it could fail.
            address: Url::parse("http://127.0.0.1/").expect("a constant URL"),
            ca_certs: Vec::new(),
            identity: None,
            timeout: Some(super::REQUEST_TIMEOUT),
            token: token.to_owned(),
            verify: true,
            version: 1,
            wrapping: false,
            namespace: self.namespace.clone(),
            proxy: None,
        };
        let mut typed = VaultClient::new(settings).map_err(broken)?;
        typed.settings.address = self.base.clone();
        typed.http.base = self.base.to_string();
        typed.http.http = self.http.clone();
        Ok(typed)
    }
}

/// A secret that goes into a header: vaultrs and HTTP take visible ASCII only.
fn text<'a>(secret: &'a SecretValue, name: &str) -> Result<&'a str> {
    secret
        .expose_text()
        .map(str::trim)
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Config,
                "login",
                format!("{name} is empty or has characters that no token has"),
            )
            .with_hint("check the file or variable that it comes from")
        })
}
