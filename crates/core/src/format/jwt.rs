//! JSON Web Tokens (RFC 7519), read without checking the signature, and the claims that Kubernetes puts into its tokens.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// Longest token that is looked into, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// What a token says about itself. Nothing here is verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Jwt {
    /// `alg` of the header.
    pub algorithm: Option<String>,
    /// `kid` of the header.
    pub key_id: Option<String>,
    /// `iss`.
    pub issuer: Option<String>,
    /// `sub`.
    pub subject: Option<String>,
    /// `aud`, one or many.
    pub audience: Vec<String>,
    /// `exp`.
    pub expires_at: Option<DateTime<Utc>>,
    /// `iat`, else `nbf`.
    pub issued_at: Option<DateTime<Utc>>,
    /// `jti`: the id that Kubernetes writes into its audit log.
    pub id: Option<String>,
    /// What makes it a Kubernetes token.
    pub kubernetes: Option<Kubernetes>,
}

/// A Kubernetes ServiceAccount token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kubernetes {
    /// From a Secret of type `kubernetes.io/service-account-token`: no expiry.
    Legacy {
        /// Namespace of ServiceAccount and Secret.
        namespace: String,
        /// Name of the Secret.
        secret: String,
        /// Name of the ServiceAccount.
        service_account: String,
        /// Its uid.
        uid: String,
    },
    /// From the TokenRequest API.
    Bound {
        /// Namespace.
        namespace: String,
        /// Name of the ServiceAccount.
        service_account: Option<String>,
        /// Its uid.
        uid: Option<String>,
        /// Name of the pod that it dies with.
        pod: Option<String>,
        /// Name of the node.
        node: Option<String>,
        /// Name of the Secret that it dies with.
        secret: Option<String>,
        /// From when on a refresh is due; its presence means that the validity was extended.
        warn_after: Option<DateTime<Utc>>,
    },
}

/// Parses a compact token. `None` unless the three parts are base64url, header and claims are objects, and the header names an algorithm.
pub fn parse(text: &str) -> Option<Jwt> {
    if text.len() > MOST_BYTES || !text.starts_with("ey") {
        return None;
    }
    let mut parts = text.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || URL_SAFE_NO_PAD.decode(signature).is_err() {
        return None;
    }
    let (header, claims) = (object(header)?, object(claims)?);
    let algorithm = text_of(&header, "alg");
    algorithm.as_ref()?;
    let audience = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    Some(Jwt {
        algorithm,
        key_id: text_of(&header, "kid"),
        issuer: text_of(&claims, "iss"),
        subject: text_of(&claims, "sub"),
        audience,
        expires_at: time_of(&claims, "exp"),
        issued_at: time_of(&claims, "iat").or_else(|| time_of(&claims, "nbf")),
        id: text_of(&claims, "jti"),
        kubernetes: legacy(&claims).or_else(|| bound(&claims)),
    })
}

fn object(part: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice::<Value>(&bytes).ok().filter(Value::is_object)
}

fn text_of(object: &Value, key: &str) -> Option<String> {
    object.get(key)?.as_str().map(str::to_owned)
}

fn time_of(object: &Value, key: &str) -> Option<DateTime<Utc>> {
    // NumericDate may have a fraction (RFC 7519 section 2); the seconds are enough.
    let number = object.get(key)?;
    let fraction = || number.as_f64().filter(|seconds| seconds.abs() < 1e12);
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked; the fraction is meant to go")]
    let seconds = number.as_i64().or_else(|| fraction().map(|seconds| seconds as i64))?;
    DateTime::from_timestamp(seconds, 0)
}

fn legacy(claims: &Value) -> Option<Kubernetes> {
    let claim = |name: &str| text_of(claims, &format!("kubernetes.io/serviceaccount/{name}"));
    if text_of(claims, "iss")? != "kubernetes/serviceaccount" {
        return None;
    }
    Some(Kubernetes::Legacy {
        namespace: claim("namespace")?,
        secret: claim("secret.name")?,
        service_account: claim("service-account.name")?,
        uid: claim("service-account.uid")?,
    })
}

fn bound(claims: &Value) -> Option<Kubernetes> {
    let objects = claims.get("kubernetes.io")?;
    let part = |object: &str, field: &str| objects.get(object).and_then(|object| text_of(object, field));
    Some(Kubernetes::Bound {
        namespace: text_of(objects, "namespace")?,
        service_account: part("serviceaccount", "name"),
        uid: part("serviceaccount", "uid"),
        pod: part("pod", "name"),
        node: part("node", "name"),
        secret: part("secret", "name"),
        warn_after: time_of(objects, "warnafter"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([1_u8; 32]))
    }

    #[test]
    fn legacy_kubernetes_token() {
        let claims = json!({
            "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:payments:web",
            "kubernetes.io/serviceaccount/namespace": "payments", "kubernetes.io/serviceaccount/secret.name": "web-token",
            "kubernetes.io/serviceaccount/service-account.name": "web", "kubernetes.io/serviceaccount/service-account.uid": "u-1",
        });
        let jwt = parse(&token(&json!({"alg": "RS256", "kid": "k"}), &claims)).expect("a token");
        assert_eq!(jwt.expires_at, None);
        assert_eq!(jwt.subject.as_deref(), Some("system:serviceaccount:payments:web"));
        let expected = Kubernetes::Legacy {
            namespace: "payments".into(),
            secret: "web-token".into(),
            service_account: "web".into(),
            uid: "u-1".into(),
        };
        assert_eq!(jwt.kubernetes, Some(expected));
    }

    #[test]
    fn bound_kubernetes_token() {
        let claims = json!({
            "iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:payments:web", "aud": ["a", "b"],
            "exp": 1_800_000_000, "iat": 1_700_000_000.5, "nbf": 1_600_000_000, "jti": "j-1",
            "kubernetes.io": {"namespace": "payments", "pod": {"name": "web-1", "uid": "p"}, "node": {"name": "n1"},
                "serviceaccount": {"name": "web", "uid": "u-1"}, "warnafter": 1_700_003_607},
        });
        let jwt = parse(&token(&json!({"alg": "RS256"}), &claims)).expect("a token");
        assert_eq!(jwt.audience, ["a", "b"]);
        assert_eq!(jwt.id.as_deref(), Some("j-1"));
        assert_eq!(jwt.expires_at, DateTime::from_timestamp(1_800_000_000, 0));
        assert_eq!(jwt.issued_at, DateTime::from_timestamp(1_700_000_000, 0));
        match jwt.kubernetes {
            Some(Kubernetes::Bound { pod, secret, warn_after, uid, .. }) => {
                assert_eq!((pod.as_deref(), secret, uid.as_deref()), (Some("web-1"), None, Some("u-1")));
                assert_eq!(warn_after, DateTime::from_timestamp(1_700_003_607, 0));
            }
            other => panic!("not bound: {other:?}"),
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = token(&json!({"alg": "none"}), &json!({}));
        assert!(parse(&good).is_some());
        assert!(parse(&token(&json!({}), &json!({}))).is_none(), "no algorithm");
        assert!(parse(&token(&json!({"alg": "none"}), &json!([]))).is_none(), "claims are no object");
        assert!(parse(&format!("{good}.x")).is_none(), "four parts");
        assert!(parse(&good[..good.len() - 44]).is_none(), "two parts");
        assert!(parse("eyJ.eyJ.eyJ").is_none());
        assert!(parse("").is_none());
    }
}
