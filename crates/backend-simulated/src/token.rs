//! Legacy ServiceAccount tokens: JSON Web Tokens with the claims of a real one, signed with the estate's key. They are as deterministic as the
//! real ones: neither time nor randomness goes in.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::estate::Planted;

/// The claims that say whose token it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) namespace: String,
    pub(crate) secret: String,
    pub(crate) account: String,
    pub(crate) uid: String,
}

/// The token of a Secret.
pub(crate) fn mint(key: &Planted, namespace: &str, secret: &str, account: &str, uid: &str) -> Planted {
    let header = serde_json::json!({ "alg": "RS256", "kid": "simulated" });
    let claims = serde_json::json!({
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret,
        "kubernetes.io/serviceaccount/service-account.name": account,
        "kubernetes.io/serviceaccount/service-account.uid": uid,
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
    });
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(key, signed.as_bytes()));
    Planted::text(format!("{signed}.{signature}"))
}

/// Whose token is it, if this estate signed it?
pub(crate) fn read(key: &Planted, token: &[u8]) -> Option<Claims> {
    let text = std::str::from_utf8(token).ok()?;
    let (signed, signature) = text.rsplit_once('.')?;
    let expected = URL_SAFE_NO_PAD.encode(sign(key, signed.as_bytes()));
    let genuine: bool = subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), signature.as_bytes()).into();
    if !genuine {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let claim = |name: &str| claims.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    Some(Claims {
        namespace: claim("kubernetes.io/serviceaccount/namespace")?,
        secret: claim("kubernetes.io/serviceaccount/secret.name")?,
        account: claim("kubernetes.io/serviceaccount/service-account.name")?,
        uid: claim("kubernetes.io/serviceaccount/service-account.uid")?,
    })
}

fn encode(value: &serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// 256 bytes, as long as an RSA-2048 signature.
fn sign(key: &Planted, message: &[u8]) -> Vec<u8> {
    (0_u8..8)
        .flat_map(|block| {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes a key of any length");
            mac.update(&[block]);
            mac.update(message);
            mac.finalize().into_bytes()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_names_give_the_same_token_and_a_forged_one_is_not_read() {
        let key = Planted::text("k");
        let token = mint(&key, "ci", "deploy", "deployer", "u1");
        assert!(token.is(mint(&key, "ci", "deploy", "deployer", "u1").expose()));
        assert!(!token.is(mint(&key, "ci", "deploy", "deployer", "u2").expose()));
        let claims = read(&key, token.expose()).unwrap();
        assert_eq!(
            (claims.namespace.as_str(), claims.secret.as_str(), claims.uid.as_str()),
            ("ci", "deploy", "u1")
        );
        assert_eq!(read(&Planted::text("other"), token.expose()), None);
    }
}
