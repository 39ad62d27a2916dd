use async_trait::async_trait;
use claviger_backend::{Anchored, Anchors, Result};
use claviger_core::certificate;

use crate::SimulatedBackend;

/// ConfigMaps of the simulated cluster.
#[async_trait]
impl Anchors for SimulatedBackend {
    async fn anchored(&self, certificate: &[u8]) -> Result<Anchored> {
        let mut anchored = Anchored::default();
        for (namespace, held) in &self.survey("anchored").await?.cluster.namespaces {
            for (name, map) in &held.config_maps {
                let stands = |text: &str| certificate::stands_in(certificate, text);
                let fields = map.data.iter().filter(|(_, it)| it.secret().expose_text().is_some_and(stands));
                let object = self.at(["k8s", namespace, "ConfigMap", name]);
                anchored.at.extend(fields.map(|(key, _)| object.field(key)));
            }
        }
        Ok(anchored)
    }
}
