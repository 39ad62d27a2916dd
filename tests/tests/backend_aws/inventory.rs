//! What a scan shows.

use claviger_core::model::{CredentialState, HandleScheme, IdentityKind, Place, PrivilegeLevel};
use claviger_tests::require_lab;

use super::*;

#[tokio::test]
async fn users_keys_and_what_they_may_do() {
    let server = require_lab!(Ministack::start().await);
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": "arn:aws:iam::000000000000:oidc-provider/ci.example"},
        "Condition": {"StringEquals": {"ci.example:sub": "repo:acme/app"}}}]});
    let answers = seed(
        &server,
        &[
            (
                "iam",
                "create_user",
                json!({"UserName": "ci", "Tags": [{"Key": "Owner", "Value": "dana"}, {"Key": "env", "Value": "prod"}]}),
            ),
            ("iam", "create_access_key", json!({"UserName": "ci"})),
            ("iam", "create_access_key", json!({"UserName": "ci"})),
            (
                "iam",
                "attach_user_policy",
                json!({"UserName": "ci", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
            ),
            ("iam", "create_user", json!({"UserName": "reader"})),
            (
                "iam",
                "put_user_policy",
                json!({"UserName": "reader", "PolicyName": "inline", "PolicyDocument": allow(&["secretsmanager:GetSecretValue"], "*")}),
            ),
            ("iam", "create_group", json!({"GroupName": "ops"})),
            (
                "iam",
                "put_group_policy",
                json!({"GroupName": "ops", "PolicyName": "buckets", "PolicyDocument": allow(&["s3:PutObject"], "arn:aws:s3:::b/*")}),
            ),
            ("iam", "add_user_to_group", json!({"GroupName": "ops", "UserName": "reader"})),
            (
                "iam",
                "create_policy",
                json!({"PolicyName": "iam-all", "PolicyDocument": allow(&["iam:*"], "*")}),
            ),
            (
                "iam",
                "create_role",
                json!({"RoleName": "deploy", "AssumeRolePolicyDocument": trust.to_string()}),
            ),
            (
                "iam",
                "attach_role_policy",
                json!({"RoleName": "deploy", "PolicyArn": "arn:aws:iam::000000000000:policy/iam-all"}),
            ),
        ],
    );
    let id = |answer: usize| answers[answer]["AccessKey"]["AccessKeyId"].as_str().expect("an id").to_owned();
    let (active, inactive) = (id(1), id(2));
    seed(
        &server,
        &[(
            "iam",
            "update_access_key",
            json!({"UserName": "ci", "AccessKeyId": inactive, "Status": "Inactive"}),
        )],
    );

    let seen = scan(&root(&server)).await.expect("a scan");
    for scope in ["iam", "iam/roles", "iam/account", "secretsmanager", "ssm"] {
        assert_eq!(seen.scopes[scope].0, ScopeStatus::Complete, "{scope}: {:?}", seen.scopes[scope].1);
    }
    let kinds: Vec<_> = seen.identities.iter().map(|(at, it)| (at.as_str(), it.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("aws/iam/role/deploy", IdentityKind::AwsRole),
            ("aws/iam/root", IdentityKind::AwsUser),
            ("aws/iam/user/ci", IdentityKind::AwsUser),
            ("aws/iam/user/reader", IdentityKind::AwsUser),
        ]
    );
    let ci = &seen.identities["aws/iam/user/ci"];
    assert_eq!((ci.owners[0].owner.as_str(), ci.owners[0].source.as_str()), ("dana", "tag:Owner"));
    assert_eq!((ci.labels["env"].as_str(), ci.owners.len()), ("prod", 1));
    assert!(ci.created_at.is_some());
    assert_eq!(
        (&ci.attributes["keys_of_user"], &ci.attributes["active_keys_of_user"]),
        (&json!(2), &json!(1))
    );

    // Two of ci's, and the root key that we came with.
    assert_eq!(seen.credentials.len(), 3);
    let key = |id: &str| &seen.credentials[&format!("aws/iam/user/ci/access-key/{id}")];
    assert_eq!(
        (key(&active).state, key(&inactive).state),
        (CredentialState::Active, CredentialState::Suspended)
    );
    let handle = key(&active).handle.as_ref().expect("a handle");
    assert_eq!((handle.scheme, handle.value.as_str()), (HandleScheme::AwsAccessKeyId, active.as_str()));
    assert_eq!(key(&active).identity, Some(at("iam/user/ci")));
    assert!(key(&active).created_at.is_some());
    assert_eq!(key(&active).last_used_at, None, "N/A is not known");
    assert!(!key(&active).attributes.contains_key("never_used"), "an emulator does not count uses");
    assert_eq!(
        (&key(&active).attributes["own"], &key(&active).attributes["active_keys_of_user"]),
        (&json!(false), &json!(1))
    );
    let root_key = &seen.credentials["aws/iam/root/access-key/test"];
    assert_eq!((&root_key.attributes["own"], &root_key.attributes["root"]), (&json!(true), &json!(true)));

    let grant = |who: &str, what: &str| {
        let found = seen.grants.iter().find(|it| it.identity == at(who) && it.privilege == what);
        found.map(|it| (it.level, it.source.as_str()))
    };
    assert_eq!(
        grant("iam/user/ci", "policy/AdministratorAccess"),
        Some((PrivilegeLevel::Admin, "aws/iam/policy/AdministratorAccess"))
    );
    assert_eq!(
        grant("iam/user/reader", "policy/inline"),
        Some((PrivilegeLevel::Sensitive, "aws/iam/user/reader/policy/inline"))
    );
    assert_eq!(
        grant("iam/user/reader", "policy/buckets"),
        Some((PrivilegeLevel::Write, "aws/iam/group/ops/policy/buckets"))
    );
    assert_eq!(
        grant("iam/role/deploy", "policy/iam-all"),
        Some((PrivilegeLevel::Admin, "aws/iam/policy/iam-all"))
    );
    let role = &seen.identities["aws/iam/role/deploy"].attributes;
    assert_eq!(
        (&role["web_identity"], &role["web_identity_subjects"]),
        (&json!(true), &json!(["repo:acme/app"]))
    );
    assert_eq!(
        (&role["trust_wildcard"], &role["arn"]),
        (&json!(false), &json!("arn:aws:iam::000000000000:role/deploy"))
    );
}

#[tokio::test]
async fn secrets_in_every_stage_and_form() {
    let server = require_lab!(Ministack::start().await);
    let token = |n: u32| format!("{n:08}-2222-3333-4444-555555555555");
    let put = |n: u32, text: &str, stages: &[&str]| json!({"SecretId": "prod/db", "SecretString": text, "ClientRequestToken": token(n), "VersionStages": stages});
    seed(
        &server,
        &[
            (
                "secretsmanager",
                "create_secret",
                json!({"Name": "prod/db", "SecretString": "{\"username\":\"app\",\"password\":\"first\",\"port\":5432}",
                "Tags": [{"Key": "team", "Value": "core"}]}),
            ),
            (
                "secretsmanager",
                "put_secret_value",
                put(1, "{\"username\":\"app\",\"password\":\"second\",\"port\":5432}", &["AWSCURRENT"]),
            ),
            (
                "secretsmanager",
                "put_secret_value",
                put(2, "{\"username\":\"app\",\"password\":\"third\"}", &["AWSPENDING"]),
            ),
            ("secretsmanager", "create_secret", json!({"Name": "plain", "SecretString": "just text"})),
            ("secretsmanager", "create_secret", json!({"Name": "doomed", "SecretString": "x"})),
            ("secretsmanager", "delete_secret", json!({"SecretId": "doomed", "RecoveryWindowInDays": 7})),
            (
                "ssm",
                "put_parameter",
                json!({"Name": "/prod/db/password", "Value": "one", "Type": "SecureString", "Tags": [{"Key": "owner", "Value": "dana"}]}),
            ),
            (
                "ssm",
                "put_parameter",
                json!({"Name": "/prod/db/password", "Value": "two", "Type": "SecureString", "Overwrite": true}),
            ),
            ("ssm", "put_parameter", json!({"Name": "region", "Value": "eu", "Type": "String"})),
        ],
    );
    let backend = root(&server);
    let binary = SecretValue::new(vec![0, 0xff, 0xfe]);
    let absent = claviger_backend::Expect::Absent;
    store(&backend)
        .write(&operation("binary"), &at("secretsmanager/blob"), &binary, &absent)
        .await
        .expect("written");

    let seen = scan(&backend).await.expect("a scan");
    use CopyStage::{Current, Former, Pending};
    assert_eq!(
        seen.at("aws/secretsmanager/prod/db#password"),
        [(Current, "second"), (Pending, "third"), (Former, "first")]
    );
    assert_eq!(
        seen.at("aws/secretsmanager/prod/db#username"),
        [(Current, "app"), (Pending, "app"), (Former, "app")]
    );
    assert_eq!(seen.at("aws/secretsmanager/prod/db#port"), [(Current, "5432"), (Former, "5432")]);
    assert_eq!(seen.at("aws/secretsmanager/plain"), [(Current, "just text")]);
    assert_eq!(seen.at("aws/secretsmanager/blob"), [(Current, "<binary>")]);
    assert_eq!(seen.at("aws/secretsmanager/doomed"), [(Current, "<unreadable>")]);
    assert_eq!(seen.at("aws/ssm/prod/db/password"), [(Current, "two"), (Former, "one")]);
    assert_eq!(seen.at("aws/ssm/region"), [(Current, "eu")]);
    assert_eq!(seen.copies.len(), 8 + 1 + 1 + 1 + 2 + 1);

    let password = seen.copy("aws/secretsmanager/prod/db#password");
    assert_eq!((password.key.as_str(), password.version.as_deref()), ("password", Some(token(1).as_str())));
    assert_eq!(password.bundle.user.as_deref(), Some("app"), "what lies beside it");
    assert_eq!((password.owners[0].owner.as_str(), password.place), ("core", Place::SecretStore));
    assert_eq!(
        (&password.attributes["rotation_enabled"], &password.attributes["stages"]),
        (&json!(false), &json!(["AWSCURRENT"]))
    );
    assert!(password.created_at.is_some() && password.updated_at.is_some());
    assert_eq!(seen.copy("aws/secretsmanager/plain").key, "plain");
    assert_eq!(seen.copy("aws/secretsmanager/blob").attributes["binary"], true);
    assert!(seen.copy("aws/secretsmanager/doomed").attributes.contains_key("deleted_date"));
    let parameter = seen.copy("aws/ssm/prod/db/password");
    assert_eq!(
        (parameter.version.as_deref(), parameter.place, parameter.key.as_str()),
        (Some("2"), Place::SecretStore, "password")
    );
    assert_eq!(
        (&parameter.attributes["type"], parameter.owners[0].owner.as_str()),
        (&json!("SecureString"), "dana")
    );
    assert_eq!(seen.copy("aws/ssm/region").place, Place::Configuration);
}

#[tokio::test]
async fn what_is_denied_is_named_and_nothing_else_is_lost() {
    let server = require_lab!(Ministack::start().await);
    seed(
        &server,
        &[
            ("secretsmanager", "create_secret", json!({"Name": "open/one", "SecretString": "{\"a\":\"1\"}"})),
            ("secretsmanager", "create_secret", json!({"Name": "shut/two", "SecretString": "{\"a\":\"2\"}"})),
        ],
    );
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["secretsmanager:ListSecrets"], "Resource": "*"},
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"},
        {"Effect": "Deny", "Action": "secretsmanager:GetSecretValue", "Resource": "arn:aws:secretsmanager:*:*:secret:shut/*"}]});
    let (id, secret) = user_with(&server, "scanner", &policy.to_string());
    let seen = scan(&backend_with(&server, &id, &secret)).await.expect("a scan");
    assert_eq!(seen.at("aws/secretsmanager/open/one#a"), [(CopyStage::Current, "1")]);
    assert_eq!(seen.at("aws/secretsmanager/shut/two"), [(CopyStage::Current, "<unreadable>")]);
    let status = |scope: &str| seen.scopes.get(scope).map(|(status, _)| *status);
    assert_eq!(status("secretsmanager/shut/two"), Some(ScopeStatus::Denied));
    assert_eq!(
        status("secretsmanager"),
        Some(ScopeStatus::Denied),
        "else the denied secret's fields would count as gone"
    );
    for scope in ["iam", "iam/roles", "iam/account", "ssm"] {
        assert_eq!(status(scope), Some(ScopeStatus::Denied), "{scope}");
        let reason = seen.scopes[scope].1.as_deref().expect("a reason");
        assert!(reason.contains("AccessDenied") && reason.contains(server.endpoint()), "{reason}");
    }
    assert!(status("secretsmanager/open/one").is_none());
}

#[tokio::test]
async fn pages_lose_no_secret() {
    let server = require_lab!(Ministack::start().await);
    let name = |n: usize| format!("many/{n:03}");
    let calls: Vec<_> = (0..230)
        .map(|n| {
            (
                "secretsmanager",
                "create_secret",
                json!({"Name": name(n), "SecretString": format!("value-{n}")}),
            )
        })
        .collect();
    seed(&server, &calls);
    let parameters: Vec<_> = (0..120)
        .map(|n| {
            ("ssm", "put_parameter", json!({"Name": format!("/many/{n:03}"), "Value": "x", "Type": "String"}))
        })
        .collect();
    seed(&server, &parameters);
    let seen = scan(&root(&server)).await.expect("a scan");
    assert_eq!(seen.copies.len(), 350);
    for n in [0, 99, 100, 229] {
        assert_eq!(
            seen.at(&format!("aws/secretsmanager/{}", name(n))),
            [(CopyStage::Current, format!("value-{n}").as_str())]
        );
    }
}
