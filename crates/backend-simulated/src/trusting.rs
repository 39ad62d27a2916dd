use async_trait::async_trait;
use claviger_backend::{Result, TrustedAt, Trusting};
use claviger_core::certificate;

use crate::SimulatedBackend;

/// ConfigMaps of the simulated cluster.
#[async_trait]
impl Trusting for SimulatedBackend {
    async fn trusted_at(&self, certificate: &[u8]) -> Result<TrustedAt> {
        let mut trusted = TrustedAt::default();
        for (namespace, held) in &self.survey("trusted-at").await?.cluster.namespaces {
            for (name, map) in &held.config_maps {
                let stands = |text: &str| certificate::stands_in(certificate, text);
                let fields = map.data.iter().filter(|(_, it)| it.secret().expose_text().is_some_and(stands));
                let object = self.at(["k8s", namespace, "ConfigMap", name]);
                trusted.at.extend(fields.map(|(key, _)| object.field(key)));
            }
        }
        Ok(trusted)
    }
}
