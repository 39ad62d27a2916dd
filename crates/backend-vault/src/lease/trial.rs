//! Taking an account as the workload would: log in with its token, be lent an account, renew the lease, and give it back after it was compared.

use chrono::{DateTime, Utc};
use claviger_backend::{Lent, Loan, Probe, Result, Verdict};
use claviger_core::{reference::Ref, secret::SecretValue};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Terms;
use crate::{
    backend::VaultBackend,
    client::{Answer, ApiPath},
    labels::time,
};

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    accessor: String,
}

#[derive(Deserialize)]
struct Taken {
    #[serde(default)]
    lease_id: String,
    #[serde(default)]
    renewable: bool,
    data: Account,
}

#[derive(Deserialize)]
struct Account {
    username: String,
    password: String,
}

#[derive(Deserialize)]
struct Lease {
    #[serde(default)]
    expire_time: String,
}

/// A login, as far as it came: what follows when it came no further.
struct Failed(Verdict);

fn refused(call: &str, answer: &Answer) -> Failed {
    let text = format!("HTTP {} from {call}", answer.status);
    Failed(match answer.status {
        400 | 403 => Verdict::Refused(text),
        _ => Verdict::Inconclusive(text),
    })
}

fn unread(call: &str) -> Failed {
    Failed(Verdict::Inconclusive(format!("the answer of {call} is not what this API answers")))
}

impl VaultBackend {
    async fn as_holder(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        let what = format!("{method} {path}");
        let call = self.api.call("login", &what, false);
        let body = body.map(|body| body.to_string().into_bytes());
        self.api.send(call, method, &ApiPath::new("login", path)?, "", Some(token), body).await
    }

    /// Logs in with the workload's token and takes an account. What it may do, the database says.
    pub(crate) async fn try_lease(&self, terms: &Terms, assertion: &SecretValue) -> Result<Loan> {
        let path = format!(
            "{}/login and {}/creds/{} at {}",
            terms.login,
            terms.mount,
            terms.name,
            self.api.address()
        );
        let told =
            |verdict| Loan { probe: Probe { verdict, path: path.clone() }, account: None, ends_at: None };
        let call = format!("{}/login", terms.login);
        let body = json!({"role": terms.name, "jwt": assertion.expose_text().unwrap_or_default()});
        let answer = self.as_holder("", Method::POST, &call, Some(body)).await?;
        if answer.status != 200 {
            return Ok(told(refused(&call, &answer).0));
        }
        let Ok(LoggedIn { auth }) = serde_json::from_slice(&answer.body) else {
            return Ok(told(unread(&call).0));
        };
        let token = SecretValue::from_text(auth.client_token);
        match self.take(terms, &token).await {
            Ok(Ok((account, ends_at))) => Ok(Loan {
                account: Some(Lent {
                    at: Ref::new(&terms.database, ["role", &account.username]),
                    value: SecretValue::from_text(account.password),
                    handle: auth.accessor,
                }),
                ends_at: Some(ends_at),
                ..told(Verdict::Accepted)
            }),
            Ok(Err(Failed(verdict))) => {
                self.end_loan(&auth.accessor).await?;
                Ok(told(verdict))
            }
            Err(error) => {
                self.end_loan(&auth.accessor).await?;
                Err(error)
            }
        }
    }

    /// Takes an account with this token and renews its lease: the account, and when it ends unless it is renewed again.
    async fn take(
        &self,
        terms: &Terms,
        token: &SecretValue,
    ) -> Result<std::result::Result<(Account, DateTime<Utc>), Failed>> {
        let token = token.expose_text().unwrap_or_default();
        let call = format!("{}/creds/{}", terms.mount, terms.name);
        let answer = self.as_holder(token, Method::GET, &call, None).await?;
        if answer.status != 200 {
            return Ok(Err(refused(&call, &answer)));
        }
        let Ok(taken) = serde_json::from_slice::<Taken>(&answer.body) else { return Ok(Err(unread(&call))) };
        let Some(first) = self.lease_end(&taken.lease_id).await? else {
            let text = "the server does not say when the lease ends";
            return Ok(Err(Failed(Verdict::Inconclusive(text.to_owned()))));
        };
        if taken.renewable {
            let body = json!({"lease_id": taken.lease_id, "increment": Terms::DEFAULT_TTL});
            let answer = self.as_holder(token, Method::PUT, "sys/leases/renew", Some(body)).await?;
            if answer.status != 200 {
                return Ok(Err(refused("sys/leases/renew", &answer)));
            }
        }
        // What the answer says is not believed: the lease itself has to end later.
        match self.lease_end(&taken.lease_id).await? {
            Some(renewed) if renewed > first => Ok(Ok((taken.data, renewed))),
            _ => Ok(Err(Failed(Verdict::Inconclusive(
                "the lease was not renewed: it ends when it did before".to_owned(),
            )))),
        }
    }

    async fn lease_end(&self, lease: &str) -> Result<Option<DateTime<Utc>>> {
        let call = self.api.call("login", "POST sys/leases/lookup", false);
        let answer = self.api.post("login", "sys/leases/lookup", &json!({"lease_id": lease}), false).await?;
        let found = answer.good(call)?.data::<Lease>(call)?;
        Ok(found.and_then(|lease| time(&lease.expire_time)))
    }

    /// Ends the login, and with it the account that it was lent.
    pub(crate) async fn end_loan(&self, accessor: &str) -> Result<()> {
        let call = self.api.call("give_back", "POST auth/token/revoke-accessor", true);
        let answer = self
            .api
            .post("give_back", "auth/token/revoke-accessor", &json!({"accessor": accessor}), true)
            .await?;
        // An accessor that is known no more is refused as malformed.
        if matches!(answer.status, 400 | 404) { Ok(()) } else { answer.good(call).map(drop) }
    }
}
