use std::collections::BTreeMap;

use super::current;
use crate::{model::CredentialKind, view::CredentialDetail};

/// A name as people mean it: its words in upper case, whatever stands between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(Vec<String>);

/// Words that say of what kind something is, and nothing of which one.
const GENERIC: [&str; 23] = [
    "ACCESS",
    "API",
    "AUTH",
    "AWS",
    "CI",
    "CLIENT",
    "CONFIG",
    "CREDENTIAL",
    "CREDENTIALS",
    "DATA",
    "DEPLOY",
    "ID",
    "KEY",
    "LOGIN",
    "PASSWORD",
    "PRIVATE",
    "SECRET",
    "SECRETS",
    "SSH",
    "TOKEN",
    "URL",
    "USER",
    "VALUE",
];

impl Name {
    /// `None` where it says of what kind the thing is and no more.
    pub(super) fn of(text: &str) -> Option<Self> {
        let words = words(text);
        let says_which = words.iter().any(|word| {
            !GENERIC.contains(&word.as_str())
                && word.len() > 1
                && !word.bytes().all(|byte| byte.is_ascii_digit())
        });
        says_which.then_some(Self(words))
    }
}

/// `dbPassword`, `db-password`, `DB_PASSWD`: DB, PASSWORD.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in text.chars() {
        let starts = letter.is_uppercase() && before.is_lowercase();
        if (starts || !letter.is_alphanumeric()) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_uppercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    for word in &mut words {
        if matches!(word.as_str(), "PASSWD" | "PASS" | "PWD" | "PW") {
            "PASSWORD".clone_into(word);
        }
    }
    words
}

/// The words for what a credential of this kind is.
fn of_kind(kind: CredentialKind) -> &'static [&'static str] {
    match kind {
        CredentialKind::Password => &["PASSWORD"],
        CredentialKind::ServiceAccountToken | CredentialKind::BoundToken | CredentialKind::Token => {
            &["TOKEN"]
        }
        CredentialKind::ApiKey => &["API_KEY", "TOKEN", "KEY"],
        CredentialKind::AccessKey => &["SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "SECRET_KEY"],
        CredentialKind::SecretId => &["SECRET_ID"],
        CredentialKind::SshKey => &["SSH_KEY", "DEPLOY_KEY", "PRIVATE_KEY"],
        CredentialKind::PrivateKey | CredentialKind::Certificate => &["PRIVATE_KEY", "KEY"],
        CredentialKind::Kubeconfig => &["KUBECONFIG"],
        CredentialKind::Registry => &["REGISTRY", "REGISTRY_PASSWORD"],
        CredentialKind::WebhookSecret => &["WEBHOOK_SECRET"],
        CredentialKind::Opaque => &["SECRET"],
    }
}

/// The names that a credential goes by, each with what has it.
pub(super) fn names(detail: &CredentialDetail) -> BTreeMap<Name, String> {
    let mut found = BTreeMap::new();
    let mut add = |text: &str, whence: String| {
        if let Some(name) = Name::of(text) {
            found.entry(name).or_insert(whence);
        }
    };
    for copy in current(detail) {
        let field = copy.field.as_deref().unwrap_or_default();
        let object = copy.path.rsplit('/').next().unwrap_or_default();
        // Within a bundle the leaf is what counts.
        let leaf = field.rsplit('/').next().unwrap_or_default();
        add(leaf, format!("a field that holds it, {}", copy.at));
        if !leaf.is_empty() {
            add(&format!("{object}_{leaf}"), format!("a place that holds it, {}", copy.at));
        }
        for kind in of_kind(detail.credential.kind) {
            add(&format!("{object}_{kind}"), format!("a place that holds it, {}", copy.at));
        }
    }
    for consumer in &detail.consumers {
        if let Some(variable) = consumer.attributes.get("variable").and_then(|variable| variable.as_str()) {
            add(variable, format!("the variable as which {} reads it", consumer.at));
        }
    }
    if let Some(identity) = &detail.credential.identity {
        let who = identity.path().rsplit('/').next().unwrap_or_default();
        for kind in of_kind(detail.credential.kind) {
            add(&format!("{who}_{kind}"), format!("the {} of {identity}", detail.credential.kind));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_their_words() {
        for (one, other) in [
            ("DB_PASSWORD", "dbPassword"),
            ("db-passwd", "DB.PASSWORD"),
            ("COURIER_PASS", "courier_password"),
            ("__X1_y", "x1-Y"),
        ] {
            assert_eq!(Name::of(one), Name::of(other), "{one} {other}");
            assert!(Name::of(one).is_some(), "{one}");
        }
        assert_ne!(Name::of("DB_PASSWORD"), Name::of("DB_TOKEN"));
        assert_ne!(Name::of("DB_PASSWORD"), Name::of("SHOP_DB_PASSWORD"));
    }

    #[test]
    fn a_name_that_tells_only_the_kind_is_none() {
        for text in [
            "PASSWORD",
            "api_token",
            "AWS_SECRET_ACCESS_KEY",
            "SSH_PRIVATE_KEY",
            "",
            "_",
            "KEY_2",
            "x",
            "deploy-key",
        ] {
            assert_eq!(Name::of(text), None, "{text}");
        }
    }
}
