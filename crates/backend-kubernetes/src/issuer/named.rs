//! Another token of the same ServiceAccount: a new token Secret, whose name follows from the operation's key.
//!
//! The name decides about the value: a token Secret that is made again under its former name holds its former token again. So a name serves
//! one operation and no other, and whoever repeats the operation finds what it made, and the same value in it.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_backend::{Effect, Error, ErrorKind, Issued, Operation, Result, Retry, Sibling};
use claviger_core::{id::OperationKey, reference::Ref, secret::SecretValue};
use http::Method;
use serde_json::json;
use tokio::time::Instant;

use super::{token_secret, unsupported};
use crate::{
    backend::KubernetesBackend,
    connection::{Ask, JSON, OBJECT_LIMIT},
    failure::Failure,
    inventory::token_secrets::{self, ACCOUNT_NAME},
    managed,
    paging::escape,
    place::Place,
    resource::SECRETS,
    store::MANAGER,
    wire::{self, Pairs},
};

/// On a token Secret that we made: the operation's key.
const ISSUED_FOR: &str = "claviger.dev/issued-for";
/// On the same: the Secret beside which it was made.
const FOLLOWS: &str = "claviger.dev/follows";
/// How often the token controller's work is looked for.
const LOOK: Duration = Duration::from_millis(150);
/// Digits of the operation's key that end a name.
const DIGITS: usize = 10;
/// The longest name of a Secret.
const LONGEST: usize = 253;
/// Annotations of other programs about the one object that they stand on.
const NOT_COPIED: [&str; 4] =
    ["kubectl.kubernetes.io/", "meta.helm.sh/", "claviger.dev/", "kubernetes.io/service-account."];
/// Labels that the cluster keeps about one token.
const NOT_COPIED_LABELS: &str = "kubernetes.io/legacy-token-";

/// Of one operation always the same name, of another one never. What an earlier operation added to the name gives way, so that names do not
/// grow.
fn derived(name: &str, key: OperationKey) -> String {
    let digits: String = key.to_string().chars().filter(|digit| *digit != '-').take(DIGITS).collect();
    let is_ours = |end: &str| {
        end.len() == DIGITS && end.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let base = name.rsplit_once('-').filter(|(_, end)| is_ours(end)).map_or(name, |(base, _)| base);
    let base = base.get(..LONGEST - DIGITS - 1).unwrap_or(base).trim_end_matches(['-', '.']);
    format!("{base}-{digits}")
}

/// What lies under the operation's name.
enum Found {
    Nothing,
    /// Ours, and the token controller has not filled it.
    Empty,
    Filled(Issued),
    /// Somebody else's.
    Foreign,
}

impl KubernetesBackend {
    pub(super) async fn issue_named(&self, op: &Operation, subject: &Ref) -> Result<Issued> {
        let until = Instant::now() + op.deadline * 4 / 5;
        let place = token_secret("issue", subject)?;
        let at = self.named_at(op, &place);
        let untouched = |error: Error| error.with_effect(Effect::NotApplied);
        if let Found::Nothing = self.found(op, &at).await.map_err(untouched)? {
            let object = self.successor(op, subject, &place, &at).await.map_err(untouched)?;
            let path = format!("{}?{MANAGER}", SECRETS.collection(Some(&place.namespace)));
            let ask = Ask::with_body(Method::POST, path, JSON, object).metadata_only().within(op.deadline);
            match self.connection.ask(ask, OBJECT_LIMIT).await {
                Ok(_) => {}
                // Somebody was faster, perhaps we ourselves: what lies there says who.
                Err(Failure::Status { code: 409, .. }) => {}
                Err(failure) => return Err(self.error(failure, "issue", &format!("create {at}"))),
            }
        }
        loop {
            match self.found(op, &at).await.map_err(|error| error.with_effect(Effect::Unknown))? {
                Found::Filled(issued) => return Ok(issued),
                Found::Foreign => return Err(taken(&at)),
                Found::Nothing => {
                    let text = format!(
                        "{at} was made and is gone again: the cluster keeps no token of an account that does not exist"
                    );
                    return Err(Error::new(ErrorKind::Invalid, "issue", text)
                        .with_hint("scan again: is the ServiceAccount there?"));
                }
                Found::Empty if Instant::now() >= until => {
                    let text = format!("{at} was made, and the token controller has not filled it yet");
                    return Err(Error::new(ErrorKind::Unavailable, "issue", text)
                        .with_retry(Retry::Temporary)
                        .with_effect(Effect::Applied));
                }
                Found::Empty => tokio::time::sleep(LOOK).await,
            }
        }
    }

    pub(super) async fn issued_named(&self, op: &Operation, subject: &Ref) -> Result<Option<Issued>> {
        let at = self.named_at(op, &token_secret("issued", subject)?);
        match self.found(op, &at).await? {
            Found::Filled(issued) => Ok(Some(issued)),
            // It is ours: whoever takes it away must know of it, whoever repeats it waits for its value.
            Found::Empty => Ok(Some(Issued { at, minted: None, public_half: None })),
            Found::Nothing | Found::Foreign => Ok(None),
        }
    }

    fn named_at(&self, op: &Operation, subject: &Place) -> Ref {
        self.names.object(&subject.namespace, "Secret", &derived(&subject.name, op.key))
    }

    async fn found(&self, op: &Operation, at: &Ref) -> Result<Found> {
        let place = token_secret("issue", at)?;
        let failed = |failure| self.error(failure, "issue", &format!("get {at}"));
        let ask = Ask::get(SECRETS.object(&place.namespace, &place.name)).within(op.deadline);
        let body = match self.connection.ask(ask, OBJECT_LIMIT).await {
            Ok(body) => body,
            Err(failure) if failure.is_absent() => return Ok(Found::Nothing),
            Err(failure) => return Err(failed(failure)),
        };
        let secret: wire::Secret<'_> = wire::read(&body).map_err(failed)?;
        if secret.metadata.annotations.get(ISSUED_FOR) != Some(op.key.to_string().as_str()) {
            return Ok(Found::Foreign);
        }
        let token = secret.data.get("token").and_then(|token| STANDARD.decode(token).ok());
        Ok(match token.filter(|token| !token.is_empty()) {
            Some(token) => Found::Filled(Issued {
                at: at.clone(),
                minted: Some(SecretValue::new(token)),
                public_half: Some(place.name),
            }),
            None => Found::Empty,
        })
    }

    /// The new Secret as JSON: of the same account, and with the labels and annotations that people gave the old one.
    async fn successor(&self, op: &Operation, subject: &Ref, place: &Place, at: &Ref) -> Result<Vec<u8>> {
        let failed = |failure| self.error(failure, "issue", &format!("get {subject}"));
        let invalid = |text: String| Error::new(ErrorKind::Invalid, "issue", format!("{subject} {text}"));
        let ask = Ask::get(SECRETS.object(&place.namespace, &place.name)).within(op.deadline);
        let body = self.connection.ask(ask, OBJECT_LIMIT).await.map_err(failed)?;
        let secret: wire::Secret<'_> = wire::read(&body).map_err(failed)?;
        if secret.kind.as_str() != token_secrets::LEGACY {
            return Err(invalid(format!("is of type {}, which holds no token", secret.kind.plain())));
        }
        if let Some(system) = managed::managed_by(&secret.metadata) {
            return Err(invalid(format!(
                "is managed by {system}, which would make it again with the same token"
            ))
            .with_hint("change it at its source"));
        }
        let account = secret.metadata.annotations.get(ACCOUNT_NAME).filter(|account| !account.is_empty());
        let account = account.ok_or_else(|| invalid("names no ServiceAccount".to_owned()))?;
        let labels = copied(&secret.metadata.labels, &[NOT_COPIED_LABELS]);
        let mut annotations = copied(&secret.metadata.annotations, &NOT_COPIED);
        let key = op.key.to_string();
        annotations.extend([(ACCOUNT_NAME, account), (ISSUED_FOR, &key), (FOLLOWS, &place.name)]);
        let name = at.path().rsplit('/').next().unwrap_or_default();
        let object = json!({
            "apiVersion": "v1", "kind": SECRETS.kind, "type": token_secrets::LEGACY,
            "metadata": {"name": name, "namespace": place.namespace, "labels": labels, "annotations": annotations},
        });
        Ok(object.to_string().into_bytes())
    }

    /// The token Secrets of the subject's ServiceAccount. Of an absent subject nobody knows the account.
    pub(super) async fn token_secrets_of(&self, subject: &Ref) -> Result<Vec<Sibling>> {
        let place = token_secret("siblings", subject)?;
        let failed = |failure, what: &str| self.error(failure, "siblings", what);
        let ask = Ask::get(SECRETS.object(&place.namespace, &place.name));
        let body = match self.connection.ask(ask, OBJECT_LIMIT).await {
            Ok(body) => body,
            Err(failure) if failure.is_absent() => return Ok(Vec::new()),
            Err(failure) => return Err(failed(failure, &format!("get {subject}"))),
        };
        let own: wire::Secret<'_> =
            wire::read(&body).map_err(|failure| failed(failure, &format!("get {subject}")))?;
        if own.kind.as_str() != token_secrets::LEGACY {
            return Err(unsupported("siblings", subject, "it is no ServiceAccount's token"));
        }
        let account = own.metadata.annotations.get(ACCOUNT_NAME).unwrap_or_default().to_owned();
        let what = format!("list the token Secrets of {}", place.namespace);
        let list = format!(
            "{}?limit=500&fieldSelector=type%3D{}",
            SECRETS.collection(Some(&place.namespace)),
            escape(token_secrets::LEGACY)
        );
        let (mut found, mut token) = (Vec::new(), None::<String>);
        loop {
            let path = match &token {
                Some(token) => format!("{list}&continue={}", escape(token)),
                None => list.clone(),
            };
            let ask = Ask { accept: METADATA_LIST, ..Ask::get(path) };
            let body =
                self.connection.ask(ask, OBJECT_LIMIT).await.map_err(|failure| failed(failure, &what))?;
            let (items, next) =
                wire::page::<wire::Bare<'_>>(&body).map_err(|failure| failed(failure, &what))?;
            let mine = items.iter().map(|item| &item.metadata);
            let mine = mine.filter(|meta| meta.annotations.get(ACCOUNT_NAME) == Some(account.as_str()));
            found.extend(mine.map(|meta| Sibling {
                at: self.names.object(&place.namespace, "Secret", &meta.name.plain()),
                public_half: meta.name.plain(),
                created_at: meta.creation_timestamp.as_ref().and_then(wire::time),
                active: meta.labels.get(token_secrets::INVALID_SINCE).is_none(),
            }));
            match next {
                Some(next) => token = Some(next),
                None => return Ok(found),
            }
        }
    }
}

/// A list whose items are metadata only: the tokens do not travel.
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

fn taken(at: &Ref) -> Error {
    Error::new(ErrorKind::Conflict, "issue", format!("{at} is there, and was not made by this operation"))
        .with_hint("rotate again: another operation gives another name")
}

fn copied<'p>(pairs: &'p Pairs<'_>, without: &[&str]) -> BTreeMap<&'p str, &'p str> {
    let kept = pairs.0.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    kept.filter(|(key, _)| !without.iter().any(|prefix| key.starts_with(prefix))).collect()
}

#[cfg(test)]
mod tests {
    use claviger_core::id::SagaId;

    use super::*;

    fn key(step: &str) -> OperationKey {
        let saga: SagaId = "018f0000-0000-7000-8000-000000000007".parse().expect("an id");
        OperationKey::derive(saga, step, "prod/ci/Secret/robot", 0)
    }

    #[test]
    fn a_name_follows_from_the_operation_and_does_not_grow() {
        let first = derived("robot-token", key("one"));
        assert_eq!(first, derived("robot-token", key("one")));
        assert_eq!(first.len(), "robot-token-".len() + DIGITS);
        let second = derived(&first, key("two"));
        assert!(second.starts_with("robot-token-") && second.len() == first.len() && second != first);
        // The end of a generated name is no such thing.
        assert!(derived("default-token-x7k2p", key("one")).starts_with("default-token-x7k2p-"));
    }

    #[test]
    fn a_long_name_is_cut_where_a_name_may_end() {
        let long = format!("{}-.{}", "a".repeat(241), "b".repeat(10));
        let name = derived(&long, key("one"));
        assert_eq!(name.len(), 241 + 1 + DIGITS);
        assert!(!name.contains("-.") && name.len() <= LONGEST);
    }
}
