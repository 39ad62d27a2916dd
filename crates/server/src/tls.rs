//! TLS of the service: one certificate, which is renewed without a restart.

use std::{sync::Arc, time::Duration};

use axum_server::tls_rustls::RustlsConfig;
use claviger_core::secret::SecretValue;
use sha2::{Digest as _, Sha256};

use crate::{Stage, Stop};

/// Between two looks at whether there is a new one.
const LOOK: Duration = Duration::from_secs(10);

/// A certificate with its chain, and its key, both in PEM.
pub struct Pair {
    /// The chain, its own certificate first.
    pub certificate: Vec<u8>,
    /// The key.
    pub key: SecretValue,
}

/// Reads them as they are now.
pub type Load = Arc<dyn Fn() -> Result<Pair, String> + Send + Sync>;

/// What the listener shows.
#[derive(Clone)]
pub struct Tls {
    pub(crate) config: RustlsConfig,
    load: Load,
    seen: [u8; 32],
}

impl Tls {
    /// Reads them for the first time.
    ///
    /// # Errors
    /// They cannot be read, or do not belong together.
    pub async fn new(load: Load) -> Result<Self, String> {
        let pair = load()?;
        let seen = mark(&pair);
        let config = RustlsConfig::from_pem(pair.certificate, pair.key.expose().to_vec()).await;
        let config =
            config.map_err(|error| format!("the certificate and its key cannot be used: {error}"))?;
        Ok(Self { config, load, seen })
    }

    /// Shows new ones as soon as they are there. Those that cannot be used are told of, and the former go on.
    pub(crate) async fn keep(mut self, stop: Stop) {
        let mut refused = None;
        while stop.stage() == Stage::Running {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.reached(Stage::Draining) => return,
            }
            let pair = match (self.load)() {
                Ok(pair) => pair,
                Err(why) => {
                    tracing::warn!(why, "the certificate cannot be read: the former one goes on");
                    continue;
                }
            };
            let now = mark(&pair);
            if now == self.seen || refused == Some(now) {
                continue;
            }
            match self.config.reload_from_pem(pair.certificate, pair.key.expose().to_vec()).await {
                Ok(()) => {
                    tracing::info!("the certificate is a new one");
                    (self.seen, refused) = (now, None);
                }
                // Half of a pair may be written already: it is looked at again when it is another one.
                Err(error) => {
                    tracing::warn!(%error, "the new certificate cannot be used: the former one goes on");
                    refused = Some(now);
                }
            }
        }
    }
}

fn mark(pair: &Pair) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(Sha256::digest(&pair.certificate));
    sha.update(Sha256::digest(pair.key.expose()));
    sha.finalize().into()
}
