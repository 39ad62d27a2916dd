//! Where an answer's body lies while it is read.

use std::ops::Deref;

use zeroize::Zeroize as _;

/// Bytes that are zeroized before they are given up. Unlike `Zeroizing<Vec<u8>>` it touches only what was written: a page's buffer is
/// reserved at its largest, and memory that was never written to costs nothing.
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Empties it. What lies beyond its length holds nothing: it was wiped, or not written yet.
    pub(crate) fn wipe(&mut self) {
        self.0.as_mut_slice().zeroize();
        self.0.clear();
    }

    /// Makes room in an empty buffer.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.0.reserve(bytes);
    }

    /// Appends. When the bytes must move, their old place is zeroized.
    pub(crate) fn append(&mut self, data: &[u8]) {
        if self.0.capacity() - self.0.len() < data.len() {
            let mut larger = Self::with_capacity((self.0.capacity() * 2).max(self.0.len() + data.len()));
            larger.0.extend_from_slice(&self.0);
            *self = larger;
        }
        self.0.extend_from_slice(data);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_empties() {
        let mut buffer = Buffer::with_capacity(2);
        for part in [&b"ab"[..], b"cde", b"", b"f"] {
            buffer.append(part);
        }
        assert_eq!(&*buffer, b"abcdef");
        buffer.wipe();
        assert!(buffer.is_empty());
        buffer.append(b"x");
        assert_eq!(&*buffer, b"x");
    }
}
