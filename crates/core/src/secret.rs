//! The one type that holds a secret value.

use zeroize::Zeroizing;

/// Secret bytes, zeroized when dropped.
///
/// It has on purpose no `Debug`, `Display`, `Serialize`, `Clone` or `PartialEq`: whoever wants to print, copy or compare a secret
/// has to call [`SecretValue::expose`] and is found by searching for that word.
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// Takes ownership of the bytes; the caller's buffer is moved, not copied.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Takes ownership of a text.
    pub fn from_text(text: String) -> Self {
        Self::new(text.into_bytes())
    }

    /// A second owner of the same bytes, for the rare step that must both keep and hand out a value.
    pub fn duplicate(&self) -> Self {
        Self(Zeroizing::new(self.0.to_vec()))
    }

    /// The bytes. Only parsers, fingerprints, sealing and backends call this.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as UTF-8, or `None` for a binary value.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for a value of no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
