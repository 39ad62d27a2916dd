//! Wrong keys, wrong places, and what we are allowed.

use claviger_backend::{Effect, ErrorKind, Expect, PermissionStatus, Retry};
use claviger_tests::require_lab;

use super::*;

#[tokio::test]
async fn a_wrong_key_reads_nothing_and_says_why() {
    let server = require_lab!(Ministack::shared().await);
    let (id, _) = user_with(server, "mistyped", &allow(&["iam:ListUsers"], "*"));
    for (id, secret) in
        [(id.as_str(), "CANARYwrongsecretCANARYwrongsecretCANARY"), ("AKIAAAAAAAAAAAAAAAAA", "CANARY")]
    {
        let backend = backend_with(server, id, secret);
        for error in
            [scan(&backend).await.err().expect("no scan"), backend.check().await.expect_err("no check")]
        {
            assert_eq!(
                (error.kind(), error.retry()),
                (ErrorKind::Unauthenticated, Retry::Permanent),
                "{error}"
            );
            assert!(error.message().contains(server.endpoint()) && error.hint().is_some(), "{error}");
            assert!(!format!("{error} {error:?}").contains("CANARY"));
        }
    }
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let at = |endpoint: &str| {
        let config = AwsConfig {
            region: Some(REGION.to_owned()),
            endpoint: Some(endpoint.to_owned()),
            access_key_id: Some(value("AKIAAAAAAAAAAAAAAAAA")),
            secret_access_key: Some(value("x")),
            ..AwsConfig::default()
        };
        AwsBackend::new("aws", config, Arc::new(SystemClock)).expect("a backend")
    };
    for endpoint in ["http://127.0.0.1:9", "http://no-such-host.invalid"] {
        let backend = at(endpoint);
        let error = scan(&backend).await.err().expect("no scan");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Temporary), "{error}");
        assert!(error.message().contains(endpoint), "{error}");
        let place = Ref::from_text("aws/secretsmanager/x");
        let write = store(&backend).write(&operation("away"), &place, &value("x"), &Expect::Absent).await;
        assert_eq!(write.expect_err("away").effect(), Effect::NotApplied);
    }
}

#[tokio::test]
async fn a_check_names_each_missing_permission() {
    let server = require_lab!(Ministack::shared().await);
    let permissions = root(server).check().await.expect("a check");
    assert!(permissions.iter().all(|it| it.status == PermissionStatus::Present));
    let some = ["iam:ListUsers", "secretsmanager:ListSecrets"];
    let (id, secret) = user_with(server, "halfway", &allow(&some, "*"));
    let tried = backend_with(server, &id, &secret).check().await.expect("a check");
    let status = |list: &[claviger_backend::Permission], name: &str| {
        list.iter().find(|it| it.name == name).expect("a permission").status.clone()
    };
    assert_eq!(status(&tried, "iam:ListUsers"), PermissionStatus::Present);
    assert!(matches!(status(&tried, "ssm:DescribeParameters"), PermissionStatus::Missing(_)));
    assert!(
        matches!(status(&tried, "iam:DeleteAccessKey"), PermissionStatus::Unknown(_)),
        "not tried: it would change something"
    );
    let (id, secret) =
        user_with(server, "simulated", &allow(&["iam:SimulatePrincipalPolicy", "iam:ListUsers"], "*"));
    let simulated = backend_with(server, &id, &secret).check().await.expect("a check");
    assert_eq!(status(&simulated, "iam:ListUsers"), PermissionStatus::Present);
    assert!(
        matches!(status(&simulated, "iam:DeleteAccessKey"), PermissionStatus::Missing(text) if text.contains("iam:DeleteAccessKey"))
    );
}
