//! What a value's own shape says: values that are no secrets wherever they lie, and values that only stand for one.

use super::strength;

/// True for what a secret is never written as: empty, boolean, a mark for something to be filled in, a reference to another store, a public key,
/// a stored hash of a password.
pub(super) fn is_never_secret(text: &str) -> bool {
    let text = text.trim();
    text.is_empty()
        || is_boolean(text)
        || is_placeholder(text)
        || is_reference(text)
        || is_public_key(text)
        || is_password_hash(text)
}

/// True for what is no secret unless its name says otherwise: numbers, dates, addresses, URLs without a password, paths.
pub(super) fn is_plain_fact(text: &str) -> bool {
    let text = text.trim();
    is_number(text)
        || is_date(text)
        || is_address(text)
        || is_url(text)
        || is_path(text)
        || is_access_key_id(text)
}

/// True for what nobody would take for a secret in a configuration, whatever its name: a word, prose, a default.
pub(super) fn is_ordinary(text: &str) -> bool {
    let text = text.trim();
    is_word(text)
        || is_prose(text)
        || strength::is_known_default(text)
        || text.len() < 4
        || is_plain_fact(text) && !is_long_number(text)
}

/// True for a URL without a password and for a path: where something is, not what it is.
pub(super) fn is_location(text: &str) -> bool {
    is_url(text.trim()) || is_path(text.trim())
}

/// True for what has the marks of a document or script that could not be read as one.
pub(super) fn is_structured(text: &str) -> bool {
    text.contains(['{', '[', '"', '\n', '<'])
}

/// A plain word: letters of one case (or with a capital), up to 16, perhaps in two parts.
pub(super) fn is_word(text: &str) -> bool {
    let parts = text.split(['-', '_', '.', ' ', '/', ',']);
    let plain = |part: &str| {
        let tail = part.get(1..).unwrap_or_default();
        part.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (tail.bytes().all(|byte| byte.is_ascii_lowercase())
                || part.bytes().all(|byte| byte.is_ascii_uppercase()))
    };
    text.len() <= 24
        && parts.clone().all(plain)
        && parts.count() <= 4
        && text.split(['-', '_', '.', ' ', '/', ',']).all(|part| part.len() <= 12)
}

fn is_prose(text: &str) -> bool {
    text.contains('\n') || text.split_whitespace().count() > 3
}

fn is_long_number(text: &str) -> bool {
    text.len() >= 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_boolean(text: &str) -> bool {
    ["true", "false", "yes", "no", "on", "off", "null", "none", "nil", "undefined", "enabled", "disabled"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// Numbers with a unit (`10Mi`, `30s`, `1.5`, `50%`) and versions (`v1.2.3`).
fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['v', '-', '+']);
    let number = digits.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    text.len() <= 24
        && digits.len() - number.len() <= 2
        && number.bytes().any(|byte| byte.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'_' | b'-'))
}

/// RFC 3339 dates and times.
fn is_date(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text).is_ok()
        || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// Host names with a dot, IP addresses and networks, with or without a port, lists of them, and e-mail addresses.
fn is_address(text: &str) -> bool {
    text.len() <= 512 && text.split(',').all(|one| is_one_address(one.trim()))
}

fn is_one_address(text: &str) -> bool {
    let bare = text
        .split_once('/')
        .map_or(text, |(network, bits)| if bits.parse::<u8>().is_ok() { network } else { text });
    if bare.parse::<std::net::IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok() {
        return true;
    }
    let host = |text: &str| {
        let labels: Vec<&str> = text.trim_end_matches('.').split('.').collect();
        let label = |label: &&str| {
            !label.is_empty()
                && label.len() <= 40
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        let top = labels
            .last()
            .is_some_and(|top| top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_lowercase()));
        labels.len() > 1 && labels.iter().all(label) && top
    };
    if let Some((user, domain)) = text.split_once('@') {
        return !user.is_empty()
            && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+_-".contains(&byte))
            && host(domain);
    }
    match text.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => host(name) || is_word(name) || name.is_empty(),
        _ => host(text),
    }
}

/// A URL that carries no password (those that do are connection strings) and no token in its query.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let query = rest.split_once('?').map_or("", |(_, query)| query).to_ascii_lowercase();
    let secret = ["token=", "key=", "secret=", "sig=", "signature=", "password=", "code="]
        .iter()
        .any(|name| query.contains(name));
    !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte))
        && !text.contains(char::is_whitespace)
        && !secret
}

/// File names with folders. Base64 may begin with a slash: parts that look random make it no path.
fn is_path(text: &str) -> bool {
    let rooted =
        ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start)) || text.get(1..3) == Some(":\\");
    let part = |part: &str| {
        let mixed = part.bytes().any(|byte| byte.is_ascii_uppercase())
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_lowercase());
        !mixed && part.len() <= 64
    };
    rooted && text.len() <= 1024 && !text.contains(['\n', '=', '+']) && text.split(['/', '\\']).all(part)
}

fn is_access_key_id(text: &str) -> bool {
    crate::format::aws::parse_access_key_id(text).is_some()
}

/// `${X}`, `$(X)`, `$X`, `{{ x }}`, `<x>`, `%(x)s`, `***`, `xxxx`, `...`.
fn is_placeholder(text: &str) -> bool {
    let wrapped = |open: &str, close: &str| {
        text.len() >= open.len() + close.len() && text.starts_with(open) && text.ends_with(close)
    };
    let variable = text.strip_prefix('$').is_some_and(|name| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    let mut bytes = text.bytes();
    let first = bytes.next();
    let one_character = text.len() >= 3
        && matches!(first, Some(b'*' | b'x' | b'X' | b'.' | b'-' | b'?' | b'_'))
        && bytes.all(|byte| Some(byte) == first);
    let template = text.find("{{").is_some_and(|at| text[at..].contains("}}"));
    variable
        || one_character
        || template
        || wrapped("${", "}")
        || wrapped("$(", ")")
        || wrapped("%(", ")s")
        || (wrapped("<", ">") && text.len() <= 64 && !text[1..text.len() - 1].contains(['<', '>']))
        || wrapped("__", "__")
        || ["redacted", "[redacted]", "(redacted)", "[masked]", "hidden"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
}

/// A pointer into another store, or a value that a tool has sealed.
fn is_reference(text: &str) -> bool {
    const STARTS: &str = "arn:aws: arn:aws- vault:secret/ vault:kv/ ref+ op:// sm:// gcp-sm:// awssm:// secretref: keyvault: \
    projects/ ENC[ $ANSIBLE_VAULT; !vault file:// env:// azurekeyvault:// bao: @Microsoft.KeyVault(";
    STARTS.split_ascii_whitespace().any(|start| text.starts_with(start))
        && !text.contains(char::is_whitespace)
        || text.starts_with("$ANSIBLE_VAULT;")
}

/// PEM blocks that hold nothing private, and SSH public key lines.
fn is_public_key(text: &str) -> bool {
    const PUBLIC: &[&str] = &[
        "PUBLIC KEY",
        "CERTIFICATE REQUEST",
        "X509 CRL",
        "DH PARAMETERS",
        "EC PARAMETERS",
        "RSA PUBLIC KEY",
        "SSH2 PUBLIC KEY",
        "PGP PUBLIC KEY BLOCK",
    ];
    if let Some(first) = text.find("-----BEGIN ") {
        let label = |rest: &str| PUBLIC.iter().any(|label| rest.starts_with(label));
        return first == 0 && text.split("-----BEGIN ").skip(1).all(label);
    }
    let mut lines =
        text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).take(64).peekable();
    lines.peek().is_some() && lines.all(|line| crate::format::ssh::parse_line(line).is_some())
}

/// crypt(3) and `htpasswd` hashes, SCRAM verifiers, PostgreSQL's md5: one can guess at them, not log in with them.
fn is_password_hash(text: &str) -> bool {
    let one = |text: &str| {
        let text =
            text.split_once(':').filter(|(user, _)| !user.contains('$')).map_or(text, |(_, hash)| hash);
        let crypt = [
            "$2a$", "$2b$", "$2y$", "$apr1$", "$1$", "$5$", "$6$", "$y$", "$argon2", "$scrypt$", "$pbkdf2",
            "{SHA}", "{SSHA}", "{SHA256}",
        ];
        crypt.iter().any(|start| text.starts_with(start))
    };
    let is_md5 = text
        .strip_prefix("md5")
        .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    text.starts_with("SCRAM-SHA-256$") || is_md5 || (text.len() <= 64 << 10 && text.lines().all(one))
}

/// True for a text that looks drawn at random: long enough, without spaces, of mixed sorts, and not made of words.
pub(super) fn looks_random(text: &str) -> bool {
    let text = text.trim();
    let sorts = [
        text.bytes().any(|byte| byte.is_ascii_digit()),
        text.bytes().any(|byte| byte.is_ascii_lowercase()),
        text.bytes().any(|byte| byte.is_ascii_uppercase()),
    ];
    // Names are made of words and short marks: `payments-api-v2`.
    let of_words = text.split(['-', '_', '.', '/', ':']).all(|part| part.len() <= 2 || is_word(part));
    text.len() >= 16
        && !of_words
        && !text.contains(char::is_whitespace)
        && sorts.iter().filter(|sort| **sort).count() >= 2
        && sorts[0]
        && !is_plain_fact(text)
        && strength::estimate_bits(text.as_bytes()) >= strength::LEAST_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_shapes_are_never_secret() {
        for text in [
            "",
            " ",
            "true",
            "No",
            "${DB_PASSWORD}",
            "$(X)",
            "$X",
            "{{ .Values.x }}",
            "a-{{x}}",
            "<password>",
            "%(x)s",
            "****",
            "xxxx",
            "__X__",
            "REDACTED",
            "arn:aws:secretsmanager:eu-west-1:1:secret:x",
            "op://vault/item/field",
            "ENC[AES256,x]",
            "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----",
            "$2y$05$abcdefghijklmnopqrstuv",
            "admin:$apr1$x$y",
            "SCRAM-SHA-256$4096:x$y:z",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUfCQVNh8MDmJBHSDNzNwJJDXB/T5BNdLUXUPXI9iXO a@b",
        ] {
            assert!(is_never_secret(text), "{text}");
        }
        for text in [
            "hunter2",
            "pa$$word",
            "$1abc",
            "a${b",
            "<script>x</script>1",
            "x",
            "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----",
            "my-vault:thing",
        ] {
            assert!(!is_never_secret(text), "{text}");
        }
    }

    #[test]
    fn some_shapes_are_facts() {
        for text in [
            "5432",
            "10Mi",
            "1.5",
            "v1.2.3",
            "30s",
            "50%",
            "2024-01-02",
            "2024-01-02T03:04:05Z",
            "db.lab.internal",
            "db.lab:5432",
            "10.0.0.1",
            "10.0.0.0/8",
            "::1",
            "redis:6379",
            "a.b+c@example.com",
            "https://example.com/x?y=1",
            "postgres://app@h/db",
            "/etc/ssl/cert.pem",
            "~/x",
            ":8080",
            "AKIAIOSFODNN7EXAMPLE",
            "kafka-1.lab.io:9092,kafka-2.lab.io:9092",
        ] {
            assert!(is_plain_fact(text), "{text}");
        }
        for text in [
            "hunter2",
            "S3cret.Pass",
            "/K7MDENGbPxRfiCYEX1a/MPLE",
            "https://h/x?token=abc",
            "a@b",
            "12ab34cd",
            "correct:horse",
        ] {
            assert!(!is_plain_fact(text), "{text}");
        }
    }

    #[test]
    fn randomness_is_seen() {
        assert!(looks_random("k3J9x2Lq8Zp4Vt7W"));
        assert!(looks_random("9f86d081884c7d659a2feaa0c55ad015"));
        for text in
            ["production-europe-west", "a sentence with 3 words in it", "short1A", "payments-api-v2-internal"]
        {
            assert!(!looks_random(text), "{text}");
        }
        assert!(
            is_word("debug")
                && is_word("eu-central")
                && is_word("Europe/Berlin")
                && !is_word("s3cr3t")
                && !is_word("aVbNcMdKfL")
        );
    }
}
