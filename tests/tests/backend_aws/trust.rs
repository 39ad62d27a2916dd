//! Whom roles trust, and what that comes to.

use claviger_tests::require_lab;

use super::*;

#[tokio::test]
async fn trusts_say_what_they_do_not_ask() {
    let server = require_lab!(Ministack::start().await);
    let issuer = json!({"Federated": "arn:aws:iam::000000000000:oidc-provider/ci.example"});
    let policy = |principal: &Value, condition: Value| {
        let mut statement =
            json!({"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": principal});
        if condition != Value::Null {
            statement["Condition"] = condition;
        }
        json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    };
    let aud = json!({"ci.example:aud": "sts.amazonaws.com"});
    let like = |subject: &str| json!({"StringLike": {"ci.example:sub": subject}, "StringEquals": aud});
    let roles = [
        (
            "exact",
            policy(
                &issuer,
                json!({"StringEquals": {"ci.example:sub": "repo:acme/web:ref:refs/heads/main", "ci.example:aud": "sts.amazonaws.com"}}),
            ),
            json!([]),
        ),
        ("open", policy(&issuer, Value::Null), json!(["subject-missing", "audience-missing"])),
        ("anybody", policy(&issuer, like("*")), json!(["subject-wildcard"])),
        ("acme", policy(&issuer, like("repo:acme/*")), json!(["organisation"])),
        ("branches", policy(&issuer, like("repo:acme/web:*")), json!(["subject-pattern"])),
        ("world", policy(&json!({"AWS": "*"}), Value::Null), json!(["any-principal"])),
        ("account", policy(&json!({"AWS": "arn:aws:iam::000000000000:root"}), Value::Null), json!([])),
    ];
    let calls: Vec<_> = roles
        .iter()
        .map(|(name, document, _)| {
            ("iam", "create_role", json!({"RoleName": name, "AssumeRolePolicyDocument": document}))
        })
        .collect();
    seed(&server, &calls);
    let seen = scan(&root(&server)).await.expect("a scan");
    for (name, _, gaps) in &roles {
        let attributes = &seen.identities[&format!("aws/iam/role/{name}")].attributes;
        assert_eq!(attributes["trust_gaps"], *gaps, "{name}");
    }
    let acme = &seen.identities["aws/iam/role/acme"].attributes;
    assert_eq!(acme["trusted_organisations"], json!(["acme"]));
}
