//! What must not break a scan, and what must not become a credential.

use anyhow::Result;
use serde_json::json;

use super::super::planted::Planted;
use super::super::values::Values;
use super::{annotated, secret};
use crate::lab::kubernetes::Kubernetes;

/// Plants it.
pub fn plant(server: &Kubernetes, values: &Values, planted: &mut Planted) -> Result<()> {
    let hostile_owner =
        json!({"owner": "<script>alert(document.cookie)</script>", "team": "\u{1b}]0;owned\u{7}=1+1"});
    server.create(&[
        annotated(secret("web", "hostile", "Opaque", &[("value", values.hostile.bytes())]), hostile_owner),
        secret("web", "binary", "Opaque", &[("keystore.jks", values.binary.bytes())]),
        secret("web", "large", "Opaque", &[("bundle", values.large.bytes())]),
        secret("web", "no-data", "Opaque", &[]),
        secret(
            "web",
            "settings",
            "Opaque",
            &[
                ("blank", b""),
                ("enabled", b"true"),
                ("username", b"admin"),
                ("port", b"5432"),
                ("host", b"db.lab.internal"),
                ("newline", b"\n"),
                // Known to everybody, and here and in OpenBao: that makes no copies.
                ("default-password", b"changeme"),
            ],
        ),
        secret(
            "web",
            "malformed",
            "Opaque",
            &[
                ("config.json", b"{\"password\": "),
                ("tls.pem", b"-----BEGIN PRIVATE KEY-----\nthis is not base64!\n-----END PRIVATE KEY-----\n"),
                ("cert.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                ("token.jwt", b"eyJhbGciOiJSUzI1NiJ9.eyJleHAi.AAAA"),
                ("values.yaml", b"db: [\n  password: }"),
                ("url", b"postgres://user:%zz@:99999/"),
                ("id_ed25519", b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA////\n-----END OPENSSH PRIVATE KEY-----\n"),
            ],
        ),
        secret("web", "malformed-pull", "kubernetes.io/dockerconfigjson", &[(".dockerconfigjson", b"{\"auths\": {\"x\": {\"auth\": \"!!!\"}}}")]),
        secret("web", "sh.helm.release.v1.broken.v1", "helm.sh/release.v1", &[("release", b"H4sIAAAAAAAA/broken")]),
        secret("denied", "vault", "Opaque", &[("password", values.unreadable[1].bytes())]),
    ])?;
    planted.credential("hostile", "opaque").value(&values.hostile).copy("prod/web/Secret/hostile#value");
    planted.credential("binary", "opaque").value(&values.binary).copy("prod/web/Secret/binary#keystore.jks");
    planted.credential("large", "opaque").value(&values.large).copy("prod/web/Secret/large#bundle");
    for key in ["blank", "enabled", "username", "port", "host", "newline", "default-password"] {
        planted.decoys.push(format!("prod/web/Secret/settings#{key}"));
    }
    planted.denied.push(("prod", "denied"));
    planted.unreadable.push(values.unreadable[1].duplicate());
    Ok(())
}
