//! Mounts, policies, tokens, AppRole, a database engine and PKI in OpenBao.

use std::path::Path;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::aws::Keys;
use super::planted::{Planted, Secret};
use super::postgres::{STATIC_ROLE, plant_engine};
use super::values::Values;
use crate::lab::openbao::OpenBao;
use crate::lab::postgres::Postgres;
use crate::lab::private::write_private;

/// What OpenBao handed out and other systems store.
pub struct Held {
    /// AppRole `ci`: its role_id.
    pub role_id: String,
    /// The secret-id that Kubernetes stores.
    pub secret_id: Secret,
    /// A periodic token that Kubernetes stores.
    pub periodic: Secret,
    /// A second root token, in somebody's `.env`.
    pub root: Secret,
    /// A certificate for `api.lab.internal` and its key, PEM.
    pub certificate: (String, Secret),
}

/// What the scanning token may do: read all but `kv/denied`, and what a rotation or a revocation does.
const POLICY: &str = r#"
path "sys/mounts" { capabilities = ["read"] }
path "sys/auth" { capabilities = ["read"] }
path "sys/internal/ui/mounts" { capabilities = ["read"] }
path "sys/internal/ui/mounts/*" { capabilities = ["read"] }
path "sys/policies/acl" { capabilities = ["list"] }
path "sys/policies/acl/*" { capabilities = ["read"] }
path "sys/leases/lookup" { capabilities = ["create", "update"] }
path "sys/leases/lookup/*" { capabilities = ["list", "sudo"] }
path "sys/leases/count" { capabilities = ["read"] }
path "sys/leases/revoke-prefix/*" { capabilities = ["create", "update", "sudo"] }
path "identity/entity/id/*" { capabilities = ["read", "create", "update"] }
path "identity/entity/name/*" { capabilities = ["read"] }
path "kv/*" { capabilities = ["read", "list"] }
path "kv/data/*" { capabilities = ["read", "create", "update", "patch"] }
path "kv/destroy/*" { capabilities = ["update"] }
path "kv/denied/*" { capabilities = ["deny"] }
path "kv/data/denied/*" { capabilities = ["deny"] }
path "kv/metadata/denied" { capabilities = ["deny"] }
path "kv/metadata/denied/*" { capabilities = ["deny"] }
path "kv1/*" { capabilities = ["read", "list", "update"] }
path "secret/*" { capabilities = ["read", "list"] }
path "auth/approle/role" { capabilities = ["list"] }
path "auth/approle/role/*" { capabilities = ["read", "list"] }
path "auth/approle/role/+/secret-id" { capabilities = ["list", "create", "update"] }
path "auth/approle/role/+/custom-secret-id" { capabilities = ["create", "update"] }
path "auth/approle/role/+/secret-id/lookup" { capabilities = ["create", "update"] }
path "auth/approle/role/+/secret-id-accessor/lookup" { capabilities = ["create", "update"] }
path "auth/approle/role/+/secret-id-accessor/destroy" { capabilities = ["create", "update"] }
path "auth/kubernetes/role/*" { capabilities = ["read", "create", "update", "delete"] }
path "auth/token/accessors" { capabilities = ["list", "sudo"] }
path "auth/token/accessors/" { capabilities = ["list", "sudo"] }
path "auth/token/lookup" { capabilities = ["create", "update"] }
path "auth/token/lookup-accessor" { capabilities = ["create", "update"] }
path "auth/token/revoke-accessor" { capabilities = ["create", "update"] }
path "auth/token/create-orphan" { capabilities = ["update", "sudo"] }
path "auth/token/create/+" { capabilities = ["update"] }
path "auth/token/roles/+" { capabilities = ["read"] }
path "database/config" { capabilities = ["list"] }
path "database/config/*" { capabilities = ["read", "update"] }
path "database/roles" { capabilities = ["list"] }
path "database/roles/*" { capabilities = ["read"] }
path "database/static-roles" { capabilities = ["list"] }
path "database/static-roles/*" { capabilities = ["read"] }
path "database/static-creds/*" { capabilities = ["read"] }
path "database/rotate-role/*" { capabilities = ["create", "update"] }
path "database/rotate-root/*" { capabilities = ["create", "update"] }
path "pki/certs" { capabilities = ["list"] }
path "pki/cert/*" { capabilities = ["read"] }
path "pki/roles" { capabilities = ["list"] }
path "pki/roles/*" { capabilities = ["read"] }
"#;

/// A path whose parts are markup, a formula and a space.
pub const HOSTILE_PATH: &str = "weird/=HYPERLINK(x) <b>";

/// Plants, and writes the scanning token into `openbao.token`.
pub async fn plant(
    bao: &OpenBao,
    postgres: Option<&Postgres>,
    keys: Option<&Keys>,
    values: &Values,
    planted: &mut Planted,
    directory: &Path,
) -> Result<Held> {
    bao.write("sys/mounts/kv", &json!({"type": "kv", "options": {"version": "2"}})).await?;
    bao.write("sys/mounts/kv1", &json!({"type": "kv", "options": {"version": "1"}})).await?;
    bao.write("sys/mounts/pki", &json!({"type": "pki", "config": {"max_lease_ttl": "8760h"}})).await?;
    bao.write("sys/auth/approle", &json!({"type": "approle"})).await?;
    bao.write("sys/policies/acl/claviger", &json!({"policy": POLICY})).await?;
    bao.write(
        "sys/policies/acl/ci",
        &json!({"policy": "path \"kv/data/payments/*\" { capabilities = [\"read\"] }"}),
    )
    .await?;

    key_values(bao, values, planted).await?;
    if let Some(keys) = keys {
        media(bao, keys, planted).await?;
    }
    if let Some(postgres) = postgres {
        database(bao, postgres, planted).await?;
    }
    let (role_id, secret_id) = approle(bao, planted).await?;
    let (periodic, root) = tokens(bao, planted, directory).await?;
    let certificate = certificate(bao, planted).await?;
    Ok(Held { role_id, secret_id, periodic, root, certificate })
}

async fn key_values(bao: &OpenBao, values: &Values, planted: &mut Planted) -> Result<()> {
    for password in [&values.app_former[0], &values.app_former[1], &values.app] {
        put(bao, "payments/db", json!({"username": "app", "password": password.expose()})).await?;
    }
    bao.write("kv/metadata/payments/db", &json!({"custom_metadata": {"owner": "team-payments"}})).await?;
    let app = planted.credential("db-app", "password").value(&values.app).owned_by("team-payments");
    app.copy("vault/kv/payments/db#password");
    app.former_copy("vault/kv/payments/db#password").former_copy("vault/kv/payments/db#password");

    put(bao, "shared/batch", json!({"user": "batch_admin", "password": values.batch_admin.expose()})).await?;
    planted
        .credential("db-batch-admin", "password")
        .value(&values.batch_admin)
        .copy("vault/kv/shared/batch#password");

    bao.write(
        "kv1/legacy/old-app",
        &json!({"db_user": "legacy_md5", "db_password": values.legacy_md5.expose()}),
    )
    .await?;
    planted
        .credential("db-legacy-md5", "password")
        .value(&values.legacy_md5)
        .copy("vault/kv1/legacy/old-app#db_password");

    // The first version is destroyed, the second deleted (it can come back), the third is in force.
    for value in &values.rewritten {
        put(bao, "web/rewritten", json!({"session_secret": value.expose()})).await?;
    }
    bao.write("kv/destroy/web/rewritten", &json!({"versions": [1]})).await?;
    bao.write("kv/delete/web/rewritten", &json!({"versions": [2]})).await?;
    let rewritten = planted.credential("rewritten", "opaque").value(&values.rewritten[2]);
    rewritten
        .former(&values.rewritten[0])
        .former(&values.rewritten[1])
        .copy("vault/kv/web/rewritten#session_secret");

    // None of these is a credential, or not one that anything can be concluded from.
    let odd = json!({"enabled": true, "port": 5432, "nothing": null, "empty": "", "username": "admin", "default": "changeme",
                     "nested": {"list": [1, "two"]}});
    put(bao, "web/settings", odd).await?;
    for field in ["enabled", "port", "empty", "username", "default"] {
        planted.decoys.push(format!("vault/kv/web/settings#{field}"));
    }
    put(bao, HOSTILE_PATH, json!({"<img src=x>": values.hostile.expose()})).await?;
    planted
        .credential("hostile", "opaque")
        .value(&values.hostile)
        .copy(format!("vault/kv/{HOSTILE_PATH}#<img src=x>"));

    put(bao, "denied/vault", json!({"password": values.unreadable[0].expose()})).await?;
    planted.denied.push(("vault", "kv/denied"));
    planted.unreadable.push(values.unreadable[0].duplicate());
    Ok(())
}

/// An access key of AWS: its id in one field, its secret in another.
async fn media(bao: &OpenBao, keys: &Keys, planted: &mut Planted) -> Result<()> {
    let (id, secret) = (&keys.media.id, keys.media.secret.expose());
    put(bao, "web/media", json!({"access_key_id": id, "secret_access_key": secret, "bucket": "media"}))
        .await?;
    planted.credential("aws-media", "access-key").copy("vault/kv/web/media#secret_access_key");
    planted.decoys.push("vault/kv/web/media#access_key_id".to_owned());
    Ok(())
}

async fn database(bao: &OpenBao, postgres: &Postgres, planted: &mut Planted) -> Result<()> {
    let password = plant_engine(postgres, planted).await?;
    bao.write("sys/mounts/database", &json!({"type": "database"})).await?;
    let url = format!(
        "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable",
        postgres.port()
    );
    let connection = json!({"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": url,
                            "username": super::postgres::ENGINE_ROLE, "password": password.expose()});
    bao.write("database/config/payments-pg", &connection).await?;
    let role = json!({"db_name": "payments-pg", "username": STATIC_ROLE, "rotation_period": "24h"});
    bao.write("database/static-roles/static-app", &role).await?;
    let statement = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'";
    let dynamic = json!({"db_name": "payments-pg", "creation_statements": [statement], "default_ttl": "1h", "max_ttl": "24h"});
    bao.write("database/roles/dynamic", &dynamic).await?;
    // One lease that is alive.
    let lease = bao.request(Method::GET, "database/creds/dynamic", None).await?.good("a dynamic login")?;
    let text = |field: &str| lease["data"][field].as_str().context("a dynamic login");
    planted
        .credential("db-dynamic", "password")
        .issued_at(format!("db/role/{}", text("username")?))
        .value(&Secret::new(text("password")?));
    let held =
        bao.request(Method::GET, "database/static-creds/static-app", None).await?.good("the static login")?;
    let value = Secret::new(held["data"]["password"].as_str().context("a static password")?);
    planted
        .credential("db-static", "password")
        .value(&value)
        .issued_at(format!("db/role/{STATIC_ROLE}"))
        .copy("vault/database/static-creds/static-app#password");
    Ok(())
}

/// The role's id, and the secret-id that is stored elsewhere.
async fn approle(bao: &OpenBao, planted: &mut Planted) -> Result<(String, Secret)> {
    // Neither secret-id ever expires, and there is no limit to their use.
    let role =
        json!({"token_policies": "ci", "token_ttl": "1h", "secret_id_ttl": "0", "secret_id_num_uses": 0});
    bao.write("auth/approle/role/ci", &role).await?;
    let answer = bao.request(Method::GET, "auth/approle/role/ci/role-id", None).await?.good("the role-id")?;
    let role_id = answer["data"]["role_id"].as_str().context("a role-id")?.to_owned();
    let mut stored = None;
    for (name, metadata) in
        [("approle-ci-stored", json!({"owner": "team-ops"})), ("approle-ci-forgotten", json!({}))]
    {
        let body = json!({"metadata": metadata.to_string()});
        let answer = bao.write("auth/approle/role/ci/secret-id", &body).await?;
        let text = |field: &str| answer["data"][field].as_str().context("a secret-id");
        let secret_id = Secret::new(text("secret_id")?);
        let reference = format!("vault/auth/approle/role/ci/secret-id/{}", text("secret_id_accessor")?);
        planted.credential(name, "secret-id").issued_at(reference).value(&secret_id).finding("vault-no-ttl");
        stored.get_or_insert(secret_id);
    }
    Ok((role_id, stored.context("a secret-id")?))
}

/// The periodic token and the second root token.
async fn tokens(bao: &OpenBao, planted: &mut Planted, directory: &Path) -> Result<(Secret, Secret)> {
    let mut make = async |name: &str, body: Value, finding: Option<&'static str>| -> Result<Secret> {
        let answer = bao.write("auth/token/create", &body).await?;
        let text = |field: &str| answer["auth"][field].as_str().context("a token");
        let value = Secret::new(text("client_token")?);
        let credential = planted.credential(name, "token");
        credential.issued_at(format!("vault/auth/token/accessor/{}", text("accessor")?)).value(&value);
        if let Some(slug) = finding {
            credential.finding(slug);
        }
        Ok(value)
    };
    let periodic =
        json!({"policies": ["ci"], "period": "24h", "display_name": "ci-runner", "no_parent": true});
    let periodic = make("vault-periodic", periodic, None).await?;
    let root =
        make("vault-root", json!({"policies": ["root"], "display_name": "break-glass"}), Some("vault-root"))
            .await?;
    make(
        "vault-ttl",
        json!({"policies": ["ci"], "ttl": "1h", "explicit_max_ttl": "2h", "meta": {"owner": "team-ops"}}),
        None,
    )
    .await?;
    let scanner =
        json!({"policies": ["claviger"], "ttl": "24h", "display_name": "claviger", "no_parent": true});
    let scanner = make("vault-claviger", scanner, None).await?;
    write_private(&directory.join("openbao.token"), scanner.expose())?;
    Ok((periodic, root))
}

async fn certificate(bao: &OpenBao, planted: &mut Planted) -> Result<(String, Secret)> {
    let authority = bao
        .write("pki/root/generate/internal", &json!({"common_name": "lab authority", "ttl": "8760h"}))
        .await?;
    let serial = authority["data"]["serial_number"].as_str().context("the authority's serial")?;
    planted.credential("tls-authority", "certificate").issued_at(format!("vault/pki/cert/{serial}"));
    let role = json!({"allowed_domains": ["lab.internal"], "allow_subdomains": true, "max_ttl": "720h"});
    bao.write("pki/roles/web", &role).await?;
    let answer =
        bao.write("pki/issue/web", &json!({"common_name": "api.lab.internal", "ttl": "72h"})).await?;
    let text = |field: &str| answer["data"][field].as_str().map(str::to_owned).context("a certificate");
    let key = Secret::new(text("private_key")?);
    // With colons, as PKI lists it.
    let serial = text("serial_number")?;
    planted.credential("tls-api", "certificate").issued_at(format!("vault/pki/cert/{serial}")).value(&key);
    Ok((text("certificate")?, key))
}

async fn put(bao: &OpenBao, path: &str, data: Value) -> Result<()> {
    // A path holds characters that a URL must escape; its slashes stay.
    let escaped: Vec<String> = path.split('/').map(super::percent_encode).collect();
    bao.write(&format!("kv/data/{}", escaped.join("/")), &json!({"data": data})).await.map(drop)
}
