use std::sync::Arc;

use claviger_backend::Backend;
use claviger_backend_aws::{AwsBackend, AwsConfig};
use serde::Deserialize;

use super::Parts;
use crate::{config::SecretSource, error::Result};

/// `kind = "aws"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The region.
    region: Option<String>,
    /// Only for compatible servers.
    endpoint: Option<String>,
    /// Left out together with the secret: the SDK's own chain.
    access_key_id: Option<SecretSource>,
    /// The other half.
    secret_access_key: Option<SecretSource>,
    /// Token of temporary credentials.
    session_token: Option<SecretSource>,
    /// Profile of the SDK's files.
    profile: Option<String>,
    /// How long IAM may take to tell all its servers of a new or an ended key. Left out: as AWS does.
    propagation_seconds: Option<u32>,
}

impl Settings {
    pub(super) fn build(
        &self,
        name: &str,
        parts: &Parts<'_>,
    ) -> Result<claviger_backend::Result<Arc<dyn Backend>>> {
        let fetch = |source: &Option<SecretSource>, setting: &str| {
            source
                .as_ref()
                .map(|source| source.fetch(parts.loaded, &format!("backends.{name}.{setting}")))
                .transpose()
        };
        let config = AwsConfig {
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            profile: self.profile.clone(),
            access_key_id: fetch(&self.access_key_id, "access_key_id")?,
            secret_access_key: fetch(&self.secret_access_key, "secret_access_key")?,
            session_token: fetch(&self.session_token, "session_token")?,
            propagation_seconds: self.propagation_seconds,
        };
        let built = AwsBackend::new(name, config, Arc::clone(&parts.clock));
        Ok(built.map(|backend| Arc::new(backend) as Arc<dyn Backend>))
    }
}
