//! Tokens of an OpenID Connect provider: OpenID Connect Discovery 1.0 finds its keys, RFC 7519 and RFC 8725 say what a token must be.
//!
//! Signed with a public-key algorithm by a key that the issuer lists under the id that the token names; of this issuer, for this audience, at this time.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use claviger_core::clock::Clock;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    dangerous::insecure_decode_claims,
    decode, decode_header,
    jwk::{JwkSet, PublicKeyUse},
};
use reqwest::{Certificate, Client, redirect};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use super::{
    Principal,
    rule::{Rule, grants},
};
use crate::{
    address::safe,
    api::{Bearer, Unknown},
};

/// With which a token may be signed: never with a secret that both have, and never with nothing.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Between two fetches of the keys: whoever makes up key ids does not make us ask.
const FLOOR: Duration = Duration::from_secs(30);
/// Keys that are older are fetched again, so that one that was taken off the list is not believed for ever.
const FRESH: Duration = Duration::from_secs(600);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest document of the provider, in bytes.
const LONGEST: usize = 1 << 20;

/// What is known of a provider.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name, as tokens bear it: an address whose `.well-known/openid-configuration` describes it.
    pub issuer: String,
    /// For whom a token must have been made.
    pub audience: String,
    /// The claim that names people in the audit log.
    pub username: String,
    /// How far its clock may be from ours, in seconds.
    pub leeway: u32,
    /// Certificates (PEM) of authorities to be trusted, and no others; without them the system's.
    pub ca: Option<Vec<u8>>,
    /// Who gets what.
    pub rules: Vec<Rule>,
}

/// A provider.
pub struct Oidc {
    settings: Settings,
    client: Client,
    clock: Arc<dyn Clock>,
    keys: Mutex<Keys>,
    floor: Duration,
}

#[derive(Default)]
struct Keys {
    set: Option<JwkSet>,
    /// When they were fetched.
    fetched: Option<Instant>,
    /// When it was tried last.
    tried: Option<Instant>,
}

#[derive(Deserialize)]
struct Described {
    issuer: String,
    jwks_uri: String,
}

impl Oidc {
    /// Nothing is fetched before the first token comes.
    ///
    /// # Errors
    /// The issuer's address is neither `https` nor on this machine, or the certificates cannot be read.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, String> {
        safe(&settings.issuer)?;
        // Where it sends somebody to is not asked: the issuer's own word is wanted.
        let builder =
            Client::builder().timeout(TIMEOUT).connect_timeout(TIMEOUT).redirect(redirect::Policy::none());
        let builder = match &settings.ca {
            Some(pem) => {
                let trusted = Certificate::from_pem_bundle(pem);
                builder.tls_certs_only(
                    trusted.map_err(|error| format!("its certificates cannot be read: {error}"))?,
                )
            }
            None => builder,
        };
        let client = builder.build().map_err(|error| format!("no client can be made: {error}"))?;
        Ok(Self { settings, client, clock, keys: Mutex::default(), floor: FLOOR })
    }

    /// The key of this id. A provider that does not answer is one of whose keys nobody knows anything.
    async fn key(&self, id: &str, algorithm: Algorithm) -> Result<DecodingKey, Unknown> {
        // One at a time: of many who wait the first one fetches.
        let mut keys = self.keys.lock().await;
        let is_fresh = keys.fetched.is_some_and(|at| at.elapsed() < FRESH);
        let has = |keys: &Keys| keys.set.as_ref().is_some_and(|set| set.find(id).is_some());
        let may_try = keys.tried.is_none_or(|at| at.elapsed() >= self.floor);
        if (!is_fresh || !has(&keys)) && may_try {
            keys.tried = Some(Instant::now());
            match self.fetch().await {
                Ok(set) => {
                    keys.set = Some(set);
                    keys.fetched = Some(Instant::now());
                }
                // What is known already is good for a while: a provider that is down for a minute locks nobody out.
                Err(why) if is_fresh && has(&keys) => {
                    tracing::warn!(why, "the provider's keys are not fetched")
                }
                Err(why) => return Err(Unknown::Unavailable(why)),
            }
        }
        if keys.fetched.is_none_or(|at| at.elapsed() >= FRESH) {
            return Err(Unknown::Unavailable("its keys could not be fetched of late".to_owned()));
        }
        let jwk = keys.set.as_ref().and_then(|set| set.find(id));
        let jwk =
            jwk.ok_or_else(|| Unknown::Wrong("it names a key that its issuer does not list".to_owned()))?;
        let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let fits = jwk.common.key_algorithm.is_none_or(|of| of.to_string() == format!("{algorithm:?}"));
        if !signs || !fits {
            return Err(Unknown::Wrong("it is signed with a key that is for something else".to_owned()));
        }
        DecodingKey::from_jwk(jwk).map_err(|error| Unknown::Wrong(format!("its key cannot be used: {error}")))
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let base = self.settings.issuer.trim_end_matches('/');
        let described: Described = self.read(&format!("{base}/.well-known/openid-configuration")).await?;
        if described.issuer != self.settings.issuer {
            return Err("it describes itself as another issuer".to_owned());
        }
        safe(&described.jwks_uri)?;
        self.read(&described.jwks_uri).await
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, address: &str) -> Result<T, String> {
        let failed =
            |error: reqwest::Error| format!("the identity provider does not answer: {}", error.without_url());
        let mut answer = self.client.get(address).send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("the identity provider answers {}", answer.status()));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > LONGEST {
                return Err("the identity provider's answer does not end".to_owned());
            }
        }
        serde_json::from_slice(&bytes).map_err(|_| "the identity provider's answer cannot be read".to_owned())
    }

    /// Is it of this time, by our clock?
    fn in_time(&self, claims: &Value) -> Result<(), Unknown> {
        let (now, leeway) = (self.clock.now().timestamp(), i64::from(self.settings.leeway));
        // Seconds may have a fraction (RFC 7519, NumericDate).
        let at = |name: &str| claims[name].as_i64().or_else(|| claims[name].as_f64().map(whole));
        let ends = at("exp").ok_or_else(|| Unknown::Wrong("it has no end".to_owned()))?;
        if ends.saturating_add(leeway) <= now {
            return Err(Unknown::Wrong("it has ended".to_owned()));
        }
        let early = |name| at(name).is_some_and(|begins: i64| begins.saturating_sub(leeway) > now);
        if early("nbf") || early("iat") {
            return Err(Unknown::Wrong("its time has not come".to_owned()));
        }
        Ok(())
    }
}

fn whole(seconds: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    {
        seconds.floor() as i64
    }
}

#[async_trait]
impl Bearer for Oidc {
    async fn identify(&self, token: &str) -> Result<Principal, Unknown> {
        // Whose it says it is tells only who is to be asked.
        let said: Value = insecure_decode_claims(token).map_err(|_| Unknown::NotOurs)?;
        if said["iss"] != self.settings.issuer.as_str() {
            return Err(Unknown::NotOurs);
        }
        let header =
            decode_header(token).map_err(|_| Unknown::Wrong("its header cannot be read".to_owned()))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Unknown::Wrong("it is signed with a secret, or not at all".to_owned()));
        }
        let id = header.kid.ok_or_else(|| Unknown::Wrong("it names no key".to_owned()))?;
        let key = self.key(&id, header.alg).await?;
        let mut rules = Validation::new(header.alg);
        rules.set_issuer(&[&self.settings.issuer]);
        rules.set_audience(&[&self.settings.audience]);
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        // By our clock, below.
        rules.validate_exp = false;
        let claims = decode::<Value>(token, &key, &rules)
            .map_err(|error| Unknown::Wrong(format!("{:?}", error.kind())))?
            .claims;
        self.in_time(&claims)?;
        let name = claims[&self.settings.username].as_str().unwrap_or_default();
        if name.is_empty() || name.len() > 128 || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Unknown::Wrong(format!("its `{}` names nobody", self.settings.username)));
        }
        Ok(Principal {
            actor: format!("{name}@oidc"),
            grants: grants(&self.settings.rules, &claims),
            vouched: true,
        })
    }
}

/// For whom a token says that it was made, unchecked: only who is to be asked follows from it. None: it is no token of this kind.
pub fn audiences(token: &str) -> Vec<String> {
    let Ok(said) = insecure_decode_claims::<Value>(token) else { return Vec::new() };
    match &said["aud"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}
