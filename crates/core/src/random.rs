//! Randomness as a parameter: secrets come from the operating system, tests bring a seed.

use std::sync::Mutex;

use sha2::{Digest, Sha256};

/// Source of random bytes.
pub trait Random: Send + Sync {
    /// Fills the whole of `buffer`.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's generator. The only one that secrets may come from.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    #[expect(clippy::disallowed_methods, reason = "the one place where the ambient generator is read")]
    fn fill(&self, buffer: &mut [u8]) {
        // A machine without entropy cannot make a credential: going on would be worse than stopping.
        getrandom::fill(buffer).expect("the operating system has a random generator");
    }
}

/// A deterministic generator (SHA-256 in counter mode) for tests and for the simulated estate. Not for secrets.
#[derive(Debug)]
pub struct SeededRandom(Mutex<(u64, u64)>);

impl SeededRandom {
    /// The same seed gives the same bytes.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new((seed, 0)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in buffer.chunks_mut(32) {
            let mut hash = Sha256::new();
            hash.update(state.0.to_be_bytes());
            hash.update(state.1.to_be_bytes());
            state.1 += 1;
            chunk.copy_from_slice(&hash.finalize()[..chunk.len()]);
        }
    }
}
