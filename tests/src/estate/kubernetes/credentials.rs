//! Secrets and ConfigMaps that hold credentials, one of every type.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::json;

use super::super::Context;
use super::super::planted::{Planted, Secret};
use super::super::values::Values;
use super::{annotated, registry_config, secret};
use crate::lab::kubernetes::Kubernetes;
use crate::lab::tls;

/// Plants them.
pub async fn plant(server: &Kubernetes, context: &Context<'_>, planted: &mut Planted) -> Result<()> {
    let values = context.values;
    database(server, context, planted).await?;
    typed(server, values, planted)?;
    helm(server, values, planted)?;
    from_elsewhere(server, context, planted)
}

/// The password of role `app`: with a trailing newline in a Secret whose last-applied annotation still holds the one
/// before, and in a URL in a ConfigMap.
async fn database(server: &Kubernetes, context: &Context<'_>, planted: &mut Planted) -> Result<()> {
    let values = context.values;
    let data =
        |password: &str| [("username", b"app".to_vec()), ("password", format!("{password}\n").into_bytes())];
    let before = data(values.app_former[1].expose());
    let before: Vec<(&str, &[u8])> = before.iter().map(|(key, value)| (*key, value.as_slice())).collect();
    let object = annotated(secret("payments", "db", "Opaque", &before), json!({"owner": "team-payments"}));
    server.apply(&[object])?;
    let now = json!({"data": {"password": STANDARD.encode(&data(values.app.expose())[1].1)}});
    server
        .request(Method::PATCH, "/api/v1/namespaces/payments/secrets/db", Some(&now))
        .await?
        .good("the password")?;

    let settings = json!({"database-url": context.database_url(), "log-level": "debug", "feature-x": "true"});
    let app = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app", "namespace": "payments"}, "data": settings});
    server.create(&[app])?;

    planted
        .credential("db-app", "password")
        .value(&values.app)
        .owned_by("team-payments")
        .copy("prod/payments/Secret/db#password")
        .former_copy("prod/payments/Secret/db#password")
        .copy("prod/payments/ConfigMap/app#database-url")
        .finding("k8s-secret-in-configmap")
        .finding("copy-duplicate");
    for decoy in ["Secret/db#username", "ConfigMap/app#log-level", "ConfigMap/app#feature-x"] {
        planted.decoys.push(format!("prod/payments/{decoy}"));
    }

    // One superuser for two teams.
    let batch = |namespace: &str| {
        let data: [(&str, &[u8]); 2] =
            [("DB_USER", b"batch_admin"), ("DB_PASSWORD", values.batch_admin.bytes())];
        secret(namespace, "batch-db", "Opaque", &data)
    };
    server.create(&[
        annotated(batch("payments"), json!({"owner": "team-payments"})),
        annotated(batch("ops"), json!({"team": "ops"})),
    ])?;
    planted
        .credential("db-batch-admin", "password")
        .value(&values.batch_admin)
        .copy("prod/payments/Secret/batch-db#DB_PASSWORD")
        .copy("prod/ops/Secret/batch-db#DB_PASSWORD");
    Ok(())
}

/// Pull secret, basic auth, SSH, a self-signed certificate.
fn typed(server: &Kubernetes, values: &Values, planted: &mut Planted) -> Result<()> {
    let registry = registry_config(values.registry.expose()).to_string();
    let ssh = openssh_private_key(&values.ssh_seed)?;
    let own = tls::self_signed(&["shop.lab.internal"])?;
    server.create(&[
        secret(
            "web",
            "pull",
            "kubernetes.io/dockerconfigjson",
            &[(".dockerconfigjson", registry.as_bytes())],
        ),
        secret(
            "web",
            "metrics",
            "kubernetes.io/basic-auth",
            &[("username", b"prometheus"), ("password", values.metrics.bytes())],
        ),
        secret("ops", "deploy-key", "kubernetes.io/ssh-auth", &[("ssh-privatekey", ssh.bytes())]),
        secret(
            "web",
            "shop-tls",
            "kubernetes.io/tls",
            &[("tls.crt", own.certificate.as_bytes()), ("tls.key", own.key.as_bytes())],
        ),
        annotated(
            secret("web", "webhook", "Opaque", &[("secret", values.webhook.bytes())]),
            json!({"owner": "=HYPERLINK(\"http://x\",\"team\")", "team": "<b>web</b>\u{1b}[31m"}),
        ),
    ])?;
    planted
        .credential("registry", "registry")
        .value(&values.registry)
        .copy("prod/web/Secret/pull#.dockerconfigjson");
    planted.credential("metrics", "password").value(&values.metrics).copy("prod/web/Secret/metrics#password");
    planted.credential("deploy-key", "ssh-key").value(&ssh).copy("prod/ops/Secret/deploy-key#ssh-privatekey");
    planted
        .credential("tls-shop", "certificate")
        .value(&Secret::new(own.key))
        .copy("prod/web/Secret/shop-tls#tls.key");
    planted
        .credential("webhook", "webhook-secret")
        .value(&values.webhook)
        .copy("prod/web/Secret/webhook#secret");
    planted.decoys.push("prod/web/Secret/metrics#username".to_owned());
    Ok(())
}

/// Two releases of a chart: the first one's password is still in the first one's Secret.
fn helm(server: &Kubernetes, values: &Values, planted: &mut Planted) -> Result<()> {
    for (revision, status, password) in [(1, "superseded", &values.helm[1]), (2, "deployed", &values.helm[0])]
    {
        let encoded = STANDARD.encode(password.bytes());
        let manifest = format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: shop-db\ndata:\n  password: {encoded}\n"
        );
        let release = json!({"name": "shop", "namespace": "web", "version": revision, "info": {"status": status},
            "chart": {"metadata": {"name": "shop", "version": "1.2.3"}, "values": {"db": {"password": ""}}},
            "config": {"db": {"user": "shop", "password": password.expose()}}, "manifest": manifest});
        // Helm: base64 of gzip of JSON, which the API then holds as base64 once more.
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(release.to_string().as_bytes())?;
        let stored = STANDARD.encode(gzip.finish()?);
        let name = format!("sh.helm.release.v1.shop.v{revision}");
        let mut object = secret("web", &name, "helm.sh/release.v1", &[("release", stored.as_bytes())]);
        object["metadata"]["labels"] =
            json!({"name": "shop", "owner": "helm", "status": status, "version": revision.to_string()});
        server.create(&[object])?;
    }
    planted
        .credential("helm-shop", "password")
        .value(&values.helm[0])
        .copy("prod/web/Secret/sh.helm.release.v1.shop.v2#release");
    // Another Secret, and nothing but the release's name ties it to the first: a credential of its own.
    planted
        .credential("helm-shop-before", "password")
        .former(&values.helm[1])
        .former_copy("prod/web/Secret/sh.helm.release.v1.shop.v1#release");
    Ok(())
}

/// What other systems issued: AWS keys in two environments, OpenBao's token, secret-id and certificate.
fn from_elsewhere(server: &Kubernetes, context: &Context<'_>, planted: &mut Planted) -> Result<()> {
    if let Some(keys) = context.aws {
        let (id, secret_key) = (keys.deployer.id.as_bytes(), keys.deployer.secret.bytes());
        let data: [(&str, &[u8]); 2] = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret_key)];
        server.create(&[secret("web", "aws", "Opaque", &data), secret("sandbox", "aws", "Opaque", &data)])?;
        planted
            .credential("aws-deployer", "access-key")
            .copy("prod/web/Secret/aws#AWS_SECRET_ACCESS_KEY")
            .copy("prod/sandbox/Secret/aws#AWS_SECRET_ACCESS_KEY")
            .finding("copy-cross-env");
        let (id, secret_key) = (keys.media.id.as_bytes(), keys.media.secret.bytes());
        let data: [(&str, &[u8]); 2] = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret_key)];
        server.create(&[secret("web", "media-aws", "Opaque", &data)])?;
        planted.credential("aws-media", "access-key").copy("prod/web/Secret/media-aws#AWS_SECRET_ACCESS_KEY");
        planted.decoys.push("prod/web/Secret/media-aws#AWS_ACCESS_KEY_ID".to_owned());
    }
    if let Some(held) = context.vault {
        let (certificate, key) = &held.certificate;
        server.create(&[
            secret(
                "ops",
                "ci-approle",
                "Opaque",
                &[("role_id", held.role_id.as_bytes()), ("secret_id", held.secret_id.bytes())],
            ),
            secret("ops", "vault-token", "Opaque", &[("token", held.periodic.bytes())]),
            secret(
                "web",
                "api-tls",
                "kubernetes.io/tls",
                &[("tls.crt", certificate.as_bytes()), ("tls.key", key.bytes())],
            ),
        ])?;
        planted.credential("approle-ci-stored", "secret-id").copy("prod/ops/Secret/ci-approle#secret_id");
        planted.credential("vault-periodic", "token").copy("prod/ops/Secret/vault-token#token");
        planted.credential("tls-api", "certificate").copy("prod/web/Secret/api-tls#tls.key");
    }
    Ok(())
}

/// An Ed25519 key as `ssh-keygen` writes it, without a passphrase (PROTOCOL.key of OpenSSH).
fn openssh_private_key(seed: &[u8]) -> Result<Secret> {
    // PKCS#8 of an Ed25519 key (RFC 8410): a fixed prefix, then the seed.
    let prefix =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let pkcs8 = [&prefix[..], seed].concat();
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.as_slice().into(), &rcgen::PKCS_ED25519)
        .context("an Ed25519 key")?;
    let public = pair.public_key_raw();
    let mut public_blob = Vec::new();
    string(&mut public_blob, b"ssh-ed25519")?;
    string(&mut public_blob, public)?;

    // Twice the same number, which tells a wrong passphrase; there is none.
    let mut private = vec![0x6c, 0x61, 0x62, 0x21, 0x6c, 0x61, 0x62, 0x21];
    string(&mut private, b"ssh-ed25519")?;
    string(&mut private, public)?;
    string(&mut private, &[seed, public].concat())?;
    string(&mut private, b"deploy@lab.internal")?;
    for padding in 1u8.. {
        if private.len().is_multiple_of(8) {
            break;
        }
        private.push(padding);
    }

    let mut key = b"openssh-key-v1\0".to_vec();
    string(&mut key, b"none")?;
    string(&mut key, b"none")?;
    string(&mut key, b"")?;
    key.extend(1u32.to_be_bytes());
    string(&mut key, &public_blob)?;
    string(&mut key, &private)?;
    let encoded = STANDARD.encode(key);
    let mut pem = String::from("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for line in encoded.as_bytes().chunks(70) {
        pem.push_str(std::str::from_utf8(line)?);
        pem.push('\n');
    }
    pem.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    Ok(Secret::new(pem))
}

fn string(buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    buffer.extend(u32::try_from(bytes.len())?.to_be_bytes());
    buffer.extend(bytes);
    Ok(())
}
