//! ServiceAccounts and pods as what tokens are bound to (TokenRequest API; Kubernetes, "Managing Service Accounts", bound service account tokens).
//!
//! Each token carries the uid of its account and of the object that it was bound to; the API server looks for both on each login, out of a cache
//! of ten seconds. So a ServiceAccount that is made again ends every token that it ever gave, those in Secrets too, and no name that is used
//! again brings one back.

use async_trait::async_trait;
use claviger_backend::{
    Anchor, Anchored, Anchors, Effect, Error, ErrorKind, Operation, Result, Sample, Standing,
};
use claviger_core::{reference::Ref, secret::SecretValue};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    backend::KubernetesBackend,
    buffer::Buffer,
    connection::{Ask, JSON, MERGE_PATCH, OBJECT_LIMIT},
    failure::Failure,
    managed,
    paging::escape,
    place::Place,
    resource::{PODS, Resource, SERVICE_ACCOUNTS},
    store::MANAGER,
    wire,
};

/// Somebody else may write the object at the same time.
const ATTEMPTS: usize = 5;
/// A list whose items are metadata only.
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// What tokens are bound to, and where it is.
struct Target {
    place: Place,
    resource: Resource,
}

impl Target {
    fn of(operation: &'static str, subject: &Ref) -> Result<Self> {
        let place = Place::parse(operation, subject)?;
        let resource = match (place.kind.as_str(), &place.field) {
            ("ServiceAccount", None) => SERVICE_ACCOUNTS,
            ("Pod", None) => PODS,
            _ => {
                let text = format!("{subject}: tokens are bound to ServiceAccounts and pods");
                return Err(Error::new(ErrorKind::Unsupported, operation, text));
            }
        };
        Ok(Self { place, resource })
    }

    fn path(&self) -> String {
        self.resource.object(&self.place.namespace, &self.place.name)
    }

    fn is_account(&self) -> bool {
        self.resource == SERVICE_ACCOUNTS
    }
}

#[async_trait]
impl Anchors for KubernetesBackend {
    fn anchor(&self, subject: &Ref) -> Option<Anchor> {
        let target = Target::of("anchor", subject).ok()?;
        Some(if target.is_account() { Anchor::Remade } else { Anchor::Left })
    }

    async fn anchored(&self, subject: &Ref) -> Result<Anchored> {
        let target = Target::of("anchored", subject)?;
        let failed = |failure| self.error(failure, "anchored", &format!("get {subject}"));
        let body = self.connection.ask(Ask::get(target.path()), OBJECT_LIMIT).await.map_err(failed)?;
        if target.is_account() {
            self.account(subject, &target, &body).await
        } else {
            self.pod(subject, &target, &body).await
        }
    }

    async fn standing(&self, subject: &Ref) -> Result<Standing> {
        let target = Target::of("standing", subject)?;
        let ask = Ask::get(target.path()).metadata_only();
        match self.connection.ask(ask, OBJECT_LIMIT).await {
            Ok(body) => {
                let bare: wire::Bare<'_> = wire::read(&body)
                    .map_err(|failure| self.error(failure, "standing", &format!("get {subject}")))?;
                let uid = bare.metadata.uid.plain();
                let ending = bare.metadata.deletion_timestamp.is_some();
                Ok(if ending { Standing::Ending(uid) } else { Standing::There(uid) })
            }
            Err(failure) if failure.is_absent() => Ok(Standing::Absent),
            Err(failure) => Err(self.error(failure, "standing", &format!("get {subject}"))),
        }
    }

    /// The API server wants ten minutes at least, and may shorten what is more than it allows.
    async fn sample(&self, subject: &Ref, expect: &str, seconds: u32) -> Result<Sample> {
        let target = Target::of("sample", subject)?;
        let place = &target.place;
        let mut spec = json!({"expirationSeconds": seconds.max(600)});
        let account = if target.is_account() {
            place.name.clone()
        } else {
            spec["boundObjectRef"] =
                json!({"kind": PODS.kind, "apiVersion": "v1", "name": place.name, "uid": expect});
            self.account_of(subject, &target).await?
        };
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let path = format!("{}/token", SERVICE_ACCOUNTS.object(&place.namespace, &escape(&account)));
        let ask = Ask::with_body(Method::POST, path, JSON, request.to_string().into_bytes());
        let what = format!("ask for a token of ServiceAccount {account}");
        let failed = |failure| self.error(failure, "sample", &what);
        let body = self.connection.ask(ask, OBJECT_LIMIT).await.map_err(failed)?;
        let given: TokenRequest<'_> = wire::read(&body).map_err(failed)?;
        let ends_at = wire::time(&given.status.expiration_timestamp)
            .ok_or_else(|| failed(Failure::Malformed("expirationTimestamp".to_owned())))?;
        let value = SecretValue::from_text(given.status.token.into_value());
        // The one with this uid was there when it was planned and is there now: the token is of none other.
        match self.standing(subject).await? {
            Standing::There(uid) if uid == expect => Ok(Sample { value, ends_at }),
            _ => Err(another("sample", subject)),
        }
    }

    async fn record(&self, subject: &Ref, expect: &str) -> Result<SecretValue> {
        let target = Target::of("record", subject)?;
        let failed = |failure| self.error(failure, "record", &format!("get {subject}"));
        let body = self.connection.ask(Ask::get(target.path()), OBJECT_LIMIT).await.map_err(failed)?;
        let object: Value = wire::read(&body).map_err(failed)?;
        if object["metadata"]["uid"] != expect {
            return Err(another("record", subject));
        }
        Ok(SecretValue::from_text(recorded(&target, &object).to_string()))
    }

    async fn end(&self, op: &Operation, subject: &Ref, expect: &str) -> Result<()> {
        let target = Target::of("end", subject)?;
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": expect}});
        let ask = Ask::with_body(Method::DELETE, target.path(), JSON, body.to_string().into_bytes());
        match self.connection.ask(ask.within(op.deadline), OBJECT_LIMIT).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_absent() => Ok(()),
            Err(Failure::Status { code: 409, .. }) => Err(another("end", subject)),
            Err(failure) => Err(self.error(failure, "end", &format!("delete {subject}"))),
        }
    }

    async fn remake(
        &self,
        op: &Operation,
        subject: &Ref,
        record: &SecretValue,
        former: &str,
    ) -> Result<String> {
        let target = Target::of("remake", subject)?;
        let unread = || {
            Error::new(ErrorKind::Invalid, "remake", format!("what is recorded of {subject} is no object"))
        };
        let record: Value = serde_json::from_slice(record.expose()).map_err(|_| unread())?;
        for _ in 0..ATTEMPTS {
            let failed = |failure| self.error(failure, "remake", &format!("get {subject}"));
            let ask = Ask::get(target.path()).within(op.deadline);
            let made = match self.connection.ask(ask, OBJECT_LIMIT).await {
                Ok(body) => {
                    let there: Value =
                        wire::read(&body).map_err(|f| failed(f).with_effect(Effect::NotApplied))?;
                    if there["metadata"]["uid"] == former {
                        return Err(Error::new(
                            ErrorKind::Conflict,
                            "remake",
                            format!("{subject} is still being deleted"),
                        ));
                    }
                    self.overlay(op, &target, &record, &there).await
                }
                Err(failure) if failure.is_absent() => {
                    let path =
                        format!("{}?{MANAGER}", target.resource.collection(Some(&target.place.namespace)));
                    let body = record.to_string().into_bytes();
                    self.uid_of(Ask::with_body(Method::POST, path, JSON, body).within(op.deadline)).await
                }
                Err(failure) => return Err(failed(failure).with_effect(Effect::NotApplied)),
            };
            match made {
                Ok(uid) => return Ok(uid),
                // Somebody was faster; what lies there now is looked at again.
                Err(Failure::Status { code: 404 | 409, .. }) => {}
                Err(failure) => return Err(self.error(failure, "remake", &format!("make {subject} again"))),
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "remake",
            format!("{subject} is changed by somebody else all the time"),
        ))
    }
}

impl KubernetesBackend {
    async fn account(&self, subject: &Ref, target: &Target, body: &Buffer) -> Result<Anchored> {
        let failed = |failure| self.error(failure, "anchored", &format!("get {subject}"));
        let account: wire::Bare<'_> = wire::read(body).map_err(failed)?;
        let (namespace, name) = (&target.place.namespace, &target.place.name);
        let mut anchored = Anchored {
            presence: account.metadata.uid.plain(),
            account: Some(subject.clone()),
            users: self.pods_of(namespace, name).await?,
            ..Anchored::default()
        };
        let ours = self.ourselves("anchored").await?;
        if ours.username == format!("system:serviceaccount:{namespace}:{name}") {
            let text = "claviger's own connection uses it: ending it would lock claviger out";
            anchored.refused = Some(("self-lock", text.to_owned()));
        } else if let Some(system) = managed::managed_by(&account.metadata) {
            let text = format!(
                "it is managed by {system}: delete and make it again at its source, or it is at odds with that"
            );
            anchored.refused = Some(("managed", text));
        }
        if name == "default" {
            anchored.notes.push(
                "the cluster itself makes `default` again at once, and what was recorded is put on that"
                    .to_owned(),
            );
        }
        anchored.notes.push(format!(
            "every token of it ends, those in Secrets too: the token controller deletes the Secrets, and one that is made again under a former name gets another token; what names the uid {} elsewhere (a cloud's trust, an audit filter) has to learn the new one",
            anchored.presence
        ));
        Ok(anchored)
    }

    async fn pod(&self, subject: &Ref, target: &Target, body: &Buffer) -> Result<Anchored> {
        let failed = |failure| self.error(failure, "anchored", &format!("get {subject}"));
        let pod: wire::Pod<'_> = wire::read(body).map_err(failed)?;
        let (namespace, name) = (&target.place.namespace, &target.place.name);
        let account = pod.spec.service_account_name.plain();
        let remade_by = controller(&pod.metadata);
        let ours = self.ourselves("anchored").await?;
        let is_ours = ours.username == format!("system:serviceaccount:{namespace}:{account}")
            && ours.extra.pod.iter().any(|pod| pod == name);
        let refused = is_ours
            .then(|| ("self-lock", "claviger itself runs in it: ending it would stop claviger".to_owned()));
        Ok(Anchored {
            presence: pod.metadata.uid.plain(),
            refused,
            remade_by: remade_by.clone(),
            account: Some(self.names.object(namespace, SERVICE_ACCOUNTS.kind, &account)),
            users: vec![(subject.clone(), remade_by)],
            notes: vec![
                "it is deleted with its grace period, and a budget for disruptions is not asked: until it has stopped its tokens may be accepted, a minute after that at most".to_owned(),
            ],
        })
    }

    /// The account that a pod runs with.
    async fn account_of(&self, subject: &Ref, target: &Target) -> Result<String> {
        let failed = |failure| self.error(failure, "sample", &format!("get {subject}"));
        let body = self.connection.ask(Ask::get(target.path()), OBJECT_LIMIT).await.map_err(failed)?;
        let pod: wire::Pod<'_> = wire::read(&body).map_err(failed)?;
        Ok(pod.spec.service_account_name.plain())
    }

    /// The pods that run with an account, and who makes others.
    async fn pods_of(&self, namespace: &str, account: &str) -> Result<Vec<(Ref, Option<String>)>> {
        let chosen =
            format!("spec.serviceAccountName={account},status.phase!=Succeeded,status.phase!=Failed");
        let list =
            format!("{}?limit=500&fieldSelector={}", PODS.collection(Some(namespace)), escape(&chosen));
        let failed = |failure| self.error(failure, "anchored", &format!("list the pods of {namespace}"));
        let (mut found, mut token) = (Vec::new(), None::<String>);
        loop {
            let path = match &token {
                Some(token) => format!("{list}&continue={}", escape(token)),
                None => list.clone(),
            };
            let ask = Ask { accept: METADATA_LIST, ..Ask::get(path) };
            let body = self.connection.ask(ask, OBJECT_LIMIT).await.map_err(failed)?;
            let (items, next) = wire::page::<wire::Bare<'_>>(&body).map_err(failed)?;
            found.extend(items.iter().map(|pod| {
                let at = self.names.object(namespace, PODS.kind, &pod.metadata.name.plain());
                (at, controller(&pod.metadata))
            }));
            match next {
                Some(next) => token = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Puts what is recorded onto an object that is there. One that is so already is not changed.
    async fn overlay(
        &self,
        op: &Operation,
        target: &Target,
        record: &Value,
        there: &Value,
    ) -> Result<String, Failure> {
        let mut patch = record.clone();
        patch["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"].clone();
        patch["metadata"]["uid"] = there["metadata"]["uid"].clone();
        let path = format!("{}?{MANAGER}", target.path());
        self.uid_of(
            Ask::with_body(Method::PATCH, path, MERGE_PATCH, patch.to_string().into_bytes())
                .within(op.deadline),
        )
        .await
    }

    async fn uid_of(&self, ask: Ask) -> Result<String, Failure> {
        let body = self.connection.ask(ask.metadata_only(), OBJECT_LIMIT).await?;
        Ok(wire::read::<wire::Bare<'_>>(&body)?.metadata.uid.plain())
    }
}

/// The controller of a pod, which makes another one.
fn controller(meta: &wire::Meta<'_>) -> Option<String> {
    let owner = meta.owner_references.iter().find(|owner| owner.controller)?;
    Some(format!("{}/{}", owner.kind.plain(), owner.name.plain()))
}

fn another(operation: &'static str, subject: &Ref) -> Error {
    Error::new(
        ErrorKind::Conflict,
        operation,
        format!("{subject} is not the one that was meant: it was made again"),
    )
    .with_effect(Effect::NotApplied)
}

/// What people gave the object; what the API server keeps about it is left out.
fn recorded(target: &Target, object: &Value) -> Value {
    let mut metadata = Map::new();
    for key in ["name", "namespace", "labels", "annotations"] {
        if let Some(held) = object["metadata"].get(key) {
            metadata.insert(key.to_owned(), held.clone());
        }
    }
    let mut record = json!({"apiVersion": "v1", "kind": target.resource.kind, "metadata": metadata});
    for key in ["secrets", "imagePullSecrets", "automountServiceAccountToken"] {
        if let Some(held) = object.get(key) {
            record[key] = held.clone();
        }
    }
    record
}

#[derive(Deserialize)]
struct TokenRequest<'a> {
    #[serde(borrow)]
    status: TokenStatus<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenStatus<'a> {
    #[serde(borrow)]
    token: wire::Text<'a>,
    #[serde(borrow)]
    expiration_timestamp: wire::Text<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_again_is_what_people_gave_it() {
        let subject = Ref::from_text("prod/ci/ServiceAccount/robot");
        let target = Target::of("record", &subject).expect("an account");
        let object = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "robot", "namespace": "ci", "uid": "u-1", "resourceVersion": "7", "labels": {"team": "ci"},
                "annotations": {"eks.amazonaws.com/role-arn": "arn"}, "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": []},
            "secrets": [{"name": "robot-dockercfg"}], "imagePullSecrets": [{"name": "pull"}], "automountServiceAccountToken": false,
        });
        assert_eq!(
            recorded(&target, &object),
            json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "robot", "namespace": "ci", "labels": {"team": "ci"}, "annotations": {"eks.amazonaws.com/role-arn": "arn"}},
                "secrets": [{"name": "robot-dockercfg"}], "imagePullSecrets": [{"name": "pull"}], "automountServiceAccountToken": false,
            })
        );
    }

    #[test]
    fn tokens_are_bound_to_accounts_and_pods_only() {
        for (text, expected) in [
            ("prod/ci/ServiceAccount/robot", true),
            ("prod/ci/Pod/robot-1", true),
            ("prod/ci/ServiceAccount/robot#token", false),
            ("prod/ci/Secret/robot", false),
            ("prod/ci/ServiceAccount", false),
        ] {
            assert_eq!(Target::of("anchor", &Ref::from_text(text)).is_ok(), expected, "{text}");
        }
    }
}
