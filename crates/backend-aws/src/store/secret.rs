//! Secrets Manager as a store. A write makes a version under the operation's key, and then moves `AWSCURRENT` to it *from the version that
//! was expected*: the service refuses that when somebody else was faster, so it is a compare-and-set.

use std::collections::HashMap;

use aws_sdk_secretsmanager::primitives::Blob;
use claviger_backend::{Effect, Error, ErrorKind, Expect, Operation, Result, StoreState, StoredValue};
use claviger_core::secret::SecretValue;

use super::managed_elsewhere;
use crate::{
    backend::AwsBackend,
    document,
    failure::{Refusal, of, of_change, refusal_of},
    labels::from_tags,
    secret::{CURRENT, OUR_PENDING},
};

/// One version's whole value.
pub(super) struct Whole {
    pub(super) value: SecretValue,
    version: String,
    pub(super) binary: bool,
}

/// Keys of one secret with their new values; the whole of it without a key.
type Parts<'a> = &'a [(Option<&'a str>, &'a SecretValue)];

impl Whole {
    pub(super) fn field(self, key: Option<&str>) -> Option<SecretValue> {
        match key {
            None => Some(self.value),
            Some(_) => self.read(key),
        }
    }

    fn read(&self, key: Option<&str>) -> Option<SecretValue> {
        match key {
            None => Some(self.value.duplicate()),
            Some(key) => self.value.expose_text().and_then(|text| document::field(text, key)),
        }
    }
}

impl AwsBackend {
    /// A version's value: the one with this id, or the current one. Absence is an answer.
    pub(super) async fn whole(
        &self,
        operation: &'static str,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<Whole>> {
        let call = self.account.clients().await?.secrets.get_secret_value().secret_id(name);
        let call = match version {
            Some(version) => call.version_id(version),
            None => call.version_stage(CURRENT),
        };
        match call.send().await {
            Ok(answer) => {
                let binary = answer.secret_string.is_none();
                let value = match (answer.secret_string, answer.secret_binary) {
                    (Some(text), _) => SecretValue::from_text(text),
                    (None, Some(bytes)) => SecretValue::new(bytes.into_inner()),
                    (None, None) => return Ok(None),
                };
                Ok(Some(Whole { value, version: answer.version_id.unwrap_or_default(), binary }))
            }
            Err(error) => {
                match of(operation, self.account.endpoint(), "secretsmanager:GetSecretValue", &error) {
                    error if error.kind() == ErrorKind::NotFound => Ok(None),
                    error if error.kind() == ErrorKind::Invalid => Err(error.with_hint(
                        "it may be scheduled for deletion: restore it, or take it out of the plan",
                    )),
                    error => Err(error),
                }
            }
        }
    }

    pub(super) async fn read_secret(&self, name: &str, key: Option<&str>) -> Result<Option<StoredValue>> {
        let Some(whole) = self.whole("read", name, None).await? else { return Ok(None) };
        let version = whole.version.clone();
        // The version's id is the token with which it was written.
        let written_by = Some(version.clone());
        Ok(whole.field(key).map(|value| StoredValue { value, version, written_by }))
    }

    pub(super) async fn secret_writable(&self, name: &str) -> Result<StoreState> {
        let secrets = &self.account.clients().await?.secrets;
        let answer = match secrets.describe_secret().secret_id(name).send().await {
            Ok(answer) => answer,
            Err(error) => {
                return match of("writable", self.account.endpoint(), "secretsmanager:DescribeSecret", &error)
                {
                    error if matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound) => {
                        Ok(StoreState::Refused(error.message().to_owned()))
                    }
                    error => Err(error),
                };
            }
        };
        if answer.deleted_date.is_some() {
            return Ok(StoreState::Refused("it is scheduled for deletion".to_owned()));
        }
        if let Some(service) = answer.owning_service.as_deref().filter(|service| !service.is_empty()) {
            return Ok(StoreState::ManagedElsewhere(format!("AWS service `{service}` owns it")));
        }
        if answer.rotation_enabled == Some(true) {
            return Ok(StoreState::ManagedElsewhere("Secrets Manager rotates it".to_owned()));
        }
        if let Some(primary) = answer.primary_region.as_deref()
            && answer.arn.as_deref().is_some_and(|arn| arn.split(':').nth(3) != Some(primary))
        {
            return Ok(StoreState::ManagedElsewhere(format!("it is a replica of the secret in {primary}")));
        }
        let tags = answer.tags.unwrap_or_default();
        let (labels, _) = from_tags(
            tags.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())),
        );
        if let Some(owner) = managed_elsewhere(&labels) {
            return Ok(StoreState::ManagedElsewhere(owner));
        }
        let needed = ["secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"];
        Ok(match self.forbidden(&needed, answer.arn.as_deref().unwrap_or("*")).await? {
            Some(reason) => StoreState::Refused(reason),
            None => StoreState::Writable,
        })
    }

    /// The versions and their labels; `None` when there is no such secret.
    pub(super) async fn versions(
        &self,
        operation: &'static str,
        name: &str,
    ) -> Result<Option<HashMap<String, Vec<String>>>> {
        let secrets = &self.account.clients().await?.secrets;
        match secrets.describe_secret().secret_id(name).send().await {
            Ok(answer) => Ok(Some(answer.version_ids_to_stages.unwrap_or_default())),
            Err(error) => {
                match of(operation, self.account.endpoint(), "secretsmanager:DescribeSecret", &error) {
                    error if error.kind() == ErrorKind::NotFound => Ok(None),
                    error => Err(error),
                }
            }
        }
    }

    pub(super) async fn write_secret(
        &self,
        op: &Operation,
        name: &str,
        parts: Parts<'_>,
        expect: &Expect,
    ) -> Result<String> {
        let token = op.key.to_string();
        let conflict = |what: &str| {
            Error::new(ErrorKind::Conflict, "write", format!("{}: {name}: {what}", self.account.endpoint()))
        };
        let Some(versions) = self.versions("write", name).await? else {
            return match expect {
                Expect::Absent => self.create_secret(op, name, parts, &token).await,
                Expect::Version(_) => Err(conflict("it does not exist")),
            };
        };
        let has = |labels: &[String], label: &str| labels.iter().any(|it| it == label);
        let current =
            versions.iter().find(|(_, labels)| has(labels, CURRENT)).map(|(version, _)| version.clone());
        if let Some(labels) = versions.get(&token) {
            // An earlier attempt of this very operation got this far.
            let ours = self.whole("write", name, Some(&token)).await?;
            let holds = |(key, value): &(Option<&str>, &SecretValue)| {
                let field = ours.as_ref().and_then(|whole| whole.read(*key));
                field.is_some_and(|field| field.expose() == value.expose())
            };
            if !parts.iter().all(holds) {
                return Err(conflict("the operation's version holds another value"));
            }
            if has(labels, CURRENT) {
                self.drop_label(op, name, labels, &token).await;
                return Ok(token);
            }
            if !has(labels, OUR_PENDING) {
                return Err(conflict("somebody wrote after us"));
            }
        }
        let whole = match &current {
            Some(current) => self.whole("write", name, Some(current)).await?,
            None => None,
        };
        match (expect, &whole, &current) {
            (Expect::Version(expected), Some(_), Some(current)) if expected == current => {}
            (Expect::Version(_), ..) => return Err(conflict("another version is current")),
            (Expect::Absent, Some(whole), _) => {
                if parts.iter().any(|(key, _)| whole.read(*key).is_some()) {
                    return Err(conflict("it is there already"));
                }
            }
            (Expect::Absent, None, _) => {}
        }
        if !versions.contains_key(&token) {
            self.put_version(op, name, parts, whole.as_ref(), &token).await?;
        }
        self.promote(op, name, current.as_deref(), &token).await?;
        self.drop_label(op, name, &[OUR_PENDING.to_owned()], &token).await;
        Ok(token)
    }

    /// Makes the version, not yet current. Repeat with the same key and value: nothing changes.
    async fn put_version(
        &self,
        op: &Operation,
        name: &str,
        parts: Parts<'_>,
        whole: Option<&Whole>,
        token: &str,
    ) -> Result<()> {
        let call = self.account.clients().await?.secrets.put_secret_value();
        let call = call.secret_id(name).client_request_token(token).version_stages(OUR_PENDING);
        let was_binary = whole.is_some_and(|whole| whole.binary);
        let call = match content(parts, whole.map(|whole| &whole.value))? {
            Content::Text(text) if !was_binary => call.secret_string(text),
            Content::Text(text) => call.secret_binary(Blob::new(text.into_bytes())),
            Content::Bytes(bytes) => call.secret_binary(Blob::new(bytes)),
        };
        let answer = self.before(op, "write", call.send()).await?;
        answer.map(drop).map_err(|error| {
            of_change("write", self.account.endpoint(), "secretsmanager:PutSecretValue", &error)
        })
    }

    /// Moves `AWSCURRENT` from the expected version to ours.
    pub(super) async fn promote(
        &self,
        op: &Operation,
        name: &str,
        from: Option<&str>,
        token: &str,
    ) -> Result<()> {
        let call = self.account.clients().await?.secrets.update_secret_version_stage();
        let call = call.secret_id(name).version_stage(CURRENT).move_to_version_id(token);
        let call = call.set_remove_from_version_id(from.map(str::to_owned)).send();
        let Err(error) = self.before(op, "write", call).await? else { return Ok(()) };
        let moved = matches!(refusal_of(&error), Some((Refusal::Invalid | Refusal::Missing, _)));
        let failed =
            of_change("write", self.account.endpoint(), "secretsmanager:UpdateSecretVersionStage", &error);
        if !moved {
            return Err(failed);
        }
        // Our version stays behind unlabelled, and the service removes it.
        self.drop_label(op, name, &[OUR_PENDING.to_owned()], token).await;
        let text = format!("{}: {name}: somebody wrote at the same time", self.account.endpoint());
        Err(Error::new(ErrorKind::Conflict, "write", text).with_effect(Effect::NotApplied))
    }

    /// Takes our own label off a version. That it stays is harmless: it moves with the next write.
    pub(super) async fn drop_label(&self, op: &Operation, name: &str, labels: &[String], token: &str) {
        if !labels.iter().any(|label| label == OUR_PENDING) {
            return;
        }
        let Ok(clients) = self.account.clients().await else { return };
        let call = clients.secrets.update_secret_version_stage();
        let call = call.secret_id(name).version_stage(OUR_PENDING).remove_from_version_id(token).send();
        if !matches!(self.before(op, "write", call).await, Ok(Ok(_))) {
            tracing::warn!(secret = name, label = OUR_PENDING, "a label could not be taken off");
        }
    }

    async fn create_secret(
        &self,
        op: &Operation,
        name: &str,
        parts: Parts<'_>,
        token: &str,
    ) -> Result<String> {
        let call =
            self.account.clients().await?.secrets.create_secret().name(name).client_request_token(token);
        let call = match content(parts, None)? {
            Content::Text(text) => call.secret_string(text),
            Content::Bytes(bytes) => call.secret_binary(Blob::new(bytes)),
        };
        let answer = self.before(op, "write", call.send()).await?;
        let answer = answer.map_err(|error| {
            of_change("write", self.account.endpoint(), "secretsmanager:CreateSecret", &error)
        })?;
        Ok(answer.version_id.unwrap_or_else(|| token.to_owned()))
    }
}

enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

/// The whole new content: the fields put into the document that is there, or the value itself.
fn content(parts: Parts<'_>, whole: Option<&SecretValue>) -> Result<Content> {
    let mut document: Option<SecretValue> = None;
    for (key, value) in parts {
        let Some(key) = key else {
            return Ok(owned(value));
        };
        let text = match (&document, whole) {
            (Some(document), _) => document.expose_text(),
            (None, Some(whole)) => whole.expose_text(),
            (None, None) => Some("{}"),
        };
        let text =
            text.ok_or_else(|| Error::new(ErrorKind::Invalid, "write", "a binary secret has no fields"))?;
        document = Some(document::replace("write", text, key, value)?);
    }
    let document = document.as_ref().or(whole);
    document.map(owned).ok_or_else(|| Error::new(ErrorKind::Invalid, "write", "there is nothing to write"))
}

/// The SDK wants buffers of its own, which it does not zeroize.
fn owned(value: &SecretValue) -> Content {
    match value.expose_text() {
        Some(text) => Content::Text(text.to_owned()),
        None => Content::Bytes(value.expose().to_vec()),
    }
}
