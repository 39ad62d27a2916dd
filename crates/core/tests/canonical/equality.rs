//! One value in many wrappings is one credential.

use claviger_core::{fingerprint::Form, model::CredentialKind as Kind};
use proptest::prelude::*;

use crate::support::{encode, identity, in_configuration, in_store, only, percent, secret};
use claviger_core::canonical::leaves;
use claviger_core::{
    canonical::{Input, bundle_of, splice},
    model::Place,
    observation::{Beside, Bundle},
};

/// A password in each wrapping: field name, value.
fn wrappings(password: &str) -> Vec<(&'static str, String)> {
    let mut all = every_wrapping(password);
    if is_ambiguous(password) {
        let (once, twice) = (encode(password), encode(encode(password)));
        all.retain(|(_, value)| *value != once && *value != twice);
    }
    all
}

/// Short base64 without padding is undone only if it gives usual characters: see `layer`.
fn is_ambiguous(password: &str) -> bool {
    let usual =
        password.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!@#$%&*+=?/:".contains(&byte));
    let encoded = encode(password);
    !usual && encoded.len() < 24 && !encoded.ends_with('=')
}

fn every_wrapping(password: &str) -> Vec<(&'static str, String)> {
    let auth = encode(format!("robot:{password}"));
    let json = serde_json::to_string(password).expect("a string");
    let docker = format!("{{\"auths\":{{\"reg.io\":{{\"username\":\"robot\",\"auth\":\"{auth}\"}}}}}}");
    vec![
        ("password", password.to_owned()),
        ("password", format!("{password}\n")),
        ("password", format!("\u{feff}{password}")),
        ("password", encode(password)),
        ("password", encode(format!("{password}\n"))),
        ("password", encode(encode(password))),
        ("database-url", format!("postgres://app:{}@db.lab:5432/pay?sslmode=disable", percent(password))),
        ("database-url", encode(format!("postgres://app:{}@db.lab:5432/pay\n", percent(password)))),
        (".dockerconfigjson", docker.clone()),
        (".dockerconfigjson", encode(docker)),
        ("payments/db", format!("{{\"username\":\"app\", \"password\" :{json},\"port\":5432}}")),
        ("config", format!("{{\"outer\":[{{\"db_password\":{json}}}]}}")),
        ("config", serde_json::json!({"inner": format!("{{\"password\":{json}}}")}).to_string()),
        ("values.yaml", format!("db:\n  user: app\n  password: {json}\n")),
    ]
}

#[test]
fn a_password_is_the_same_wherever_it_lies() {
    for password in
        ["k3J9x2Lq8Zp4@/%7Vt7W", "pass word with:colons", "S\u{fc}dwind-über-Straße-9", "tr\\ue\"quoted'"]
    {
        let expected = (Form::Text, password.as_bytes().to_vec());
        for (key, value) in wrappings(password) {
            // Base64 of what is not ASCII is not told from base64 of bytes.
            if !password.is_ascii() && value.is_ascii() && !value.contains(['%', '{']) {
                continue;
            }
            let leaf = only(in_store(key, &value));
            assert_eq!(identity(&leaf), expected, "{key}: {value}");
        }
    }
}

#[test]
fn urls_describe_what_they_open() {
    let leaf = only(in_configuration("database-url", "postgres://app:Zx9QbTuv1mNk%40@db.lab:5432/pay"));
    assert_eq!((leaf.kind, leaf.pointer.as_str()), (Kind::Password, ""));
    let expected = Bundle {
        user: Some("app".into()),
        user_at: Some(Beside::Within("user".into())),
        host: Some("db.lab".into()),
        port: Some(5432),
        database: Some("pay".into()),
        engine: Some("postgres".into()),
        ..Bundle::default()
    };
    assert_eq!(leaf.bundle, expected);
}

#[test]
fn neighbours_describe_a_leaf_and_the_store_what_they_leave_open() {
    let outer = Bundle { host: Some("outer".into()), user: Some("nobody".into()), ..Bundle::default() };
    let input = Input { key: "secret", place: Place::SecretStore, kind: None, bundle: &outer };
    let value = secret(
        r#"{"username":"app","password":"Zx9QbTuv1mNk","port":5433,"other":{"password":"Yx9QbTuv1mNk"}}"#,
    );
    let found = leaves(&input, &value);
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].bundle.user.as_deref(), found[0].bundle.host.as_deref(), found[0].bundle.port),
        (Some("app"), Some("outer"), Some(5433))
    );
    assert_eq!(
        (found[1].pointer.as_str(), found[1].bundle.user.as_deref()),
        ("other/password", Some("nobody"))
    );
    let (user, port) = (secret("app"), secret("5432"));
    let fields = [("DB_USER", &user), ("DB_PORT", &port)];
    assert_eq!(bundle_of(fields.into_iter()).port, Some(5432));
}

/// Passwords as people and generators make them: printable, at least eight characters.
fn password() -> impl Strategy<Value = String> {
    "[!-~]{8,40}".prop_filter("not a wrapping of something else", |text| {
        // A password that is itself a URL, JSON or base64 is taken for one, everywhere alike.
        !text.contains("://")
            && !text.starts_with(['{', '[', '<', '$', '%'])
            && !text.contains("{{")
            && !text.ends_with("==")
            && !text.contains(';')
    })
}

fn is_plain(text: &str) -> bool {
    let found = in_store("password", text);
    found.len() == 1 && found[0].pointer.is_empty() && found[0].canonical.expose() == text.as_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_password_is_the_same_wherever_it_lies(text in password()) {
        prop_assume!(is_plain(&text));
        let expected = (Form::Text, text.as_bytes().to_vec());
        for (key, value) in wrappings(&text) {
            let found = in_store(key, &value);
            prop_assert_eq!(found.len(), 1, "{}: {}", key, value);
            prop_assert_eq!(identity(&found[0]), expected.clone(), "{}: {}", key, value);
        }
    }

    #[test]
    fn a_rewritten_wrapping_holds_the_new_password_and_the_rest_as_before(old in password(), new in password()) {
        prop_assume!(is_plain(&old) && is_plain(&new) && old != new && !is_ambiguous(&new));
        for (key, value) in wrappings(&old) {
            let pointer = only(in_store(key, &value)).pointer;
            let written = splice(&secret(&value), &pointer, &secret(&old), &secret(&new));
            let written = written.unwrap_or_else(|error| panic!("{key}: {value}: {error}"));
            let leaf = only(in_store(key, written.expose()));
            prop_assert_eq!((leaf.pointer.as_str(), leaf.canonical.expose()), (pointer.as_str(), new.as_bytes()), "{}: {}", key, value);
            // And back: but for the quoting that a value needs, nothing else moved.
            let back = splice(&written, &pointer, &secret(&new), &secret(&old)).expect("as before");
            if !key.ends_with(".yaml") {
                prop_assert_eq!(normal(back.expose()), normal(value.as_bytes()), "{}: {}", key, value);
            }
        }
    }
}

/// Percent-encoding has several spellings: the test's escapes everything, ours what must be.
fn normal(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    let text = match claviger_core::format::slot::percent_decode(&text) {
        Some(decoded) if text.starts_with("postgres://") => decoded,
        _ if text.starts_with("cG9zdGdyZXM6Ly") => return Vec::new(),
        _ => text,
    };
    text.into_bytes()
}
