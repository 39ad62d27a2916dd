//! GitHub's secret scanning partner program: the body is signed with ECDSA (P-256, SHA-256) by the key that a header names. GitHub lists its keys at
//! `https://api.github.com/meta/public_keys/secret_scanning`.
//!
//! Source: <https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program/secret-scanning-partner-program>.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use x509_parser::{
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY},
    pem::parse_x509_pem,
    prelude::FromDer as _,
    x509::SubjectPublicKeyInfo,
};

use super::{Delivery, DeliveryId, Refused, Request};
use crate::leak::{self, Format};

const KEY: &str = "Github-Public-Key-Identifier";
const SIGNATURE: &str = "Github-Public-Key-Signature";

/// One of GitHub's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubKey {
    /// As the header names it.
    pub id: String,
    /// The point, uncompressed.
    point: Vec<u8>,
}

/// GitHub's keys, as its API lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GithubKeys(pub Vec<GithubKey>);

#[derive(Deserialize)]
struct Listed {
    public_keys: Vec<ListedKey>,
}

#[derive(Deserialize)]
struct ListedKey {
    key_identifier: String,
    key: String,
}

impl GithubKeys {
    /// Reads the answer of the API. `None` if it is no list of keys; a key that is not P-256 is left out.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let listed: Listed = serde_json::from_slice(json).ok()?;
        let key =
            |listed: ListedKey| Some(GithubKey { point: point(&listed.key)?, id: listed.key_identifier });
        Some(Self(listed.public_keys.into_iter().filter_map(key).collect()))
    }
}

fn point(pem: &str) -> Option<Vec<u8>> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).ok()?;
    let (rest, info) = SubjectPublicKeyInfo::from_der(&pem.contents).ok()?;
    let curve = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let is_p256 = info.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == OID_EC_P256;
    (rest.is_empty() && is_p256).then(|| info.subject_public_key.data.to_vec())
}

/// Takes a notice. Nothing in it tells its age, so the caller keeps the ids of all that were taken. Repeat: the same id.
///
/// # Errors
/// It is not signed with one of these keys, or cannot be read.
pub fn receive(request: Request<'_>, keys: &GithubKeys) -> Result<Delivery, Refused> {
    let (named, signature) = (request.header(KEY)?, request.header(SIGNATURE)?);
    let key = keys.0.iter().find(|key| key.id == named).ok_or(Refused::UnknownKey)?;
    let signature = STANDARD.decode(signature).map_err(|_| Refused::Forged)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key.point)
        .verify(request.body, &signature)
        .map_err(|_| Refused::Forged)?;
    // Of the body and not of the signature, of which there are many for one body.
    let id = DeliveryId::of("github", request.body);
    Ok(Delivery { id, remember_until: None, leaks: leak::parse(Some(Format::Github), request.body)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of GitHub's documentation.
    const BODY: &[u8] =
        br#"[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]"#;
    const ID: &str = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c";
    const SIGNED: &str =
        "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==";
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\\nAjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\\n-----END PUBLIC KEY-----\\n";

    fn keys() -> GithubKeys {
        let json = format!(
            "{{\"public_keys\":[{{\"key_identifier\":\"{ID}\",\"key\":\"{PEM}\",\"is_current\":true}}]}}"
        );
        GithubKeys::parse(json.as_bytes()).expect("keys")
    }

    fn headers(id: &str, signature: &str) -> Vec<(String, String)> {
        vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            (KEY.to_uppercase(), id.to_owned()),
            (SIGNATURE.to_lowercase(), signature.to_owned()),
        ]
    }

    fn refused(headers: &[(String, String)], body: &[u8]) -> Option<Refused> {
        receive(Request { headers, body }, &keys()).err()
    }

    #[test]
    fn the_documented_example_is_taken() {
        assert_eq!(keys().0.len(), 1);
        let headers = headers(ID, SIGNED);
        let request = Request { headers: &headers, body: BODY };
        let taken = receive(request, &keys()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(taken.leaks.leaks[0].value.expose(), b"some_token");
        assert_eq!(taken.remember_until, None);
        let again = receive(request, &keys()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.id, taken.id);
    }

    #[test]
    fn no_byte_of_the_body_and_no_header_can_be_changed() {
        let good = headers(ID, SIGNED);
        for at in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body[at] ^= 1;
            assert_eq!(refused(&good, &body), Some(Refused::Forged), "byte {at}");
        }
        assert_eq!(refused(&good, &[BODY, b"\n"].concat()), Some(Refused::Forged));
        assert_eq!(refused(&headers("other", SIGNED), BODY), Some(Refused::UnknownKey));
        for signature in ["", "!!", "AAAA", &SIGNED[4..]] {
            assert_eq!(refused(&headers(ID, signature), BODY), Some(Refused::Forged), "{signature}");
        }
        assert_eq!(refused(&good[..2], BODY), Some(Refused::NoSignature));
        assert_eq!(refused(&[good.clone(), good[2..].to_vec()].concat(), BODY), Some(Refused::TwoSignatures));
    }

    #[test]
    fn what_is_no_list_of_keys_is_none() {
        assert!(GithubKeys::parse(b"{}").is_none() && GithubKeys::parse(b"").is_none());
        let odd = br#"{"public_keys":[{"key_identifier":"a","key":"no pem"}]}"#;
        assert_eq!(GithubKeys::parse(odd), Some(GithubKeys::default()));
    }
}
