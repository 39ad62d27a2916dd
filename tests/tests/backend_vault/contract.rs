//! The contract suite, on a real OpenBao.

use claviger_backend::contract::{Fixture, Subject, trials};
use claviger_core::random::OsRandom;
use claviger_tests::{lab::postgres::Postgres, require_lab};

use super::*;

const MOUNT: &str = "auth/contract";
/// Of the account that the engine logs in as, before it is changed.
const ENGINE_PASSWORD: &str = "engine-before-0123456789";

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let server = require_lab!(OpenBao::shared().await);
    let postgres = require_lab!(Postgres::shared().await);
    server.write("sys/auth/contract", &json!({ "type": "approle" })).await.expect("a mount");
    server
        .write(&format!("{MOUNT}/role/web"), &json!({ "token_policies": "default" }))
        .await
        .expect("a role");
    let made = server.write(&format!("{MOUNT}/role/web/secret-id"), &json!({})).await.expect("a secret-id");
    let text = |key: &str| made["data"][key].as_str().expect("a text").to_owned();
    let secret_id = at(&format!("vault/{MOUNT}/role/web/secret-id/{}", text("secret_id_accessor")));
    let rules = r#"path "secret/data/contract" { capabilities = ["read"] }"#;
    let (revoked, revocable) = token_with(server, "contract", rules, json!({})).await;
    let periodic = json!({ "period": "24h", "no_parent": true, "display_name": "kept" });
    let (kept, marked) = token_with(server, "contract", rules, periodic).await;
    let fields = json!({ "data": { "password": "contract-password", "username": "contract-user" } });
    server.write("secret/data/contract", &fields).await.expect("a secret");
    let shown = static_role(server, postgres).await;
    let random = OsRandom;
    let token = |accessor: &str| at(&format!("vault/auth/token/accessor/{accessor}"));
    let fixture = Fixture {
        addable: Some(Subject { at: secret_id.clone(), value: value(&text("secret_id")) }),
        new_beside: Some(Box::new(|| claviger_core::password::uuid(&OsRandom))),
        credential: Some(Subject { at: secret_id, value: value(&text("secret_id")) }),
        marked: Some(Subject { at: token(&marked), value: value(&kept) }),
        asked: Some(Subject { at: at("vault/db-contract/static-roles/app"), value: value(&shown) }),
        hidden: Some(Subject { at: at("vault/db-contract/config/hidden"), value: value(ENGINE_PASSWORD) }),
        revocable: Some(Subject { at: token(&revocable), value: value(&revoked) }),
        absent_credential: Some(at(&format!(
            "vault/{MOUNT}/role/web/secret-id/11111111-2222-3333-4444-555555555555"
        ))),
        new_value: Some(Box::new(move || claviger_core::password::uuid(&random))),
        copy: Some(at("vault/secret/contract#password")),
        copy_beside: Some(at("vault/secret/contract#username")),
        absent_copy: Some(at("vault/secret/nothing#password")),
        secrets: vec![value(server.token()), value(&revoked), value(&kept), value("contract-password")],
        ..Fixture::default()
    };
    let trials = trials("vault", Arc::new(root(server, &["secret", "db-contract", MOUNT])), fixture);
    assert!(trials.len() > 20, "{} trials", trials.len());
    let run =
        tokio::task::spawn_blocking(|| libtest_mimic::run(&libtest_mimic::Arguments::default(), trials));
    let conclusion = run.await.expect("the suite ends");
    assert_eq!((conclusion.num_failed, conclusion.num_ignored), (0, 0));
}

/// A role of a real database whose password the engine holds; what that is.
async fn static_role(server: &OpenBao, postgres: &Postgres) -> String {
    let admin = postgres.connect("postgres").await.expect("a login");
    admin.batch_execute("CREATE ROLE contract_static LOGIN PASSWORD 'before'").await.expect("a role");
    server.write("sys/mounts/db-contract", &json!({ "type": "database" })).await.expect("a mount");
    let url = format!(
        "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable",
        postgres.port()
    );
    let connection = json!({ "plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
                             "username": postgres.user(), "password": postgres.password(), "connection_url": url });
    server.write("db-contract/config/main", &connection).await.expect("a connection");
    let engine = format!("CREATE ROLE contract_engine LOGIN CREATEROLE PASSWORD '{ENGINE_PASSWORD}'");
    admin.batch_execute(&engine).await.expect("a role");
    let hidden = json!({ "plugin_name": "postgresql-database-plugin", "username": "contract_engine",
                         "password": ENGINE_PASSWORD, "connection_url": url });
    server.write("db-contract/config/hidden", &hidden).await.expect("a connection");
    let role = json!({ "db_name": "main", "username": "contract_static", "rotation_period": "24h" });
    server.write("db-contract/static-roles/app", &role).await.expect("a static role");
    let shown =
        server.request(reqwest::Method::GET, "db-contract/static-creds/app", None).await.expect("an answer");
    shown.body["data"]["password"].as_str().expect("a password").to_owned()
}
