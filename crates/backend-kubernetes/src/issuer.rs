//! The API server as the issuer of the tokens that live in Secrets.

mod named;
pub(crate) mod probe;
mod suspension;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use claviger_backend::{
    Effect, Ending, Error, ErrorKind, Held, Identified, Issued, Issuer, Offer, Operation, Overlap, Presence,
    Probe, Prospect, Restore, Result, Sibling, Suspension, ValueForm, ValueOrigin, Verdict,
};
use claviger_core::{reference::Ref, secret::SecretValue};
use http::Method;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    backend::KubernetesBackend,
    connection::{Ask, JSON, OBJECT_LIMIT},
    inventory::token_secrets,
    place::Place,
    resource::SECRETS,
    token, wire,
};

/// Asks who one is: everybody who is authenticated may, and nobody else (Kubernetes 1.28).
pub(crate) const WHO_AM_I: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
/// For older servers.
const DISCOVERY: &str = "/api";
pub(crate) const ANONYMOUS: &str = "system:anonymous";
/// The cluster notes the day of a token's last use.
const DAY: u32 = 86_400;

#[async_trait]
impl Issuer for KubernetesBackend {
    /// A ServiceAccount may have any number of tokens. A bootstrap token is told by its name, which the API server's authenticator wants so.
    fn offer(&self, subject: &Ref) -> Option<Offer> {
        let place = token_secret("offer", subject).ok()?;
        (place.field.is_none() && !is_bootstrap(&place)).then_some(Offer {
            overlap: Overlap::Dual,
            origin: ValueOrigin::MintedByName,
            form: ValueForm::NotOurs,
            slots: None,
            settles_within: 0,
            last_used_grain: DAY,
        })
    }

    async fn issue(&self, op: &Operation, subject: &Ref, value: Option<&SecretValue>) -> Result<Issued> {
        if value.is_some() {
            let text = format!("{subject}: the cluster makes the token itself");
            return Err(Error::new(ErrorKind::Invalid, "issue", text));
        }
        self.issue_named(op, subject).await
    }

    async fn issued(&self, op: &Operation, subject: &Ref) -> Result<Option<Issued>> {
        self.issued_named(op, subject).await
    }

    async fn verify(&self, subject: &Ref, value: &SecretValue) -> Result<Probe> {
        let place = Place::parse("verify", subject)?;
        // A token that is bound to an object logs in as any other does.
        if !["Secret", "ServiceAccount", "Pod"].contains(&place.kind.as_str()) {
            return Err(unsupported("verify", subject, "only tokens have an issuer here"));
        }
        let composed = bootstrap_token(&place, value).filter(|_| place.kind == "Secret");
        let path = format!("POST {}{WHO_AM_I} as bearer", self.connection.endpoint());
        let inconclusive =
            |why: String| Ok(Probe { verdict: Verdict::Inconclusive(why), path: path.clone() });
        let bearer = match self.connection.as_bearer(composed.as_ref().unwrap_or(value)).await {
            Ok(bearer) => bearer,
            Err(failure) => return inconclusive(failure.to_string()),
        };
        if bearer.is_unauthenticated() {
            return inconclusive(
                "the kubeconfig does not check the server's certificate: anybody may have answered"
                    .to_owned(),
            );
        }
        let answer = match bearer.ask(probe::who_am_i(), OBJECT_LIMIT).await {
            Err(failure) if failure.is_absent() => {
                return self.verify_by_discovery(&bearer).await;
            }
            answer => answer,
        };
        let verdict = match answer {
            Ok(body) => match wire::read::<WhoAmI>(&body) {
                Ok(who) if who.status.user_info.username == ANONYMOUS => {
                    Verdict::Inconclusive("the API server took the request as anonymous".to_owned())
                }
                Ok(_) => Verdict::Accepted,
                Err(failure) => Verdict::Inconclusive(failure.to_string()),
            },
            Err(failure) => self.judge(&failure, &path, probe::who_am_i()).await,
        };
        Ok(Probe { verdict, path })
    }

    async fn identify(&self, value: &SecretValue) -> Result<Option<Identified>> {
        let Some(claims) = token::claims(value.expose()) else { return Ok(None) };
        let Some((namespace, name)) = claims.legacy_secret() else { return Ok(None) };
        let at = self.names.object(namespace, "Secret", name);
        // Names that no object can have were not written by an API server.
        let Ok(place) = Place::parse("identify", &at) else { return Ok(None) };
        let body = match self
            .connection
            .ask(Ask::get(SECRETS.object(&place.namespace, &place.name)), OBJECT_LIMIT)
            .await
        {
            Ok(body) => body,
            Err(failure) if failure.is_absent() => return Ok(None),
            Err(failure) => return Err(self.error(failure, "identify", &format!("get {at}"))),
        };
        let secret: wire::Secret<'_> =
            wire::read(&body).map_err(|failure| self.error(failure, "identify", &format!("get {at}")))?;
        // Another cluster may have a Secret of the same name: only the value itself proves it.
        let stored =
            secret.data.get("token").and_then(|token| STANDARD.decode(token).ok()).map(Zeroizing::new);
        let is_same =
            stored.is_some_and(|stored| bool::from(stored.trim_ascii().ct_eq(value.expose().trim_ascii())));
        Ok(is_same.then_some(Identified { at }))
    }

    async fn snapshot(&self, subject: &Ref) -> Result<Option<Restore>> {
        Err(unsupported("snapshot", subject, "a deleted token Secret is not restored"))
    }

    async fn restore(&self, _: &Operation, subject: &Ref, _: &Restore) -> Result<()> {
        Err(unsupported("restore", subject, "a deleted token Secret is not restored"))
    }

    async fn presence(&self, subject: &Ref) -> Result<Presence> {
        let place = token_secret("presence", subject)?;
        let ask = Ask::get(SECRETS.object(&place.namespace, &place.name)).metadata_only();
        match self.connection.ask(ask, OBJECT_LIMIT).await {
            Ok(body) => {
                let bare: wire::Bare<'_> = wire::read(&body)
                    .map_err(|failure| self.error(failure, "presence", &format!("get {subject}")))?;
                Ok(Presence::Present(bare.metadata.uid.plain()))
            }
            Err(failure) if failure.is_absent() => Ok(Presence::Absent),
            Err(failure) => Err(self.error(failure, "presence", &format!("get {subject}"))),
        }
    }

    async fn prospect(&self, _subject: &Ref) -> Result<Prospect> {
        Ok(Prospect::default())
    }

    async fn made_by(&self, _op: &Operation, subject: &Ref) -> Result<Vec<Ref>> {
        Err(unsupported("made_by", subject, "a token is found by the name of its Secret"))
    }

    async fn held(&self, subject: &Ref) -> Result<Option<Held>> {
        Err(unsupported("held", subject, "a token is read from its Secret"))
    }

    async fn siblings(&self, subject: &Ref) -> Result<Vec<Sibling>> {
        self.token_secrets_of(subject).await
    }

    async fn disable(&self, op: &Operation, subject: &Ref) -> Result<()> {
        self.suspend("disable", op, subject, true).await
    }

    async fn enable(&self, op: &Operation, subject: &Ref) -> Result<()> {
        self.suspend("enable", op, subject, false).await
    }

    fn ending(&self, subject: &Ref) -> Ending {
        let Some(place) = token_secret("ending", subject).ok().filter(|place| place.field.is_none()) else {
            return Ending::refuse("no-issuer", "only places are known that hold it");
        };
        if is_bootstrap(&place) {
            return Ending::default();
        }
        let notes = vec![format!(
            "a Secret that is made again as `{}` for the same ServiceAccount gets the identical token, and the leaked one works again: never use the name again; its return is seen by the next scan",
            place.name
        )];
        Ending { suspension: Suspension::Refused, notes, ..Ending::default() }
    }

    async fn revoke(&self, op: &Operation, subject: &Ref, expect: Option<&str>) -> Result<()> {
        let place = token_secret("revoke", subject)?;
        let path = SECRETS.object(&place.namespace, &place.name);
        let (kind, uid) =
            match self.connection.ask(Ask::get(path.clone()).within(op.deadline), OBJECT_LIMIT).await {
                Ok(body) => {
                    let secret: wire::Secret<'_> = wire::read(&body)
                        .map_err(|failure| self.error(failure, "revoke", &format!("get {subject}")))?;
                    (secret.kind.plain(), secret.metadata.uid.plain())
                }
                Err(failure) if failure.is_absent() => return Ok(()),
                // Nothing was asked for yet that could have an effect.
                Err(failure) => {
                    return Err(self
                        .error(failure, "revoke", &format!("get {subject}"))
                        .with_effect(Effect::NotApplied));
                }
            };
        if ![token_secrets::LEGACY, token_secrets::BOOTSTRAP].contains(&kind.as_str()) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "revoke",
                format!("{subject} is of type {kind}, which the API server does not issue"),
            )
            .with_hint("revoke the credential at its issuer; this Secret only holds a copy"));
        }
        if let Some(expected) = expect
            && expected != uid
        {
            return Err(Error::new(
                ErrorKind::Conflict,
                "revoke",
                format!("{subject} is not the Secret that was meant: it was re-created"),
            ));
        }
        let body =
            serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        let ask =
            Ask::with_body(Method::DELETE, path, JSON, body.to_string().into_bytes()).within(op.deadline);
        match self.connection.ask(ask, OBJECT_LIMIT).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_absent() => Ok(()),
            Err(failure) => Err(self.error(failure, "revoke", &format!("delete {subject}"))),
        }
    }

    async fn last_used(&self, subject: &Ref) -> Result<Option<DateTime<Utc>>> {
        let place = token_secret("last_used", subject)?;
        let ask = Ask::get(SECRETS.object(&place.namespace, &place.name)).metadata_only();
        match self.connection.ask(ask, OBJECT_LIMIT).await {
            Ok(body) => {
                let bare: wire::Bare<'_> = wire::read(&body)
                    .map_err(|failure| self.error(failure, "last_used", &format!("get {subject}")))?;
                Ok(token_secrets::last_used(&bare.metadata))
            }
            Err(failure) if failure.is_absent() => Ok(None),
            Err(failure) => Err(self.error(failure, "last_used", &format!("get {subject}"))),
        }
    }
}

impl KubernetesBackend {
    async fn verify_by_discovery(&self, bearer: &crate::connection::Connection) -> Result<Probe> {
        let path = format!("GET {}{DISCOVERY} as bearer", self.connection.endpoint());
        let verdict = match bearer.ask(Ask::get(DISCOVERY.to_owned()), OBJECT_LIMIT).await {
            Ok(_) => Verdict::Accepted,
            Err(failure) => self.judge(&failure, &path, Ask::get(DISCOVERY.to_owned())).await,
        };
        Ok(Probe { verdict, path })
    }
}

pub(crate) fn is_bootstrap(place: &Place) -> bool {
    place.namespace == "kube-system" && place.name.starts_with("bootstrap-token-")
}

/// A bootstrap token authenticates as `<id>.<secret>`; the id is in the Secret's name, and a copy holds the secret half.
fn bootstrap_token(place: &Place, value: &SecretValue) -> Option<SecretValue> {
    let id =
        (place.namespace == "kube-system").then(|| place.name.strip_prefix("bootstrap-token-")).flatten()?;
    let secret = value.expose_text()?.trim_ascii();
    (secret.len() == 16 && !secret.contains('.')).then(|| SecretValue::from_text(format!("{id}.{secret}")))
}

fn token_secret(operation: &'static str, subject: &Ref) -> Result<Place> {
    let place = Place::parse(operation, subject)?;
    if place.kind == "Secret" {
        Ok(place)
    } else {
        Err(unsupported(operation, subject, "only tokens in Secrets have an issuer here"))
    }
}

fn unsupported(operation: &'static str, subject: &Ref, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, operation, format!("{subject}: {why}"))
}

#[derive(Deserialize)]
struct WhoAmI {
    status: WhoAmIStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WhoAmIStatus {
    user_info: UserInfo,
}

#[derive(Deserialize)]
struct UserInfo {
    #[serde(default)]
    username: String,
}
