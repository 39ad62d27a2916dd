//! Making SSH key pairs, and the line by which a server is told of one. Reading them is [`crate::format::ssh`]'s and [`crate::canonical`]'s matter.
//!
//! The pair is Ed25519 (RFC 8032, RFC 8709) in OpenSSH's own container (`PROTOCOL.key` of OpenSSH), without a passphrase: a machine would have to
//! have that beside it. There is no comment in it: it would say who made it, and not who answers for it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::{
    format::{pem, private_key, ssh},
    random::Random,
    secret::SecretValue,
};

/// The algorithm's name.
const ALGORITHM: &[u8] = b"ssh-ed25519";
/// The container's private part is a multiple of this (the block of cipher `none`).
const BLOCK: usize = 8;
/// Characters of a line in the armour.
const LINE: usize = 70;

/// A new pair: the private key as `ssh-keygen` writes it, with a line break at its end.
pub fn ed25519(random: &dyn Random) -> SecretValue {
    let mut seed = Zeroizing::new([0_u8; 32]);
    random.fill(seed.as_mut());
    let mut check = [0_u8; 4];
    random.fill(&mut check);
    let key = SigningKey::from_bytes(&seed);
    let public_key = key.verifying_key().to_bytes();
    let mut public = Vec::with_capacity(64);
    string(&mut public, ALGORITHM);
    string(&mut public, &public_key);

    // Twice the same number: whoever decrypts it sees that it came out right.
    let mut private = Zeroizing::new(Vec::with_capacity(256));
    private.extend_from_slice(&check);
    private.extend_from_slice(&check);
    string(&mut private, ALGORITHM);
    string(&mut private, &public_key);
    string(&mut private, key.to_keypair_bytes().as_slice());
    string(&mut private, b"");
    let fill = (BLOCK - private.len() % BLOCK) % BLOCK;
    private.extend((1..=fill).filter_map(|number| u8::try_from(number).ok()));

    let mut whole = Zeroizing::new(Vec::with_capacity(512));
    whole.extend_from_slice(b"openssh-key-v1\0");
    for field in [&b"none"[..], b"none", b""] {
        string(&mut whole, field);
    }
    whole.extend_from_slice(&1_u32.to_be_bytes());
    string(&mut whole, &public);
    string(&mut whole, &private);

    let digits = Zeroizing::new(STANDARD.encode(whole.as_slice()));
    let mut text = String::with_capacity(digits.len() + 128);
    text.push_str("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    SecretValue::from_text(text)
}

/// The public half of a private key in any notation: algorithm and key, as in `authorized_keys`, without a comment. `None` where it is no private key,
/// or one that does not show its public half.
pub fn public_line(key: &SecretValue) -> Option<String> {
    let blob = public_blob(key)?;
    // The blob begins with the algorithm's name.
    let length = u32::from_be_bytes(*blob.first_chunk()?);
    let name = blob.get(4..4 + usize::try_from(length).ok()?)?;
    Some(format!("{} {}", std::str::from_utf8(name).ok()?, STANDARD.encode(&blob)))
}

/// `SHA256:…` of its public half, as `ssh-keygen -l` prints it and forges show it.
pub fn fingerprint(key: &SecretValue) -> Option<String> {
    Some(ssh::fingerprint(&public_blob(key)?))
}

fn public_blob(key: &SecretValue) -> Option<Vec<u8>> {
    let blocks = pem::blocks(key.expose_text()?);
    let block = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY"))?;
    if block.label == "OPENSSH PRIVATE KEY" {
        return Some(ssh::parse_container(&block.body)?.public);
    }
    ssh::public_blob(&private_key::parse_der(&block.body)?.spki?)
}

/// A field with its length before it (RFC 4251, section 5).
fn string(into: &mut Vec<u8>, field: &[u8]) {
    into.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_new_key_is_read_again_and_shows_the_half_that_it_was_made_with() {
        let (key, other) = (ed25519(&SeededRandom::new(7)), ed25519(&SeededRandom::new(8)));
        let text = key.expose_text().expect("text");
        assert!(text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n") && text.ends_with("-----\n"));
        assert!(text.lines().all(|line| line.len() <= LINE));
        let blocks = pem::blocks(text);
        let container = ssh::parse_container(&blocks[0].body).expect("a container");
        assert_eq!(
            (container.algorithm.as_str(), container.cipher.as_str(), container.comment.clone()),
            ("ssh-ed25519", "none", None)
        );
        let line = public_line(&key).expect("a public half");
        let parsed = ssh::parse_line(&line).expect("a line");
        assert_eq!(parsed.public, container.public);
        assert_eq!(fingerprint(&key), Some(container.fingerprint()));
        assert_ne!(fingerprint(&key), fingerprint(&other));
    }

    #[test]
    fn what_is_no_private_key_has_no_public_half() {
        for text in
            ["", "hunter2", "ssh-ed25519 AAAA", "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n"]
        {
            assert_eq!(public_line(&SecretValue::from_text(text.to_owned())), None, "{text}");
        }
    }
}
