//! Inventory of tokens, roles, databases and certificates.

use claviger_backend::{Backend, PermissionStatus, Phase};
use claviger_backend_vault::VaultConfig;
use claviger_core::{
    model::{CredentialKind, CredentialState, HandleScheme, IdentityKind, PrivilegeLevel, ScopeStatus},
    observation::Content,
};
use claviger_tests::{
    lab::{openbao::OpenBao, postgres::Postgres},
    require_lab,
};
use reqwest::Method;
use serde_json::json;

use super::{at, backend, config, root, scan, token_with};

#[tokio::test]
async fn tokens_are_listed_by_accessor_with_what_makes_them_dangerous() {
    let server = require_lab!(OpenBao::shared().await);
    let rules = r#"path "secret/data/ci/*" { capabilities = ["read"] }"#;
    let more =
        json!({ "display_name": "ci", "period": "24h", "no_parent": true, "meta": { "team": "build" } });
    let (_, periodic) = token_with(server, "ci-read", rules, more).await;
    let (_, nameless) = token_with(server, "ci-read", rules, json!({ "ttl": "1h" })).await;
    server
        .write("auth/token/create", &json!({ "type": "batch", "policies": ["ci-read"] }))
        .await
        .expect("a batch token");
    let seen = scan(&root(server, &["auth/token"]), Phase::Issuers).await.expect("a scan");

    let token = &seen.credentials[&at(&format!("vault/auth/token/accessor/{periodic}"))];
    assert_eq!(token.kind, CredentialKind::Token);
    assert_eq!(token.identity, Some(at("vault/auth/token/display-name/token-ci")));
    assert_eq!(
        token.handle.as_ref().map(|handle| (handle.scheme, handle.value.as_str())),
        Some((HandleScheme::VaultAccessor, periodic.as_str()))
    );
    assert_eq!(token.attributes["period"], 86400);
    assert_eq!(token.attributes["orphan"], true);
    assert_eq!(token.attributes["no_expiry"], false);
    assert_eq!(token.attributes["root"], false);
    assert_eq!(token.attributes["policies"], json!(["ci-read", "default"]));
    assert_eq!(token.owners[0].owner, "build");
    assert!(token.created_at.is_some() && token.expires_at > token.created_at);

    let nameless = &seen.credentials[&at(&format!("vault/auth/token/accessor/{nameless}"))];
    assert_eq!(
        nameless.identity.as_ref(),
        Some(&nameless.at),
        "a token without a name is a principal of its own"
    );

    let roots: Vec<_> =
        seen.credentials.values().filter(|credential| credential.attributes["root"] == true).collect();
    let own = roots
        .iter()
        .find(|credential| credential.attributes["own"] == true)
        .expect("our own token is the root token");
    assert_eq!(own.attributes["no_expiry"], true);
    assert_eq!(own.expires_at, None);
    assert_eq!(
        seen.credentials.values().filter(|credential| credential.attributes["own"] == true).count(),
        1
    );

    let level = |identity: &claviger_core::reference::Ref, privilege: &str| {
        seen.grants
            .iter()
            .find(|grant| grant.identity == *identity && grant.privilege == privilege)
            .map(|grant| grant.level)
    };
    assert_eq!(level(&own.at, "policy/root"), Some(PrivilegeLevel::Admin));
    assert_eq!(
        level(&at("vault/auth/token/display-name/token-ci"), "policy/ci-read"),
        Some(PrivilegeLevel::Sensitive)
    );
    assert_eq!(
        level(&at("vault/auth/token/display-name/token-ci"), "policy/default"),
        Some(PrivilegeLevel::Read)
    );
    for identity in seen.grants.iter().map(|grant| &grant.identity) {
        let told = seen.identities.contains_key(identity)
            || identity.path().contains("/role/")
            || identity.path().contains("/users/");
        assert!(told, "{identity} has a grant and is told nowhere");
    }
    assert_eq!(seen.incomplete(), Vec::<String>::new());
}

/// Roles of logins by token: what the server says of each, and what that comes to.
#[tokio::test]
async fn roles_of_logins_by_token_say_what_they_do_not_ask() {
    let server = require_lab!(OpenBao::shared().await);
    server.write("sys/auth/pods", &json!({ "type": "kubernetes" })).await.expect("a mount");
    server.write("sys/auth/ci", &json!({ "type": "jwt" })).await.expect("a mount");
    let pods = [
        (
            "exact",
            json!({ "bound_service_account_names": "web", "bound_service_account_namespaces": "payments", "audience": "bao", "token_policies": "default", "token_ttl": "15m" }),
        ),
        (
            "anywhere",
            json!({ "bound_service_account_names": "web", "bound_service_account_namespaces": "*" }),
        ),
        (
            "anyone",
            json!({ "bound_service_account_names": "*", "bound_service_account_namespaces": "payments", "audience": "bao" }),
        ),
    ];
    for (name, role) in pods {
        server.write(&format!("auth/pods/role/{name}"), &role).await.expect("a role");
    }
    let ci = [
        ("exact", json!({ "bound_claims": { "repository": "acme/web", "ref": "refs/heads/main" } })),
        ("open", json!({ "bound_claims": {} })),
        ("acme", json!({ "bound_claims_type": "glob", "bound_claims": { "sub": "repo:acme/*" } })),
    ];
    for (name, mut role) in ci {
        let more = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "bao" });
        role.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        server.write(&format!("auth/ci/role/{name}"), &role).await.expect("a role");
    }
    let seen = scan(&root(server, &["auth/pods", "auth/ci"]), Phase::Issuers).await.expect("a scan");
    let gaps =
        |path: &str| seen.identities[&at(&format!("vault/auth/{path}"))].attributes["trust_gaps"].clone();
    assert_eq!(gaps("pods/role/exact"), json!([]));
    assert_eq!(gaps("pods/role/anywhere"), json!(["subject-wildcard", "audience-missing"]));
    assert_eq!(gaps("pods/role/anyone"), json!(["subject-pattern"]));
    assert_eq!(gaps("ci/role/exact"), json!([]));
    assert_eq!(gaps("ci/role/open"), json!(["subject-missing"]));
    assert_eq!(gaps("ci/role/acme"), json!(["organisation"]));
    let exact = &seen.identities[&at("vault/auth/pods/role/exact")];
    assert_eq!((exact.kind, &exact.attributes["token_ttl"]), (IdentityKind::VaultRole, &json!(900)));
    assert!(
        seen.grants.iter().any(|grant| grant.identity == exact.at && grant.privilege == "policy/default")
    );
    for mount in ["auth/pods", "auth/ci"] {
        assert_eq!(seen.status(mount, "roles"), Some(ScopeStatus::Complete), "{mount}");
    }
}

#[tokio::test]
async fn roles_and_secret_ids_show_their_limits() {
    let server = require_lab!(OpenBao::shared().await);
    server.write("sys/auth/roles-shown", &json!({ "type": "approle" })).await.expect("a mount");
    let role = json!({ "token_policies": ["deploy"], "secret_id_ttl": "1h", "secret_id_num_uses": 3, "token_ttl": "20m" });
    server.write("auth/roles-shown/role/web", &role).await.expect("a role");
    server
        .write("auth/roles-shown/role/batch", &json!({ "token_policies": "default" }))
        .await
        .expect("a role");
    let body = json!({ "metadata": "{\"owner\":\"dana\"}", "cidr_list": ["127.0.0.0/8"] });
    let made = server.write("auth/roles-shown/role/web/secret-id", &body).await.expect("a secret-id");
    let accessor = made["data"]["secret_id_accessor"].as_str().expect("an accessor");
    let endless =
        server.write("auth/roles-shown/role/batch/secret-id", &json!({})).await.expect("a secret-id");
    let endless_id = endless["data"]["secret_id"].as_str().expect("a secret-id");
    let endless = endless["data"]["secret_id_accessor"].as_str().expect("an accessor");
    server
        .write(
            "sys/policies/acl/deploy",
            &json!({ "policy": "path \"sys/auth/*\" { capabilities = [\"update\"] }" }),
        )
        .await
        .expect("a policy");
    // A login, so that there is a token of the role.
    let role_id = server
        .request(Method::GET, "auth/roles-shown/role/batch/role-id", None)
        .await
        .expect("an answer")
        .body;
    let login = json!({ "role_id": role_id["data"]["role_id"], "secret_id": endless_id });
    let login = server.write("auth/roles-shown/login", &login).await.expect("a login");
    let given = login["auth"]["accessor"].as_str().expect("an accessor");

    let seen =
        scan(&root(server, &["auth/roles-shown", "auth/token"]), Phase::Issuers).await.expect("a scan");
    let role = &seen.identities[&at("vault/auth/roles-shown/role/web")];
    assert_eq!(role.kind, IdentityKind::VaultAppRole);
    assert_eq!(role.attributes["secret_id_ttl"], 3600);
    assert_eq!(role.attributes["secret_id_num_uses"], 3);
    assert_eq!(role.attributes["token_ttl"], 1200);
    assert_eq!(role.attributes["bind_secret_id"], true);
    assert_eq!(role.attributes["leases_count"], 1, "the login's lease");
    let secret_id = &seen.credentials[&at(&format!("vault/auth/roles-shown/role/web/secret-id/{accessor}"))];
    assert_eq!(secret_id.kind, CredentialKind::SecretId);
    assert_eq!(secret_id.identity, Some(role.at.clone()));
    assert_eq!(secret_id.attributes["num_uses"], 3);
    assert_eq!(secret_id.attributes["bound_cidrs"], json!(["127.0.0.0/8"]));
    assert_eq!(secret_id.owners[0].owner, "dana");
    assert_eq!(secret_id.attributes["no_expiry"], false);
    let lifetime = secret_id.expires_at.expect("an end") - secret_id.created_at.expect("a beginning");
    assert_eq!(lifetime.num_seconds(), 3600);
    let endless = &seen.credentials[&at(&format!("vault/auth/roles-shown/role/batch/secret-id/{endless}"))];
    assert_eq!(
        (endless.expires_at, &endless.attributes["no_expiry"]),
        (None, &json!(true)),
        "year 1 means never"
    );
    let given = &seen.credentials[&at(&format!("vault/auth/token/accessor/{given}"))];
    assert_eq!(
        given.identity,
        Some(at("vault/auth/roles-shown/role/batch")),
        "a login's token belongs to the role"
    );
    let grant = seen
        .grants
        .iter()
        .find(|grant| grant.identity == role.at && grant.privilege == "policy/deploy")
        .expect("a grant");
    assert_eq!((grant.level, grant.reach.as_str()), (PrivilegeLevel::Admin, "sys/auth/*"));
}

#[tokio::test]
async fn certificates_carry_the_fingerprint_of_their_public_half() {
    let server = require_lab!(OpenBao::shared().await);
    server.write("sys/mounts/pki-shown", &json!({ "type": "pki" })).await.expect("a mount");
    server
        .write("pki-shown/root/generate/internal", &json!({ "common_name": "lab ca", "ttl": "720h" }))
        .await
        .expect("an authority");
    server
        .write("pki-shown/roles/web", &json!({ "allow_any_name": true, "max_ttl": "72h" }))
        .await
        .expect("a role");
    let issue = async |name: &str| {
        let made = server
            .write("pki-shown/issue/web", &json!({ "common_name": name }))
            .await
            .expect("a certificate");
        made["data"]["serial_number"].as_str().expect("a serial").to_owned()
    };
    let (live, revoked) = (issue("web.lab").await, issue("old.lab").await);
    server.write("pki-shown/revoke", &json!({ "serial_number": revoked })).await.expect("revoked");
    let seen = scan(&root(server, &["pki-shown"]), Phase::Issuers).await.expect("a scan");
    let found = |serial: &str| &seen.credentials[&at(&format!("vault/pki-shown/cert/{serial}"))];
    assert_eq!(seen.credentials.len(), 3);
    assert_eq!(found(&live).state, CredentialState::Active);
    assert_eq!(found(&live).attributes["ca"], false);
    assert_eq!(found(&live).attributes["revoked"], false);
    let handle = found(&live).handle.clone().expect("a handle");
    assert_eq!((handle.scheme, handle.value.len()), (HandleScheme::SpkiSha256, 64));
    assert!(found(&live).expires_at > found(&live).created_at);
    assert_eq!(found(&live).identity, Some(at("vault/pki-shown/subject/CN=web.lab")));
    assert!(seen.identities.contains_key(&at("vault/pki-shown/subject/CN=web.lab")));
    assert_eq!(found(&revoked).state, CredentialState::Suspended);
    assert!(found(&revoked).attributes.contains_key("revoked_at"));
    assert_eq!(seen.credentials.values().filter(|credential| credential.attributes["ca"] == true).count(), 1);
}

#[tokio::test]
async fn static_roles_are_passwords_and_their_creds_are_copies() {
    let server = require_lab!(OpenBao::shared().await);
    let postgres = require_lab!(Postgres::shared().await);
    let admin = postgres.connect("postgres").await.expect("a login");
    admin.batch_execute("CREATE ROLE vault_static LOGIN PASSWORD 'before'").await.expect("a role");
    server.write("sys/mounts/db-shown", &json!({ "type": "database" })).await.expect("a mount");
    let connection = json!({
        "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "username": postgres.user(), "password": postgres.password(),
        "connection_url": format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable", postgres.port()),
    });
    server.write("db-shown/config/main", &connection).await.expect("a connection");
    let role = json!({ "db_name": "main", "username": "vault_static", "rotation_period": "24h" });
    server.write("db-shown/static-roles/app", &role).await.expect("a static role");

    let backend = root(server, &["db-shown"]);
    let seen = scan(&backend, Phase::Issuers).await.expect("a scan");
    let role = &seen.credentials[&at("vault/db-shown/static-roles/app")];
    assert_eq!(role.kind, CredentialKind::Password);
    assert_eq!(role.attributes["username"], "vault_static");
    assert_eq!(role.attributes["rotation_period"], 86400);
    let user = role.identity.as_ref().expect("an identity");
    assert_eq!(seen.identities[user].kind, IdentityKind::DatabaseRole);
    let connection = &seen.credentials[&at("vault/db-shown/config/main")];
    assert_eq!(connection.attributes["plugin"], "postgresql-database-plugin");
    assert_eq!(connection.attributes["host"], "127.0.0.1");
    let told = format!(
        "{:?} {:?}",
        connection.attributes,
        seen.identities[connection.identity.as_ref().expect("an identity")]
    );
    assert!(!told.contains(postgres.password()), "the connection's password is nowhere");

    let seen = scan(&backend, Phase::Stores).await.expect("a scan");
    let copy = seen
        .copies
        .iter()
        .find(|copy| copy.at.as_str() == "vault/db-shown/static-creds/app#password")
        .expect("a copy");
    assert_eq!(copy.issuer, Some(at("vault/db-shown/static-roles/app")));
    assert_eq!(copy.bundle.user.as_deref(), Some("vault_static"));
    let Content::Value(password) = &copy.content else { panic!("a value") };
    let accepted =
        postgres.accepts("vault_static", password.expose_text().expect("UTF-8")).await.expect("an answer");
    assert!(accepted, "it is the password that the database takes");
}

#[tokio::test]
async fn a_poor_token_says_what_it_could_not_see_and_which_rules_it_lacks() {
    let server = require_lab!(OpenBao::shared().await);
    server
        .write("sys/mounts/kv-poor", &json!({ "type": "kv", "options": { "version": "2" } }))
        .await
        .expect("a mount");
    let rules = r#"path "kv-poor/metadata/*" { capabilities = ["list", "read"] }"#;
    let (token, _) = token_with(server, "poor", rules, json!({})).await;
    let poor = backend(VaultConfig {
        include: vec!["kv-poo*".into(), "auth/token".into()],
        ..config(server.address(), &token)
    });
    let seen = scan(&poor, Phase::Issuers).await.expect("a scan");
    for (area, part) in [("sys", "mounts"), ("auth/token", "accessors")] {
        assert_eq!(seen.status(area, part), Some(ScopeStatus::Denied), "{area}/{part}");
        assert!(!seen.reason(area, part).is_empty());
    }
    assert!(seen.credentials.is_empty());
    // Who asks for mounts by their names and finds them has no gap; who asks for one that is not there is told.
    let exact = |include: &str| {
        backend(VaultConfig { include: vec![include.into()], ..config(server.address(), &token) })
    };
    assert_eq!(
        scan(&exact("kv-poor"), Phase::Issuers).await.expect("a scan").incomplete(),
        Vec::<String>::new()
    );
    assert_eq!(scan(&exact("kv-rich"), Phase::Issuers).await.expect("a scan").incomplete(), ["kv-rich"]);
    let permissions = poor.check().await.expect("an answer");
    let status = |name: &str| {
        permissions
            .iter()
            .find(|permission| permission.name == name)
            .map(|permission| permission.status.clone())
    };
    assert_eq!(status("list, read on kv-poor/metadata/*"), Some(PermissionStatus::Present));
    let rule = r#"path "kv-poor/data/*" { capabilities = ["read"] }"#;
    assert_eq!(status("read on kv-poor/data/*"), Some(PermissionStatus::Missing(rule.into())));
    let complete = root(server, &["kv-poor"]).check().await.expect("an answer");
    assert!(complete.iter().all(|permission| permission.status == PermissionStatus::Present));
}

#[tokio::test]
async fn an_engine_that_we_cannot_read_is_not_called_clean() {
    let server = require_lab!(OpenBao::shared().await);
    server.write("sys/mounts/ssh-shown", &json!({ "type": "ssh" })).await.expect("a mount");
    server.write("sys/mounts/transit-shown", &json!({ "type": "transit" })).await.expect("a mount");
    let seen = scan(&root(server, &["*-shown"]), Phase::Issuers).await.expect("a scan");
    assert_eq!(seen.status("ssh-shown", ""), Some(ScopeStatus::Unreadable));
    assert!(seen.reason("ssh-shown", "").contains("ssh"));
    assert_eq!(seen.status("transit-shown", ""), None, "its keys never leave the server");
}
