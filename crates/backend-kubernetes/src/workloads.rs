//! Workloads as bearers of their own account's token: the volume of a token Secret gives way to a projected one with the same files (Kubernetes,
//! "ServiceAccount token volume projection"), so that the program reads what it read, and reads it again before it ends.

mod manifest;
mod patch;

use std::collections::BTreeSet;

use async_trait::async_trait;
use claviger_backend::{Effect, Error, ErrorKind, Holder, Operation, Reads, Result, StoreState, Workloads};
use claviger_core::{
    id::OperationKey,
    reference::Ref,
    saga::{Binding, Mounting},
    secret::SecretValue,
};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use self::manifest::{BEFORE, Before, Manifest};
use crate::{
    backend::KubernetesBackend,
    connection::{Ask, JSON, JSON_PATCH, OBJECT_LIMIT},
    failure::Failure,
    paging::escape,
    place::Place,
    resource::{CRON_JOBS, SECRETS, SERVICE_ACCOUNTS},
    runtime::{
        ATTEMPTS, REFRESHED_FOR, RESTARTED_FOR,
        pointing::Pointing,
        remembered,
        repoint::{annotated, changeable, name_of},
        with_key,
    },
    store::MANAGER,
    wire::{self, Meta},
};

/// The least that the API server gives (TokenRequest API).
const SHORTEST: u32 = 600;
/// Whom a pod runs as that names nobody.
const DEFAULT: &str = "default";

/// Where a cluster says who signs its tokens.
const DISCOVERY: &str = "/.well-known/openid-configuration";

#[derive(Deserialize)]
struct Discovery {
    #[serde(default)]
    issuer: String,
}

#[derive(Deserialize)]
struct TokenRequest<'a> {
    #[serde(borrow)]
    status: TokenStatus<'a>,
}

#[derive(Deserialize)]
struct TokenStatus<'a> {
    #[serde(borrow)]
    token: wire::Text<'a>,
}

/// What its volumes were, as it says itself.
fn before(meta: &Meta<'_>) -> Option<Before> {
    match meta.annotations.get(BEFORE) {
        None => Some(Before::new()),
        Some(text) => serde_json::from_str(text).ok(),
    }
}

/// Is it a file that the token controller puts into a token Secret, and that a projected volume has too?
pub(crate) fn is_file(name: &str) -> bool {
    manifest::FILES.contains(&name)
}

/// How the pods read a Secret with these fields.
fn reads(pointing: &Pointing<'_>, secret: &str, fields: &BTreeSet<String>) -> Reads {
    let places = pointing.named(secret);
    let Some((_, template)) = pointing.template() else { return Reads::Nothing };
    if places.is_empty() {
        return Reads::Nothing;
    }
    let fixed = |code: &'static str, why: &str| Reads::Fixed(code, why.to_owned());
    if places.iter().any(|place| place.contains("/env/") || place.contains("/envFrom/")) {
        return fixed(
            "read-once",
            "it reads it into a variable when it starts, and a short-lived token ends while it runs: let it read the file, then swap",
        );
    }
    if places.iter().any(|place| !place.ends_with("/secret/secretName")) {
        return fixed("not-a-volume", "it is named elsewhere than in a volume of its own");
    }
    let spec = &template.spec;
    let volumes: Vec<_> = spec
        .volumes
        .iter()
        .filter(|volume| volume.secret.as_ref().is_some_and(|of| of.secret_name.as_str() == secret))
        .collect();
    let mounts = spec.containers.iter().chain(&spec.init_containers).flat_map(|one| &one.volume_mounts);
    let by_part = |name: &str| {
        mounts.clone().any(|mount| {
            mount.name.as_str() == name
                && !(mount.sub_path.as_str().is_empty() && mount.sub_path_expr.as_str().is_empty())
        })
    };
    if volumes.iter().any(|volume| by_part(volume.name.as_str())) {
        return fixed(
            "sub-path",
            "it mounts a file of it by `subPath`, which never follows: a short-lived token would end there",
        );
    }
    let mut files = BTreeSet::new();
    for volume in &volumes {
        let items = volume.secret.iter().flat_map(|source| &source.items);
        let named: BTreeSet<String> = items.map(|item| item.key.plain()).collect();
        files.extend(if named.is_empty() { fields.clone() } else { named });
    }
    Reads::Files(files)
}

#[async_trait]
impl Workloads for KubernetesBackend {
    async fn holder(&self, consumer: &Ref, object: &Ref) -> Result<Holder> {
        let place = Place::parse("holder", consumer)?;
        let secret = name_of("holder", &place, object)?;
        let named = |account: &str| self.names.object(&place.namespace, "ServiceAccount", account);
        let issuer = self.token_issuer().await;
        let holder = |account: &str, reads, changeable| Holder {
            consumer: consumer.clone(),
            account: named(account),
            reads,
            notes: Vec::new(),
            issuer: issuer.clone(),
            changeable,
            runs: None,
        };
        let resource = match changeable(&place.kind) {
            Ok(resource) => resource,
            Err(why) => {
                let fixed = Reads::Fixed("not-changeable", why.to_owned());
                return Ok(holder(DEFAULT, fixed, StoreState::Refused(why.to_owned())));
            }
        };
        let body = self.workload("holder", consumer, &place, resource).await?;
        let Some(body) = body else {
            return Err(Error::new(ErrorKind::NotFound, "holder", format!("{consumer} does not exist")));
        };
        let failed = |failure| self.error(failure, "holder", &format!("get {consumer}"));
        let pointing: Pointing<'_> = wire::read(&body).map_err(failed)?;
        let account = pointing.template().map(|(_, template)| template.spec.service_account_name.plain());
        let account = account.filter(|name| !name.is_empty()).unwrap_or_else(|| DEFAULT.to_owned());
        let fields = self.fields(object, &place.namespace, &secret).await?;
        let reads = reads(&pointing, &secret, &fields);
        let changeable = self.may_repoint(consumer, object).await?;
        let automounts =
            pointing.template().and_then(|(_, template)| template.spec.automount_service_account_token);
        let mut holder = holder(&account, reads, changeable);
        if automounts != Some(false) {
            holder.notes.push(format!(
                "unless ServiceAccount {account} says otherwise, every container of {consumer} is given a token of it beside this at /var/run/secrets/kubernetes.io/serviceaccount: where nothing reads that, set automountServiceAccountToken: false"
            ));
        }
        Ok(holder)
    }

    async fn assertion(&self, account: &Ref, audience: Option<&str>, seconds: u32) -> Result<SecretValue> {
        let place = Place::parse("assertion", account)?;
        if place.kind != SERVICE_ACCOUNTS.kind {
            let text = format!("{account} is no ServiceAccount");
            return Err(Error::new(ErrorKind::Invalid, "assertion", text));
        }
        let mut spec = json!({"expirationSeconds": seconds.max(SHORTEST)});
        if let Some(audience) = audience {
            spec["audiences"] = json!([audience]);
        }
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let path = format!("{}/token", SERVICE_ACCOUNTS.object(&place.namespace, &escape(&place.name)));
        let ask = Ask::with_body(Method::POST, path, JSON, request.to_string().into_bytes());
        let failed = |failure| self.error(failure, "assertion", &format!("ask for a token of {account}"));
        let body = self.connection.ask(ask, OBJECT_LIMIT).await.map_err(failed)?;
        let given: TokenRequest<'_> = wire::read(&body).map_err(failed)?;
        Ok(SecretValue::from_text(given.status.token.into_value()))
    }

    async fn bind(&self, op: &Operation, consumer: &Ref, binding: &Binding) -> Result<()> {
        if binding.mounting.folder.is_some() {
            let text = format!("{consumer} has to learn another way to log in");
            return Err(Error::new(ErrorKind::Unsupported, "bind", text).with_hint("apply the patch by hand"));
        }
        match tokio::time::timeout(op.deadline, self.change(op.key, consumer, binding)).await {
            Ok(result) => result,
            Err(_) => {
                let text = format!("change {consumer}: no answer within the deadline");
                Err(Error::new(ErrorKind::Unavailable, "bind", text).with_effect(Effect::Unknown))
            }
        }
    }

    async fn bound(&self, op: &Operation, consumer: &Ref) -> Result<bool> {
        self.was_pointed(op.key, consumer).await
    }

    async fn patch(&self, consumer: &Ref, mounting: &Mounting) -> Result<(String, String)> {
        let place = Place::parse("patch", consumer)?;
        let resource = changeable(&place.kind)
            .map_err(|why| Error::new(ErrorKind::Unsupported, "patch", format!("{consumer}: {why}")))?;
        let body = self.workload("patch", consumer, &place, resource).await?;
        let Some(body) = body else {
            return Err(Error::new(ErrorKind::NotFound, "patch", format!("{consumer} does not exist")));
        };
        patch::text(&place, &body, mounting)
            .map_err(|failure| self.error(failure, "patch", &format!("get {consumer}")))
    }
}

impl KubernetesBackend {
    /// Who signs the tokens of this cluster's accounts, by its discovery document (Kubernetes, "ServiceAccount issuer discovery"); every account may
    /// read it unless somebody took that away. Unknown is no failure: who needs it says so.
    async fn token_issuer(&self) -> Option<String> {
        let body = self.connection.ask(Ask::get(DISCOVERY.to_owned()), OBJECT_LIMIT).await.ok()?;
        wire::read::<Discovery>(&body).ok().map(|found| found.issuer).filter(|issuer| !issuer.is_empty())
    }

    /// The names of a Secret's fields. Absent: none.
    async fn fields(&self, object: &Ref, namespace: &str, name: &str) -> Result<BTreeSet<String>> {
        let failed = |failure| self.error(failure, "holder", &format!("get {object}"));
        match self.connection.ask(Ask::get(SECRETS.object(namespace, name)), OBJECT_LIMIT).await {
            Ok(body) => {
                let secret: wire::Secret<'_> = wire::read(&body).map_err(failed)?;
                Ok(secret.data.0.iter().map(|(name, _)| name.plain()).collect())
            }
            Err(failure) if failure.is_absent() => Ok(BTreeSet::new()),
            Err(failure) => Err(failed(failure)),
        }
    }

    /// One JSON patch that tests that nobody wrote since.
    async fn change(&self, key: OperationKey, consumer: &Ref, binding: &Binding) -> Result<()> {
        let Some(from) = &binding.mounting.from else { return Ok(()) };
        let place = Place::parse("bind", consumer)?;
        let secret = name_of("bind", &place, from)?;
        let resource = changeable(&place.kind)
            .map_err(|why| Error::new(ErrorKind::Unsupported, "bind", format!("{consumer}: {why}")))?;
        let path = format!("{}?{MANAGER}", resource.object(&place.namespace, &place.name));
        let key = key.to_string();
        for attempt in 1.. {
            let body = self.workload("bind", consumer, &place, resource).await;
            let Some(body) = body.map_err(|error| error.with_effect(Effect::NotApplied))? else {
                return Ok(());
            };
            let failed = |failure| {
                self.error(failure, "bind", &format!("get {consumer}")).with_effect(Effect::NotApplied)
            };
            let pointing: Pointing<'_> = wire::read(&body).map_err(failed)?;
            if remembered(&pointing.metadata).any(|known| known == key) {
                return Ok(());
            }
            let manifest: Manifest = wire::read(&body).map_err(failed)?;
            let conflict = |why: &str| {
                Error::new(ErrorKind::Conflict, "bind", format!("{consumer}: {why}"))
                    .with_effect(Effect::NotApplied)
            };
            let Some(before) = before(&pointing.metadata) else {
                return Err(conflict("its annotation `claviger.dev/before-swap` cannot be read"));
            };
            let (volumes, to) = (manifest.volumes(), binding.to);
            let mut operations = tests(&pointing.metadata, &key);
            if manifest::side(volumes, &before, &secret) != to {
                let made = manifest::brought(volumes, &before, &secret, (&binding.mounting, to));
                let Some((volumes, before)) = made else {
                    return Err(conflict("it has a volume with the name that the new one would get"));
                };
                let rolls = resource != CRON_JOBS;
                operations.extend(changes(&pointing, (volumes, &before), rolls.then_some(key.as_str())));
            }
            let patch = Value::Array(operations).to_string().into_bytes();
            let ask = Ask::with_body(Method::PATCH, path.clone(), JSON_PATCH, patch);
            match self.connection.ask(ask.metadata_only(), OBJECT_LIMIT).await {
                Ok(_) => return Ok(()),
                Err(failure) if failure.is_absent() => return Ok(()),
                // Somebody wrote in between, be it only the status: a test that fails is 422.
                Err(Failure::Status { code: 409 | 422, .. }) if attempt < ATTEMPTS => {}
                Err(failure) => return Err(self.error(failure, "bind", &format!("change {consumer}"))),
            }
        }
        Ok(())
    }
}

/// Nobody wrote since; and the operation's key, by which it is known again.
fn tests(meta: &Meta<'_>, key: &str) -> Vec<Value> {
    let mut operations = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": meta.uid.as_str()}),
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": meta.resource_version.as_str()}),
    ];
    operations.extend(annotated("/metadata", Some(meta), REFRESHED_FOR, &with_key(meta, key)));
    operations
}

/// The volumes, what they were, and where pods are replaced for it the operation's key on their template.
fn changes(
    pointing: &Pointing<'_>,
    (volumes, before): (Vec<Value>, &Before),
    key: Option<&str>,
) -> Vec<Value> {
    let Some((root, template)) = pointing.template() else { return Vec::new() };
    let mut operations = Vec::new();
    if let Some(key) = key {
        let at = format!("{root}/metadata");
        operations.extend(annotated(&at, template.metadata.as_ref(), RESTARTED_FOR, key));
    }
    let known = format!("/metadata/annotations/{}", BEFORE.replace('/', "~1"));
    let was = pointing.metadata.annotations.get(BEFORE).is_some();
    match (before.is_empty(), was) {
        (true, true) => operations.push(json!({"op": "remove", "path": known})),
        (true, false) => {}
        (false, _) => {
            let text = serde_json::to_string(before).unwrap_or_default();
            operations.push(json!({"op": "add", "path": known, "value": text}));
        }
    }
    // Replaces the list where there is one.
    operations.push(json!({"op": "add", "path": format!("{root}/spec/volumes"), "value": volumes}));
    operations
}
