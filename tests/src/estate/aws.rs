//! IAM users and keys, Secrets Manager and Systems Manager parameters.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::planted::{Planted, Secret};
use super::values::Values;
use crate::lab::ministack::{Call, Ministack};
use crate::lab::private::write_private;

/// An access key.
pub struct Key {
    /// `AKIA...`.
    pub id: String,
    /// The secret access key.
    pub secret: Secret,
}

/// The keys that AWS made.
pub struct Keys {
    /// `ci-deployer`'s active one: stored in many places.
    pub deployer: Key,
    /// `ci-deployer`'s inactive one.
    pub inactive: Key,
    /// `reporting`'s, which nobody has ever used.
    pub unused: Key,
    /// `media`'s only one: stored in three stores, and nowhere that cannot be written.
    pub media: Key,
}

/// What the scanning user may do: read the three services, and rotate what a rotation rotates.
const SCANNER_ACTIONS: [&str; 22] = [
    "iam:Get*",
    "iam:List*",
    "iam:GenerateCredentialReport",
    "iam:CreateAccessKey",
    "iam:UpdateAccessKey",
    "iam:DeleteAccessKey",
    "iam:PutUserPolicy",
    "secretsmanager:ListSecrets",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
    "ssm:DescribeParameters",
    "ssm:GetParameter",
    "ssm:GetParameters",
    "ssm:GetParametersByPath",
    "ssm:GetParameterHistory",
    "ssm:PutParameter",
    "ssm:DeleteParameter",
    "ssm:ListTagsForResource",
    "sts:GetCallerIdentity",
];

/// Plants, and writes the scanning user's key into `aws.key-id` and `aws.secret-key`.
pub fn plant(server: &Ministack, values: &Values, planted: &mut Planted, directory: &Path) -> Result<Keys> {
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": SCANNER_ACTIONS, "Resource": "*"}]});
    let deploy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]});
    let owner = json!([{"Key": "owner", "Value": "team-web"}]);
    let db = |password: &Secret| {
        json!({"username": "app", "password": password.expose(), "host": "127.0.0.1"}).to_string()
    };
    let answers = calls(
        server,
        vec![
            call("iam", "create_user", json!({"UserName": "ci-deployer", "Tags": owner})),
            call("iam", "create_access_key", json!({"UserName": "ci-deployer"})),
            call("iam", "create_access_key", json!({"UserName": "ci-deployer"})),
            call("iam", "create_user", json!({"UserName": "reporting"})),
            call("iam", "create_access_key", json!({"UserName": "reporting"})),
            call("iam", "create_user", json!({"UserName": "claviger"})),
            call("iam", "create_access_key", json!({"UserName": "claviger"})),
            policy_call("claviger", &policy),
            policy_call("ci-deployer", &deploy),
            call(
                "secretsmanager",
                "create_secret",
                json!({"Name": "payments/db", "SecretString": db(&values.app_former[1]),
                       "Tags": [{"Key": "owner", "Value": "team-payments"}]}),
            ),
            call(
                "secretsmanager",
                "put_secret_value",
                json!({"SecretId": "payments/db", "SecretString": db(&values.app)}),
            ),
            call(
                "secretsmanager",
                "create_secret",
                json!({"Name": "web/webhook", "SecretString": values.webhook.expose(), "Description": "=1+1 <b>shared</b>"}),
            ),
            call(
                "secretsmanager",
                "create_secret",
                json!({"Name": "web/broken-json", "SecretString": "{\"password\": "}),
            ),
            call(
                "ssm",
                "put_parameter",
                json!({"Name": "/payments/api-token", "Value": values.api_token.expose(), "Type": "SecureString"}),
            ),
            call(
                "ssm",
                "put_parameter",
                json!({"Name": "/payments/log-level", "Value": "debug", "Type": "String"}),
            ),
            call("iam", "create_user", json!({"UserName": "media"})),
            call("iam", "create_access_key", json!({"UserName": "media"})),
            policy_call("media", &deploy),
        ],
    )?;
    let (deployer, inactive) = (key(&answers[1])?, key(&answers[2])?);
    let unused = key(&answers[4])?;
    let scanner = key(&answers[6])?;
    let media = key(&answers[16])?;
    let pair = json!({"accessKeyId": media.id, "secretAccessKey": media.secret.expose(), "bucket": "media"});
    calls(
        server,
        vec![
            call(
                "iam",
                "update_access_key",
                json!({"UserName": "ci-deployer", "AccessKeyId": inactive.id, "Status": "Inactive"}),
            ),
            call(
                "secretsmanager",
                "create_secret",
                json!({"Name": "web/media", "SecretString": pair.to_string()}),
            ),
        ],
    )?;
    write_private(&directory.join("aws.key-id"), &scanner.id)?;
    write_private(&directory.join("aws.secret-key"), scanner.secret.expose())?;

    planted
        .credential("db-app", "password")
        .owned_by("team-payments")
        .value(&values.app)
        .copy("aws/secretsmanager/payments/db#password")
        .former_copy("aws/secretsmanager/payments/db#password");
    for (name, user, key) in [
        ("aws-deployer", "ci-deployer", &deployer),
        ("aws-inactive", "ci-deployer", &inactive),
        ("aws-unused", "reporting", &unused),
        ("aws-claviger", "claviger", &scanner),
        ("aws-media", "media", &media),
    ] {
        planted
            .credential(name, "access-key")
            .issued_at(format!("aws/iam/user/{user}/access-key/{}", key.id))
            .value(&key.secret);
    }
    planted.credential("aws-deployer", "access-key").owned_by("team-web");
    planted.credential("aws-media", "access-key").copy("aws/secretsmanager/web/media#secretAccessKey");
    planted.decoys.push("aws/secretsmanager/web/media#accessKeyId".to_owned());
    planted
        .credential("webhook", "webhook-secret")
        .value(&values.webhook)
        .copy("aws/secretsmanager/web/webhook");
    planted.credential("api-token", "api-key").value(&values.api_token).copy("aws/ssm/payments/api-token");
    planted.decoys.push("aws/ssm/payments/log-level".to_owned());
    planted.decoys.push("aws/secretsmanager/payments/db#username".to_owned());
    Ok(Keys { deployer, inactive, unused, media })
}

fn call(service: &'static str, operation: &'static str, parameters: Value) -> Call {
    Call { service, operation, parameters }
}

fn policy_call(user: &str, policy: &Value) -> Call {
    let document = policy.to_string();
    call("iam", "put_user_policy", json!({"UserName": user, "PolicyName": "lab", "PolicyDocument": document}))
}

/// The calls' answers; a refusal is an error here.
fn calls(server: &Ministack, list: Vec<Call>) -> Result<Vec<Value>> {
    let answers = server.calls(&list)?;
    for (call, answer) in list.iter().zip(&answers) {
        let refused = answer.get("Error").and_then(|error| error["Code"].as_str());
        ensure!(refused.is_none(), "{} {}: {}", call.service, call.operation, refused.unwrap_or_default());
    }
    Ok(answers)
}

fn key(answer: &Value) -> Result<Key> {
    let key = &answer["AccessKey"];
    let text = |field: &str| {
        key[field].as_str().map(str::to_owned).with_context(|| format!("{field} of a new access key"))
    };
    Ok(Key { id: text("AccessKeyId")?, secret: Secret::new(text("SecretAccessKey")?) })
}
