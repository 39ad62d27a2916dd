//! Reading and writing copies.

use claviger_backend::{Effect, ErrorKind, Expect, StoreState};
use claviger_tests::require_lab;

use super::*;

async fn read(backend: &AwsBackend, place: &str) -> (String, String) {
    let stored = store(backend).read(&Ref::from_text(place)).await.expect("an answer").expect("a value");
    (stored.value.expose_text().expect("text").to_owned(), stored.version)
}

fn labels(server: &Ministack, name: &str) -> BTreeMap<String, Vec<String>> {
    let answer = seed(server, &[("secretsmanager", "describe_secret", json!({"SecretId": name}))]).remove(0);
    serde_json::from_value(answer["VersionIdsToStages"].clone()).expect("labels")
}

#[tokio::test]
async fn one_field_is_replaced_and_its_siblings_stay() {
    let server = require_lab!(Ministack::shared().await);
    let text = "{ \"username\": \"app\", \"password\" : \"old\", \"port\": 5432.0 }";
    seed(server, &[("secretsmanager", "create_secret", json!({"Name": "w/json", "SecretString": text}))]);
    let backend = root(server);
    let place = Ref::from_text("aws/secretsmanager/w/json#password");
    assert_eq!(store(&backend).writable(&place).await.expect("an answer"), StoreState::Writable);
    let (old, version) = read(&backend, place.as_str()).await;
    assert_eq!(old, "old");
    let op = operation("w/json");
    let expect = Expect::Version(version.clone());
    let written = store(&backend).write(&op, &place, &value("n\"ew"), &expect).await.expect("written");
    assert_eq!(written, op.key.to_string());
    let stored = store(&backend).read(&place).await.expect("an answer").expect("a value");
    assert_eq!(
        (stored.version.as_str(), stored.written_by.as_deref()),
        (written.as_str(), Some(written.as_str()))
    );
    let (whole, _) = read(&backend, "aws/secretsmanager/w/json").await;
    assert_eq!(whole, text.replace("\"old\"", "\"n\\\"ew\""));
    assert_eq!(
        labels(server, "w/json"),
        BTreeMap::from([
            (version.clone(), vec!["AWSPREVIOUS".to_owned()]),
            (written.clone(), vec!["AWSCURRENT".to_owned()])
        ]),
        "no label is left behind"
    );
    // The same operation again, with what it expected then.
    let again = store(&backend).write(&op, &place, &value("n\"ew"), &expect).await.expect("a repeat");
    assert_eq!((again, labels(server, "w/json").len()), (written.clone(), 2));
    // The same operation must not come with another value.
    let error = store(&backend).write(&op, &place, &value("other"), &expect).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(read(&backend, place.as_str()).await.0, "n\"ew");
}

#[tokio::test]
async fn somebody_elses_write_is_not_overwritten() {
    let server = require_lab!(Ministack::shared().await);
    seed(
        server,
        &[(
            "secretsmanager",
            "create_secret",
            json!({"Name": "w/race", "SecretString": "{\"password\":\"old\"}"}),
        )],
    );
    let backend = root(server);
    let place = Ref::from_text("aws/secretsmanager/w/race#password");
    let (_, version) = read(&backend, place.as_str()).await;
    let theirs = json!({"SecretId": "w/race", "SecretString": "{\"password\":\"theirs\"}"});
    seed(server, &[("secretsmanager", "put_secret_value", theirs)]);
    let error = store(&backend)
        .write(&operation("w/race"), &place, &value("ours"), &Expect::Version(version.clone()))
        .await
        .expect_err("a conflict");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::NotApplied));
    assert_eq!(read(&backend, place.as_str()).await.0, "theirs");

    // Both sides staged from the same version: the labels let only one through.
    let (_, version) = read(&backend, place.as_str()).await;
    let expect = Expect::Version(version);
    let writers = ["a", "b", "c", "d", "e"].map(|name| {
        let (backend, place, expect) = (&backend, &place, &expect);
        async move { (name, store(backend).write(&operation(name), place, &value(name), expect).await) }
    });
    let [a, b, c, d, e] = writers;
    let results = tokio::join!(a, b, c, d, e);
    let results = [results.0, results.1, results.2, results.3, results.4];
    let winners: Vec<_> =
        results.iter().filter(|(_, result)| result.is_ok()).map(|(name, _)| *name).collect();
    assert_eq!(winners.len(), 1, "exactly one writer wins");
    assert!(
        results
            .iter()
            .all(|(_, it)| it.as_ref().map_or_else(|error| error.kind() == ErrorKind::Conflict, |_| true))
    );
    assert_eq!(read(&backend, place.as_str()).await.0, winners[0]);
}

#[tokio::test]
async fn an_interrupted_write_is_finished_by_its_repeat() {
    let server = require_lab!(Ministack::shared().await);
    let op = operation("w/crash");
    seed(server, &[("secretsmanager", "create_secret", json!({"Name": "w/crash", "SecretString": "old"}))]);
    let backend = root(server);
    let place = Ref::from_text("aws/secretsmanager/w/crash");
    let (_, version) = read(&backend, place.as_str()).await;
    // It got as far as the version, and no further.
    let put = json!({"SecretId": "w/crash", "SecretString": "new", "ClientRequestToken": op.key.to_string(), "VersionStages": ["CLAVIGERPENDING"]});
    seed(server, &[("secretsmanager", "put_secret_value", put)]);
    let seen = scan(&backend).await.expect("a scan");
    assert_eq!(seen.at(place.as_str()), [(CopyStage::Current, "old"), (CopyStage::Pending, "new")]);
    let written =
        store(&backend).write(&op, &place, &value("new"), &Expect::Version(version)).await.expect("written");
    assert_eq!(read(&backend, place.as_str()).await, ("new".to_owned(), written.clone()));
    assert_eq!(labels(server, "w/crash")[&written], ["AWSCURRENT"]);
}

#[tokio::test]
async fn new_places_and_odd_ones() {
    let server = require_lab!(Ministack::shared().await);
    let backend = root(server);
    let write = async |name: &str, place: &str, text: &str, expect: Expect| {
        store(&backend).write(&operation(name), &Ref::from_text(place), &value(text), &expect).await
    };
    let kind = |result: Result<String, Error>| result.expect_err("refused").kind();
    assert!(store(&backend).read(&at("secretsmanager/none")).await.expect("an answer").is_none());
    assert!(matches!(
        store(&backend).writable(&at("secretsmanager/none")).await.expect("an answer"),
        StoreState::Refused(_)
    ));
    write("n1", "aws/secretsmanager/n/json#password", "one", Expect::Absent).await.expect("made");
    assert_eq!(read(&backend, "aws/secretsmanager/n/json").await.0, "{\"password\":\"one\"}");
    write("n2", "aws/secretsmanager/n/json#user", "app", Expect::Absent).await.expect("added");
    assert_eq!(
        read(&backend, "aws/secretsmanager/n/json").await.0,
        "{\"password\":\"one\",\"user\":\"app\"}"
    );
    assert_eq!(
        kind(write("n3", "aws/secretsmanager/n/json#user", "x", Expect::Absent).await),
        ErrorKind::Conflict
    );
    assert_eq!(
        kind(write("n4", "aws/secretsmanager/none#x", "x", Expect::Version("v".to_owned())).await),
        ErrorKind::Conflict
    );
    assert!(
        store(&backend)
            .read(&Ref::from_text("aws/secretsmanager/n/json#none"))
            .await
            .expect("an answer")
            .is_none()
    );
    write("n5", "aws/secretsmanager/n/plain", "text", Expect::Absent).await.expect("made");
    let (_, version) = read(&backend, "aws/secretsmanager/n/plain").await;
    assert_eq!(
        kind(write("n6", "aws/secretsmanager/n/plain#x", "x", Expect::Version(version)).await),
        ErrorKind::Invalid
    );
    assert_eq!(
        kind(write("n7", "aws/iam/user/a/access-key/b", "x", Expect::Absent).await),
        ErrorKind::Invalid
    );
    seed(
        server,
        &[("secretsmanager", "delete_secret", json!({"SecretId": "n/plain", "RecoveryWindowInDays": 7}))],
    );
    let doomed = at("secretsmanager/n/plain");
    assert!(
        matches!(store(&backend).writable(&doomed).await.expect("an answer"), StoreState::Refused(text) if text.contains("deletion"))
    );
    assert!(store(&backend).read(&doomed).await.err().expect("refused").hint().is_some());
    let managed = json!({"Name": "n/eso", "SecretString": "x", "Tags": [{"Key": "managed-by", "Value": "external-secrets"}]});
    seed(server, &[("secretsmanager", "create_secret", managed)]);
    assert!(matches!(
        store(&backend).writable(&at("secretsmanager/n/eso")).await.expect("an answer"),
        StoreState::ManagedElsewhere(_)
    ));
}

#[tokio::test]
async fn parameters_are_read_and_written() {
    let server = require_lab!(Ministack::shared().await);
    let parameter = json!({"Name": "/w/db", "Value": "old", "Type": "SecureString", "KeyId": "alias/mine"});
    seed(server, &[("ssm", "put_parameter", parameter)]);
    let backend = root(server);
    let place = at("ssm/w/db");
    assert_eq!(store(&backend).writable(&place).await.expect("an answer"), StoreState::Writable);
    assert_eq!(read(&backend, place.as_str()).await, ("old".to_owned(), "1".to_owned()));
    let expect = Expect::Version("1".to_owned());
    let written =
        store(&backend).write(&operation("w/db"), &place, &value("new"), &expect).await.expect("written");
    assert_eq!(read(&backend, place.as_str()).await, ("new".to_owned(), written.clone()));
    assert_eq!(written, "2");
    let again =
        store(&backend).write(&operation("w/db"), &place, &value("new"), &expect).await.expect("a repeat");
    assert_eq!(again, "2", "the repeat writes nothing");
    let error = store(&backend)
        .write(&operation("w/db2"), &place, &value("newer"), &expect)
        .await
        .expect_err("stale");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let described = seed(server, &[("ssm", "describe_parameters", json!({}))]).remove(0);
    let kept = described["Parameters"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|it| it["Name"] == "/w/db")
        .expect("ours");
    assert_eq!(
        (&kept["Type"], &kept["KeyId"]),
        (&json!("SecureString"), &json!("alias/mine")),
        "type and key are kept"
    );
    let fresh = at("ssm/w/fresh");
    store(&backend).write(&operation("fresh"), &fresh, &value("x"), &Expect::Absent).await.expect("made");
    let error = store(&backend)
        .write(&operation("fresh2"), &fresh, &value("y"), &Expect::Absent)
        .await
        .expect_err("there");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(store(&backend).read(&at("ssm/w/none")).await.expect("an answer").is_none());
}

#[tokio::test]
async fn a_missing_right_is_seen_before_the_write() {
    let server = require_lab!(Ministack::shared().await);
    seed(server, &[("secretsmanager", "create_secret", json!({"Name": "w/shut", "SecretString": "x"}))]);
    let readable =
        ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "iam:SimulatePrincipalPolicy"];
    let (id, secret) = user_with(server, "onlooker", &allow(&readable, "*"));
    let backend = backend_with(server, &id, &secret);
    let place = at("secretsmanager/w/shut");
    let state = store(&backend).writable(&place).await.expect("an answer");
    assert!(matches!(state, StoreState::Refused(text) if text.contains("secretsmanager:")));
    let (_, version) = read(&backend, place.as_str()).await;
    let error = store(&backend)
        .write(&operation("w/shut"), &place, &value("y"), &Expect::Version(version))
        .await
        .expect_err("denied");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Denied, Effect::NotApplied));
    assert!(error.hint().expect("a hint").contains("secretsmanager:PutSecretValue"));
}
