//! Tokens at the API server.

use std::sync::Arc;

use claviger_backend::Backend as _;
use claviger_backend_kubernetes::{KubernetesBackend, KubernetesConfig, connect};
use claviger_core::{clock::SystemClock, reference::Ref};
use claviger_tests::{lab::kubernetes::Kubernetes, require_lab};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Row, ask, judged,
    stub::{Answer, Asked, HTML, JSON, Stub, nobody},
};

const PROVER: &str = "kubernetes token";
const OURS: &str = "our-own-token";
const THEIRS: &str = "the-leaked-token";

fn says(code: u16, reason: &str) -> Answer {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code});
    (code, JSON, status.to_string())
}

fn is(name: &str) -> Answer {
    let review = json!({"kind": "SelfSubjectReview", "status": {"userInfo": {"username": name}}});
    (201, JSON, review.to_string())
}

fn is_ours(asked: &Asked) -> bool {
    asked.who.contains(OURS)
}

async fn backend(server: &str, dir: &TempDir) -> KubernetesBackend {
    let file = dir.path().join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "stub", "clusters": [{"name": "stub", "cluster": {"server": server}}],
        "users": [{"name": "claviger", "user": {"token": OURS}}],
        "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "claviger"}}],
    });
    std::fs::write(&file, config.to_string()).expect("a kubeconfig");
    let config = KubernetesConfig { kubeconfig: Some(file), ..KubernetesConfig::default() };
    connect("prod", config, Arc::new(SystemClock)).await.expect("a backend")
}

async fn at(server: &str, cause: &'static str, genuine: bool) -> Row {
    let dir = tempfile::tempdir().expect("a directory");
    let backend = backend(server, &dir).await;
    let subject = Ref::from_text("prod/ops/Secret/robot-token");
    ask(PROVER, cause, genuine, backend.issuer().expect("an issuer"), (&subject, THEIRS)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_api_servers_own_refusal_of_a_token_is_one() {
    type Handler = fn(&Asked) -> Option<Answer>;
    let causes: [(&'static str, bool, Handler); 12] = [
        ("the API server refuses the token, and not us", true, |asked| {
            Some(if is_ours(asked) { is("claviger") } else { says(401, "Unauthorized") })
        }),
        ("the same, and we may do nothing", true, |asked| {
            Some(if is_ours(asked) { says(403, "Forbidden") } else { says(401, "Unauthorized") })
        }),
        ("wrong host: it refuses everybody", false, |_| Some(says(401, "Unauthorized"))),
        ("an old server that refuses everybody", false, |asked| {
            Some(if asked.path.ends_with("selfsubjectreviews") {
                says(404, "NotFound")
            } else {
                says(401, "Unauthorized")
            })
        }),
        ("a gateway's 401, we are let through", false, |asked| {
            Some(if is_ours(asked) { is("claviger") } else { (401, HTML, "<h1>Log in</h1>".to_owned()) })
        }),
        ("a gateway's 403", false, |_| Some((403, HTML, "<h1>Blocked</h1>".to_owned()))),
        ("403: known, and allowed nothing", false, |_| Some(says(403, "Forbidden"))),
        ("throttled: 429", false, |_| Some(says(429, "TooManyRequests"))),
        ("not serving: 503", false, |_| Some(says(503, "ServiceUnavailable"))),
        ("a webhook is down: 500", false, |_| Some(says(500, "InternalError"))),
        ("anonymous, we too", false, |asked| {
            Some(if is_ours(asked) { is("system:anonymous") } else { says(401, "Unauthorized") })
        }),
        ("another server: 200 for everything", false, |_| Some((200, HTML, "<h1>It works</h1>".to_owned()))),
    ];
    let mut rows = Vec::new();
    for (cause, genuine, handler) in causes {
        let stub = Stub::start(None, handler).await;
        rows.push(at(&format!("http://{}", stub.address), cause, genuine).await);
        if cause.starts_with("throttled") {
            rows.push(
                at(&format!("https://{}", stub.address), "TLS failure: the server speaks none", false).await,
            );
        }
    }
    rows.push(at(&format!("http://{}", nobody().await), "target down", false).await);
    println!("{}", judged(&rows, 14));
}

/// A Secret that is made again under its name holds the identical token: it is accepted, so the receipt of before no longer holds, and the
/// issuer lists it again. That it is re-created between the end and the receipt the crash sweeps show.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_secret_that_is_made_again_is_accepted_again() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let make = |kind: &str, name: &str, more: Value| {
        let mut object =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}});
        object.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        object
    };
    let annotated = json!({"type": "kubernetes.io/service-account-token",
        "metadata": {"name": "again", "namespace": "default", "annotations": {"kubernetes.io/service-account.name": "again"}}});
    cluster
        .create(&[make("ServiceAccount", "again", json!({})), make("Secret", "again", annotated.clone())])
        .expect("made");
    let path = "/api/v1/namespaces/default/secrets/again";
    let token = async || {
        for _ in 0..100 {
            let secret = cluster.request(Method::GET, path, None).await.expect("an answer").body;
            if let Some(text) = secret["data"]["token"].as_str() {
                return text.to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("no token");
    };
    let first = token().await;
    let value = {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(&first).expect("base64");
        String::from_utf8(bytes).expect("a JWT")
    };
    let config = KubernetesConfig {
        kubeconfig: Some(cluster.kubeconfig().to_path_buf()),
        ..KubernetesConfig::default()
    };
    let backend = connect("prod", config, Arc::new(SystemClock)).await.expect("a backend");
    let issuer = backend.issuer().expect("an issuer");
    let subject = Ref::from_text("prod/default/Secret/again");
    cluster.request(Method::DELETE, path, None).await.expect("an answer").good("deleted").expect("deleted");
    // Nobody had used it, so that no cache still knows it.
    let dead = ask(PROVER, "deleted, never used before", true, issuer, (&subject, &value)).await;
    cluster.create(&[make("Secret", "again", annotated)]).expect("made again");
    assert_eq!(token().await, first, "another token");
    let back = ask(PROVER, "made again under its name", false, issuer, (&subject, &value)).await;
    assert_eq!(back.verdict, "accepted", "{}", back.why);
    println!("{}", judged(&[dead, back], 2));
}
