//! Taking values out of Secrets Manager and SSM.
//!
//! A secret that is a JSON object loses one key of it, as a new version. Its former versions cannot be deleted by anybody: without a label the
//! service deletes them by itself, and until then only who knows a version's id can read it. A parameter is deleted with its history, because
//! its history could not be cleaned otherwise.

use async_trait::async_trait;
use aws_sdk_secretsmanager::primitives::Blob;
use claviger_backend::{Eraser, Error, ErrorKind, FormerValue, Operation, Result};
use claviger_core::reference::Ref;

use crate::{
    backend::AwsBackend,
    document,
    failure::{Refusal, of_change, refusal_of},
    names::Named,
    secret::{CURRENT, OUR_PENDING},
};

#[async_trait]
impl Eraser for AwsBackend {
    async fn erase(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        match self.place("erase", at)? {
            Named::Secret { name, key: Some(key) } => self.erase_key(op, name, key, version).await,
            Named::Secret { key: None, .. } => {
                Err(Error::new(ErrorKind::Unsupported, "erase", format!("{at} cannot be without a value")))
            }
            Named::Parameter { name } => self.erase_parameter(op, &name, version).await,
            Named::AccessKey { .. } => Err(self.no_place("erase", at)),
        }
    }

    async fn former(&self, at: &Ref) -> Result<Vec<FormerValue>> {
        let Named::Secret { name, key } = self.place("former", at)? else { return Ok(Vec::new()) };
        let Some(versions) = self.versions("former", name).await? else { return Ok(Vec::new()) };
        let former = versions.into_iter().filter(|(_, labels)| !labels.iter().any(|label| label == CURRENT));
        let mut found = Vec::new();
        for (version, _) in former {
            let whole = self.whole("former", name, Some(&version)).await?;
            found
                .extend(whole.and_then(|whole| whole.field(key)).map(|value| FormerValue { version, value }));
        }
        Ok(found)
    }

    /// Takes every label off the version.
    async fn destroy(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        let Named::Secret { name, .. } = self.place("destroy", at)? else { return Ok(()) };
        let Some(versions) = self.versions("destroy", name).await? else { return Ok(()) };
        let Some(labels) = versions.get(version) else { return Ok(()) };
        if labels.iter().any(|label| label == CURRENT) {
            let text = format!("{at}: version {version} is in force");
            return Err(Error::new(ErrorKind::Conflict, "destroy", text));
        }
        for label in labels {
            let call = self.account.clients().await?.secrets.update_secret_version_stage();
            let call = call.secret_id(name).version_stage(label).remove_from_version_id(version).send();
            let Err(error) = self.before(op, "destroy", call).await? else { continue };
            // The label moved since we looked: then it is off this version.
            if !matches!(refusal_of(&error), Some((Refusal::Invalid | Refusal::Missing, _))) {
                let action = "secretsmanager:UpdateSecretVersionStage";
                return Err(of_change("destroy", self.account.endpoint(), action, &error));
            }
        }
        Ok(())
    }
}

impl AwsBackend {
    /// A new version without the key, made current in place of the expected one.
    async fn erase_key(&self, op: &Operation, name: &str, key: &str, expected: &str) -> Result<()> {
        let endpoint = self.account.endpoint();
        let conflict =
            |what: &str| Error::new(ErrorKind::Conflict, "erase", format!("{endpoint}: {name}: {what}"));
        let Some(versions) = self.versions("erase", name).await? else { return Ok(()) };
        let (token, has) =
            (op.key.to_string(), |labels: &[String], label: &str| labels.iter().any(|it| it == label));
        if versions.get(&token).is_some_and(|labels| has(labels, CURRENT)) {
            return Ok(());
        }
        let current = versions.iter().find(|(_, labels)| has(labels, CURRENT)).map(|(version, _)| version);
        if current.map(String::as_str) != Some(expected) {
            return Err(conflict("another version is current"));
        }
        let Some(whole) = self.whole("erase", name, Some(expected)).await? else { return Ok(()) };
        let text = whole.value.expose_text().unwrap_or_default();
        let Some(rest) = document::without("erase", text, key)? else { return Ok(()) };
        let rest = rest.expose_text().unwrap_or_default().to_owned();
        let call = self.account.clients().await?.secrets.put_secret_value();
        let call = call.secret_id(name).client_request_token(&token).version_stages(OUR_PENDING);
        let call = match whole.binary {
            true => call.secret_binary(Blob::new(rest.into_bytes())),
            false => call.secret_string(rest),
        };
        let answer = self.before(op, "erase", call.send()).await?;
        answer.map_err(|error| of_change("erase", endpoint, "secretsmanager:PutSecretValue", &error))?;
        self.promote(op, name, Some(expected), &token).await?;
        self.drop_label(op, name, &[OUR_PENDING.to_owned()], &token).await;
        Ok(())
    }

    async fn erase_parameter(&self, op: &Operation, name: &str, expected: &str) -> Result<()> {
        let endpoint = self.account.endpoint();
        let Some(present) = self.read_parameter(name).await? else { return Ok(()) };
        if present.version != expected {
            let text = format!("{endpoint}: {name}: another version is current");
            return Err(Error::new(ErrorKind::Conflict, "erase", text));
        }
        let call = self.account.clients().await?.parameters.delete_parameter().name(name).send();
        match self.before(op, "erase", call).await? {
            Ok(_) => Ok(()),
            Err(error) => match of_change("erase", endpoint, "ssm:DeleteParameter", &error) {
                error if error.kind() == ErrorKind::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }
}
