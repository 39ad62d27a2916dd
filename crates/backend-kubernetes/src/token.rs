//! ServiceAccount tokens, read without asking anybody. Nothing here checks a signature.
//!
//! Claims of a legacy token: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>, `legacy.go` of the
//! API server's token generator.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use zeroize::Zeroizing;

/// Issuer of the tokens that live in Secrets.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// What a token says about itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) exp: Option<i64>,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    secret: String,
}

impl Claims {
    /// Namespace and name of the Secret that a legacy token was made for.
    pub(crate) fn legacy_secret(&self) -> Option<(&str, &str)> {
        (self.iss == LEGACY_ISSUER && !self.namespace.is_empty() && !self.secret.is_empty())
            .then_some((self.namespace.as_str(), self.secret.as_str()))
    }
}

/// The claims of a JWT; `None` for anything else.
pub(crate) fn claims(token: &[u8]) -> Option<Claims> {
    let text = std::str::from_utf8(token).ok()?.trim_ascii();
    let mut parts = text.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode("{}"), URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_legacy_token_names_its_secret() {
        let token = jwt(
            r#"{"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"ci","kubernetes.io/serviceaccount/secret.name":"tok"}"#,
        );
        let claims = claims(format!("{token}\n").as_bytes()).expect("a token");
        assert_eq!(claims.legacy_secret(), Some(("ci", "tok")));
        assert_eq!(claims.exp, None);
    }

    #[test]
    fn a_bound_token_names_none() {
        let claims = claims(jwt(r#"{"iss":"https://k","exp":1700000000}"#).as_bytes()).expect("a token");
        assert_eq!(claims.legacy_secret(), None);
        assert_eq!(claims.exp, Some(1_700_000_000));
    }

    #[test]
    fn anything_else_is_not_a_token() {
        for text in
            ["", "a.b", "a.b.c", "a.!!.c", &jwt("[1]"), &jwt(r#"{"exp":"soon"}"#), &jwt("\u{0}"), "....."]
        {
            assert!(claims(text.as_bytes()).is_none(), "{text}");
        }
        assert!(claims(b"\xff.\xff.\xff").is_none());
    }
}
