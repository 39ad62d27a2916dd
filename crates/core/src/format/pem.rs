//! PEM, RFC 7468, as leniently as it is met: with attributes before and between, CRLF, and line breaks written as `\n` by whoever put it into
//! an environment variable.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One block.
pub struct Block {
    /// Between `BEGIN` and the dashes: `CERTIFICATE`, `RSA PRIVATE KEY`.
    pub label: String,
    /// True if RFC 1421 headers say that the body is encrypted.
    pub encrypted: bool,
    /// The decoded body.
    pub body: Zeroizing<Vec<u8>>,
}

/// The well-formed blocks of a text, in order. A malformed one is passed over.
pub fn blocks(text: &str) -> Vec<Block> {
    let unescaped;
    let mut rest = if !text.contains('\n') && text.contains("\\n") {
        unescaped = Zeroizing::new(text.replace("\\r", "").replace("\\n", "\n"));
        unescaped.as_str()
    } else {
        text
    };
    let mut found = Vec::new();
    while let Some(start) = rest.find("-----BEGIN ") {
        rest = &rest[start + "-----BEGIN ".len()..];
        let Some((label, body)) = rest.split_once("-----") else { break };
        if label.len() > 64 || label.contains('\n') {
            continue;
        }
        let Some(end) = body.find("-----END ") else { break };
        let (content, tail) = body.split_at(end);
        rest = tail;
        let Some(after) = tail.strip_prefix("-----END ").and_then(|tail| tail.strip_prefix(label)) else {
            continue;
        };
        if !after.starts_with("-----") {
            continue;
        }
        let encrypted = content.contains("ENCRYPTED") || label.starts_with("ENCRYPTED");
        // Headers end at an empty line; without headers there is none.
        let is_header = |line: &&str| line.contains(':');
        let mut in_headers = content.trim_start().lines().next().as_ref().is_some_and(is_header);
        let mut digits = Zeroizing::new(Vec::with_capacity(content.len()));
        for line in content.trim_start().lines() {
            if in_headers {
                in_headers = !line.trim().is_empty();
            } else if !(line.starts_with('=') && label.starts_with("PGP")) {
                digits.extend(line.bytes().filter(|byte| !byte.is_ascii_whitespace()));
            }
        }
        if let Ok(bytes) = LENIENT.decode(digits.as_slice()) {
            found.push(Block { label: label.to_owned(), encrypted, body: Zeroizing::new(bytes) });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "junk\n-----BEGIN A-----\nAAEC\n-----END A-----\n  -----BEGIN B KEY-----\r\nAw==\r\n-----END B KEY-----\n";

    #[test]
    fn blocks_are_found_between_other_text_and_with_written_line_breaks() {
        for text in [TWO.to_owned(), TWO.replace('\r', "").replace('\n', "\\n")] {
            let found = blocks(&text);
            assert_eq!(found.iter().map(|b| b.label.as_str()).collect::<Vec<_>>(), ["A", "B KEY"]);
            assert_eq!(found[0].body.as_slice(), [0, 1, 2]);
            assert_eq!(found[1].body.as_slice(), [3]);
        }
    }

    #[test]
    fn malformed_blocks_are_passed_over() {
        let text = "-----BEGIN A-----\n*\n-----END A-----\n-----BEGIN B-----\nAA==\n-----END C-----\n"
            .to_owned()
            + TWO;
        assert_eq!(blocks(&text).len(), 2);
        assert!(blocks("-----BEGIN A-----").is_empty());
        assert!(blocks("-----BEGIN ").is_empty());
    }

    #[test]
    fn headers_are_skipped_and_tell_encryption() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAEC\n-----END RSA PRIVATE KEY-----";
        let found = blocks(text);
        assert!(found[0].encrypted);
        assert_eq!(found[0].body.as_slice(), [0, 1, 2]);
    }
}
