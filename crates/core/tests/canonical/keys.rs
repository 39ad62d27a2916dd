//! Keys and certificates: one pair is one credential, whichever tool wrote it down.

use claviger_core::{
    canonical::Strength,
    fingerprint::Form,
    format::{der, pem, private_key, ssh, x509},
    model::{CredentialKind as Kind, HandleScheme},
};
use serde_json::json;

use crate::support::{attribute, encode, identity, in_configuration, in_store, only};

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!("data/", $name))
    };
}

const RSA: &str = "050edbfb189a61efa23dc15336db61df7b3c54fd6300a36f48184e9c17af0b91";
const EC: &str = "5380bd4e04b4d7293a86bbc4c9dc26367e1e955722cf24d19c598977b3dbea63";
const ED25519: &str = "8e21bea65683fd3dc0bc861da6cadcafa7cd877a6ba34b8feafeb175b2c01f2d";
const SSH_RSA: &str = "b4ceebaa0eaf6acb2a337a9420be363b7b5a58595d08842ffc9c300d76475ff6";

#[test]
fn private_keys_give_their_public_half() {
    for (text, container, algorithm, bits, expected) in [
        (data!("rsa.pkcs1.pem"), "pkcs1", "RSA", 2048, RSA),
        (data!("rsa.pkcs8.pem"), "pkcs8", "RSA", 2048, RSA),
        (data!("ec.sec1.pem"), "sec1", "EC P-256", 256, EC),
        (data!("ec.pkcs8.pem"), "pkcs8", "EC P-256", 256, EC),
        (data!("ed25519.pkcs8.pem"), "pkcs8", "Ed25519", 256, ED25519),
    ] {
        let blocks = pem::blocks(text);
        let block = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")).expect("a key");
        let key = private_key::parse_der(&block.body).expect("parses");
        assert_eq!((key.container, key.algorithm, key.bits), (container, algorithm, Some(bits)));
        assert_eq!(der::spki_sha256(&key.spki.expect("a public half")), expected);
        for cut in [1, block.body.len() / 2, block.body.len() - 1] {
            assert!(private_key::parse_der(&block.body[..cut]).is_none(), "{container} cut to {cut}");
        }
    }
}

#[test]
fn ssh_keys_are_read_as_their_own_tool_reads_them() {
    for (text, line, fingerprint, cipher, comment) in [
        (
            data!("ssh_ed25519.key"),
            data!("ssh_ed25519.pub"),
            "SHA256:vuEO6QOv4gNvcTYzJtKXASVTvtbK0e0RKiDsli49LPg",
            "none",
            Some("alice@example"),
        ),
        (
            data!("ssh_rsa.key"),
            data!("ssh_rsa.pub"),
            "SHA256:0lQEbjZsU0nVrKDx3xUuT/LM7qIlHHaKfBxVW2JU/lk",
            "none",
            Some("alice@example"),
        ),
        (
            data!("ssh_ecdsa.key"),
            data!("ssh_ecdsa.pub"),
            "SHA256:xudSvx+dh9z5+9wcQ+6vT0+A3sb30mmaZJ65K4KUYG4",
            "none",
            Some("alice@example"),
        ),
        (
            data!("ssh_locked.key"),
            data!("ssh_locked.pub"),
            "SHA256:iBSIekMzO4zfa5FYC6dlResh/sfdmvQ4nioCExbJbtM",
            "aes256-ctr",
            None,
        ),
    ] {
        let key = ssh::parse_container(&pem::blocks(text)[0].body).expect("parses");
        assert_eq!(
            (key.fingerprint().as_str(), key.cipher.as_str(), key.comment.as_deref()),
            (fingerprint, cipher, comment)
        );
        let public = ssh::parse_line(line).expect("a line");
        assert_eq!(public.public, key.public);
        assert!(public.comment.is_some_and(|comment| comment.ends_with("@example")));
        // To X.509's form and back.
        let spki = ssh::spki(&key.public).expect("a known algorithm");
        assert_eq!(ssh::public_blob(&spki).as_deref(), Some(key.public.as_slice()));
    }
    let rsa = ssh::parse_container(&pem::blocks(data!("ssh_rsa.key"))[0].body).expect("parses");
    assert_eq!(der::spki_sha256(&ssh::spki(&rsa.public).expect("RSA")), SSH_RSA);
    let options = format!("command=\"echo \\\"a b\\\" c\",no-pty {}", data!("ssh_rsa.pub"));
    assert_eq!(ssh::parse_line(&options).expect("a line").algorithm, "ssh-rsa");
    assert!(ssh::parse_line("ssh-rsa AAAA nobody").is_none());
    assert!(ssh::parse_line("a sentence about ssh-rsa").is_none());
}

#[test]
fn certificates_say_what_they_are_for() {
    let block = &pem::blocks(data!("client.crt.pem"))[0];
    let certificate = x509::parse_der(&block.body).expect("parses");
    assert_eq!(certificate.serial, "4fc5e6de01d2510b4ef4e69a1c6e63bec9e4efdd");
    assert_eq!(certificate.common_name.as_deref(), Some("deployer"));
    assert_eq!(certificate.organizations, ["system:masters", "ops"]);
    assert_eq!(certificate.alternative_names, ["dns:shop.example", "ip:10.0.0.1", "uri:spiffe://example/x"]);
    assert_eq!(certificate.extended_key_usage, ["client-auth", "server-auth"]);
    assert_eq!(
        (certificate.key_algorithm.as_str(), certificate.key_bits, certificate.is_ca),
        ("RSA", Some(2048), false)
    );
    assert_eq!(
        certificate.not_before.map(|at| at.to_rfc3339()),
        Some("2026-11-22T06:23:10+00:00".to_owned())
    );
    assert_eq!(certificate.not_after.map(|at| at.to_rfc3339()), Some("2126-10-29T06:23:10+00:00".to_owned()));
    assert_eq!(der::spki_sha256(&certificate.spki), RSA);
    assert!(x509::parse_der(&block.body[..block.body.len() - 1]).is_none());
    assert!(x509::parse_der(&pem::blocks(data!("ca.crt.pem"))[0].body).expect("parses").is_ca);
}

#[test]
fn a_certificate_and_its_key_are_one_credential() {
    let certificate = only(in_store("tls.crt", data!("client.crt.pem")));
    assert_eq!(
        (certificate.kind, certificate.form, certificate.strength),
        (Kind::Certificate, Form::Spki, Strength::Strong)
    );
    assert_eq!(certificate.subject.as_deref(), Some("deployer"));
    assert_eq!(certificate.expires_at.map(|at| at.timestamp()), Some(4_948_928_590));
    assert_eq!(attribute(&certificate, "organizations"), &json!(["system:masters", "ops"]));
    let der_key = &pem::blocks(data!("rsa.pkcs8.pem"))[0].body;
    let both = format!("{}{}", data!("rsa.pkcs8.pem"), data!("client.crt.pem"));
    for (key, bytes, kind) in [
        ("tls.key", data!("rsa.pkcs8.pem").as_bytes().to_vec(), Kind::PrivateKey),
        ("tls.key", data!("rsa.pkcs1.pem").as_bytes().to_vec(), Kind::PrivateKey),
        ("key.der", der_key.to_vec(), Kind::PrivateKey),
        ("key.b64", encode(der_key.as_slice()).into_bytes(), Kind::PrivateKey),
        ("key", encode(data!("rsa.pkcs1.pem")).into_bytes(), Kind::PrivateKey),
        ("KEY", data!("rsa.pkcs1.pem").replace('\n', "\\n").into_bytes(), Kind::PrivateKey),
        ("bundle", both.into_bytes(), Kind::Certificate),
    ] {
        let leaf = only(in_store(key, bytes));
        assert_eq!(identity(&leaf), identity(&certificate), "{key}");
        assert_eq!(leaf.kind, kind, "{key}");
        assert_eq!(
            leaf.handle.map(|handle| (handle.scheme, handle.value)),
            Some((HandleScheme::SpkiSha256, RSA.to_owned()))
        );
    }
}

#[test]
fn public_halves_are_no_credentials() {
    for (key, text) in [
        ("ca.crt", data!("ca.crt.pem")),
        ("ca-bundle.crt", data!("client.crt.pem")),
        ("chain", data!("ca.crt.pem")),
        ("public.pem", data!("rsa.pub.pem")),
        ("id_rsa.pub", data!("ssh_rsa.pub")),
        ("value", data!("ssh_ed25519.pub")),
    ] {
        assert!(in_store(key, text).is_empty(), "{key}");
    }
    // In a ConfigMap a certificate is there to be read by everybody; a private key is not.
    assert!(in_configuration("tls.crt", data!("client.crt.pem")).is_empty());
    assert_eq!(in_configuration("anything", data!("ec.sec1.pem")).len(), 1);
    // An authority's own certificate under the name of a server's is one (self-signed).
    assert_eq!(only(in_store("tls.crt", data!("ca.crt.pem"))).kind, Kind::Certificate);
}

#[test]
fn ssh_keys_are_named_as_their_users_name_them() {
    let leaf = only(in_store("ssh-privatekey", data!("ssh_ed25519.key")));
    assert_eq!(leaf.kind, Kind::SshKey);
    let expected =
        (HandleScheme::SshFingerprint, "SHA256:vuEO6QOv4gNvcTYzJtKXASVTvtbK0e0RKiDsli49LPg".to_owned());
    assert_eq!(leaf.handle.clone().map(|handle| (handle.scheme, handle.value)), Some(expected));
    assert_eq!(attribute(&leaf, "cipher"), "none");
    assert_eq!(leaf.owners[0].owner, "alice@example");
    let locked = only(in_store("id_ed25519", data!("ssh_locked.key")));
    assert_eq!((attribute(&locked, "encrypted"), locked.form), (&json!(true), Form::Spki));
    // The same pair in the older container, under an SSH name.
    let old = only(in_store("id_rsa", data!("rsa.pkcs1.pem")));
    assert_eq!(
        (old.kind, old.handle.map(|handle| handle.scheme)),
        (Kind::SshKey, Some(HandleScheme::SshFingerprint))
    );
}

#[test]
fn what_hides_its_public_half_is_compared_as_a_whole() {
    for text in [data!("ec.encrypted.pem"), data!("rsa.encrypted.pem"), data!("ec.without-public.pem")] {
        let leaf = only(in_store("tls.key", text));
        assert_eq!((leaf.kind, leaf.form), (Kind::PrivateKey, Form::Text));
        let body = &pem::blocks(text)
            .into_iter()
            .find(|block| block.label.ends_with("PRIVATE KEY"))
            .expect("a key")
            .body;
        assert_eq!(leaf.canonical.expose(), body.as_slice());
        assert_eq!(attribute(&leaf, "encrypted"), &json!(!text.contains("BEGIN EC PRIVATE KEY")));
    }
}
