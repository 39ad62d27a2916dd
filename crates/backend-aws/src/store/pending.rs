//! What another rotation left in Secrets Manager: a version labelled `AWSPENDING` that never became current. The service takes it for a rotation
//! that is still under way and refuses the next one; and if that rotation had changed its target already, the version holds the value
//! that works. (AWS Secrets Manager User Guide, "Troubleshoot rotation": a previous rotation is not complete.)

use claviger_backend::{Operation, PendingValue, Result};

use crate::{
    backend::AwsBackend,
    failure::{Refusal, of_change, refusal_of},
    secret::{CURRENT, PENDING},
};

impl AwsBackend {
    /// The version with the label, unless it is the current one: then its rotation was finished.
    async fn pending_version(&self, name: &str) -> Result<Option<String>> {
        let Some(versions) = self.versions("pending", name).await? else { return Ok(None) };
        let has = |labels: &[String], label: &str| labels.iter().any(|it| it == label);
        let staged = versions.iter().find(|(_, labels)| has(labels, PENDING) && !has(labels, CURRENT));
        Ok(staged.map(|(version, _)| version.clone()))
    }

    pub(super) async fn pending_secret(&self, name: &str, key: Option<&str>) -> Result<Option<PendingValue>> {
        let Some(version) = self.pending_version(name).await? else { return Ok(None) };
        // A version may have been made without a value.
        let whole = self.whole("pending", name, Some(&version)).await?;
        Ok(Some(PendingValue { version, value: whole.and_then(|whole| whole.field(key)) }))
    }

    pub(super) async fn clear_pending_secret(&self, op: &Operation, name: &str, version: &str) -> Result<()> {
        if self.pending_version(name).await?.as_deref() != Some(version) {
            return Ok(());
        }
        let call = self.account.clients().await?.secrets.update_secret_version_stage();
        let call = call.secret_id(name).version_stage(PENDING).remove_from_version_id(version).send();
        let Err(error) = self.before(op, "clear_pending", call).await? else { return Ok(()) };
        // The label moved since we looked.
        if matches!(refusal_of(&error), Some((Refusal::Invalid | Refusal::Missing, _))) {
            return Ok(());
        }
        let action = "secretsmanager:UpdateSecretVersionStage";
        Err(of_change("clear_pending", self.account.endpoint(), action, &error))
    }
}
