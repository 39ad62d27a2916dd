//! Tokens that follow others: what they may do, what is refused, and how they are found again.

use claviger_backend::{Backend, ErrorKind, Issuer, Prospect, Verdict};
use claviger_tests::{lab::openbao::OpenBao, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use super::{VaultBackend, at, backend, config, operation, root, token_with};

const RULES: &str = r#"path "secret/data/x" { capabilities = ["read"] }"#;
/// What a connection needs to have tokens made, and to find them again.
const MAKER: &str = r#"
path "auth/token/create-orphan" { capabilities = ["update", "sudo"] }
path "auth/token/create/+" { capabilities = ["update"] }
path "auth/token/roles/+" { capabilities = ["read"] }
path "auth/token/accessors" { capabilities = ["list", "sudo"] }
path "auth/token/accessors/" { capabilities = ["list", "sudo"] }
path "auth/token/lookup" { capabilities = ["update"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
"#;

fn issuer(backend: &VaultBackend) -> &dyn Issuer {
    backend.issuer().expect("an issuer")
}

fn subject(accessor: &str) -> super::Ref {
    at(&format!("vault/auth/token/accessor/{accessor}"))
}

async fn look(server: &OpenBao, accessor: &str) -> Value {
    let body = json!({ "accessor": accessor });
    server.write("auth/token/lookup-accessor", &body).await.expect("a token")["data"].clone()
}

fn name(at: &super::Ref) -> String {
    at.as_str().rsplit('/').next().expect("an accessor").to_owned()
}

fn refused(prospect: &Prospect) -> (&str, &str) {
    prospect.refused.as_ref().map_or(("", ""), |(code, reason)| (*code, reason.as_str()))
}

/// Without a root token: with the rules that `claviger doctor` asks for, and no more.
#[tokio::test]
async fn a_token_is_followed_by_one_that_may_do_the_same() {
    let server = require_lab!(OpenBao::shared().await);
    let (own, _) = token_with(server, "maker", MAKER, json!({ "no_parent": true })).await;
    let backend = backend(config(server.address(), &own));
    let issuer = issuer(&backend);
    for (step, more) in [
        (
            "periodic",
            json!({ "period": "24h", "no_parent": true, "display_name": "ci runner", "meta": { "owner": "dana" } }),
        ),
        ("expiring", json!({ "ttl": "1h", "explicit_max_ttl": "2h" })),
        ("bare", json!({ "ttl": "1h", "no_default_policy": true, "renewable": false })),
    ] {
        let (_, accessor) = token_with(server, "followed", RULES, more).await;
        let old = subject(&accessor);
        let prospect = issuer.prospect(&old).await.expect("an answer");
        assert_eq!(prospect.refused, None, "{step}");
        assert!(prospect.notes.iter().any(|note| note.contains("child tokens")), "{step}: {prospect:?}");
        let op = operation(step);
        let issued = issuer.issue(&op, &old, None).await.expect("issued");
        let (before, after) = (look(server, &accessor).await, look(server, &name(&issued.at)).await);
        for field in [
            "policies",
            "period",
            "explicit_max_ttl",
            "creation_ttl",
            "num_uses",
            "renewable",
            "type",
            "display_name",
            "entity_id",
        ] {
            assert_eq!(before[field], after[field], "{step}: {field}");
        }
        assert_eq!(after["orphan"], true, "{step}");
        assert_eq!(after["meta"]["claviger-operation"], op.key.to_string(), "{step}");
        assert_eq!(after["meta"]["owner"], before["meta"]["owner"], "{step}");
        let told = issued.minted.expect("the value");
        if step != "bare" {
            // One without the default policy may not look itself up.
            assert_eq!(issuer.verify(&issued.at, &told).await.expect("a probe").verdict, Verdict::Accepted);
        }
        assert_eq!(issuer.made_by(&op, &old).await.expect("an answer"), [issued.at], "{step}");
    }
}

#[tokio::test]
async fn a_token_role_makes_the_one_that_follows() {
    let server = require_lab!(OpenBao::shared().await);
    let (own, _) = token_with(server, "role-maker", MAKER, json!({ "no_parent": true })).await;
    let backend = backend(config(server.address(), &own));
    let issuer = issuer(&backend);
    server.write("sys/policies/acl/job", &json!({ "policy": RULES })).await.expect("a policy");
    let role = |more: Value| {
        let mut role = json!({ "allowed_policies": "job", "orphan": true, "token_period": "3600",
                               "token_bound_cidrs": ["127.0.0.0/8"] });
        role.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        role
    };
    server.write("auth/token/roles/job", &role(json!({}))).await.expect("a role");
    let made = server.write("auth/token/create/job", &json!({ "policies": ["job"] })).await.expect("a token");
    let accessor = made["auth"]["accessor"].as_str().expect("an accessor");
    let issued = issuer.issue(&operation("role"), &subject(accessor), None).await.expect("issued");
    let (before, after) = (look(server, accessor).await, look(server, &name(&issued.at)).await);
    for field in ["policies", "period", "bound_cidrs", "role", "orphan", "creation_ttl"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    for (more, code, says) in [
        (json!({ "token_period": "7200" }), "role-changed", "another period"),
        (json!({ "token_bound_cidrs": ["10.0.0.0/8"] }), "role-changed", "source addresses"),
        (json!({ "orphan": false }), "role-changed", "orphan = true"),
    ] {
        server.write("auth/token/roles/job", &role(more)).await.expect("a role");
        let prospect = issuer.prospect(&subject(accessor)).await.expect("an answer");
        let (found, reason) = refused(&prospect);
        assert!(found == code && reason.contains(says), "{prospect:?}");
    }
    server.request(Method::DELETE, "auth/token/roles/job", None).await.expect("an answer");
    let prospect = issuer.prospect(&subject(accessor)).await.expect("an answer");
    assert_eq!(refused(&prospect).0, "no-role", "{prospect:?}");
}

#[tokio::test]
async fn what_cannot_be_made_faithfully_is_refused() {
    let server = require_lab!(OpenBao::shared().await);
    let root = root(server, &[]);
    let ask = async |accessor: &str| issuer(&root).prospect(&subject(accessor)).await.expect("an answer");
    let accessor = |made: &Value| made["auth"]["accessor"].as_str().expect("an accessor").to_owned();

    let made = server.write("auth/token/create", &json!({ "policies": ["root"] })).await.expect("a token");
    let prospect = ask(&accessor(&made)).await;
    assert!(refused(&prospect).0 == "root-token" && refused(&prospect).1.contains("generate-root"));
    let (_, limited) = token_with(server, "limited", RULES, json!({ "num_uses": 5 })).await;
    assert_eq!(refused(&ask(&limited).await).0, "limited-uses");
    let own = server.request(Method::GET, "auth/token/lookup-self", None).await.expect("an answer");
    let own = own.body["data"]["accessor"].as_str().expect("an accessor").to_owned();
    assert_eq!(refused(&ask(&own).await).0, "self-lock");
    assert_eq!(refused(&ask("none").await).0, "already-gone");

    // A login's token, and one that this token made, which has the login's entity.
    server.write("sys/auth/people", &json!({ "type": "userpass" })).await.expect("a mount");
    let rules = r#"path "auth/token/create" { capabilities = ["update"] }"#;
    server.write("sys/policies/acl/joe", &json!({ "policy": rules })).await.expect("a policy");
    let joe = json!({ "password": "a-password", "token_policies": "joe" });
    server.write("auth/people/users/joe", &joe).await.expect("a user");
    let login =
        server.write("auth/people/login/joe", &json!({ "password": "a-password" })).await.expect("a login");
    let prospect = ask(&accessor(&login)).await;
    assert!(refused(&prospect).0 == "from-login" && refused(&prospect).1.contains("auth/people/login/joe"));
    let token = login["auth"]["client_token"].as_str().expect("a token");
    let body = json!({ "policies": ["joe"], "ttl": "1h" });
    let child =
        server.request_as(token, Method::POST, "auth/token/create", Some(&body)).await.expect("an answer");
    let child = accessor(&child.body);
    assert_eq!(refused(&ask(&child).await).0, "entity");
    let error =
        issuer(&root).issue(&operation("entity"), &subject(&child), None).await.err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);

    // Whoever may not make it, or could not find it again, says so beforehand.
    let (_, plain) = token_with(server, "plain", RULES, json!({})).await;
    for (policy, rules, lacks) in [
        (
            "no-sudo",
            MAKER.replace("[\"update\", \"sudo\"]", "[\"update\"]"),
            "sudo on auth/token/create-orphan",
        ),
        ("no-list", MAKER.replace("\"list\", \"sudo\"", "\"read\""), "auth/token/accessors"),
    ] {
        let (weak, _) = token_with(server, policy, &rules, json!({})).await;
        let weak = backend(config(server.address(), &weak));
        let prospect = issuer(&weak).prospect(&subject(&plain)).await.expect("an answer");
        let (code, reason) = refused(&prospect);
        assert!(code == "no-permission" && reason.contains(lacks), "{policy}: {prospect:?}");
    }
}
