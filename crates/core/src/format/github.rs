//! Tokens with a built-in checksum: GitHub's classic ones and npm's. A token that fails it is not one.

use flate2::Crc;

/// What a token's text tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// `github` or `npm`.
    pub vendor: &'static str,
    /// `personal-access-token`, `oauth`, `user-to-server`, `installation`, `refresh`, `fine-grained-token`, `access-token`.
    pub form: &'static str,
    /// Whether the checksum was verified; `false` where the form has none that is documented.
    pub checked: bool,
}

const CHECKED: [(&str, &str, &str); 6] = [
    ("ghp_", "github", "personal-access-token"),
    ("gho_", "github", "oauth"),
    ("ghu_", "github", "user-to-server"),
    ("ghs_", "github", "installation"),
    ("ghr_", "github", "refresh"),
    ("npm_", "npm", "access-token"),
];

/// Recognises a token. 36 characters after the prefix end in the base62 CRC-32 of the 30 before; newer installation tokens are longer, carry a
/// JWT, and GitHub asks not to rely on what is in them.
pub fn parse(text: &str) -> Option<Token> {
    if let Some(rest) = text.strip_prefix("github_pat_") {
        let (id, secret) = rest.split_once('_')?;
        let sound = id.len() == 22
            && secret.len() == 59
            && (id.bytes().chain(secret.bytes())).all(|b| b.is_ascii_alphanumeric());
        return sound.then_some(Token { vendor: "github", form: "fine-grained-token", checked: false });
    }
    let (prefix, vendor, form) = CHECKED.into_iter().find(|(prefix, ..)| text.starts_with(prefix))?;
    let rest = &text[prefix.len()..];
    if rest.len() == 36 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let (entropy, checksum) = rest.split_at(30);
        return (checksum_of(entropy) == checksum).then_some(Token { vendor, form, checked: true });
    }
    let long = prefix == "ghs_"
        && (37..=4096).contains(&rest.len())
        && rest.bytes().filter(|byte| *byte == b'.').count() == 2
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    long.then_some(Token { vendor, form, checked: false })
}

/// CRC-32 in base62 (`0-9A-Za-z`), six digits.
fn checksum_of(entropy: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = Crc::new();
    crc.update(entropy.as_bytes());
    let mut number = crc.sum();
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// Completes 30 characters to a token with a valid checksum. For planting test values, which scanners must then take for real.
pub fn with_checksum(prefix: &str, entropy: &str) -> String {
    format!("{prefix}{entropy}{}", checksum_of(entropy))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A published sample (GitHub's secret scanning documentation and many scanners' tests), revoked long ago.
    const SAMPLE: &str = "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";

    #[test]
    fn checksum_decides() {
        assert_eq!(
            parse(SAMPLE),
            Some(Token { vendor: "github", form: "personal-access-token", checked: true })
        );
        assert_eq!(parse(&SAMPLE.replace('z', "y")), None);
        assert_eq!(parse(&SAMPLE.replace("ghp_", "ghx_")), None);
        let npm = with_checksum("npm_", "abcdefghijklmnopqrstuvwxyz0123");
        assert_eq!(parse(&npm).map(|token| token.vendor), Some("npm"));
    }

    #[test]
    fn forms_without_checksum() {
        let fine = format!("github_pat_{}_{}", "1".repeat(22), "a".repeat(59));
        assert_eq!(parse(&fine).map(|token| token.form), Some("fine-grained-token"));
        assert_eq!(parse(&fine[..fine.len() - 1]), None);
        let long = format!("ghs_123_{}.{}.{}", "a".repeat(40), "b".repeat(300), "c".repeat(80));
        assert_eq!(parse(&long), Some(Token { vendor: "github", form: "installation", checked: false }));
    }
}
