//! What a field's name says about its value.
//!
//! Names are split into words (`DB_PASSWORD`, `dbPassword`, `spring.datasource.password`, `/payments/api-token`), because a substring
//! search takes `keyboard`, `tokenizer` and `passenger` for secrets.

use crate::model::CredentialKind;

/// What a name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// A secret of this kind.
    Secret(CredentialKind),
    /// Some kind of key, perhaps of a cache or a table: the value must look like a secret too.
    Key,
    /// Something that is not secret, whatever the value.
    Public,
    /// Something that is mostly not secret: only a value that looks random speaks against it.
    MostlyPublic,
    /// Nothing.
    Silent,
}

/// Last words that name what is known to everybody.
const PUBLIC: &str = "user username login usr host hostname server servers port ports region zone email mail namespace \
    dbname engine driver dialect scheme schema sslmode realm issuer audience subject type kind version \
    ttl expiry expires expiration length size count enabled disabled enable timeout interval mode \
    level format algorithm alg policy policies prefix suffix header ref reference owner description \
    comment hint date timestamp usage group groups role roles scope scopes tier locale language \
    timezone debug replicas protocol fingerprint thumbprint arn tenant organization bucket topic queue \
    mount mountpath class label labels status id ids digest lease limit max min required optional \
    strategy provider backend charset collation table column index stage retries domain";

/// Last words that mostly do.
const MOSTLY_PUBLIC: &str = "name names file files filename path paths dir directory folder location env environment state \
    account address addr addresses db database project org url uri urls endpoint endpoints link image \
    config registry repository command args title hash method";

const PASSWORD: &str = "password passwd pwd pass passphrase passcode pw passwords psw";
const TOKEN: &str = "token tokens bearer jwt pat authorization";
const OPAQUE: &str = "secret secrets credential credentials creds cred cookie seed pepper";

/// Words before `key` that make it a secret one.
const SECRET_KEYS: &str = "secret encryption encrypt signing sign signature master session license auth shared account \
    storage service hmac cookie jwt crypto cipher aes data app application django flask rails psk \
    preshared recovery unseal access root admin authentication authorization deploy private ssh host \
    rsa ed25519 ecdsa tls ssl server client";

/// Words before `key` that make it a public one or no cryptographic key at all.
const OTHER_KEYS: &str = "public publishable partition sort primary foreign cache routing object idempotency row hot \
    translation message index site group label";

/// Reads a name.
pub(super) fn says(key: &str) -> Name {
    // A file name's extension says how it is written, not what it is.
    let lower = key.trim().to_ascii_lowercase();
    if is_authority(&lower) {
        return Name::Public;
    }
    let last = lower_path_end(key);
    let words = words(last);
    match of_words(&words) {
        Name::Silent if last.len() < key.len() => of_words(&self::words(key)),
        said => said,
    }
}

/// True for the usual names of a certificate authority's certificate, of known hosts, and of a mounted namespace.
pub(super) fn is_authority(lower: &str) -> bool {
    let stem = lower
        .rsplit('/')
        .next()
        .unwrap_or(lower)
        .trim_end_matches(".crt")
        .trim_end_matches(".pem")
        .trim_end_matches(".cer");
    let words = words(stem);
    let is = |word: &str| words.iter().any(|other| other == word);
    matches!(lower, "known_hosts" | "ssh-knownhosts" | "knownhosts" | "namespace" | "authorized_keys")
        || matches!(stem, "ca" | "cacert" | "cacerts" | "truststore" | "ca-bundle")
        // `ca.key` is the authority's secret; everything else of a CA is public.
        || ((is("ca") || is("root") || is("intermediate") || is("trust"))
            && (is("cert") || is("certs") || is("certificate") || is("certificates") || is("bundle") || is("chain") || lower.ends_with(".crt"))
            && !is("key"))
}

/// True for names of certificates.
pub(super) fn is_certificate(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    lower.ends_with(".crt")
        || lower.ends_with(".cer")
        || words(key)
            .iter()
            .any(|word| matches!(word.as_str(), "cert" | "certificate" | "crt" | "certificates"))
}

/// True for names that promise an SSH key.
pub(super) fn is_ssh(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    lower.starts_with("id_rsa")
        || lower.starts_with("id_ed25519")
        || lower.starts_with("id_ecdsa")
        || words(key).iter().any(|word| word == "ssh" || word == "sshkey")
}

fn lower_path_end(key: &str) -> &str {
    key.trim_end_matches('/').rsplit(['/', '#']).next().unwrap_or(key)
}

fn of_words(words: &[String]) -> Name {
    use CredentialKind as Kind;
    // What stands behind the name of the thing: `password_2`, `password-old`, `token_base64`.
    let qualifier = |word: &str| {
        word.bytes().all(|byte| byte.is_ascii_digit())
            || matches!(
                word,
                "old"
                    | "new"
                    | "previous"
                    | "prev"
                    | "current"
                    | "next"
                    | "base64"
                    | "b64"
                    | "plain"
                    | "value"
                    | "text"
                    | "prod"
                    | "dev"
                    | "staging"
                    | "test"
                    | "default"
                    | "txt"
                    | "data"
                    | "pem"
                    | "json"
                    | "yaml"
            )
    };
    let end = words.iter().rposition(|word| !qualifier(word)).map_or(0, |at| at + 1);
    let Some((last, before)) = words[..end].split_last() else { return Name::Silent };
    let previous = before.last().map_or("", String::as_str);
    let has = |word: &str| before.iter().any(|other| other == word);
    let in_list = |list: &str, word: &str| list.split_ascii_whitespace().any(|other| other == word);

    if last == "id" && previous == "secret" {
        return Name::Secret(Kind::SecretId);
    }
    if has("webhook") || has("hook") || last == "webhook" {
        match last.as_str() {
            "secret" | "token" | "key" | "webhook" | "signature" => return Name::Secret(Kind::WebhookSecret),
            "url" | "uri" => return Name::Secret(Kind::WebhookSecret),
            _ => {}
        }
    }
    // `public_key`, `keys_public`: but not the user's `client_secret_public_…`.
    if has("public") || last == "pub" || has("publishable") {
        return Name::Public;
    }
    if in_list(PUBLIC, last) {
        return Name::Public;
    }
    if in_list(MOSTLY_PUBLIC, last) {
        // `token_url` and `password_file` say where it is, not what.
        return Name::MostlyPublic;
    }
    if in_list(PASSWORD, last) {
        return Name::Secret(Kind::Password);
    }
    if in_list(TOKEN, last) {
        return Name::Secret(if previous == "api" { Kind::ApiKey } else { Kind::Token });
    }
    if last == "secret" && in_list("client app consumer oauth api", previous) {
        return Name::Secret(Kind::ApiKey);
    }
    if in_list(OPAQUE, last) {
        return Name::Secret(Kind::Opaque);
    }
    if matches!(last.as_str(), "key" | "keys" | "privatekey") {
        return match previous {
            "api" => Name::Secret(Kind::ApiKey),
            "access" if has("secret") => Name::Secret(Kind::AccessKey),
            "secret" if has("aws") || has("access") => Name::Secret(Kind::AccessKey),
            "private" if has("ssh") => Name::Secret(Kind::SshKey),
            "private" | "tls" | "ssl" | "rsa" | "ed25519" | "ecdsa" => Name::Secret(Kind::PrivateKey),
            "ssh" | "deploy" => Name::Secret(Kind::SshKey),
            other if in_list(OTHER_KEYS, other) => Name::MostlyPublic,
            other if in_list(SECRET_KEYS, other) => Name::Secret(Kind::Opaque),
            _ => Name::Key,
        };
    }
    if last == "privatekey" {
        return Name::Secret(Kind::PrivateKey);
    }
    // Further left: `password_for_replication`, `tokenGithub`.
    for word in before.iter().rev() {
        if in_list(PASSWORD, word) {
            return Name::Secret(Kind::Password);
        }
        if in_list(TOKEN, word) {
            return Name::Secret(Kind::Token);
        }
        if in_list("secret secrets credential credentials", word) {
            return Name::Secret(Kind::Opaque);
        }
    }
    Name::Silent
}

/// Lower-case words of a name; compounds without a separator are taken apart where they are known.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = name.chars().take(512).collect();
    for (at, &c) in chars.iter().enumerate() {
        let next_is_lower = chars.get(at + 1).is_some_and(char::is_ascii_lowercase);
        let before = at.checked_sub(1).map(|at| chars[at]);
        let starts = c.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && next_is_lower)
            });
        if starts || !c.is_alphanumeric() {
            push(&mut words, &mut word);
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
    }
    push(&mut words, &mut word);
    words
}

fn push(words: &mut Vec<String>, word: &mut String) {
    /// Known ends of compounds, longest first.
    const ENDS: &[&str] = &[
        "password",
        "passphrase",
        "privatekey",
        "passwd",
        "secretkey",
        "accesskey",
        "apikey",
        "secret",
        "token",
        "username",
        "database",
        "pass",
        "host",
        "port",
        "user",
        "key",
    ];
    if word.is_empty() {
        return;
    }
    let whole = std::mem::take(word);
    let digits = whole.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (stem, number) = if digits == 0 { (whole.as_str(), "") } else { whole.split_at(digits) };
    match stem {
        "privatekey" | "apikey" | "accesskey" | "secretkey" => {
            let (first, _) = stem.split_at(stem.len() - 3);
            words.extend([first.to_owned(), "key".to_owned()]);
        }
        _ => {
            let known = |end: &&&str| {
                let start = stem.strip_suffix(**end);
                // Short ends only behind the prefixes that programs use, or `compass` were a password.
                start.is_some_and(|start| {
                    if end.len() > 5 {
                        start.len() > 1
                    } else {
                        matches!(
                            start,
                            "pg" | "db"
                                | "my"
                                | "redis"
                                | "mysql"
                                | "auth"
                                | "access"
                                | "refresh"
                                | "client"
                                | "secret"
                                | "id"
                                | "ssh"
                                | "bot"
                        )
                    }
                })
            };
            match ENDS.iter().find(known) {
                Some(end) => {
                    words.push(stem[..stem.len() - end.len()].to_owned());
                    if end.len() > 6 && end.ends_with("key") {
                        words.extend([end[..end.len() - 3].to_owned(), "key".to_owned()]);
                    } else {
                        words.push((*end).to_owned());
                    }
                }
                None => words.push(stem.to_owned()),
            }
        }
    }
    if !number.is_empty() {
        words.push(number.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CredentialKind as Kind;

    #[test]
    fn names_are_split_into_words() {
        for (name, expected) in [
            ("DB_PASSWORD", vec!["db", "password"]),
            ("dbPassword2", vec!["db", "password", "2"]),
            ("spring.datasource.URL", vec!["spring", "datasource", "url"]),
            ("AWSSecretAccessKey", vec!["aws", "secret", "access", "key"]),
            ("PGPASSWORD", vec!["pg", "password"]),
            ("pguser", vec!["pg", "user"]),
            ("apikey", vec!["api", "key"]),
            ("authtoken", vec!["auth", "token"]),
            ("ssh-privatekey", vec!["ssh", "private", "key"]),
            ("compass", vec!["compass"]),
            ("monkey", vec!["monkey"]),
            ("", vec![]),
        ] {
            assert_eq!(words(name), expected, "{name}");
        }
    }

    #[test]
    fn names_say_what_they_mean() {
        for (name, expected) in [
            ("password", Name::Secret(Kind::Password)),
            ("POSTGRES_PASSWORD", Name::Secret(Kind::Password)),
            ("password_2", Name::Secret(Kind::Password)),
            ("db-password-old", Name::Secret(Kind::Password)),
            ("default-password", Name::Secret(Kind::Password)),
            ("token", Name::Secret(Kind::Token)),
            ("CHAT_API_TOKEN", Name::Secret(Kind::ApiKey)),
            ("/payments/api-token", Name::Secret(Kind::ApiKey)),
            ("x-api-key", Name::Secret(Kind::ApiKey)),
            ("clientSecret", Name::Secret(Kind::ApiKey)),
            ("secret_id", Name::Secret(Kind::SecretId)),
            ("AWS_SECRET_ACCESS_KEY", Name::Secret(Kind::AccessKey)),
            ("secret_access_key", Name::Secret(Kind::AccessKey)),
            ("webhook-secret", Name::Secret(Kind::WebhookSecret)),
            ("web/webhook", Name::Secret(Kind::WebhookSecret)),
            ("session_secret", Name::Secret(Kind::Opaque)),
            ("secret", Name::Secret(Kind::Opaque)),
            ("tls.key", Name::Secret(Kind::PrivateKey)),
            ("ssh-privatekey", Name::Secret(Kind::SshKey)),
            ("encryption_key", Name::Secret(Kind::Opaque)),
            ("key", Name::Key),
            ("username", Name::Public),
            ("AWS_ACCESS_KEY_ID", Name::Public),
            ("role_id", Name::Public),
            ("public_key", Name::Public),
            ("token_ttl", Name::Public),
            ("ca.crt", Name::Public),
            ("root-ca.pem", Name::Silent),
            ("ca-cert", Name::Public),
            ("namespace", Name::Public),
            ("password_file", Name::MostlyPublic),
            ("token_url", Name::MostlyPublic),
            ("partition_key", Name::MostlyPublic),
            ("tls.crt", Name::Silent),
            ("log-level", Name::Public),
            ("keyboard", Name::Silent),
            ("tokenizer", Name::Silent),
            ("", Name::Silent),
        ] {
            assert_eq!(says(name), expected, "{name}");
        }
    }
}
