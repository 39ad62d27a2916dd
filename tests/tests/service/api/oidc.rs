//! People of an OpenID Connect provider: a provider of the test's own, found by its discovery document, asked for its keys by the real binary.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use axum::{Json, Router, extract::State, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use claviger_core::clock::{Clock as _, SystemClock};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::Asker;
use crate::house::{House, PATIENCE, Serving};

/// The service asks for keys that it does not know no more often than each half a minute.
const FLOOR: Duration = Duration::from_secs(30);

/// What the provider says at this moment.
struct Said {
    issuer: String,
    keys: Value,
    asked: usize,
}

struct Provider {
    issuer: String,
    said: Arc<Mutex<Said>>,
    task: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = State<Arc<Mutex<Said>>>;

async fn described(State(said): Shared) -> Json<Value> {
    let issuer = said.lock().unwrap_or_else(PoisonError::into_inner).issuer.clone();
    Json(
        json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys"), "id_token_signing_alg_values_supported": ["ES256"] }),
    )
}

async fn keys(State(said): Shared) -> Json<Value> {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    said.asked += 1;
    Json(json!({ "keys": said.keys }))
}

impl Provider {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let said = Arc::new(Mutex::new(Said { issuer: issuer.clone(), keys: json!([]), asked: 0 }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(described))
            .route("/keys", get(keys))
            .with_state(Arc::clone(&said));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { issuer, said, task })
    }

    fn list(&self, keys: &[&Key]) {
        let all: Vec<Value> = keys.iter().map(|key| key.public()).collect();
        self.said.lock().unwrap_or_else(PoisonError::into_inner).keys = json!(all);
    }

    fn asked(&self) -> usize {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).asked
    }

    /// What it would say of dana, for the next ten minutes.
    fn claims(&self, groups: &[&str]) -> Value {
        let now = SystemClock.now().timestamp();
        json!({ "iss": self.issuer, "aud": "claviger", "sub": "1", "email": "dana@example.com", "groups": groups, "iat": now, "exp": now + 600 })
    }
}

struct Key {
    id: &'static str,
    pair: KeyPair,
}

impl Key {
    fn new(id: &'static str) -> Result<Self> {
        Ok(Self { id, pair: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)? })
    }

    fn public(&self) -> Value {
        let point = self.pair.public_key_raw();
        let half = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": half(1), "y": half(33) })
    }

    fn sign(&self, claims: &Value) -> Result<String> {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(Algorithm::ES256) };
        Ok(encode(&header, claims, &EncodingKey::from_ec_pem(self.pair.serialize_pem().as_bytes())?)?)
    }

    /// With the public key as a secret that both have (RFC 8725, 2.1).
    fn confuse(&self, claims: &Value) -> Result<String> {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(Algorithm::HS256) };
        Ok(encode(&header, claims, &EncodingKey::from_secret(self.pair.public_key_raw()))?)
    }
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

async fn status(service: &Serving, token: &str) -> Result<u16> {
    Ok(Asker::new(service, Some(token))?.get("/api/v1/credentials").await?.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_provider_are_let_in_by_what_it_signs_and_by_nothing_like_it() -> Result<()> {
    let (provider, first, second) = (Provider::start().await?, Key::new("one")?, Key::new("two")?);
    provider.list(&[&first]);
    let rest = format!(
        "[service.oidc]\nissuer = \"{}\"\naudience = \"claviger\"\nusername = \"email\"\nleeway_seconds = 5\n\
         [[access]]\nrole = \"operator\"\nclaims = {{ groups = \"ops\" }}\n[[access]]\nrole = \"viewer\"\nclaims = {{ groups = \"dev\" }}\n",
        provider.issuer
    );
    let house = House::new(1, "sqlite://claviger.db", &rest)?;
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    ensure!(provider.asked() == 0, "asked before anybody came");
    let (dana, dev) = (provider.claims(&["x", "ops"]), provider.claims(&["dev"]));
    let good = first.sign(&dana)?;
    ensure!(status(&service, &good).await? == 200, "{}", service.said()?);

    // What somebody may do follows from their groups, and the log says who they were.
    let operator = Asker::new(&service, Some(&good))?;
    let scanned = operator.post("/api/v1/scans", &json!({})).await?;
    ensure!(scanned.status < 300, "{scanned:?}");
    let viewer = Asker::new(&service, Some(&first.sign(&dev)?))?;
    ensure!(viewer.get("/api/v1/credentials").await?.status == 200, "a viewer looks");
    viewer.post("/api/v1/scans", &json!({})).await?.must_be(403, "CLV0621")?;
    let nobody = Asker::new(&service, Some(&first.sign(&provider.claims(&["sales"]))?))?;
    nobody.get("/api/v1/credentials").await?.must_be(403, "CLV0621")?;
    let begun = Instant::now();
    while !house.run(&["audit", "export"])?.stdout.contains("dana@example.com@oidc") {
        ensure!(begun.elapsed() < PATIENCE, "nobody says that it was dana");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    let now = SystemClock.now().timestamp();
    let (head, signature) = good.rsplit_once('.').context("a JWT")?;
    let forged = format!("{}.{}", first.sign(&dev)?.rsplit_once('.').context("a JWT")?.0, signature);
    for (what, token) in [
        ("for somebody else", first.sign(&with(&dana, "aud", json!("another")))?),
        ("for nobody", first.sign(&with(&dana, "aud", Value::Null))?),
        ("over", first.sign(&with(&dana, "exp", json!(now - 60)))?),
        ("without an end", first.sign(&with(&dana, "exp", Value::Null))?),
        ("too early", first.sign(&with(&dana, "nbf", json!(now + 300)))?),
        ("of another issuer", first.sign(&with(&dana, "iss", json!("https://id.example.com")))?),
        ("signed by a key that is not listed", second.sign(&dana)?),
        ("signed with the public key", first.confuse(&dana)?),
        ("under another's signature", forged),
        ("without a signature", format!("{head}.")),
    ] {
        let answer = Asker::new(&service, Some(&token))?.get("/api/v1/credentials").await?;
        ensure!(answer.status == 401 && answer.body["code"] == "CLV0620", "{what}: {answer:?}");
    }
    ensure!(provider.asked() == 1, "asked {} times: a made-up key makes nobody ask", provider.asked());

    // It signs with another key from now on, and the former one counts no more.
    provider.list(&[&second]);
    let begun = Instant::now();
    let new = second.sign(&provider.claims(&["dev"]))?;
    while status(&service, &new).await? != 200 {
        ensure!(begun.elapsed() < FLOOR + PATIENCE, "the new key is never known: {}", service.said()?);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("a new key of the provider is known after {} s", begun.elapsed().as_secs());
    ensure!(status(&service, &good).await? == 401, "the former key counts still");

    // It is down: who is known stays known for a while, and nobody new comes in.
    let keeps = second.sign(&provider.claims(&["dev"]))?;
    drop(provider);
    ensure!(status(&service, &keeps).await? == 200, "locked out by a provider that is down");
    Ok(())
}
