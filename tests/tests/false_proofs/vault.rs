//! Tokens and secret-ids at OpenBao: a proxy before a real one answers for it, now here, now there.

use std::sync::Arc;

use claviger_backend::Backend as _;
use claviger_backend_vault::{VaultAuth, VaultBackend, VaultConfig};
use claviger_core::{clock::SystemClock, reference::Ref, secret::SecretValue};
use claviger_tests::{lab::openbao::OpenBao, require_lab};
use reqwest::Method;
use serde_json::json;

use crate::{
    Row, ask, judged,
    stub::{Answer, Asked, HTML, JSON, Stub, nobody},
};

const TOKEN: &str = "OpenBao token";
const SECRET_ID: &str = "OpenBao secret-id";

/// What leaked and is still in force: whoever calls it refused is wrong.
struct Leaked {
    token: (Ref, String),
    secret_id: (Ref, String),
}

fn backend(address: &str, token: &str) -> VaultBackend {
    let config = VaultConfig {
        address: address.to_owned(),
        ca: None,
        namespace: None,
        auth: VaultAuth::Token(SecretValue::from_text(token.to_owned())),
        include: Vec::new(),
        exclude: Vec::new(),
        mounts: Vec::new(),
        version_key: None,
    };
    VaultBackend::new("vault", config, Arc::new(SystemClock)).expect("a usable configuration")
}

async fn plant(server: &OpenBao) -> Leaked {
    let made = server.write("auth/token/create", &json!({"policies": ["default"]})).await.expect("a token");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let accessor = text(&made["auth"]["accessor"]);
    let token = (
        Ref::from_text(format!("vault/auth/token/accessor/{accessor}")),
        text(&made["auth"]["client_token"]),
    );
    server.write("auth/approle/role/ci", &json!({"token_policies": "default"})).await.expect("a role");
    let made = server.write("auth/approle/role/ci/secret-id", &json!({})).await.expect("a secret-id");
    let accessor = text(&made["data"]["secret_id_accessor"]);
    let at = Ref::from_text(format!("vault/auth/approle/role/ci/secret-id/{accessor}"));
    Leaked { token, secret_id: (at, text(&made["data"]["secret_id"])) }
}

async fn both(
    rows: &mut Vec<Row>,
    cause: &'static str,
    genuine: bool,
    backend: &VaultBackend,
    leaked: &Leaked,
) {
    let issuer = backend.issuer().expect("an issuer");
    for (prover, (at, value)) in [(TOKEN, &leaked.token), (SECRET_ID, &leaked.secret_id)] {
        rows.push(ask(prover, cause, genuine, issuer, (at, value)).await);
    }
}

fn errors(status: u16, text: &str) -> Option<Answer> {
    Some((status, JSON, json!({"errors": [text]}).to_string()))
}

/// Is it the trial itself: a login, or the lookup of itself by somebody who is not we?
fn is_trial(asked: &Asked, ours: &str) -> bool {
    asked.path.ends_with("/login") || (asked.path.ends_with("/lookup-self") && asked.who != ours)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_servers_own_refusal_of_a_token_or_a_secret_id_is_one() {
    let server = require_lab!(OpenBao::start().await);
    server.write("sys/auth/approle", &json!({"type": "approle"})).await.expect("a mount");
    let leaked = plant(&server).await;
    let ours = server.token().to_owned();
    let mut rows = Vec::new();

    // The trial alone is answered for.
    let denied = || errors(403, "permission denied");
    let trials: [(&'static str, Option<Answer>); 8] = [
        ("403 to the trial alone", denied()),
        ("400 to the trial alone", errors(400, "invalid role or secret ID")),
        ("401 to the trial alone", errors(401, "unauthorized")),
        ("throttled: 429 to the trial", errors(429, "request path \"x\": rate limit quota exceeded")),
        ("sealed: 503 to the trial", errors(503, "Vault is sealed")),
        ("standby: 473 to the trial", errors(473, "standby")),
        ("a gateway's 403 to the trial", Some((403, HTML, "<h1>Blocked</h1>".to_owned()))),
        ("500 to the trial", errors(500, "internal error")),
    ];
    for (cause, answer) in trials {
        let own = ours.clone();
        let stub =
            Stub::start(
                Some(server.address()),
                move |asked| {
                    if is_trial(asked, &own) { answer.clone() } else { None }
                },
            )
            .await;
        both(&mut rows, cause, false, &backend(&format!("http://{}", stub.address), &ours), &leaked).await;
    }
    // Everything is.
    for (cause, status, kind, body) in [
        ("wrong host: 403 for everybody", 403, JSON, r#"{"errors":["permission denied"]}"#),
        ("wrong host: 400 for everybody", 400, JSON, r#"{"errors":["invalid role or secret ID"]}"#),
        ("throttled: 429 for everybody", 429, JSON, r#"{"errors":["rate limit"]}"#),
        ("another server: 404 for everything", 404, HTML, "<h1>Not found</h1>"),
        ("another server: 200 for everything", 200, HTML, "<h1>It works</h1>"),
    ] {
        let stub = Stub::always(status, kind, body).await;
        both(&mut rows, cause, false, &backend(&format!("http://{}", stub.address), &ours), &leaked).await;
        if status == 404 {
            let secure = backend(&format!("https://{}", stub.address), &ours);
            both(&mut rows, "TLS failure: the server speaks none", false, &secure, &leaked).await;
        }
    }
    both(&mut rows, "target down", false, &backend(&format!("http://{}", nobody().await), &ours), &leaked)
        .await;
    // Healthy, and it accepts nobody: not us either.
    let stub = Stub::start(Some(server.address()), move |asked| {
        let healthy = asked.path.contains("sys/health");
        if healthy { None } else { errors(403, "permission denied") }
    })
    .await;
    let refusing = backend(&format!("http://{}", stub.address), &ours);
    both(&mut rows, "healthy, and it refuses us too", false, &refusing, &leaked).await;

    // And they are in force all the while; ended, they are refused.
    let direct = backend(server.address(), &ours);
    both(&mut rows, "nothing has happened", false, &direct, &leaked).await;
    assert!(rows.iter().rev().take(2).all(|row| row.verdict == "accepted"), "they were not in force");
    let other = plant(&server).await;
    for (path, key, at) in [
        ("auth/token/revoke-accessor", "accessor", &leaked.token.0),
        ("auth/approle/role/ci/secret-id-accessor/destroy", "secret_id_accessor", &leaked.secret_id.0),
    ] {
        let accessor = at.as_str().rsplit('/').next().expect("an accessor");
        server.write(path, &json!({ key: accessor })).await.expect("ended");
    }
    both(&mut rows, "ended at the server", true, &direct, &leaked).await;
    server.request(Method::PUT, "sys/seal", None).await.expect("an answer").good("seal").expect("sealed");
    both(&mut rows, "sealed, and it was ended", false, &direct, &leaked).await;
    both(&mut rows, "sealed, and it is in force", false, &direct, &other).await;
    println!("{}", judged(&rows, 2 * 20));
}
