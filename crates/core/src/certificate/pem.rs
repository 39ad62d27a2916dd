//! PEM blocks with their places in a text, so that one can be replaced and the rest stays as it was.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{format::pem, secret::SecretValue};

/// Columns of a body's line (RFC 7468, section 2).
const COLUMNS: usize = 64;

/// The text of a field that has line breaks: what was put on one line is somebody's own format.
pub(super) fn text(value: &SecretValue) -> Option<&str> {
    value.expose_text().filter(|text| text.contains('\n'))
}

/// The well-formed blocks, in order, each with its place.
fn blocks(text: &str) -> impl Iterator<Item = (Range<usize>, pem::Block)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text.get(from..)?.find("-----BEGIN ")?;
            let body = start + "-----BEGIN ".len();
            let label = body + text.get(body..)?.find("-----")?;
            let marker = format!("-----END {}-----", &text[body..label]);
            let Some(end) = text.get(label..)?.find(&marker).map(|end| label + end + marker.len()) else {
                from = body;
                continue;
            };
            from = end;
            if let Some(block) = pem::blocks(&text[start..end]).pop() {
                return Some((start..end, block));
            }
        }
    })
}

/// The certificates, DER.
pub(super) fn certificates(text: &str) -> Vec<(Range<usize>, Vec<u8>)> {
    let is_one = |label: &str| matches!(label, "CERTIFICATE" | "X509 CERTIFICATE");
    blocks(text)
        .filter(|(_, block)| is_one(&block.label))
        .map(|(range, block)| (range, block.body.to_vec()))
        .collect()
}

/// The first private key that is not encrypted.
pub(super) fn private_key(text: &str) -> Option<(Range<usize>, Zeroizing<Vec<u8>>)> {
    let found = blocks(text).find(|(_, block)| block.label.ends_with("PRIVATE KEY") && !block.encrypted);
    found.map(|(range, block)| (range, block.body))
}

/// The label of a text's first block.
pub(super) fn label(text: &str) -> Option<&str> {
    text.strip_prefix("-----BEGIN ")?.split("-----").next()
}

/// What ends the lines of a block.
pub(super) fn line_break(block: &str) -> &'static str {
    if block.contains("\r\n") { "\r\n" } else { "\n" }
}

/// One block, without a line break behind it.
pub(super) fn encode(label: &str, body: &[u8], line_break: &str) -> Zeroizing<String> {
    let digits = Zeroizing::new(STANDARD.encode(body));
    let mut text =
        Zeroizing::new(String::with_capacity(digits.len() + digits.len() / 32 + 2 * label.len() + 64));
    text.push_str(&format!("-----BEGIN {label}-----{line_break}"));
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(COLUMNS));
        text.push_str(line);
        text.push_str(line_break);
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----"));
    text
}
