//! Inventory of KV mounts.

use claviger_backend::Phase;
use claviger_core::{
    model::{CopyStage, ScopeStatus},
    observation::Content,
};
use claviger_tests::{
    lab::{http, openbao::OpenBao},
    require_lab,
};
use reqwest::Method;
use serde_json::json;

use super::{backend, config, root, scan, token_with};

#[tokio::test]
async fn every_readable_version_is_a_copy_with_its_stage() {
    let server = require_lab!(OpenBao::shared().await);
    server
        .write("sys/mounts/kv-versions", &json!({ "type": "kv", "options": { "version": "2" } }))
        .await
        .expect("a mount");
    for (number, password) in ["first", "second", "third", "fourth"].iter().enumerate() {
        let body = json!({ "data": { "username": "app", "password": password, "port": 5432 + number } });
        server.write("kv-versions/data/team/db", &body).await.expect("a version");
    }
    server.write("kv-versions/delete/team/db", &json!({ "versions": [2] })).await.expect("deletion");
    server.write("kv-versions/destroy/team/db", &json!({ "versions": [1] })).await.expect("destruction");
    let metadata =
        json!({ "cas_required": true, "custom_metadata": { "owner": "dana", "managed-by": "terraform" } });
    server.write("kv-versions/metadata/team/db", &metadata).await.expect("metadata");

    let seen = scan(&root(server, &["kv-versions"]), Phase::Stores).await.expect("a scan");
    let passwords = seen.values("vault/kv-versions/team/db#password");
    let expected = [("3", "third"), ("4", "fourth")];
    assert_eq!(
        passwords
            .iter()
            .map(|(_, version, text)| (version.as_deref().unwrap_or_default(), text.as_str()))
            .collect::<Vec<_>>(),
        expected,
    );
    assert_eq!(seen.copies.len(), 6, "three fields of two readable versions");
    for copy in &seen.copies {
        let former = copy.version.as_deref() == Some("3");
        assert_eq!(copy.stage, if former { CopyStage::Former } else { CopyStage::Current });
        assert_eq!(copy.labels["owner"], "dana");
        assert_eq!(copy.owners[0].owner, "dana");
        assert_eq!(copy.bundle.user.as_deref(), Some("app"), "{}", copy.at);
        assert_eq!(copy.attributes["cas_required"], true);
        assert_eq!(copy.attributes["deleted_versions"], json!([2]));
        assert_eq!(copy.attributes["destroyed_versions"], json!([1]));
        assert_eq!(copy.attributes["managed_by"], "terraform");
        assert!(copy.created_at.is_some() && copy.updated_at >= copy.created_at);
    }
    assert_eq!(seen.values("vault/kv-versions/team/db#port").pop().expect("a port").2, "5435");
    assert_eq!(seen.status("kv-versions", ""), Some(ScopeStatus::Complete));
    assert_eq!(seen.status("kv-versions/team", ""), Some(ScopeStatus::Complete));
    assert_eq!(seen.incomplete(), Vec::<String>::new());

    // A second look at an unchanged mount says the same.
    let again = scan(&root(server, &["kv-versions"]), Phase::Stores).await.expect("a scan");
    assert_eq!(again.values("vault/"), seen.values("vault/"));
}

#[tokio::test]
async fn a_deleted_current_version_leaves_only_former_ones() {
    let server = require_lab!(OpenBao::shared().await);
    server
        .write("sys/mounts/kv-deleted", &json!({ "type": "kv", "options": { "version": "2" } }))
        .await
        .expect("a mount");
    for password in ["first", "second"] {
        server.write("kv-deleted/data/app", &json!({ "data": { "p": password } })).await.expect("a version");
    }
    server
        .request(Method::DELETE, "kv-deleted/data/app", None)
        .await
        .expect("an answer")
        .good("delete")
        .expect("deleted");
    let seen = scan(&root(server, &["kv-deleted"]), Phase::Stores).await.expect("a scan");
    assert_eq!(
        seen.values("vault/"),
        [("vault/kv-deleted/app#p".to_owned(), Some("1".to_owned()), "first".to_owned())]
    );
    assert_eq!(seen.copies[0].stage, CopyStage::Former);
}

#[tokio::test]
async fn names_may_hold_any_character() {
    let server = require_lab!(OpenBao::shared().await);
    server
        .write("sys/mounts/team/odd", &json!({ "type": "kv", "options": { "version": "2" } }))
        .await
        .expect("a mount");
    server.write("sys/mounts/odd1", &json!({ "type": "kv" })).await.expect("a mount");
    let body = json!({ "a#/b": "v", "<b>\u{1b}[31m": "=1+1", "big": 1.5, "nested": { "k": ["x"] } });
    server
        .write("team/odd/data/we%20ird/%25%23%3F%26=+;/%C3%BC", &json!({ "data": body }))
        .await
        .expect("a version");
    server.write("odd1/x%23y/z", &body).await.expect("a value");

    let seen = scan(&root(server, &["team/odd", "odd1"]), Phase::Stores).await.expect("a scan");
    let refs: Vec<String> =
        seen.values("vault/").into_iter().map(|(at, _, text)| format!("{at} = {text}")).collect();
    let expected = |object: &str| {
        [
            format!("{object}#<b>\u{1b}[31m = =1+1"),
            format!("{object}#a#/b = v"),
            format!("{object}#big = 1.5"),
            format!("{object}#nested = {{\"k\":[\"x\"]}}"),
        ]
    };
    let all: Vec<String> =
        [expected("vault/odd1/x%23y/z"), expected("vault/team/odd/we ird/%25%23?&=+;/ü")].concat();
    assert_eq!(refs, all);
    assert_eq!(seen.incomplete(), Vec::<String>::new());
    let version1 =
        seen.copies.iter().find(|copy| copy.at.as_str().starts_with("vault/odd1/")).expect("a copy");
    assert_eq!(version1.version.as_deref().map(str::len), Some(64), "a keyed digest stands in for a version");
}

#[tokio::test]
async fn a_folder_of_more_than_one_page_is_read_whole() {
    let server = require_lab!(OpenBao::shared().await);
    server
        .write("sys/mounts/kv-many", &json!({ "type": "kv", "options": { "version": "2" } }))
        .await
        .expect("a mount");
    let client = http::client(None).expect("a client");
    for number in 0..1030 {
        let url = format!("{}/v1/kv-many/data/many/k{number}", server.address());
        let headers = [("x-vault-token", server.token())];
        let answer =
            http::send(&client, Method::POST, &url, &headers, Some(&json!({ "data": { "v": "x" } })))
                .await
                .expect("an answer");
        assert_eq!(answer.status, 200);
    }
    let first = server
        .request(Method::GET, "kv-many/metadata/many?list=true&limit=1000", None)
        .await
        .expect("an answer");
    assert_eq!(first.body["data"]["keys"].as_array().map(Vec::len), Some(1000), "the server gives pages");
    let seen = scan(&root(server, &["kv-many"]), Phase::Stores).await.expect("a scan");
    let refs: std::collections::BTreeSet<_> = seen.copies.iter().map(|copy| &copy.at).collect();
    assert_eq!((refs.len(), seen.copies.len()), (1030, 1030));
    assert_eq!(seen.incomplete(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_denied_is_named_and_the_rest_is_read() {
    let server = require_lab!(OpenBao::shared().await);
    server
        .write("sys/mounts/kv-denied", &json!({ "type": "kv", "options": { "version": "2" } }))
        .await
        .expect("a mount");
    for path in ["open/a", "half/readable", "half/secret", "shut/b"] {
        server
            .write(&format!("kv-denied/data/{path}"), &json!({ "data": { "v": path } }))
            .await
            .expect("a version");
    }
    server
        .write("kv-denied/data/half/readable", &json!({ "data": { "v": "newer" } }))
        .await
        .expect("a version");
    let rules = r#"
        path "kv-denied/metadata/*" { capabilities = ["list", "read"] }
        path "kv-denied/metadata/half/readable" { capabilities = ["deny"] }
        path "kv-denied/metadata/shut/*" { capabilities = ["deny"] }
        path "kv-denied/data/open/*" { capabilities = ["read"] }
        path "kv-denied/data/half/readable" { capabilities = ["read"] }
    "#;
    let (token, _) = token_with(server, "kv-denied", rules, json!({})).await;
    let include = vec!["kv-denied".to_owned()];
    let restricted =
        backend(claviger_backend_vault::VaultConfig { include, ..config(server.address(), &token) });
    let seen = scan(&restricted, Phase::Stores).await.expect("a scan");

    assert_eq!(seen.incomplete(), ["kv-denied/half", "kv-denied/half/secret", "kv-denied/shut"]);
    assert!(
        seen.reason("kv-denied/half", "").contains("1 of 2 secrets"),
        "{}",
        seen.reason("kv-denied/half", "")
    );
    assert!(seen.reason("kv-denied/half/secret", "").contains("HTTP 403"));
    assert_eq!(seen.status("kv-denied/shut", ""), Some(ScopeStatus::Denied));
    assert_eq!(seen.status("kv-denied/open", ""), Some(ScopeStatus::Complete));
    let found: Vec<(String, Option<String>, String)> = [
        ("vault/kv-denied/half/readable#v", Some("1"), "half/readable"),
        ("vault/kv-denied/half/readable#v", Some("2"), "newer"),
        ("vault/kv-denied/half/secret", Some("1"), "?"),
        ("vault/kv-denied/open/a#v", Some("1"), "open/a"),
    ]
    .map(|(at, version, text)| (at.to_owned(), version.map(str::to_owned), text.to_owned()))
    .into();
    assert_eq!(seen.values("vault/"), found, "versions are found without the metadata too");
    assert!(
        seen.copies
            .iter()
            .any(|copy| matches!(&copy.content, Content::Unreadable(why) if why.contains("denied")))
    );
}

#[tokio::test]
async fn a_folder_that_no_list_shows_is_read_when_it_is_configured() {
    let server = require_lab!(OpenBao::shared().await);
    server
        .write("sys/mounts/kv-hidden", &json!({ "type": "kv", "options": { "version": "2" } }))
        .await
        .expect("a mount");
    server.write("kv-hidden/data/team/app", &json!({ "data": { "v": "x" } })).await.expect("a version");
    let rules = r#"path "kv-hidden/data/team/*" { capabilities = ["read"] }
                   path "kv-hidden/metadata/team/*" { capabilities = ["list", "read"] }"#;
    let (token, _) = token_with(server, "kv-hidden", rules, json!({})).await;
    let base = || claviger_backend_vault::VaultConfig {
        include: vec!["kv-hidden".into()],
        ..config(server.address(), &token)
    };
    let seen = scan(&backend(base()), Phase::Stores).await.expect("a scan");
    assert_eq!(seen.incomplete(), ["kv-hidden"]);
    assert!(seen.copies.is_empty());
    let named = claviger_backend_vault::VaultConfig { mounts: vec!["kv-hidden/team".into()], ..base() };
    let seen = scan(&backend(named), Phase::Stores).await.expect("a scan");
    assert_eq!(seen.values("vault/").len(), 1);
    assert_eq!(seen.status("kv-hidden/team", ""), Some(ScopeStatus::Complete));
}

#[tokio::test]
async fn a_namespace_is_an_inventory_of_its_own() {
    let server = require_lab!(OpenBao::start().await);
    server.write("sys/namespaces/team", &json!({})).await.expect("a namespace");
    server
        .write("team/sys/mounts/kv", &json!({ "type": "kv", "options": { "version": "2" } }))
        .await
        .expect("a mount");
    server.write("team/kv/data/app", &json!({ "data": { "p": "inner" } })).await.expect("a version");
    let above = root(&server, &[]);
    let seen = scan(&above, Phase::Issuers).await.expect("a scan");
    assert_eq!(seen.status("namespaces", "team"), Some(ScopeStatus::Unreadable), "named, not taken for read");
    assert!(scan(&above, Phase::Stores).await.expect("a scan").copies.is_empty());
    let namespace = Some("team/".to_owned());
    let inside = backend(claviger_backend_vault::VaultConfig {
        namespace,
        ..config(server.address(), server.token())
    });
    let seen = scan(&inside, Phase::Stores).await.expect("a scan");
    let expected = ("vault/kv/app#p".to_owned(), Some("1".to_owned()), "inner".to_owned());
    assert_eq!(seen.values("vault/"), [expected]);
    assert_eq!(seen.incomplete(), Vec::<String>::new());
}
