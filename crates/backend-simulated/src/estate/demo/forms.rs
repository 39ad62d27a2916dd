//! Values in the forms in which vendors give them out, and the documents they are wrapped in.

use base64::{Engine, engine::general_purpose::STANDARD};
use claviger_core::random::Random;

use crate::estate::Planted;

const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(super) fn prefixed(random: &dyn Random, prefix: &str, length: usize) -> Planted {
    Planted::text(format!("{prefix}{}", Planted::random(random, length).expose_text()))
}

/// `AKIA` and 16 characters of base32.
pub(super) fn access_key_id(random: &dyn Random) -> String {
    let mut bytes = [0_u8; 16];
    random.fill(&mut bytes);
    let tail = bytes.iter().map(|byte| char::from(BASE32[usize::from(byte % 32)]));
    format!("AKIA{}", tail.collect::<String>())
}

/// `ghp_`, 30 characters and a CRC-32 of them in six digits of base 62, as GitHub's tokens have since 2021.
pub(super) fn github_token(random: &dyn Random) -> Planted {
    let body = Planted::random(random, 30);
    let mut crc = crc32(body.expose());
    let mut check = [b'0'; 6];
    for digit in check.iter_mut().rev() {
        *digit = BASE62[(crc % 62) as usize];
        crc /= 62;
    }
    Planted::text(format!("ghp_{}{}", body.expose_text(), String::from_utf8_lossy(&check)))
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    };
    !bytes.iter().fold(u32::MAX, step)
}

pub(super) fn url(scheme: &str, user: &str, password: &Planted, place: &str) -> Planted {
    Planted::text(format!("{scheme}://{user}:{}@{place}", password.expose_text()))
}

pub(super) fn docker_config(registry: &str, user: &str, password: &Planted) -> Planted {
    let password = password.expose_text();
    let auth = STANDARD.encode(format!("{user}:{password}"));
    let document = serde_json::json!({ "auths": { registry: { "username": user, "password": password, "auth": auth } } });
    Planted::text(document.to_string())
}

pub(super) fn kubeconfig(server: &str, user: &str, token: &Planted) -> Planted {
    Planted::text(format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {user}\nclusters:\n- name: prod\n  cluster:\n    server: {server}\n\
         contexts:\n- name: {user}\n  context:\n    cluster: prod\n    user: {user}\nusers:\n- name: {user}\n  user:\n    token: {}\n",
        token.expose_text()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
