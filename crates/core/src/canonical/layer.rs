//! Wrappings around a value that say nothing about it: a byte order mark, a trailing line break, base64.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use zeroize::Zeroizing;

use crate::format::{helm_release, private_key, x509};

/// Base64 within base64 within base64 occurs (a Secret's manifest in a Secret); more does not.
const MOST_BASE64: usize = 4;

/// Fewest bytes of a decoded text: shorter ones look printable by chance.
const LEAST_DECODED: usize = 8;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// One wrapping that was taken off.
pub(super) enum Layer {
    Bom,
    LineBreak(&'static [u8]),
    Base64 { url_safe: bool, width: Option<usize>, line_break: &'static str },
}

/// A value without its wrappings.
pub(super) struct Peeled {
    pub(super) inner: Zeroizing<Vec<u8>>,
    layers: Vec<Layer>,
}

/// Takes the wrappings off.
pub(super) fn peel(bytes: &[u8]) -> Peeled {
    let mut layers = Vec::new();
    let mut inner = Zeroizing::new(bytes.to_vec());
    if inner.starts_with(BOM) {
        layers.push(Layer::Bom);
        inner.drain(..BOM.len());
    }
    for round in 0..=MOST_BASE64 {
        for line_break in [b"\r\n".as_slice(), b"\n"] {
            if inner.ends_with(line_break) {
                layers.push(Layer::LineBreak(line_break));
                let length = inner.len() - line_break.len();
                inner.truncate(length);
                break;
            }
        }
        match base64(&inner).filter(|_| round < MOST_BASE64) {
            Some((layer, decoded)) => {
                layers.push(layer);
                inner = decoded;
            }
            None => break,
        }
    }
    Peeled { inner, layers }
}

impl Peeled {
    /// Puts the same wrappings around another value.
    pub(super) fn wrap(&self, value: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(value.to_vec());
        for layer in self.layers.iter().rev() {
            out = match layer {
                Layer::Bom => Zeroizing::new([BOM, &out].concat()),
                Layer::LineBreak(line_break) => Zeroizing::new([&out, *line_break].concat()),
                Layer::Base64 { url_safe, width, line_break } => {
                    let text =
                        Zeroizing::new(if *url_safe { URL_SAFE.encode(&out) } else { STANDARD.encode(&out) });
                    match width {
                        None => Zeroizing::new(text.as_bytes().to_vec()),
                        Some(width) => {
                            let lines: Vec<&[u8]> = text.as_bytes().chunks(*width).collect();
                            Zeroizing::new(lines.join(line_break.as_bytes()))
                        }
                    }
                }
            };
        }
        out
    }
}

/// Undone only where the result is of a known format or plain text. Every token of the right length is base64 by chance, but of those of twelve
/// characters one in five thousand decodes to printable text, of those of sixteen one in sixty thousand; so what is short and not padded must
/// decode to the characters that passwords are made of (one in fifty thousand, one in two million).
fn base64(bytes: &[u8]) -> Option<(Layer, Zeroizing<Vec<u8>>)> {
    if bytes.len() < 8 {
        return None;
    }
    let mut url_safe = false;
    for byte in bytes {
        match byte {
            b'-' | b'_' => url_safe = true,
            b'+' | b'/' | b'=' | b'\r' | b'\n' => {}
            byte if byte.is_ascii_alphanumeric() => {}
            _ => return None,
        }
    }
    let (width, line_break, digits) = unfold(bytes)?;
    let decoded =
        Zeroizing::new(if url_safe { URL_SAFE.decode(&*digits) } else { STANDARD.decode(&*digits) }.ok()?);
    let known = helm_release::is_gzip(&decoded)
        || private_key::parse_der(&decoded).is_some()
        || private_key::is_encrypted_pkcs8(&decoded)
        || x509::parse_der(&decoded).is_some();
    // A line break at the end is what `echo … | base64` leaves, and nobody hits on by chance.
    let doubtful = digits.len() < 24 && !digits.ends_with(b"=") && !decoded.ends_with(b"\n");
    let text = is_plain_text(&decoded) && (!doubtful || is_usual(&decoded));
    (known || text).then_some((Layer::Base64 { url_safe, width, line_break }, decoded))
}

/// Width of the lines, if there are several, their line break, and all digits.
type Unfolded = (Option<usize>, &'static str, Zeroizing<Vec<u8>>);

/// Lines of one width, the last one shorter or equal, become one.
fn unfold(bytes: &[u8]) -> Option<Unfolded> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return (!bytes.contains(&b'\r')).then(|| (None, "", Zeroizing::new(bytes.to_vec())));
    };
    let line_break = if bytes[..end].ends_with(b"\r") { "\r\n" } else { "\n" };
    let width = end + 1 - line_break.len();
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.split(line_break).peekable();
    let mut digits = Zeroizing::new(Vec::with_capacity(bytes.len()));
    while let Some(line) = lines.next() {
        let is_last = lines.peek().is_none();
        if line.contains(['\r', '\n'])
            || line.is_empty()
            || line.len() > width
            || (line.len() < width && !is_last)
        {
            return None;
        }
        digits.extend_from_slice(line.as_bytes());
    }
    // Short lines are lists of words, not folded base64.
    (width >= 32).then_some((Some(width), line_break, digits))
}

fn is_plain_text(bytes: &[u8]) -> bool {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    bytes.strip_suffix(b"\n").unwrap_or(bytes).len() >= LEAST_DECODED && bytes.iter().all(printable)
}

fn is_usual(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!@#$%&*+=?/:".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(text: &str) -> String {
        String::from_utf8(peel(text.as_bytes()).inner.to_vec()).expect("text")
    }

    #[test]
    fn wrappings_come_off_and_go_on_again() {
        let folded = STANDARD
            .encode("x".repeat(100))
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect::<Vec<_>>()
            .join("\n");
        for (text, expected) in [
            ("hunter2-and-more\n", "hunter2-and-more"),
            ("\u{feff}hunter2", "hunter2"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("aHVudGVyMi1hbmQtbW9yZQ==", "hunter2-and-more"),
            ("aHVudGVyMi1hbmQtbW9yZQo=\n", "hunter2-and-more"),
            ("YUhWdWRHVnlNaTFoYm1RdGJXOXlaUT09", "hunter2-and-more"),
            (&format!("{folded}\n"), &"x".repeat(100)),
        ] {
            let peeled = peel(text.as_bytes());
            assert_eq!(peeled.inner.as_slice(), expected.as_bytes(), "{text:?}");
            assert_eq!(peeled.wrap(&peeled.inner).as_slice(), text.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn tokens_that_only_look_like_base64_stay() {
        for text in [
            "hunter22",
            "k3J9x2Lq8Zp4Vt7W",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "deadbeefdeadbeefdeadbeefdeadbeef",
            "aHVudGVy",
            "passwordpassword",
            "YWJjZGVmZ2hpamts=",
            "Ii0gIiBAIiZAIC5A",
            "67e55044-10b1-426f-9247-bb680e5fe0c8",
            "",
        ] {
            assert_eq!(inner(text), text);
        }
    }

    #[test]
    fn wrappings_are_finite() {
        let mut text = "hunter2-and-more".to_owned();
        for _ in 0..12 {
            text = STANDARD.encode(&text);
        }
        assert!(inner(&text).len() > 16);
    }
}
