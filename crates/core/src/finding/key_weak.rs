//! A key or signature that can be broken: RSA below 2048 bits, DSA, an elliptic curve below 224 bits, MD5 or SHA-1 in a certificate's signature,
//! an unsigned JWT.
//!
//! Sources: OWASP NHI4:2025; NIST SP 800-53 r5 SC-12; NIST SP 800-131A r2 for the limits.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{nhi, sp800_53},
};
use crate::{
    model::Attributes,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "key-weak",
    severity: Severity::High,
    suggested: "Issue a new pair: Ed25519, ECDSA P-256, or RSA with 3072 bits.",
    frameworks: &[nhi("NHI4:2025"), sp800_53("SC-12")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let of_copies = facts::current(detail).map(|copy| &copy.attributes);
    let (key, value) = std::iter::once(&detail.credential.attributes).chain(of_copies).find_map(weakness)?;
    Some(Draft::of(&detail.credential.at, "Its key or signature can be broken").with(key, value))
}

fn weakness(attributes: &Attributes) -> Option<(&'static str, String)> {
    let algorithm = facts::text(attributes, "key_algorithm").unwrap_or_default().to_ascii_uppercase();
    let bits = facts::number(attributes, "key_bits");
    let too_short = match algorithm.as_str() {
        "DSA" => true,
        "RSA" => bits.is_some_and(|bits| bits < 2048),
        curve if curve.starts_with("EC") => bits.is_some_and(|bits| bits < 224),
        _ => false,
    };
    if too_short {
        let size = bits.map(|bits| format!(" {bits}")).unwrap_or_default();
        return Some(("key", format!("{algorithm}{size}")));
    }
    if let Some(signature) =
        facts::text(attributes, "signature_algorithm").filter(|name| BROKEN_SIGNATURES.contains(name))
    {
        return Some(("signature_algorithm", signature.to_owned()));
    }
    let unsigned = facts::text(attributes, "jwt_algorithm").filter(|name| name.eq_ignore_ascii_case("none"));
    unsigned.map(|name| ("jwt_algorithm", name.to_owned()))
}

/// Object identifiers of RSA, DSA and ECDSA signatures with MD5 and SHA-1 (RFC 3279).
const BROKEN_SIGNATURES: &[&str] =
    &["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10040.4.3", "1.2.840.10045.4.1"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    fn key(algorithm: &str, bits: i64) -> CredentialDetail {
        let at = "prod/web/Secret/tls#tls.key";
        let copy = sample::copy(at).say("key_algorithm", algorithm).say("key_bits", bits);
        sample::credential(at, CredentialKind::PrivateKey).copied(copy)
    }

    #[test]
    fn knows_what_is_too_short() {
        sample::holds(&RULE, key("RSA", 1024));
        sample::holds(&RULE, key("DSA", 3072));
        sample::spares(&RULE, &key("RSA", 2048));
        sample::spares(&RULE, &key("EC P-256", 256));
        sample::spares(&RULE, &key("Ed25519", 256));
    }

    #[test]
    fn an_unknown_size_is_not_short() {
        let at = "prod/web/Secret/tls#tls.key";
        let copy = sample::copy(at).say("key_algorithm", "RSA");
        sample::spares(&RULE, &sample::credential(at, CredentialKind::PrivateKey).copied(copy));
    }

    #[test]
    fn a_signature_may_be_the_weak_part() {
        let signed = |oid: &str| key("RSA", 4096).say("signature_algorithm", oid);
        sample::holds(&RULE, signed("1.2.840.113549.1.1.5"));
        sample::spares(&RULE, &signed("1.2.840.113549.1.1.11"));
        sample::holds(&RULE, key("RSA", 4096).say("jwt_algorithm", "none"));
    }
}
