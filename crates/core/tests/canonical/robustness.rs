//! Nothing that anybody puts into a store stops a scan.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use claviger_core::{
    canonical::{Input, SpliceError, leaves, splice},
    format::slot,
    model::{CredentialKind, Place},
    observation::Bundle,
};
use proptest::prelude::*;

use crate::support::{encode, in_store, only, secret};

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "password",
            "token",
            ".dockerconfigjson",
            ".dockercfg",
            "kubeconfig",
            "release",
            "tls.crt",
            "tls.key",
            "ca.crt",
            "ssh-privatekey",
            "config.json",
            "values.yaml",
            ".env",
            "credentials",
            "url",
            "username",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Pieces of formats, so that arbitrary bytes get past the first checks.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\\",
        "\\u00",
        "auths",
        "auth",
        "-----BEGIN ",
        "-----END ",
        "PRIVATE KEY-----",
        "CERTIFICATE-----",
        "OPENSSH PRIVATE KEY-----",
        "\n",
        "\r\n",
        "=",
        "postgres://",
        "@",
        "%zz",
        "é",
        "host=",
        "password=",
        ";",
        "'",
        "eyJhbGciOiJub25lIn0",
        ".",
        "kind: Config\n",
        "users:",
        "clusters:",
        "- name: x\n",
        "kind: Secret\n",
        "apiVersion: v1\n",
        "---\n",
        "[default]\n",
        "aws_secret_access_key",
        "&a ",
        "*a ",
        "ssh-rsa AAAA",
        "H4sI",
        "MII",
        "\u{feff}",
        "b3BlbnNzaC1rZXktdjEA",
        "$",
        "{{",
        "}}",
        "<",
        ">",
        "type\":\"service_account",
        "jdbc:",
        "?",
        "#",
    ]);
    let piece = prop_oneof![4 => pieces.prop_map(|piece| piece.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..16)];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic_and_every_leaf_can_be_addressed(key in key(), bytes in value(), wrapped in any::<bool>()) {
        let bytes = if wrapped { encode(&bytes).into_bytes() } else { bytes };
        let bundle = Bundle::default();
        for place in [Place::SecretStore, Place::Configuration, Place::Literal] {
            for kind in [None, Some(CredentialKind::Password)] {
                let found = leaves(&Input { key: &key, place, kind, bundle: &bundle }, &secret(&bytes));
                let pointers: BTreeSet<_> = found.iter().map(|leaf| leaf.pointer.as_str()).collect();
                prop_assert_eq!(pointers.len(), found.len(), "pointers are unique");
                for leaf in &found {
                    prop_assert!(!leaf.canonical.is_empty());
                    // What is found can be addressed: a refusal is about the format or the new value, never about the leaf.
                    let new = secret("another-value-1");
                    let written = splice(&secret(&bytes), &leaf.pointer, &leaf.canonical, &new);
                    let lost = matches!(written, Err(SpliceError::NoSuchLeaf | SpliceError::OldValueDiffers));
                    prop_assert!(!lost, "{} in {:?} as {key}", leaf.pointer, String::from_utf8_lossy(&bytes));
                }
            }
        }
    }

    #[test]
    fn a_random_token_is_itself(token in "[A-Za-z0-9]{16,64}") {
        prop_assume!(claviger_core::format::aws::parse_access_key_id(&token).is_none());
        let found = in_store("token", &token);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(found[0].canonical.expose(), token.as_bytes());
    }

    #[test]
    fn percent_decoding_undoes_encoding(text in any::<String>()) {
        prop_assert_eq!(slot::percent_decode(&slot::percent_encode(&text)), Some(text));
    }
}

/// Generous: the point is that nothing is quadratic.
const LONG: Duration = Duration::from_secs(20);

#[test]
#[ignore = "it measures time, which a busy machine has none of: part of `tests/run --long`"]
fn a_mebibyte_of_anything_takes_no_time_to_speak_of() {
    let many = |piece: &str| piece.repeat((1 << 20) / piece.len());
    let values = [
        ("plain", "x".repeat(1 << 20)),
        ("base64", encode(vec![0xa5_u8; 700 << 10])),
        ("text in base64", encode("word ".repeat(150 << 10))),
        ("json", format!("[{}]", many("\"Zx9QbTuv1mNk3Lr7\",").trim_end_matches(','))),
        ("wide json", format!("{{{}}}", many("\"password\":\"Zx9QbTuv1mNk3Lr7\",").trim_end_matches(','))),
        ("deep json", "[".repeat(1 << 20)),
        ("open pem", many("-----BEGIN X-----")),
        ("pem", many("-----BEGIN A-----\nAAAA\n-----END A-----\n")),
        ("env", many("A_PASSWORD=Zx9QbTuv1mNk3Lr7\n")),
        ("yaml", many("- a: {b: c}\n")),
        ("documents", many("---\na: b\n")),
        ("manifests", many("---\napiVersion: v1\nkind: Secret\n")),
        ("percent", format!("postgres://a:{}@h/d", many("%41"))),
        ("semicolons", many("a=b;")),
        ("quotes", many("a='b' ")),
        ("braces", many("{{")),
        ("lines", many("\n")),
        ("public keys", many("ssh-rsa AAAA\n")),
    ];
    for (name, value) in values {
        let key = if ["yaml", "documents"].contains(&name) { "values.yaml" } else { "value" };
        let start = Instant::now();
        let found = in_store(key, &value);
        let took = start.elapsed();
        assert!(took < LONG, "{name} took {took:?} for {} leaves", found.len());
    }
}

#[test]
fn large_and_binary_values_are_one_opaque_secret() {
    for value in [encode(vec![0x93_u8; 900 << 10]).into_bytes(), vec![0xff, 0, 1, 2, 3], vec![0; 1 << 20]] {
        let leaf = only(in_store("bundle", &value));
        assert_eq!((leaf.kind, leaf.canonical.expose()), (CredentialKind::Opaque, value.as_slice()));
    }
}
