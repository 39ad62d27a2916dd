//! Logins: what counts as accepted, what as refused, and what as neither.

use claviger_backend::{ErrorKind, Issuer as _, Presence, Verdict};
use claviger_tests::require_lab;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_key_is_accepted_before_it_is_deleted_and_refused_after() {
    let server = require_lab!(Gitea::shared().await);
    server.user("keys").await.expect("a user");
    server.repository("keys", "app").await.expect("a repository");
    server.repository("keys", "other").await.expect("a repository");
    let pair = server.key_pair("keys-deploy").expect("a key");
    let id = server.deploy_key("keys/app", "deploys", &pair).await.expect("a deploy key");
    let forge = backend(config(server, &["keys"]));
    let (key, private) = (at(&format!("forge/keys/app/deploy-keys/{id}")), value(&pair.private));
    let control = forge.verify(&key, &private).await.expect("a probe");
    assert_eq!(control.verdict, Verdict::Accepted, "{}", control.path);
    let Presence::Present(token) = forge.presence(&key).await.expect("an answer") else { panic!("absent") };

    // While it is registered for another repository too it is let in, and that is no refusal.
    let second = server.deploy_key("keys/other", "deploys", &pair).await.expect("a deploy key");
    let other = forge.revoke(&operation("other"), &key, Some("another")).await.expect_err("another one");
    assert_eq!(other.kind(), ErrorKind::Conflict);
    forge.revoke(&operation("key"), &key, Some(&token)).await.expect("an end");
    assert_eq!(forge.presence(&key).await.expect("an answer"), Presence::Absent);
    let probe = forge.verify(&key, &private).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Inconclusive(why) if why.contains("registered elsewhere")),
        "{probe:?}"
    );

    let second = at(&format!("forge/keys/other/deploy-keys/{second}"));
    forge.revoke(&operation("second"), &second, None).await.expect("an end");
    let probe = forge.verify(&key, &private).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Refused(why) if why.contains("Permission denied")),
        "{probe:?}"
    );
    assert_eq!(probe.path, control.path);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_tried_where_nobody_knows_the_server() {
    let server = require_lab!(Gitea::shared().await);
    server.user("hosts").await.expect("a user");
    server.repository("hosts", "app").await.expect("a repository");
    let pair = server.key_pair("hosts-deploy").expect("a key");
    let id = server.deploy_key("hosts/app", "deploys", &pair).await.expect("a deploy key");
    let key = at(&format!("forge/hosts/app/deploy-keys/{id}"));
    let line = format!("[127.0.0.1]:{} {}\n", server.ssh_port(), pair.public);
    let wrong = server.directory().write("wrong_hosts", line).expect("a file");
    for (known_hosts, why) in [(None, "known_hosts"), (Some(wrong), "host key")] {
        let forge = backend(GiteaConfig { known_hosts, ..config(server, &["hosts"]) });
        let probe = forge.verify(&key, &value(&pair.private)).await.expect("a probe");
        assert!(matches!(&probe.verdict, Verdict::Inconclusive(text) if text.contains(why)), "{probe:?}");
    }
    let forge = backend(config(server, &["hosts"]));
    let probe = forge.verify(&key, &value("no key")).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Inconclusive(text) if text.contains("private key")),
        "{probe:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_other_scopes_is_accepted_and_anothers_is_neither() {
    let server = require_lab!(Gitea::shared().await);
    for user in ["scoped", "stranger"] {
        server.user(user).await.expect("a user");
    }
    let (id, text) = server.token_for("scoped", "issues", &["read:issue"]).await.expect("a token");
    let (_, foreign) = server.token_for("stranger", "all", &["all"]).await.expect("a token");
    let forge = backend(config(server, &["scoped", "stranger"]));
    let token = at(&format!("forge/users/scoped/tokens/{id}"));
    assert_eq!(forge.verify(&token, &value(&text)).await.expect("a probe").verdict, Verdict::Accepted);
    let probe = forge.verify(&token, &value(&foreign)).await.expect("a probe");
    assert!(
        matches!(&probe.verdict, Verdict::Inconclusive(why) if why.contains("another user")),
        "{probe:?}"
    );
    assert_eq!(forge.identify(&value(&text)).await.expect("an answer").map(|found| found.at), Some(token));
}

/// Answers every request with this, as something in between would.
async fn answering(answer: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_everybody_refuses_nobody() {
    const NO: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 17\r\nconnection: close\r\n\r\n{\"message\":\"no!\"}";
    const PAGE: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
    for answer in [NO, PAGE] {
        let forge = backend(GiteaConfig {
            url: answering(answer).await,
            ca: None,
            token: Some(value("ours")),
            login: None,
            owners: Vec::new(),
            known_hosts: None,
        });
        let probe = forge.verify(&at("forge/users/dana/tokens/1"), &value("theirs")).await.expect("a probe");
        assert!(matches!(probe.verdict, Verdict::Inconclusive(_)), "{probe:?} after {answer}");
    }
}
