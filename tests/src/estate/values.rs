//! Random values from a seed: the same seed, the same values.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::planted::Secret;

/// A stream of bytes that a seed determines: SHA-256 of the seed and a counter.
pub struct Stream {
    seed: u64,
    counter: u64,
}

impl Stream {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }

    /// The next bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 32);
        while bytes.len() < length {
            let block =
                Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(self.counter.to_be_bytes());
            bytes.extend_from_slice(&block.finalize());
            self.counter += 1;
        }
        bytes.truncate(length);
        bytes
    }

    /// Random letters and digits.
    pub fn text(&mut self, length: usize) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        // The bias of the modulus does no harm here.
        self.bytes(length)
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
            .collect()
    }

    fn password(&mut self) -> Secret {
        Secret::new(self.text(28))
    }
}

/// The values of the estate that we choose. What servers choose (tokens, access keys) is learned while planting.
pub struct Values {
    /// Role `app`: with characters that URLs and shells escape.
    pub app: Secret,
    /// Its passwords before, oldest first.
    pub app_former: [Secret; 2],
    /// Role `batch_admin`.
    pub batch_admin: Secret,
    /// Role `legacy_md5`.
    pub legacy_md5: Secret,
    /// Role `expired`.
    pub expired: Secret,
    /// Role `replicator`.
    pub replicator: Secret,
    /// A registry's robot account.
    pub registry: Secret,
    /// HTTP basic auth of the metrics endpoint.
    pub metrics: Secret,
    /// A Helm release's database password, and that of the release before.
    pub helm: [Secret; 2],
    /// Literal passwords in a pod template, now and before.
    pub literal: [Secret; 2],
    /// A literal token in a container's arguments.
    pub argument: Secret,
    /// A third party's API token.
    pub api_token: Secret,
    /// A webhook's shared secret.
    pub webhook: Secret,
    /// Behind closed doors in Kubernetes and OpenBao.
    pub unreadable: [Secret; 2],
    /// 256 bytes that are not text.
    pub binary: Secret,
    /// 900 KiB of base64.
    pub large: Secret,
    /// A value with HTML, ANSI and a formula in it.
    pub hostile: Secret,
    /// A value in a store's destroyed version: nobody can read it any more.
    pub rewritten: [Secret; 3],
    /// The seed of an Ed25519 key.
    pub ssh_seed: Vec<u8>,
}

impl Values {
    /// The values of a seed.
    pub fn generate(seed: u64) -> Self {
        let mut stream = Stream::new(seed);
        let stream = &mut stream;
        Self {
            app: Secret::new(format!("{}@{}/{}%7", stream.text(8), stream.text(10), stream.text(8))),
            app_former: [stream.password(), stream.password()],
            batch_admin: stream.password(),
            legacy_md5: stream.password(),
            expired: stream.password(),
            replicator: stream.password(),
            registry: stream.password(),
            metrics: stream.password(),
            helm: [stream.password(), stream.password()],
            literal: [stream.password(), stream.password()],
            argument: Secret::new(format!("xoxb-{}", stream.text(32))),
            api_token: Secret::new(format!("lab_live_{}", stream.text(32))),
            webhook: Secret::new(hex::encode(stream.bytes(32))),
            unreadable: [stream.password(), stream.password()],
            binary: Secret::new(binary(stream)),
            large: Secret::new(STANDARD.encode(stream.bytes(900 * 1024 / 4 * 3))),
            hostile: Secret::new(format!(
                "<script>alert(1)</script>\u{1b}[31m=HYPERLINK(\"x\"){}",
                stream.text(20)
            )),
            rewritten: [stream.password(), stream.password(), stream.password()],
            ssh_seed: stream.bytes(32),
        }
    }
}

/// Bytes that can be no text: the first is never valid in UTF-8.
fn binary(stream: &mut Stream) -> Vec<u8> {
    let mut bytes = vec![0xff, 0x00];
    bytes.extend(stream.bytes(254));
    bytes
}

/// A seed that nobody chose.
///
/// # Errors
/// When there is no randomness.
pub fn random_seed() -> Result<u64> {
    getrandom::u64().context("randomness")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_the_values() {
        let (one, same, other) =
            (Stream::new(7).bytes(100), Stream::new(7).bytes(100), Stream::new(8).bytes(100));
        assert_eq!(one, same);
        assert_ne!(one, other);
    }

    #[test]
    fn values_are_distinct_and_awkward() {
        let values = Values::generate(1);
        assert_ne!(values.app.bytes(), values.app_former[0].bytes());
        assert!(values.app.expose().contains('@') && values.app.expose().contains('/'));
        assert!(std::str::from_utf8(values.binary.bytes()).is_err());
        assert_eq!(values.large.bytes().len(), 900 * 1024);
    }
}
