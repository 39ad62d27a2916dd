//! KV as a store: compare-and-set, siblings, permissions.

use claviger_backend::{Backend, Effect, ErrorKind, Expect, Store, StoreState};
use claviger_backend_vault::VaultConfig;
use claviger_tests::{
    lab::{microburst::Microburst, openbao::OpenBao},
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{VaultBackend, at, backend, config, operation, root, token_with, value};

fn store(backend: &VaultBackend) -> &dyn Store {
    backend.store().expect("a store")
}

async fn data(server: &OpenBao, path: &str) -> Value {
    server.request(Method::GET, path, None).await.expect("an answer").good(path).expect("data")["data"].take()
}

#[tokio::test]
async fn one_field_is_replaced_and_a_lost_race_is_a_conflict() {
    let server = require_lab!(OpenBao::shared().await);
    let body = json!({ "data": { "password": "old", "user": "app", "n": 12.50, "o": { "k": [1, null] } } });
    server.write("secret/data/store/cas", &body).await.expect("a version");
    let backend = root(server, &[]);
    let store = store(&backend);
    let field = at("vault/secret/store/cas#password");
    let found = store.read(&field).await.expect("an answer").expect("a value");
    assert_eq!((found.value.expose_text(), found.version.as_str()), (Some("old"), "1"));
    assert_eq!(store.writable(&field).await.expect("an answer"), StoreState::Writable);

    let version = store
        .write(&operation("write"), &field, &value("n\"ew\n"), &Expect::Version("1".into()))
        .await
        .expect("written");
    assert_eq!(version, "2");
    let now = data(server, "secret/data/store/cas").await;
    assert_eq!(
        now["data"],
        json!({ "password": "n\"ew\n", "user": "app", "n": 12.5, "o": { "k": [1, null] } })
    );

    // A repeat with the old expectation, and somebody else's write in between, are both conflicts that write nothing.
    let error = store
        .write(&operation("write"), &field, &value("x"), &Expect::Version("1".into()))
        .await
        .expect_err("a conflict");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::NotApplied));
    let error =
        store.write(&operation("write"), &field, &value("x"), &Expect::Absent).await.expect_err("a conflict");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(data(server, "secret/data/store/cas").await["metadata"]["version"], 2);
}

#[tokio::test]
async fn of_two_writers_at_the_same_time_one_wins() {
    let server = require_lab!(OpenBao::shared().await);
    server.write("secret/data/store/race", &json!({ "data": { "p": "0" } })).await.expect("a version");
    let backend = root(server, &[]);
    let field = at("vault/secret/store/race#p");
    let expect = Expect::Version("1".into());
    let (op, first, second) = (operation("write"), value("a"), value("b"));
    let (left, right) = tokio::join!(
        store(&backend).write(&op, &field, &first, &expect),
        store(&backend).write(&op, &field, &second, &expect)
    );
    let errors: Vec<ErrorKind> = [&left, &right]
        .iter()
        .filter_map(|result| result.as_ref().err().map(claviger_backend::Error::kind))
        .collect();
    assert_eq!(errors, [ErrorKind::Conflict]);
    assert_eq!(data(server, "secret/data/store/race").await["metadata"]["version"], 2);
}

#[tokio::test]
async fn absent_means_that_the_field_is_not_there() {
    let server = require_lab!(OpenBao::shared().await);
    let backend = root(server, &[]);
    let store = store(&backend);
    let field = at("vault/secret/store/new path#%23p");
    assert!(store.read(&field).await.expect("an answer").is_none());
    assert_eq!(store.writable(&field).await.expect("an answer"), StoreState::Writable);
    assert_eq!(
        store.write(&operation("write"), &field, &value("1"), &Expect::Absent).await.expect("written"),
        "1"
    );
    // A second field of the same secret: absent, although the path is there.
    let second = at("vault/secret/store/new path#q");
    assert_eq!(
        store.write(&operation("write"), &second, &value("2"), &Expect::Absent).await.expect("written"),
        "2"
    );
    assert_eq!(data(server, "secret/data/store/new%20path").await["data"], json!({ "%23p": "1", "q": "2" }));
    // A deleted version is absence too.
    server
        .request(Method::DELETE, "secret/data/store/new%20path", None)
        .await
        .expect("an answer")
        .good("delete")
        .expect("deleted");
    assert!(store.read(&second).await.expect("an answer").is_none());
    assert_eq!(
        store.write(&operation("write"), &second, &value("3"), &Expect::Absent).await.expect("written"),
        "3"
    );
    assert_eq!(data(server, "secret/data/store/new%20path").await["data"], json!({ "q": "3" }));
}

#[tokio::test]
async fn version_1_compares_a_digest_and_is_refused_without_a_key() {
    let server = require_lab!(OpenBao::shared().await);
    server.write("sys/mounts/store1", &json!({ "type": "kv" })).await.expect("a mount");
    server.write("store1/app", &json!({ "p": "old", "user": "app" })).await.expect("a value");
    let backend = root(server, &[]);
    let field = at("vault/store1/app#p");
    let found = store(&backend).read(&field).await.expect("an answer").expect("a value");
    let expect = Expect::Version(found.version.clone());
    let version =
        store(&backend).write(&operation("write"), &field, &value("new"), &expect).await.expect("written");
    assert_ne!(version, found.version);
    assert_eq!(data(server, "store1/app").await, json!({ "p": "new", "user": "app" }));
    let now = store(&backend).read(&field).await.expect("an answer").expect("a value");
    assert_eq!(now.version, version);
    let error = store(&backend)
        .write(&operation("write"), &field, &value("x"), &expect)
        .await
        .expect_err("a conflict");
    assert_eq!(error.kind(), ErrorKind::Conflict);

    let keyless =
        super::backend(VaultConfig { version_key: None, ..config(server.address(), server.token()) });
    assert!(matches!(store(&keyless).writable(&field).await.expect("an answer"), StoreState::Refused(_)));
    let error = store(&keyless)
        .write(&operation("write"), &field, &value("x"), &expect)
        .await
        .expect_err("unsupported");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(data(server, "store1/app").await["p"], "new");
}

#[tokio::test]
async fn whether_we_may_write_is_known_before() {
    let server = require_lab!(OpenBao::shared().await);
    server.write("secret/data/store/readonly", &json!({ "data": { "p": "1" } })).await.expect("a version");
    server.write("secret/data/store/managed", &json!({ "data": { "p": "1" } })).await.expect("a version");
    server
        .write("secret/metadata/store/managed", &json!({ "custom_metadata": { "managed_by": "terraform" } }))
        .await
        .expect("metadata");
    let rules = r#"path "secret/data/store/readonly" { capabilities = ["read"] }"#;
    let (token, _) = token_with(server, "readonly", rules, json!({})).await;
    let poor = backend(config(server.address(), &token));
    let field = at("vault/secret/store/readonly#p");
    let StoreState::Refused(why) = store(&poor).writable(&field).await.expect("an answer") else {
        panic!("refused")
    };
    assert!(why.contains("`update` on secret/data/store/readonly"), "{why}");
    let error = store(&poor)
        .write(&operation("write"), &field, &value("x"), &Expect::Version("1".into()))
        .await
        .expect_err("denied");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Denied, Effect::NotApplied));
    let rich = root(server, &[]);
    let managed = at("vault/secret/store/managed#p");
    assert_eq!(
        store(&rich).writable(&managed).await.expect("an answer"),
        StoreState::ManagedElsewhere("terraform".into())
    );
    for wrong in ["vault/secret/store/readonly", "vault/auth/token/accessor/x", "vault/sys/mounts#x"] {
        assert!(store(&rich).read(&at(wrong)).await.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_has_an_unknown_effect() {
    let server = require_lab!(OpenBao::shared().await);
    let proxy = require_lab!(Microburst::start(server.address()).await);
    server.write("secret/data/store/cut", &json!({ "data": { "p": "old" } })).await.expect("a version");
    let backend = backend(config(proxy.endpoint(), server.token()));
    let field = at("vault/secret/store/cut#p");
    store(&backend).read(&field).await.expect("the proxy works");
    // Of our requests only those with a body say a content type: the write, not the read before it.
    let headers = json!({ "content-type": "application/json" });
    let rules =
        json!([{ "service": "*", "headers": headers, "times": 1, "response": { "abort_frac": 0.2 } }]);
    proxy.add_rules(&rules).await.expect("rules");
    let result =
        store(&backend).write(&operation("write"), &field, &value("new"), &Expect::Version("1".into())).await;
    let error = result.expect_err("the answer is cut");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown), "{error:?}");
    // What the caller does then: read again, and find its own value there.
    let found = store(&backend).read(&field).await.expect("an answer").expect("a value");
    assert_eq!((found.value.expose_text(), found.version.as_str()), (Some("new"), "2"));
}
