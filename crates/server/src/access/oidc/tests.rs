//! A provider of our own, on this machine: what it signs for us is taken, and nothing that is a little different.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::DateTime;
use claviger_core::clock::ManualClock;
use jsonwebtoken::{EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::access::{Role, Scope};

const NOW: i64 = 1_800_000_000;

struct Provider {
    issuer: String,
    keys: Arc<Mutex<Value>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let keys = Arc::new(Mutex::new(json!({ "keys": [] })));
        let asked = Arc::new(AtomicUsize::new(0));
        let (listed, count, own) = (Arc::clone(&keys), Arc::clone(&asked), issuer.clone());
        tokio::spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let line =
                    String::from_utf8_lossy(&head[..read]).lines().next().unwrap_or_default().to_owned();
                let body = if line.contains("openid-configuration") {
                    json!({ "issuer": own, "jwks_uri": format!("{own}/keys") })
                } else {
                    count.fetch_add(1, Ordering::SeqCst);
                    listed.lock().unwrap_or_else(PoisonError::into_inner).clone()
                };
                let text = body.to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
                    text.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { issuer, keys, asked }
    }

    fn list(&self, keys: &[(&str, &KeyPair)]) {
        let all: Vec<Value> = keys.iter().map(|(id, key)| public(id, key)).collect();
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = json!({ "keys": all });
    }

    fn oidc(&self) -> Oidc {
        let rule = Rule {
            role: Role::Operator,
            scope: Scope::default(),
            claims: BTreeMap::from([("groups".to_owned(), "ops".to_owned())]),
        };
        let settings = Settings {
            issuer: self.issuer.clone(),
            audience: "claviger".to_owned(),
            username: "email".to_owned(),
            leeway: 30,
            ca: None,
            rules: vec![rule],
        };
        let clock = ManualClock::new(DateTime::from_timestamp(NOW, 0).expect("a time"));
        Oidc::new(settings, Arc::new(clock)).expect("on this machine")
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.issuer, "aud": "claviger", "sub": "1", "email": "dana@example.com", "groups": ["ops"], "iat": NOW - 60,
            "exp": NOW + 60,
        })
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

fn public(id: &str, key: &KeyPair) -> Value {
    let point = key.public_key_raw();
    let half = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
    json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": half(1), "y": half(33) })
}

fn signed(id: Option<&str>, key: &KeyPair, claims: &Value) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(Algorithm::ES256) };
    let key = EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).expect("a key");
    encode(&header, claims, &key).expect("a token")
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

#[tokio::test]
async fn what_the_provider_signed_for_us_is_taken_and_nothing_like_it() {
    let (provider, good, other) = (Provider::start().await, key(), key());
    provider.list(&[("one", &good)]);
    let (oidc, claims) = (provider.oidc(), provider.claims());
    let taken = oidc.identify(&signed(Some("one"), &good, &claims)).await.expect("it is good");
    assert_eq!((taken.actor.as_str(), taken.vouched), ("dana@example.com@oidc", true));
    assert_eq!(taken.grants.len(), 1);
    assert_eq!(taken.operator().as_deref(), Some("dana"));
    let stranger = with(&claims, "groups", json!(["dev"]));
    let known = oidc.identify(&signed(Some("one"), &good, &stranger)).await.expect("it is known");
    assert!(known.grants.is_empty(), "no rule is nobody's");
    for (name, value) in [
        ("aud", json!("another")),
        ("aud", json!(null)),
        ("exp", json!(NOW - 31)),
        ("exp", json!(null)),
        ("exp", json!("soon")),
        ("nbf", json!(NOW + 31)),
        ("iat", json!(NOW + 31)),
        ("email", json!(null)),
        ("email", json!("")),
        ("email", json!("dana\n")),
    ] {
        let refused = oidc.identify(&signed(Some("one"), &good, &with(&claims, name, value.clone()))).await;
        assert!(matches!(refused, Err(Unknown::Wrong(_))), "{name} {value}: {refused:?}");
    }
    for (name, value) in
        [("exp", json!(NOW - 29)), ("nbf", json!(NOW + 29)), ("aud", json!(["x", "claviger"]))]
    {
        let taken = oidc.identify(&signed(Some("one"), &good, &with(&claims, name, value.clone()))).await;
        assert!(taken.is_ok(), "{name} {value}: {taken:?}");
    }
    let elsewhere = with(&claims, "iss", json!("https://evil.example"));
    let foreign = oidc.identify(&signed(Some("one"), &good, &elsewhere)).await;
    assert_eq!(foreign.err(), Some(Unknown::NotOurs));
    for wrong in [
        signed(Some("one"), &other, &claims),
        signed(None, &good, &claims),
        signed(Some("two"), &other, &claims),
        confused(&good, &claims),
        unsigned(&claims),
        changed(&signed(Some("one"), &good, &claims)),
    ] {
        let refused = oidc.identify(&wrong).await;
        assert!(matches!(refused, Err(Unknown::Wrong(_))), "{wrong}: {refused:?}");
    }
    for none in ["", "x", "a.b", "a.b.c"] {
        assert_eq!(oidc.identify(none).await.err(), Some(Unknown::NotOurs), "{none}");
    }
}

/// Signed with the public key as if it were a secret that both have (RFC 8725, 2.1).
fn confused(key: &KeyPair, claims: &Value) -> String {
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
    encode(&header, claims, &EncodingKey::from_secret(key.public_key_raw())).expect("a token")
}

fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({ "alg": "none", "kid": "one" })), part(claims))
}

/// Another group, under the same signature.
fn changed(token: &str) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).expect("claims");
    let claims = String::from_utf8(claims).expect("text").replace("\"1\"", "\"2\"");
    format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims), parts[2])
}

#[tokio::test]
async fn a_new_key_is_fetched_and_made_up_ones_make_nobody_ask() {
    let (provider, first, second) = (Provider::start().await, key(), key());
    provider.list(&[("one", &first)]);
    let (mut oidc, claims) = (provider.oidc(), provider.claims());
    assert!(oidc.identify(&signed(Some("one"), &first, &claims)).await.is_ok());
    for made_up in 0..20 {
        let id = format!("made-up-{made_up}");
        assert!(oidc.identify(&signed(Some(&id), &second, &claims)).await.is_err());
    }
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1, "made-up ids were asked for");
    provider.list(&[("two", &second)]);
    let new = signed(Some("two"), &second, &claims);
    assert!(oidc.identify(&new).await.is_err(), "it may not be asked again yet");
    oidc.floor = Duration::ZERO;
    assert!(oidc.identify(&new).await.is_ok(), "the new key");
    let old = oidc.identify(&signed(Some("one"), &first, &claims)).await;
    assert!(matches!(old, Err(Unknown::Wrong(_))), "the old key was taken off the list: {old:?}");
}

#[tokio::test]
async fn a_provider_that_is_down_is_no_refusal_and_no_way_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut provider = Provider::start().await;
    provider.issuer = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let refused = provider.oidc().identify(&signed(Some("one"), &key(), &provider.claims())).await;
    assert!(matches!(refused, Err(Unknown::Unavailable(_))), "{refused:?}");
    // One that describes itself as another issuer is not believed.
    let liar = Provider::start().await;
    let mut oidc = liar.oidc();
    oidc.settings.issuer = format!("{}/", liar.issuer);
    let claims = with(&liar.claims(), "iss", json!(oidc.settings.issuer));
    let refused = oidc.identify(&signed(Some("one"), &key(), &claims)).await;
    assert!(matches!(refused, Err(Unknown::Unavailable(_))), "{refused:?}");
    for bad in ["http://id.example.com", "ftp://127.0.0.1", "id", "http://127.0.0.1.example.com"] {
        let settings = Settings { issuer: bad.to_owned(), ..liar.oidc().settings };
        assert!(Oidc::new(settings, Arc::new(ManualClock::new(DateTime::default()))).is_err(), "{bad}");
    }
}
