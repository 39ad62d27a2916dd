//! IAM as the issuer of access keys: they are made, tried, found, suspended and revoked.

use async_trait::async_trait;
use aws_sdk_iam::types::StatusType;
use chrono::{DateTime, Utc};
use claviger_backend::{
    Effect, Ending, Error, ErrorKind, Held, Identified, Issued, Issuer, Offer, Operation, Overlap, Presence,
    Probe, Prospect, Restore, Result, Sibling, ValueForm, ValueOrigin, Verdict,
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

    /// The key's presence token, and whether it is active. An id never comes again, so the token says when it was made; it is the same key while
    /// it is suspended.
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
            (format!("made:{}", made.as_str().unwrap_or_default()), active)
        }))
    }

    /// Makes a key active or inactive.
    async fn set_status(
        &self,
        operation: &'static str,
        op: &Operation,
        subject: &Ref,
        status: StatusType,
    ) -> Result<()> {
        let (user, id) = self.key(operation, subject)?;
        let iam = &self.account.clients().await?.iam;
        let call = iam.update_access_key().user_name(user).access_key_id(id).status(status).send();
        let answer = self.before(op, operation, call).await?;
        answer
            .map(drop)
            .map_err(|error| of_change(operation, self.account.endpoint(), "iam:UpdateAccessKey", &error))
    }

    /// What would take our own key from us is refused.
    async fn not_ours(&self, operation: &'static str, id: &str) -> Result<()> {
        if self.account.caller(operation).await?.key_id.as_deref() != Some(id) {
            return Ok(());
        }
        let text = format!("{id} is the key that claviger itself works with");
        Err(Self::unsupported(operation, &text).with_hint("give claviger another key first"))
    }

    fn unsupported(operation: &'static str, text: &str) -> Error {
        Error::new(ErrorKind::Unsupported, operation, text)
    }
}

#[async_trait]
impl Issuer for AwsBackend {
    /// A user has two slots. The root's keys are not made by an API.
    fn offer(&self, subject: &Ref) -> Option<Offer> {
        let named = names::read(&self.info.name, "offer", subject).ok()?;
        matches!(named, Named::AccessKey { .. }).then(|| Offer {
            overlap: Overlap::Dual,
            origin: ValueOrigin::Minted,
            form: ValueForm::NotOurs,
            slots: Some(2),
            settles_within: self.settles_within(),
            last_used_grain: 0,
        })
    }

    async fn issue(&self, op: &Operation, subject: &Ref, value: Option<&SecretValue>) -> Result<Issued> {
        let (user, _) = self.key("issue", subject)?;
        if value.is_some() {
            return Err(Error::new(ErrorKind::Invalid, "issue", "IAM makes the secret of a key itself"));
        }
        let (iam, endpoint) = (&self.account.clients().await?.iam, self.account.endpoint());
        let answer = self.before(op, "issue", iam.create_access_key().user_name(user).send()).await?;
        let answer = answer.map_err(|error| of_change("issue", endpoint, "iam:CreateAccessKey", &error))?;
        let key = answer.access_key.filter(|key| !key.secret_access_key.is_empty()).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "issue", format!("{endpoint}: iam:CreateAccessKey told no key"))
                .with_effect(Effect::Unknown)
        })?;
        Ok(Issued {
            at: names::access_key(&self.info.name, user, &key.access_key_id),
            minted: Some(SecretValue::from_text(key.secret_access_key)),
            public_half: Some(key.access_key_id),
        })
    }

    /// Asks STS who the key is: the one call that needs no permission, so whoever is authenticated gets an answer.
    async fn issued(&self, _op: &Operation, _subject: &Ref) -> Result<Option<Issued>> {
        Err(Self::unsupported("issued", "IAM tells a key's secret once"))
    }

    async fn verify(&self, subject: &Ref, value: &SecretValue) -> Result<Probe> {
        let (_, id) = self.key("verify", subject)?;
        let endpoint = self.account.endpoint();
        // Without the id: the positive control of a rotation is the new key's, on the same path.
        let path = format!("sts:GetCallerIdentity at {endpoint}");
        if value.expose_text().is_none_or(str::is_empty) {
            let verdict = Verdict::Inconclusive("the value is no secret access key".to_owned());
            return Ok(Probe { verdict, path });
        }
        let sts = self.account.clients().await?.sts_with(id, value);
        let verdict = match sts.get_caller_identity().send().await {
            Ok(_) => Verdict::Accepted,
            Err(error) => match refusal_of(&error) {
                Some((Refusal::Key, code)) => match self.account.accepted_now("verify").await {
                    Ok(()) => Verdict::Refused(format!(
                        "{code} from sts:GetCallerIdentity at {endpoint}; our own key was accepted there"
                    )),
                    Err(error) => Verdict::Inconclusive(format!(
                        "{code}, and our own key is not accepted either: {}",
                        error.message()
                    )),
                },
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

    async fn prospect(&self, _subject: &Ref) -> Result<Prospect> {
        Ok(Prospect::default())
    }

    /// IAM keeps nothing of ours with a key.
    async fn made_by(&self, _op: &Operation, subject: &Ref) -> Result<Vec<Ref>> {
        let message = format!("{subject}: an access key carries no mark; it is found in its user's list");
        Err(Error::new(ErrorKind::Unsupported, "made_by", message))
    }

    async fn held(&self, subject: &Ref) -> Result<Option<Held>> {
        let message = format!("{subject}: the secret of an access key is told once");
        Err(Error::new(ErrorKind::Unsupported, "held", message))
    }

    async fn siblings(&self, subject: &Ref) -> Result<Vec<Sibling>> {
        let (user, _) = self.key("siblings", subject)?;
        let keys = match keys_of(self.scan().await?, "siblings", user).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let sibling = |key: &aws_sdk_iam::types::AccessKeyMetadata| {
            let id = key.access_key_id.clone()?;
            Some(Sibling {
                at: names::access_key(&self.info.name, user, &id),
                public_half: id,
                created_at: key.create_date.as_ref().and_then(instant),
                active: is_active(key),
            })
        };
        Ok(keys.iter().filter_map(sibling).collect())
    }

    async fn disable(&self, op: &Operation, subject: &Ref) -> Result<()> {
        let (_, id) = self.key("disable", subject)?;
        self.not_ours("disable", id).await?;
        self.set_status("disable", op, subject, StatusType::Inactive).await
    }

    async fn enable(&self, op: &Operation, subject: &Ref) -> Result<()> {
        self.set_status("enable", op, subject, StatusType::Active).await
    }

    fn ending(&self, subject: &Ref) -> Ending {
        self.ending_of(subject)
    }

    /// Makes the key inactive, then deletes it. Session credentials that it made live on: [`claviger_backend::Offspring`] denies them.
    async fn revoke(&self, op: &Operation, subject: &Ref, expect: Option<&str>) -> Result<()> {
        let (user, id) = self.key("revoke", subject)?;
        self.not_ours("revoke", id).await?;
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
            self.set_status("revoke", op, subject, StatusType::Inactive).await?;
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
