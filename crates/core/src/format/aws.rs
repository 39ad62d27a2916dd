//! AWS access key ids: public names that tell account and lifetime.

/// What an access key id says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeyId {
    /// Twelve digits. Ids of before 2019 (top bit clear) do not carry it.
    pub account: Option<String>,
    /// True for a key of a user (`AKIA`), false for session credentials (`ASIA`) and bearer tokens.
    pub long_lived: bool,
}

/// True for what a field called "access key id" may hold: compatible servers make ids of all letters and digits, where AWS keeps to
/// base32. Enough beside such a name, and too little anywhere else.
pub fn looks_like_access_key_id(text: &str) -> bool {
    let digits = ["AKIA", "ASIA", "ABIA", "ACCA"].iter().find_map(|prefix| text.strip_prefix(prefix));
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    })
}

/// Parses an id: `AKIA`, `ASIA`, `ABIA` or `ACCA` and 16 digits of base32. Principal ids (`AIDA`, `AROA`) are none.
pub fn parse_access_key_id(text: &str) -> Option<AccessKeyId> {
    let digits = ["AKIA", "ASIA", "ABIA", "ACCA"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    if digits.len() != 16 {
        return None;
    }
    let mut number = 0_u128;
    for byte in digits.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'2'..=b'7' => byte - b'2' + 26,
            _ => return None,
        };
        number = (number << 5) | u128::from(value);
    }
    // Of the 80 bits the first 48 hold, below the marker bit, the account in bits 46 to 7.
    let head = number >> 32;
    let account = (head >> 47 == 1).then(|| format!("{:012}", (head & 0x7fff_ffff_ff80) >> 7));
    Some(AccessKeyId { account, long_lived: text.starts_with("AKIA") })
}

/// True for the shape of a secret access key: 40 characters of base64, with all sorts among them.
pub fn is_secret_access_key(text: &str) -> bool {
    let has = |class: fn(&u8) -> bool| text.as_bytes().iter().any(class);
    text.len() == 40
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+'))
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_comes_from_new_ids_only() {
        let new = parse_access_key_id("ASIAY34FZKBOKMUTVV7A").expect("an id");
        assert_eq!(new.account.as_deref(), Some("609629065308"));
        assert!(!new.long_lived);
        let old = parse_access_key_id("AKIAIOSFODNN7EXAMPLE").expect("an id");
        assert_eq!(old, AccessKeyId { account: None, long_lived: true });
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "AKIA",
            "AIDAY34FZKBOKMUTVV7A",
            "AKIAIOSFODNN7EXAMPL",
            "AKIAIOSFODNN7EXAMPL1",
            "akiaiosfodnn7example",
        ] {
            assert!(parse_access_key_id(text).is_none(), "{text}");
        }
        assert!(is_secret_access_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"));
        assert!(!is_secret_access_key("0123456789abcdef0123456789abcdef01234567"));
    }
}
