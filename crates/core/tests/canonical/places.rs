//! What counts as a credential where.

use claviger_core::{
    canonical::{Input, Strength, Weakness, leaves},
    format::github,
    model::{CredentialKind as Kind, HandleScheme, Place},
    observation::Bundle,
};
use serde_json::json;

use crate::support::{attribute, encode, in_configuration, in_place, in_store, only, secret, shown};

#[test]
fn in_a_store_every_value_counts_that_is_not_known_to_be_none() {
    for (key, value, kind) in [
        ("password", "hunter2-and-9-more-X", Kind::Password),
        ("DB_PASSWORD", "12345678", Kind::Password),
        ("token", "Zx9QbTuv1mNk3Lr7", Kind::Token),
        ("api-key", "Zx9QbTuv1mNk3Lr7", Kind::ApiKey),
        ("secret_id", "67e55044-10b1-426f-9247-bb680e5fe0c8", Kind::SecretId),
        ("webhook-secret", "Zx9QbTuv1mNk3Lr7", Kind::WebhookSecret),
        ("anything", "Zx9QbTuv1mNk3Lr7", Kind::Opaque),
        ("anything", "some words of prose here", Kind::Opaque),
        ("value", "<script>alert(1)</script>\u{1b}[31m=HYPERLINK(\"x\")Zx9Qb", Kind::Opaque),
        ("default-password", "changeme", Kind::Password),
    ] {
        assert_eq!(shown(&in_store(key, value)), [("", kind, value)], "{key}");
    }
    for (key, value) in [
        ("username", "app"),
        ("user", "Zx9QbTuv1mNk3Lr7Zx9Q"),
        ("host", "db"),
        ("endpoint", "db.lab.internal"),
        ("port", "5432"),
        ("enabled", "true"),
        ("blank", ""),
        ("newline", "\n"),
        ("anything", "5432"),
        ("anything", "db.lab.internal:5432"),
        ("anything", "https://example.com/path"),
        ("url", "postgres://app@db/pay"),
        ("region", "eu-central-1"),
        ("mail", "a@example.com"),
        ("role_id", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("anything", "AKIAIOSFODNN7EXAMPLE"),
        ("namespace", "payments"),
        ("password", "${DB_PASSWORD}"),
        ("password_file", "/run/secrets/db"),
        ("url", "postgres://app:${DB_PASSWORD}@db/pay"),
        ("auth", "admin:$apr1$Zx9Qb$Zx9QbTuv1mNk3Lr7"),
    ] {
        assert_eq!(shown(&in_store(key, value)), [], "{key}");
    }
}

#[test]
fn in_configuration_only_what_shows_itself_counts() {
    let token = github::with_checksum("ghp_", "abcdefghijklmnopqrstuvwxyz0123");
    for place in [Place::Configuration, Place::Literal] {
        for (key, value, kind) in [
            ("anything", token.as_str(), Kind::Token),
            ("argument", "xoxb-Zx9QbTuv1mNk3Lr7Zx9QbTuv1mNk3Lr7", Kind::ApiKey),
            ("DB_PASSWORD", "Zx9QbTuv1mNk3Lr7", Kind::Password),
            ("DB_PASSWORD", "tr0ub4dor", Kind::Password),
            ("key", "Zx9QbTuv1mNk3Lr7Zx9Qb", Kind::Opaque),
        ] {
            assert_eq!(shown(&in_place(place, key, value)), [("", kind, value)], "{key}");
        }
        for (key, value) in [
            ("LOG_LEVEL", "debug"),
            ("feature-x", "true"),
            ("anything", "Zx9QbTuv1mNk3Lr7"),
            ("password", "changeme"),
            ("password", "<your password>"),
            ("password", "{{ .Values.password }}"),
            ("DB_PASSWORD_FILE", "/run/secrets/db"),
            ("token", "enabled"),
            ("cache_key", "Zx9QbTuv1mNk3Lr7Zx9Qb"),
            ("key", "payments-api"),
            ("secretName", "payments-db"),
            ("token_url", "https://login.example.com/token"),
            ("nginx.conf", "server {\n  listen 80;\n}\n"),
            ("PASSWORD_MIN_LENGTH", "12"),
            ("--listen", ":8080"),
            ("public_key", "Zx9QbTuv1mNk3Lr7Zx9Qb"),
        ] {
            assert_eq!(shown(&in_place(place, key, value)), [], "{key}");
        }
    }
    assert!(in_configuration("logo.png", [0x89, b'P', b'N', b'G', 0xff, 0]).is_empty(), "a picture");
    assert_eq!(only(in_store("keystore.jks", [0xff, 0, 1, 2])).kind, Kind::Opaque);
}

#[test]
fn documents_of_configuration_are_looked_into() {
    let text = json!({"log": {"level": "debug"}, "db": {"user": "app", "password": "Zx9QbTuv1mNk3Lr7"}, "dsn": "mysql://u:Qx9QbTuv1mNk@h/d"}).to_string();
    for place in [Place::Configuration, Place::SecretStore] {
        let found = in_place(place, "config.json", &text);
        assert_eq!(
            shown(&found),
            [("db/password", Kind::Password, "Zx9QbTuv1mNk3Lr7"), ("dsn", Kind::Password, "Qx9QbTuv1mNk")]
        );
        assert_eq!(found[0].bundle.user.as_deref(), Some("app"));
    }
    let env = "# x\nLOG_LEVEL=debug\nexport VAULT_TOKEN=\"Zx9QbTuv1mNk3Lr7Zx9QbTuv\"\nDATABASE_URL=postgres://app:Qx9QbTuv1mNk@h/d\n";
    let expected = [
        ("VAULT_TOKEN", Kind::Token, "Zx9QbTuv1mNk3Lr7Zx9QbTuv"),
        ("DATABASE_URL", Kind::Password, "Qx9QbTuv1mNk"),
    ];
    assert_eq!(shown(&in_configuration("env", env)), expected);
    assert_eq!(shown(&in_store(".env", env)), expected);
    assert_eq!(shown(&in_store("list", "{\"list\":[1,\"two\"]}")), []);
}

#[test]
fn aws_keys_are_linked_by_their_id() {
    let secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzXkMPLxKEY";
    let bundle = Bundle { aws_access_key_id: Some("ASIAY34FZKBOKMUTVV7A".into()), ..Bundle::default() };
    let input =
        Input { key: "AWS_SECRET_ACCESS_KEY", place: Place::SecretStore, kind: None, bundle: &bundle };
    let file = format!(
        "[default]\naws_access_key_id = ASIAY34FZKBOKMUTVV7A\naws_secret_access_key = {secret_key}\n"
    );
    let object = json!({"AccessKeyId": "ASIAY34FZKBOKMUTVV7A", "SecretAccessKey": secret_key}).to_string();
    for leaf in [
        only(leaves(&input, &secret(secret_key))),
        only(in_store("credentials", file)),
        only(in_store("x", object)),
    ] {
        assert_eq!((leaf.kind, leaf.canonical.expose_text()), (Kind::AccessKey, Some(secret_key)));
        let handle = leaf.handle.clone().expect("a handle");
        assert_eq!(
            (handle.scheme, handle.value.as_str()),
            (HandleScheme::AwsAccessKeyId, "ASIAY34FZKBOKMUTVV7A")
        );
        assert_eq!(
            (attribute(&leaf, "aws_account"), attribute(&leaf, "aws_session")),
            (&json!("609629065308"), &json!(true))
        );
    }
}

#[test]
fn kubernetes_tokens_name_their_account() {
    let part = |value: serde_json::Value| {
        encode(value.to_string()).trim_end_matches('=').replace('+', "-").replace('/', "_")
    };
    let token = |claims| format!("{}.{}.{}", part(json!({"alg": "RS256"})), part(claims), "c2lnbmF0dXJl");
    let legacy = token(json!({
        "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:ops:ci", "kubernetes.io/serviceaccount/namespace": "ops",
        "kubernetes.io/serviceaccount/secret.name": "ci-token", "kubernetes.io/serviceaccount/service-account.name": "ci",
        "kubernetes.io/serviceaccount/service-account.uid": "u-1",
    }));
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: 'https://api:6443'}}}}]\ncontexts: [{{name: x, context: {{cluster: c, user: ci}}}}]\n\
         users:\n- name: ci\n  user:\n    token: {legacy}\n"
    );
    let plain = only(in_store("token", &legacy));
    assert_eq!(plain.kind, Kind::ServiceAccountToken);
    assert_eq!(plain.handle.as_ref().map(|handle| handle.value.as_str()), Some("ops/ci-token/u-1"));
    assert_eq!(plain.subject.as_deref(), Some("system:serviceaccount:ops:ci"));
    let inside = only(in_store("kubeconfig", kubeconfig));
    assert_eq!(
        (inside.pointer.as_str(), inside.kind, inside.handle.clone()),
        ("users/ci/token", Kind::ServiceAccountToken, plain.handle)
    );
    assert_eq!(
        (attribute(&inside, "format"), inside.bundle.host.as_deref()),
        (&json!("kubeconfig"), Some("api:6443"))
    );

    let bound = token(
        json!({"iss": "x", "sub": "system:serviceaccount:ops:ci", "exp": 1_900_000_000, "jti": "j", "kubernetes.io": {"namespace": "ops"}}),
    );
    let bound = only(in_configuration("anything", bound));
    assert_eq!(
        (bound.kind, bound.expires_at.map(|at| at.timestamp()), bound.strength),
        (Kind::BoundToken, Some(1_900_000_000), Strength::Strong)
    );
    let other = only(in_store("x", token(json!({"sub": "me"}))));
    assert_eq!((other.kind, attribute(&other, "jwt_algorithm")), (Kind::Token, &json!("RS256")));
}

#[test]
fn helm_releases_are_read() {
    use std::io::Write as _;
    let password = "Zx9QbTuv1mNk3Lr7";
    let manifest = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  password: {}\n  username: YXBw\n",
        encode(password)
    );
    let release = json!({"manifest": manifest, "config": {"db": {"user": "app", "password": password}, "replicas": 3, "title": "some-Title-9"}, "chart": {"values": {"db": {"password": ""}}}});
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(release.to_string().as_bytes()).expect("memory");
    let found = in_store("release", encode(gzip.finish().expect("memory")));
    assert_eq!(
        shown(&found),
        [
            ("manifest/Secret/db/data/password", Kind::Password, password),
            ("config/db/password", Kind::Password, password)
        ]
    );
    assert_eq!(
        (found[0].bundle.user.as_deref(), found[1].bundle.user.as_deref()),
        (Some("app"), Some("app"))
    );
}

#[test]
fn weak_values_are_called_weak() {
    for (value, strength) in [
        ("changeme", Strength::Weak(Weakness::KnownDefault)),
        ("x7#kQ", Strength::Weak(Weakness::Short)),
        ("Winter2024", Strength::Weak(Weakness::Guessable)),
        ("k3J9x2Lq8Zp4Vt7W", Strength::Strong),
    ] {
        assert_eq!(only(in_store("password", value)).strength, strength, "{value}");
    }
}

#[test]
fn what_the_store_says_counts() {
    let bundle = Bundle::default();
    for (key, value, kind) in [
        ("tls.key", include_str!("data/ec.sec1.pem"), Kind::Certificate),
        ("ssh-privatekey", include_str!("data/rsa.pkcs1.pem"), Kind::SshKey),
        ("value", "debug-me", Kind::Token),
    ] {
        let input = Input { key, place: Place::SecretStore, kind: Some(kind), bundle: &bundle };
        assert_eq!(only(leaves(&input, &secret(value))).kind, kind);
    }
}

#[test]
fn malformed_documents_are_one_opaque_secret() {
    for (key, value) in [
        ("config.json", "{\"password\": "),
        ("tls.pem", "-----BEGIN PRIVATE KEY-----\nthis is not base64!\n-----END PRIVATE KEY-----\n"),
        ("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("values.yaml", "db: [\n  password: }"),
        (
            "id_ed25519",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA////\n-----END OPENSSH PRIVATE KEY-----\n",
        ),
        ("release", "H4sIAAAAAAAA/broken"),
        (".dockerconfigjson", "{\"auths\": {\"x\": {\"auth\": "),
    ] {
        let leaf = only(in_store(key, value));
        assert_eq!((leaf.pointer.as_str(), leaf.kind), ("", Kind::Opaque), "{key}");
        assert!(in_configuration(key, value).is_empty(), "{key}");
    }
    let token = only(in_store("token.jwt", "eyJhbGciOiJSUzI1NiJ9.eyJleHAi.AAAA"));
    assert_eq!(token.pointer, "");
}
