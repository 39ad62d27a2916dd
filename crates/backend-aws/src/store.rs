//! The role as store.

mod eraser;
mod parameter;
mod pending;
mod secret;

use async_trait::async_trait;
use claviger_backend::{
    Effect, Error, ErrorKind, Expect, Field, Operation, PendingValue, Result, Store, StoreState, StoredValue,
};
use claviger_core::{model::Labels, reference::Ref, secret::SecretValue};

use crate::{
    backend::AwsBackend,
    check,
    names::{self, Named},
};

#[async_trait]
impl Store for AwsBackend {
    async fn read(&self, at: &Ref) -> Result<Option<StoredValue>> {
        match self.place("read", at)? {
            Named::Secret { name, key } => self.read_secret(name, key).await,
            Named::Parameter { name } => self.read_parameter(&name).await,
            Named::AccessKey { .. } => Err(self.no_place("read", at)),
        }
    }

    async fn writable(&self, at: &Ref) -> Result<StoreState> {
        match self.place("writable", at)? {
            Named::Secret { name, .. } => self.secret_writable(name).await,
            Named::Parameter { name } => self.parameter_writable(&name).await,
            Named::AccessKey { .. } => Err(self.no_place("writable", at)),
        }
    }

    async fn write(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<String> {
        match self.place("write", at)? {
            Named::Secret { name, key } => self.write_secret(op, name, &[(key, value)], expect).await,
            Named::Parameter { name } => self.write_parameter(op, &name, value, expect).await,
            Named::AccessKey { .. } => Err(self.no_place("write", at)),
        }
    }

    /// The keys of one secret are one value; a parameter is a value of its own.
    async fn write_together(&self, op: &Operation, fields: &[Field<'_>], expect: &Expect) -> Result<String> {
        let invalid = |text: String| Error::new(ErrorKind::Invalid, "write", text);
        let at = match fields {
            [] => return Err(invalid("there is nothing to write".to_owned())),
            [only] => return self.write(op, only.at, only.value, expect).await,
            [first, ..] => first.at,
        };
        let mut parts = Vec::with_capacity(fields.len());
        for field in fields {
            match self.place("write", field.at)? {
                Named::Secret { key: key @ Some(_), .. } if field.at.object() == at.object() => {
                    parts.push((key, field.value));
                }
                _ => return Err(invalid(format!("{} is no key of the same secret as {at}", field.at))),
            }
        }
        let Named::Secret { name, .. } = self.place("write", at)? else {
            return Err(self.no_place("write", at));
        };
        self.write_secret(op, name, &parts, expect).await
    }

    async fn pending(&self, at: &Ref) -> Result<Option<PendingValue>> {
        match self.place("pending", at)? {
            Named::Secret { name, key } => self.pending_secret(name, key).await,
            Named::Parameter { .. } => Ok(None),
            Named::AccessKey { .. } => Err(self.no_place("pending", at)),
        }
    }

    async fn clear_pending(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        match self.place("clear_pending", at)? {
            Named::Secret { name, .. } => self.clear_pending_secret(op, name, version).await,
            _ => Err(self.no_place("clear_pending", at)),
        }
    }
}

impl AwsBackend {
    pub(crate) fn place<'a>(&self, operation: &'static str, at: &'a Ref) -> Result<Named<'a>> {
        names::read(&self.info.name, operation, at)
    }

    pub(crate) fn no_place(&self, operation: &'static str, at: &Ref) -> Error {
        Error::new(ErrorKind::Invalid, operation, format!("{at} holds no value"))
    }

    /// Waits for a change no longer than the operation allows; what was not answered may have happened.
    pub(crate) async fn before<T>(
        &self,
        op: &Operation,
        operation: &'static str,
        call: impl Future<Output = T>,
    ) -> Result<T> {
        tokio::time::timeout(op.deadline, call).await.map_err(|_| {
            let text = format!("{}: no answer within {} s", self.account.endpoint(), op.deadline.as_secs());
            Error::new(ErrorKind::Unavailable, operation, text).with_effect(Effect::Unknown)
        })
    }

    /// Whether our own policies allow these actions on a resource, where the simulator may be asked.
    async fn forbidden(&self, actions: &[&str], resource: &str) -> Result<Option<String>> {
        let Some(principal) = self.account.caller("writable").await?.principal() else { return Ok(None) };
        let scan = self.scan().await?;
        let decided =
            check::decide(scan, "writable", &principal, actions.iter().copied(), Some(resource)).await?;
        Ok(decided
            .into_iter()
            .flatten()
            .find(|(_, allowed)| !allowed)
            .map(|(action, _)| format!("{action} is not allowed")))
    }
}

/// Tags by which other systems say that a place is theirs.
fn managed_elsewhere(labels: &Labels) -> Option<String> {
    let tag = |key: &str| {
        labels.iter().find(|(it, _)| it.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    };
    if tag("managed-by") == Some("external-secrets") {
        return Some("External Secrets writes it (tag managed-by)".to_owned());
    }
    tag("aws:cloudformation:stack-name").map(|stack| format!("CloudFormation stack `{stack}` owns it"))
}
