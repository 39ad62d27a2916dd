//! Certificates that are made again: of every kind of key, in every container, and read by two libraries (and by the `openssl` program where that is there).

use std::{path::Path, process::Command};

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use claviger_core::{
    certificate::{self, Identity, Signer, Unfit},
    format::x509,
    random::SeededRandom,
    secret::SecretValue,
};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, RsaKeySize, SanType, date_time_ymd,
};

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 5, 1, 12, 0, 0).single().expect("a date")
}

fn secret(text: impl Into<String>) -> SecretValue {
    SecretValue::from_text(text.into())
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2026, 1, 1);
    params.distinguished_name.push(DnType::OrganizationName, "Ünïcode & Söhne");
    params.distinguished_name.push(DnType::CommonName, "web.shop");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn authority(key: &KeyPair) -> (CertificateParams, String) {
    let mut params = params(&[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.not_after = date_time_ymd(2030, 1, 1);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "an authority");
    let pem = params.self_signed(key).expect("an authority").pem();
    (params, pem)
}

fn keys() -> Vec<(&'static str, KeyPair)> {
    let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).expect("a key");
    let of = |algorithm| KeyPair::generate_for(algorithm).expect("a key");
    vec![
        ("RSA", rsa(RsaKeySize::_3072)),
        ("RSA", rsa(RsaKeySize::_2048)),
        ("EC P-256", of(&rcgen::PKCS_ECDSA_P256_SHA256)),
        ("EC P-384", of(&rcgen::PKCS_ECDSA_P384_SHA384)),
        ("Ed25519", of(&rcgen::PKCS_ED25519)),
    ]
}

fn identity(certificate: &str, key: &str) -> Identity {
    Identity::find(&secret(certificate), &secret(key)).expect("a pair")
}

/// What has to be the same, and what must not be.
fn same(before: &x509::Certificate, after: &x509::Certificate) {
    assert_eq!((&before.subject, &before.issuer), (&after.subject, &after.issuer));
    assert_eq!(before.alternative_names, after.alternative_names);
    assert_eq!(before.extended_key_usage, after.extended_key_usage);
    assert_eq!((before.is_ca, &before.key_algorithm), (after.is_ca, &after.key_algorithm));
    assert_eq!(before.key_bits, after.key_bits);
    assert!(before.serial != after.serial && before.spki != after.spki);
    assert_eq!(after.serial.len(), 32);
}

#[test]
fn every_kind_of_key_signs_itself_again() {
    for (name, key) in keys() {
        let certificate = params(&["web.shop", "10.0.0.1"]).self_signed(&key).expect("a certificate").pem();
        let old = identity(&certificate, &key.serialize_pem());
        assert!(certificate::is_signed_by(old.certificate(), old.certificate()), "{name}");
        let new = certificate::reissue(&old, &Signer::Itself, now(), &SeededRandom::new(1)).expect("another");
        let (before, after) = (old.facts().expect("facts"), new.facts().expect("facts"));
        same(&before, &after);
        assert_eq!(after.key_algorithm, name);
        assert_eq!((after.not_before, after.not_after), (Some(now()), Some(now() + TimeDelta::days(365))));
        assert_eq!(certificate::check(old.certificate(), &new, None, now()), Ok(()), "{name}");
        let packed = new.pack();
        let opened = Identity::unpack(&packed).expect("what was packed");
        assert_eq!(opened.certificate(), new.certificate());
        assert_eq!(opened.pack().expose(), packed.expose());
    }
}

#[test]
fn every_kind_of_authority_signs_again() {
    // One of each: making RSA keys takes long.
    let of_each: Vec<_> = keys().into_iter().skip(1).collect();
    for (_, signer) in &of_each {
        let (parent, pem) = authority(signer);
        let ca = identity(&pem, &signer.serialize_pem());
        for (name, key) in of_each.iter().map(|(name, key)| (*name, key)).filter(|(name, _)| *name != "RSA") {
            let issuer = Issuer::from_params(&parent, signer);
            let certificate = params(&["web.shop"]).signed_by(key, &issuer).expect("a certificate").pem();
            let old = identity(&certificate, &key.serialize_pem());
            assert!(certificate::is_signed_by(old.certificate(), ca.certificate()), "{name}");
            assert!(!certificate::is_signed_by(old.certificate(), old.certificate()), "{name}");
            let by = Signer::Authority(&ca);
            let new = certificate::reissue(&old, &by, now(), &SeededRandom::new(2)).expect("another");
            same(&old.facts().expect("facts"), &new.facts().expect("facts"));
            assert_eq!(certificate::check(old.certificate(), &new, Some(ca.certificate()), now()), Ok(()));
            let itself = certificate::check(old.certificate(), &new, None, now());
            assert!(itself.is_err_and(|wrong| wrong.contains("signature")), "{name}");
        }
    }
}

#[test]
fn a_certificate_does_not_outlive_its_authority_and_one_that_ended_signs_nothing() {
    let signer = KeyPair::generate().expect("a key");
    let (parent, pem) = authority(&signer);
    let ca = identity(&pem, &signer.serialize_pem());
    let key = KeyPair::generate().expect("a key");
    let mut long = params(&["web.shop"]);
    long.not_after = date_time_ymd(2035, 1, 1);
    let issuer = Issuer::from_params(&parent, &signer);
    let certificate = long.signed_by(&key, &issuer).expect("a certificate").pem();
    let old = identity(&certificate, &key.serialize_pem());
    let by = Signer::Authority(&ca);
    let new = certificate::reissue(&old, &by, now(), &SeededRandom::new(3)).expect("another");
    let end = Utc.with_ymd_and_hms(2030, 1, 1, 0, 0, 0).single();
    assert_eq!(new.facts().expect("facts").not_after, end);
    let later = now() + TimeDelta::days(3650);
    assert!(matches!(
        certificate::reissue(&old, &by, later, &SeededRandom::new(3)),
        Err(Unfit::AuthorityEnded)
    ));
    let ended = certificate::check(old.certificate(), &new, Some(ca.certificate()), later);
    assert!(ended.is_err_and(|wrong| wrong.contains("not valid now")));
}

#[test]
fn what_has_no_end_has_none_again_and_an_unknown_extension_stays() {
    let key = KeyPair::generate().expect("a key");
    let mut odd = params(&["web.shop"]);
    odd.not_after = date_time_ymd(9999, 12, 31).replace_hour(23).expect("an hour");
    odd.subject_alt_names.push(SanType::URI("spiffe://shop/web".try_into().expect("a URI")));
    let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0x05, 0x00]);
    unknown.set_criticality(true);
    odd.custom_extensions.push(unknown);
    let certificate = odd.self_signed(&key).expect("a certificate").pem();
    let old = identity(&certificate, &key.serialize_pem());
    let new = certificate::reissue(&old, &Signer::Itself, now(), &SeededRandom::new(4)).expect("another");
    assert_eq!(
        new.facts().expect("facts").not_after.map(|end| end.to_rfc3339()).as_deref(),
        Some("9999-12-31T23:59:59+00:00")
    );
    assert_eq!(certificate::check(old.certificate(), &new, None, now()), Ok(()));
    assert!(new.facts().expect("facts").alternative_names.contains(&"uri:spiffe://shop/web".to_owned()));
}

#[test]
fn a_certificate_that_says_something_else_is_found_out() {
    let key = KeyPair::generate().expect("a key");
    let certificate = params(&["web.shop"]).self_signed(&key).expect("a certificate").pem();
    let old = identity(&certificate, &key.serialize_pem());
    let wrong = |change: &dyn Fn(&mut CertificateParams), says: &str| {
        let other = KeyPair::generate().expect("a key");
        let mut made = params(&["web.shop"]);
        made.not_before = date_time_ymd(2026, 1, 1);
        made.not_after = date_time_ymd(2027, 1, 1);
        change(&mut made);
        let made = made.self_signed(&other).expect("a certificate").pem();
        let made = identity(&made, &other.serialize_pem());
        let found = certificate::check(old.certificate(), &made, None, now());
        match says {
            "" => assert_eq!(found, Ok(())),
            says => assert!(found.clone().is_err_and(|found| found.contains(says)), "{says}: {found:?}"),
        }
    };
    wrong(&|_| {}, "");
    wrong(
        &|made| made.subject_alt_names.push(SanType::DnsName("evil.shop".try_into().expect("a name"))),
        "something else",
    );
    wrong(&|made| made.key_usages.push(KeyUsagePurpose::KeyCertSign), "something else");
    wrong(&|made| made.extended_key_usages.clear(), "something else");
    wrong(&|made| made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), "something else");
    wrong(&|made| made.distinguished_name.push(DnType::CommonName, "other"), "another subject");
    wrong(&|made| made.not_after = date_time_ymd(2026, 2, 1), "not valid");
    let same = certificate::check(old.certificate(), &old, None, now());
    assert!(same.is_err_and(|wrong| wrong.contains("the old one's")));
}

/// Only the blocks are replaced: whatever stands around them stays, and so do line breaks and containers.
#[test]
fn fields_keep_their_chain_their_comments_and_their_container() {
    let signer = KeyPair::generate().expect("a key");
    let (parent, pem) = authority(&signer);
    let ca = identity(&pem, &signer.serialize_pem());
    let key = KeyPair::generate().expect("a key");
    let issuer = Issuer::from_params(&parent, &signer);
    let leaf = params(&["web.shop"]).signed_by(&key, &issuer).expect("a certificate").pem();
    let chain = format!("# the server\n{leaf}# its authority\n{pem}\n").replace('\n', "\r\n");
    let bag = format!("Bag Attributes\n{}\ntail", key.serialize_pem());
    let old = identity(&chain, &bag);
    let new =
        certificate::reissue(&old, &Signer::Authority(&ca), now(), &SeededRandom::new(5)).expect("another");
    assert!(old.is_in(&secret(chain.clone())) && !new.is_in(&secret(chain.clone())));
    let written = old.replaced_in(&secret(chain.clone()), &new).expect("it is in it");
    let text = written.expose_text().expect("a text");
    assert!(
        text.starts_with("# the server\r\n-----BEGIN CERTIFICATE-----\r\n")
            && text.contains("# its authority\r\n")
    );
    assert!(text.ends_with(&format!("{}\r\n", pem.replace('\n', "\r\n"))), "the chain was touched");
    assert!(new.is_in(&written) && !old.is_in(&written) && ca.is_in(&written));
    let key_field = old.key_replaced_in(&secret(bag.clone()), &new).expect("it is in it");
    assert!(new.key_is_in(&key_field) && !old.key_is_in(&key_field));
    assert!(
        key_field
            .expose_text()
            .is_some_and(|text| text.starts_with("Bag Attributes\n") && text.ends_with("\ntail"))
    );
    // And back, byte by byte.
    let back = new.replaced_in(&written, &old).expect("it is in it");
    assert_eq!(back.expose_text(), Some(chain.as_str()));
    let back = new.key_replaced_in(&key_field, &old).expect("it is in it");
    assert_eq!(back.expose_text(), Some(bag.as_str()));
    assert!(ca.replaced_in(&secret(leaf), &new).is_none());
}

#[test]
fn what_cannot_be_made_is_refused() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).expect("a key");
    let certificate = params(&["web.shop"]).self_signed(&key).expect("a certificate").pem();
    let old = Identity::find(&secret(certificate.clone()), &secret(key.serialize_pem())).expect("a pair");
    assert!(matches!(old.fits(), Err(Unfit::Algorithm(name)) if name.contains("P-521")));
    let other = KeyPair::generate().expect("a key").serialize_pem();
    assert!(matches!(Identity::find(&secret(certificate.clone()), &secret(other)), Err(Unfit::Form(_))));
    let escaped = certificate.replace('\n', "\\n");
    assert!(matches!(Identity::find(&secret(escaped), &secret(key.serialize_pem())), Err(Unfit::Form(_))));
    assert!(Identity::unpack(&secret("hunter2")).is_none());
}

fn openssl(arguments: &[&str], folder: &Path) -> Option<String> {
    let output = match Command::new("openssl").args(arguments).current_dir(folder).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        other => other.expect("openssl runs"),
    };
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A third reader, where it is installed: chain, names, and the containers of PKCS#1 and SEC1.
#[test]
fn the_openssl_program_agrees() {
    let folder = std::env::temp_dir().join(format!("claviger-certificate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let write =
        |name: &str, value: &SecretValue| std::fs::write(folder.join(name), value.expose()).expect("a file");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    let signer = KeyPair::generate().expect("a key");
    let (parent, pem) = authority(&signer);
    let ca = identity(&pem, &signer.serialize_pem());
    write("ca.pem", &secret(pem));
    for (name, key) in keys() {
        let issuer = Issuer::from_params(&parent, &signer);
        let leaf = params(&["web.shop"]).signed_by(&key, &issuer).expect("a certificate").pem();
        write("old.key", &secret(key.serialize_pem()));
        let convert: &[&str] = match name {
            "RSA" => &["rsa", "-in", "old.key", "-traditional", "-out", "old.traditional"],
            // OpenSSL 3.0 does not read what this was made with, and has no other container for it.
            "Ed25519" => &["version"],
            _ => &["ec", "-in", "old.key", "-out", "old.traditional"],
        };
        if openssl(convert, &folder).is_none() {
            println!("no openssl here: nothing was compared");
            return;
        }
        if name == "Ed25519" {
            write("old.traditional", &secret(key.serialize_pem()));
        }
        let old = identity(&leaf, &read("old.traditional"));
        let new = certificate::reissue(&old, &Signer::Authority(&ca), now(), &SeededRandom::new(6))
            .expect("another");
        let (chain, key) = (secret(leaf.clone()), secret(read("old.traditional")));
        write("new.pem", &old.replaced_in(&chain, &new).expect("it is in it"));
        write("new.key", &old.key_replaced_in(&key, &new).expect("it is in it"));
        let label = |text: &str| text.lines().next().map(str::to_owned);
        assert_eq!(label(&read("new.key")), label(&read("old.traditional")), "{name}: another container");
        let at = now().timestamp().to_string();
        openssl(&["verify", "-x509_strict", "-attime", &at, "-CAfile", "ca.pem", "new.pem"], &folder);
        let of_key = openssl(&["pkey", "-in", "new.key", "-pubout"], &folder);
        let of_certificate = openssl(&["x509", "-in", "new.pem", "-pubkey", "-noout"], &folder);
        assert_eq!(of_key, of_certificate, "{name}");
    }
    std::fs::remove_dir_all(&folder).expect("it can be removed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever it is named and however long it is valid, it says the same again.
    #[test]
    fn names_and_lengths_come_through(
        names in proptest::collection::vec("[a-z]{1,12}\\.[a-z]{2,8}", 1..12),
        common in "\\PC{1,24}",
        days in 1_i64..20_000,
        seed in any::<u64>(),
    ) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut made = params(&names);
        made.distinguished_name.push(DnType::CommonName, common);
        made.not_after = made.not_before + std::time::Duration::from_secs(u64::try_from(days).expect("positive") * 86_400);
        let certificate = made.self_signed(&key).expect("a certificate").pem();
        let old = identity(&certificate, &key.serialize_pem());
        let new = certificate::reissue(&old, &Signer::Itself, now(), &SeededRandom::new(seed)).expect("another");
        let (before, after) = (old.facts().expect("facts"), new.facts().expect("facts"));
        same(&before, &after);
        prop_assert_eq!(after.not_after, Some(now() + TimeDelta::days(days)));
        prop_assert_eq!(certificate::check(old.certificate(), &new, None, now()), Ok(()));
    }

    /// No bytes make it panic.
    #[test]
    fn anything_may_lie_in_the_fields(chain in ".*", key in ".*", middle in "[-A-Z a-z0-9+/=\n]{0,200}") {
        let wrapped = format!("-----BEGIN CERTIFICATE-----\n{middle}\n-----END CERTIFICATE-----\n{chain}");
        let keyed = format!("-----BEGIN PRIVATE KEY-----\n{middle}\n-----END PRIVATE KEY-----\n{key}");
        for (chain, key) in [(&chain, &key), (&wrapped, &keyed)] {
            let _ = Identity::find(&secret(chain.clone()), &secret(key.clone()));
        }
    }
}
