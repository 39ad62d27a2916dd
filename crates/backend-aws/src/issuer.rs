//! IAM as the issuer of access keys: they are tried, found, and revoked.

use async_trait::async_trait;
use aws_sdk_iam::types::StatusType;
use chrono::{DateTime, Utc};
use claviger_backend::{
    Error, ErrorKind, Identified, Issued, Issuer, Offer, Operation, Presence, Probe, Restore, Result, Verdict,
};
use claviger_core::{reference::Ref, secret::SecretValue};

use crate::{
    backend::AwsBackend,
    failure::{Refusal, of, of_change, refusal_of},
    iam::{is_active, keys_of},
    labels::{instant, instant_text},
    names::{self, Named},
};

impl AwsBackend {
    fn key<'a>(&self, operation: &'static str, at: &'a Ref) -> Result<(&'a str, &'a str)> {
        match names::read(&self.info.name, operation, at)? {
            Named::AccessKey { user, id } => Ok((user, id)),
            _ => Err(Error::new(ErrorKind::Invalid, operation, format!("{at} is no access key"))),
        }
    }

    /// The key's presence token: it changes with its status.
    async fn key_state(
        &self,
        operation: &'static str,
        user: &str,
        id: &str,
    ) -> Result<Option<(String, bool)>> {
        let keys = match keys_of(self.scan().await?, operation, user).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        Ok(keys.iter().find(|key| key.access_key_id.as_deref() == Some(id)).map(|key| {
            let made = instant_text(key.create_date.as_ref()).unwrap_or_default();
            let active = is_active(key);
            (
                format!(
                    "{}:{}",
                    if active { "active" } else { "inactive" },
                    made.as_str().unwrap_or_default()
                ),
                active,
            )
        }))
    }

    fn unsupported(operation: &'static str, text: &str) -> Error {
        Error::new(ErrorKind::Unsupported, operation, text)
    }
}

#[async_trait]
impl Issuer for AwsBackend {
    fn offer(&self, _subject: &Ref) -> Option<Offer> {
        None
    }

    async fn issue(&self, _op: &Operation, _subject: &Ref, _value: Option<&SecretValue>) -> Result<Issued> {
        Err(Self::unsupported("issue", "access keys are not made by claviger yet"))
    }

    /// Asks STS who the key is: the one call that needs no permission, so whoever is authenticated gets an answer.
    async fn verify(&self, subject: &Ref, value: &SecretValue) -> Result<Probe> {
        let (_, id) = self.key("verify", subject)?;
        let endpoint = self.account.endpoint();
        let path = format!("sts:GetCallerIdentity at {endpoint}, signed with {id}");
        if value.expose_text().is_none_or(str::is_empty) {
            let verdict = Verdict::Inconclusive("the value is no secret access key".to_owned());
            return Ok(Probe { verdict, path });
        }
        let sts = self.account.clients().await?.sts_with(id, value);
        let verdict = match sts.get_caller_identity().send().await {
            Ok(_) => Verdict::Accepted,
            Err(error) => match refusal_of(&error) {
                Some((Refusal::Key, code)) => {
                    Verdict::Refused(format!("{code} from sts:GetCallerIdentity at {endpoint}"))
                }
                Some((Refusal::Denied, code)) => {
                    Verdict::Inconclusive(format!("{code}: the key is known and the call is forbidden to it"))
                }
                Some((Refusal::Clock, code)) => {
                    Verdict::Inconclusive(format!("{code}: our clock and AWS's differ too much"))
                }
                Some((_, code)) => Verdict::Inconclusive(format!("{code} is no answer about the key")),
                None => Verdict::Inconclusive(
                    of("verify", endpoint, "sts:GetCallerIdentity", &error).message().to_owned(),
                ),
            },
        };
        Ok(Probe { verdict, path })
    }

    async fn identify(&self, _value: &SecretValue) -> Result<Option<Identified>> {
        Err(Self::unsupported("identify", "AWS does not tell whose a secret access key is"))
    }

    async fn snapshot(&self, _subject: &Ref) -> Result<Option<Restore>> {
        Ok(None)
    }

    async fn restore(&self, _op: &Operation, _subject: &Ref, _saved: &Restore) -> Result<()> {
        Err(Self::unsupported("restore", "a deleted access key cannot be brought back"))
    }

    async fn presence(&self, subject: &Ref) -> Result<Presence> {
        let (user, id) = self.key("presence", subject)?;
        let state = self.key_state("presence", user, id).await?;
        Ok(state.map_or(Presence::Absent, |(token, _)| Presence::Present(token)))
    }

    /// Makes the key inactive, then deletes it. Session credentials that it made live on until they expire.
    async fn revoke(&self, op: &Operation, subject: &Ref, expect: Option<&str>) -> Result<()> {
        let (user, id) = self.key("revoke", subject)?;
        if self.account.caller("revoke").await?.key_id.as_deref() == Some(id) {
            let text = format!("{id} is the key that claviger itself works with");
            return Err(Self::unsupported("revoke", &text).with_hint("give claviger another key first"));
        }
        let Some((token, active)) = self.key_state("revoke", user, id).await? else { return Ok(()) };
        if expect.is_some_and(|expect| expect != token) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "revoke",
                format!("{subject} is not as it was looked at"),
            ));
        }
        let iam = &self.account.clients().await?.iam;
        let endpoint = self.account.endpoint();
        if active {
            let call =
                iam.update_access_key().user_name(user).access_key_id(id).status(StatusType::Inactive).send();
            let answer = self.before(op, "revoke", call).await?;
            answer.map_err(|error| of_change("revoke", endpoint, "iam:UpdateAccessKey", &error))?;
        }
        let call = iam.delete_access_key().user_name(user).access_key_id(id).send();
        match self.before(op, "revoke", call).await? {
            Ok(_) => Ok(()),
            Err(error) => match of_change("revoke", endpoint, "iam:DeleteAccessKey", &error) {
                error if error.kind() == ErrorKind::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }

    async fn last_used(&self, subject: &Ref) -> Result<Option<DateTime<Utc>>> {
        let (_, id) = self.key("last_used", subject)?;
        let iam = &self.account.clients().await?.iam;
        let answer = iam.get_access_key_last_used().access_key_id(id).send().await;
        let answer = answer
            .map_err(|error| of("last_used", self.account.endpoint(), "iam:GetAccessKeyLastUsed", &error))?;
        Ok(answer.access_key_last_used.and_then(|used| used.last_used_date).as_ref().and_then(instant))
    }
}
