//! Trying a value, and when a refusal is one.
//!
//! A token that is denied its own lookup and one that does not exist get the same answer (HTTP 403, "permission denied"), and a sealed or
//! standby node refuses everybody. So a refusal counts only after a control: the node is active and unsealed, our own token still works at the
//! same endpoint, and the server itself says that it does not know the value.

use claviger_backend::{ErrorKind, Probe, Result, Verdict};
use claviger_core::secret::SecretValue;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tracing::warn;

use super::{secret_id_by_accessor, token_by_accessor};
use crate::{
    backend::VaultBackend,
    client::{Answer, ApiPath},
    inventory::{TokenInfo, own_token},
};

#[derive(Deserialize)]
struct Login {
    auth: Option<Given>,
}

#[derive(Deserialize)]
struct Given {
    client_token: String,
}

impl VaultBackend {
    pub(super) async fn probe_token(&self, accessor: &str, value: &SecretValue) -> Result<Probe> {
        let path = format!("GET {}/v1/auth/token/lookup-self with the token", self.api.address());
        let verdict = self.token_verdict(accessor, value).await;
        finish(path, verdict)
    }

    async fn token_verdict(&self, accessor: &str, value: &SecretValue) -> Result<Verdict> {
        let Some(text) = value.expose_text().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
        else {
            return Ok(Verdict::Inconclusive(
                "the value cannot be a token: it has characters that no header can carry".into(),
            ));
        };
        if token_by_accessor(&self.api, "verify", accessor)
            .await
            .ok()
            .flatten()
            .is_some_and(|token| token.num_uses > 0)
        {
            return Ok(Verdict::Inconclusive(
                "the token has a limited number of uses, and trying it would spend one".into(),
            ));
        }
        let what = "GET auth/token/lookup-self with the token";
        let call = self.api.call("verify", what, false);
        let answer = self
            .api
            .send(call, Method::GET, &ApiPath::new("verify", "auth/token/lookup-self")?, "", Some(text), None)
            .await?;
        match answer.status {
            200 => {
                let found: Option<TokenInfo> = answer.data(call)?;
                Ok(match found {
                    Some(found) if found.accessor == accessor => Verdict::Accepted,
                    _ => Verdict::Inconclusive(
                        "it is accepted, and is another token than the one asked about".into(),
                    ),
                })
            }
            403 => self.token_refused(text).await,
            _ => Err(unexpected(call.what, answer)),
        }
    }

    async fn token_refused(&self, value: &str) -> Result<Verdict> {
        if let Some(why) = self.no_control().await {
            return Ok(Verdict::Inconclusive(format!("HTTP 403, and {why}")));
        }
        Ok(match self.token_by_value("verify", value).await {
            Ok(None) => Verdict::Refused("HTTP 403 at auth/token/lookup-self; the server knows no such token; our own token was accepted there".into()),
            Ok(Some(_)) => Verdict::Inconclusive("HTTP 403, yet the server knows the token: its policies deny it the lookup of itself".into()),
            Err(error) => Verdict::Inconclusive(format!("HTTP 403, and whether the token exists could not be asked ({})", error.message())),
        })
    }

    pub(super) async fn probe_secret_id(
        &self,
        mount: &str,
        role: &str,
        accessor: &str,
        value: &SecretValue,
    ) -> Result<Probe> {
        let path = format!("POST {}/v1/{mount}/login as role {role}", self.api.address());
        let verdict = self.secret_id_verdict(mount, role, accessor, value).await;
        finish(path, verdict)
    }

    async fn secret_id_verdict(
        &self,
        mount: &str,
        role: &str,
        accessor: &str,
        value: &SecretValue,
    ) -> Result<Verdict> {
        let Some(text) = value.expose_text() else {
            return Ok(Verdict::Inconclusive("the value cannot be a secret-id: it is not text".into()));
        };
        if let Some(found) = secret_id_by_accessor(&self.api, "verify", mount, role, accessor).await?
            && found.secret_id_num_uses > 0
        {
            return Ok(Verdict::Inconclusive(
                "the secret-id has a limited number of uses, and a login would spend one".into(),
            ));
        }
        let known = self.secret_id_by_value("verify", mount, role, text).await?;
        if known.as_ref().is_some_and(|known| known.secret_id_accessor != accessor) {
            return Ok(Verdict::Inconclusive(
                "it is another secret-id of the role than the one asked about".into(),
            ));
        }
        let held = self.api.held().await?;
        let what = format!("GET {mount}/role/{role}/role-id");
        let login = mount.strip_prefix("auth/").unwrap_or(mount);
        let role_id = self
            .api
            .typed(
                self.api.call("verify", &what, false),
                vaultrs::auth::approle::role::read_id(&held.typed, login, role),
            )
            .await?
            .role_id;
        let what = format!("POST {mount}/login as role {role}");
        let call = self.api.call("verify", &what, false);
        let body = json!({ "role_id": role_id, "secret_id": text }).to_string().into_bytes();
        let answer = self
            .api
            .send(
                call,
                Method::POST,
                &ApiPath::new("verify", &format!("{mount}/login"))?,
                "",
                Some(""),
                Some(body),
            )
            .await?;
        match answer.status {
            200 => {
                self.end_login(&answer).await;
                Ok(Verdict::Accepted)
            }
            // Vault: "invalid secret id"; OpenBao: "invalid role or secret ID". The role-id was read a moment ago, so it is the secret-id.
            400 if answer.says("invalid secret id") || answer.says("invalid role or secret ID") => Ok(match (self.no_control().await, known) {
                (Some(why), _) => Verdict::Inconclusive(format!("HTTP 400, and {why}")),
                (None, Some(_)) => Verdict::Inconclusive("HTTP 400, yet the server knows the secret-id".into()),
                (None, None) => Verdict::Refused("HTTP 400, invalid secret-id, for a role-id read just before; the server knows no such secret-id".into()),
            }),
            400 | 403 => Ok(Verdict::Inconclusive(format!("HTTP {}: the login was refused for another reason, such as its source address", answer.status))),
            _ => Err(unexpected(call.what, answer)),
        }
    }

    /// Revokes the token that a trial login gave. A failure leaves a token that ends by itself; it is logged, not hidden in a verdict.
    async fn end_login(&self, answer: &Answer) {
        let Ok(Login { auth: Some(given) }) = serde_json::from_slice::<Login>(&answer.body) else { return };
        let token = SecretValue::from_text(given.client_token);
        let call = self.api.call("verify", "POST auth/token/revoke-self of the trial login", true);
        let ended = async {
            let path = ApiPath::new("verify", "auth/token/revoke-self")?;
            self.api.send(call, Method::POST, &path, "", token.expose_text(), None).await?.good(call)
        };
        if let Err(error) = ended.await {
            warn!(error = %error, "the token of a trial login could not be revoked");
        }
    }

    /// Why a refusal proves nothing now; `None` when the node serves and our own token is accepted.
    async fn no_control(&self) -> Option<String> {
        let call = self.api.call("verify", "GET sys/health", false);
        let health = match ApiPath::new("verify", "sys/health") {
            Ok(path) => self.api.send(call, Method::GET, &path, "", Some(""), None).await,
            Err(error) => Err(error),
        };
        match health {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => {
                return Some(format!(
                    "the node is sealed, a standby or not initialized (sys/health says HTTP {})",
                    answer.status
                ));
            }
            Err(error) => return Some(error.message().to_owned()),
        }
        match own_token(&self.api, "verify").await {
            Ok(Some(_)) => None,
            Ok(None) => {
                Some("our own token may not make the same call, so there is nothing to compare with".into())
            }
            Err(error) => Some(format!("our own token is not accepted either ({})", error.message())),
        }
    }
}

/// Unreachable, sealed and throttled are verdicts; what is wrong with us is an error.
fn finish(path: String, verdict: Result<Verdict>) -> Result<Probe> {
    match verdict {
        Ok(verdict) => Ok(Probe { verdict, path }),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Unavailable | ErrorKind::RateLimited | ErrorKind::Unexpected | ErrorKind::Denied
            ) =>
        {
            Ok(Probe { verdict: Verdict::Inconclusive(error.message().to_owned()), path })
        }
        Err(error) => Err(error),
    }
}

fn unexpected(what: &str, answer: Answer) -> claviger_backend::Error {
    let status = answer.status;
    let kind = if matches!(status, 429 | 500..=599) { ErrorKind::Unavailable } else { ErrorKind::Unexpected };
    claviger_backend::Error::new(kind, "verify", format!("{what}: HTTP {status}"))
}
