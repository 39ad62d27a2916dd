//! Suspending a token: the label by which the cluster takes a legacy token for invalid, and taking it off again.

use claviger_backend::{Effect, Error, ErrorKind, Operation, Result};
use claviger_core::reference::Ref;
use http::Method;
use serde_json::json;

use super::{token_secret, unsupported};
use crate::{
    backend::KubernetesBackend,
    connection::{Ask, MERGE_PATCH, OBJECT_LIMIT},
    failure::Failure,
    inventory::token_secrets::{self, INVALID_SINCE},
    resource::SECRETS,
    store::MANAGER,
    wire,
};

/// The API server writes the day of the last use beside our label: read it again, so often.
const ATTEMPTS: usize = 5;

impl KubernetesBackend {
    pub(super) async fn suspend(
        &self,
        operation: &'static str,
        op: &Operation,
        subject: &Ref,
        invalid: bool,
    ) -> Result<()> {
        let place = token_secret(operation, subject)?;
        let path = SECRETS.object(&place.namespace, &place.name);
        for attempt in 1.. {
            let failed = |failure| self.error(failure, operation, &format!("get {subject}"));
            let ask = Ask::get(path.clone()).within(op.deadline);
            let body = self.connection.ask(ask, OBJECT_LIMIT).await;
            let body = body.map_err(|failure| failed(failure).with_effect(Effect::NotApplied))?;
            let secret: wire::Secret<'_> = wire::read(&body).map_err(failed)?;
            if secret.kind.as_str() != token_secrets::LEGACY {
                return Err(unsupported(operation, subject, "only a ServiceAccount's token is suspended"));
            }
            let meta = &secret.metadata;
            if meta.labels.get(INVALID_SINCE).is_some() == invalid {
                return Ok(());
            }
            // Of today: the label's controller deletes what has been invalid for long.
            let day = invalid.then(|| self.clock.now().format("%Y-%m-%d").to_string());
            let patch = json!({"metadata": {
                "resourceVersion": meta.resource_version.as_str(), "uid": meta.uid.as_str(),
                "labels": {INVALID_SINCE: day},
            }});
            let ask = Ask::with_body(
                Method::PATCH,
                format!("{path}?{MANAGER}"),
                MERGE_PATCH,
                patch.to_string().into_bytes(),
            );
            match self.connection.ask(ask.metadata_only().within(op.deadline), OBJECT_LIMIT).await {
                Ok(_) => return Ok(()),
                Err(Failure::Status { code: 409, .. }) if attempt < ATTEMPTS => {}
                Err(failure) => return Err(self.error(failure, operation, &format!("label {subject}"))),
            }
        }
        Err(Error::new(ErrorKind::Conflict, operation, format!("{subject} changes all the time")))
    }
}
