//! Secrets: every value of every type, current and former.

use std::sync::Arc;

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{CopyStage, CredentialKind, Place},
    observation::{Observation, ObservedCopy},
};
use serde_json::Value;

use super::{
    Context, Scan,
    accounts::AccountIndex,
    helm,
    object::{self, Object, decode, written_at},
    token_secrets,
};
use crate::{
    failure::Failure,
    paging::{Batch, PageReader},
    resource::SECRETS,
    wire::{self, Secret},
};

pub(super) const PART: &str = "secrets";

impl Scan<'_> {
    /// All Secrets, and the credentials whose issuer the API server is.
    pub(super) async fn secrets(&mut self, accounts: &AccountIndex, sink: &mut ScanSink) -> Result<()> {
        let context = Arc::clone(&self.context);
        let mut reader = SecretReader { context: &context, accounts };
        let troubles = self.read(SECRETS, &mut reader, sink).await?;
        self.end(PART, &troubles, sink).await
    }
}

struct SecretReader<'s> {
    context: &'s Context<'s>,
    accounts: &'s AccountIndex,
}

impl PageReader for SecretReader<'_> {
    fn read(&mut self, body: &[u8], batch: &mut Batch) -> Result<(usize, Option<String>), Failure> {
        let (items, next) = wire::page::<Secret<'_>>(body)?;
        let count = items.len();
        for secret in items {
            if self.context.selects(secret.metadata.namespace.as_str()) {
                let area = secret.metadata.namespace.plain();
                observe(self.context, self.accounts, secret, |observation| {
                    batch.push(&area, PART, observation)
                });
            }
        }
        Ok((count, next))
    }
}

fn observe(
    context: &Context<'_>,
    accounts: &AccountIndex,
    secret: Secret<'_>,
    mut send: impl FnMut(Observation),
) {
    let meta = &secret.metadata;
    let kind = secret.kind.as_str();
    let mut object = Object::new(context, "Secret", Place::SecretStore, meta, secret.immutable);
    if !secret.kind.is_empty() {
        object.attributes.insert("secret_type".to_owned(), Value::from(secret.kind.plain()));
    }
    let release = helm::release(kind, meta);
    if let Some(release) = &release {
        release.describe(&mut object.attributes);
        // Helm's storage driver labels its own Secrets so; that is nobody who answers for anything.
        object.owners.retain(|hint| !(hint.source == "label:owner" && hint.owner == "helm"));
    }
    let mut issuer = None;
    if let Some(credential) = token_secrets::credential(context, accounts, &secret, &object) {
        issuer = Some(credential.at.clone());
        send(Observation::Credential(credential));
    }

    let values = decode(&secret.data);
    let beside = object::beside(&values);
    let mut copies: Vec<(String, ObservedCopy)> = Vec::with_capacity(values.len());
    for (key, content) in values {
        let key = key.plain();
        if is_public(kind, &key) {
            continue;
        }
        let mut copy = object.copy(&key, content, &beside, written_at(meta, &key));
        copy.kind = kind_of(kind, &key);
        if token_secrets::is_value(kind, &key) {
            copy.issuer = issuer.clone();
            copy.last_used_at = token_secrets::last_used(meta);
        }
        if release.as_ref().is_some_and(|release| !release.is_deployed()) {
            copy.stage = CopyStage::Former;
        }
        copies.push((key, copy));
    }
    let former = object.former(meta, &mut copies, &beside, true);
    for copy in copies
        .into_iter()
        .map(|(_, copy)| copy)
        .chain(former.into_iter().filter(|copy| !is_public(kind, &copy.key)))
    {
        send(Observation::Copy(copy));
    }
}

/// Keys that a Secret's type reserves for something that is no secret.
fn is_public(kind: &str, key: &str) -> bool {
    match kind {
        "kubernetes.io/service-account-token" => matches!(key, "ca.crt" | "namespace" | "service-ca.crt"),
        "kubernetes.io/tls" => key == "ca.crt",
        "kubernetes.io/basic-auth" => key == "username",
        token_secrets::BOOTSTRAP => key != "token-secret",
        _ => false,
    }
}

/// What a Secret's type says about a key.
fn kind_of(kind: &str, key: &str) -> Option<CredentialKind> {
    Some(match (kind, key) {
        (token_secrets::LEGACY, "token") => CredentialKind::ServiceAccountToken,
        (token_secrets::BOOTSTRAP, "token-secret") => CredentialKind::Token,
        ("kubernetes.io/dockerconfigjson", ".dockerconfigjson")
        | ("kubernetes.io/dockercfg", ".dockercfg") => CredentialKind::Registry,
        ("kubernetes.io/tls", "tls.crt" | "tls.key") => CredentialKind::Certificate,
        ("kubernetes.io/basic-auth", "password") => CredentialKind::Password,
        ("kubernetes.io/ssh-auth", "ssh-privatekey") => CredentialKind::SshKey,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use claviger_core::{
        model::{CredentialState, Labels},
        observation::{Content, ObservedCredential},
        reference::Ref,
    };

    use super::{super::object::LAST_APPLIED, *};
    use crate::{namespace::NamespaceFilter, place::Names};

    /// Everything that one Secret gives.
    fn observed(json: &str, accounts: &AccountIndex) -> (Vec<ObservedCopy>, Vec<ObservedCredential>) {
        let (names, labels, filter) =
            (Names::new("prod"), Labels::from([("env".into(), "prod".into())]), NamespaceFilter::default());
        let context = Context {
            names: &names,
            labels: &labels,
            filter: &filter,
            owners: BTreeMap::new(),
            namespace_labels: BTreeMap::new(),
        };
        let (mut copies, mut credentials) = (Vec::new(), Vec::new());
        observe(&context, accounts, wire::read(json.as_bytes()).expect("a Secret"), |observation| {
            match observation {
                Observation::Copy(copy) => copies.push(copy),
                Observation::Credential(credential) => credentials.push(credential),
                _ => panic!("a Secret gives copies and credentials"),
            }
        });
        (copies, credentials)
    }

    fn text(copy: &ObservedCopy) -> &str {
        match &copy.content {
            Content::Value(value) => value.expose_text().unwrap_or("<binary>"),
            Content::Unreadable(why) => why,
        }
    }

    #[test]
    fn each_key_of_an_opaque_secret_is_a_copy_with_its_neighbours() {
        let json = format!(
            r#"{{"metadata":{{"name":"db","namespace":"payments","uid":"u","resourceVersion":"7","creationTimestamp":"2024-01-02T03:04:05Z",
              "labels":{{"team":"pay","env":"lies"}},
              "managedFields":[{{"manager":"kubectl","time":"2024-05-01T00:00:00Z","fieldsV1":{{"f:data":{{".":{{}},"f:password":{{}}}}}}}}]}},
              "type":"Opaque","immutable":true,"data":{{"username":"{}","password":"{}","odd":"!","empty":""}}}}"#,
            STANDARD.encode("app"),
            STANDARD.encode("hunter2\n"),
        );
        let (copies, credentials) = observed(&json, &AccountIndex::default());
        assert!(credentials.is_empty());
        assert_eq!(
            copies.iter().map(|copy| copy.at.as_str()).collect::<Vec<_>>(),
            [
                "prod/payments/Secret/db#username",
                "prod/payments/Secret/db#password",
                "prod/payments/Secret/db#odd",
                "prod/payments/Secret/db#empty",
            ]
        );
        let password = &copies[1];
        assert_eq!(text(password), "hunter2\n");
        assert_eq!(password.bundle.user.as_deref(), Some("app"));
        assert_eq!(password.version.as_deref(), Some("7@u"));
        assert_eq!(
            password.updated_at.map(|at| at.to_rfc3339()).as_deref(),
            Some("2024-05-01T00:00:00+00:00")
        );
        assert_eq!(copies[0].updated_at, copies[0].created_at);
        assert_eq!(password.labels["env"], "prod", "the configuration's label wins");
        assert_eq!(password.owners[0].owner, "pay");
        assert_eq!(password.attributes["immutable"], true);
        assert_eq!(password.attributes["secret_type"], "Opaque");
        assert!(matches!(&copies[2].content, Content::Unreadable(_)));
        assert_eq!(text(&copies[3]), "");
    }

    #[test]
    fn the_last_applied_annotation_gives_former_values_at_the_same_ref() {
        let applied = format!(
            r#"{{"data":{{"password":"{}","same":"{}","bad":"%%%"}},"stringData":{{"plain":"text"}}}}"#,
            STANDARD.encode("old"),
            STANDARD.encode("same")
        );
        let json = serde_json::json!({
            "metadata": {"name": "db", "namespace": "a", "annotations": {LAST_APPLIED: applied}},
            "data": {"password": STANDARD.encode("new"), "same": STANDARD.encode("same")},
        });
        let (copies, _) = observed(&json.to_string(), &AccountIndex::default());
        let found: Vec<_> = copies.iter().map(|copy| (copy.key.as_str(), text(copy), copy.stage)).collect();
        assert_eq!(
            found,
            [
                ("password", "new", CopyStage::Current),
                ("same", "same", CopyStage::Current),
                ("password", "old", CopyStage::Former),
                ("bad", "%%%", CopyStage::Former),
                ("plain", "text", CopyStage::Former),
            ]
        );
        assert!(
            !copies[0].attributes.contains_key("last_applied")
                && copies[1].attributes["last_applied"] == true
        );
        assert_eq!(copies[0].at, copies[2].at);
        assert_ne!(copies[0].version, copies[2].version);
    }

    #[test]
    fn an_annotation_that_is_no_json_is_kept_whole() {
        let json = serde_json::json!({"metadata": {"name": "db", "namespace": "a", "annotations": {LAST_APPLIED: "{not json"}}});
        let (copies, _) = observed(&json.to_string(), &AccountIndex::default());
        assert_eq!((copies.len(), text(&copies[0]), copies[0].stage), (1, "{not json", CopyStage::Former));
    }

    #[test]
    fn a_filled_token_secret_is_a_credential_and_its_copy() {
        let json = serde_json::json!({
            "metadata": {"name": "ci-token", "namespace": "ci", "uid": "s", "creationTimestamp": "2024-01-02T03:04:05Z",
                "annotations": {"kubernetes.io/service-account.name": "ci", "kubernetes.io/service-account.uid": "a-1"},
                "labels": {"kubernetes.io/legacy-token-last-used": "2026-11-20"}},
            "type": "kubernetes.io/service-account-token",
            "data": {"token": STANDARD.encode("ey.ey.x"), "ca.crt": STANDARD.encode("PEM"), "namespace": STANDARD.encode("ci")},
        });
        let (copies, credentials) = observed(&json.to_string(), &AccountIndex::default());
        let [credential] = credentials.as_slice() else { panic!("one credential") };
        assert_eq!(credential.at.as_str(), "prod/ci/Secret/ci-token");
        assert_eq!(credential.identity.as_ref().map(Ref::as_str), Some("prod/ci/ServiceAccount/ci"));
        assert_eq!(credential.handle.as_ref().map(|handle| handle.value.as_str()), Some("ci/ci-token/a-1"));
        assert_eq!(
            credential.last_used_at.map(|at| at.to_rfc3339()).as_deref(),
            Some("2026-11-20T00:00:00+00:00")
        );
        assert_eq!(
            (credential.state, &credential.attributes["manual"]),
            (CredentialState::Active, &Value::from(true))
        );
        let [copy] = copies.as_slice() else { panic!("one copy: {}", copies.len()) };
        assert_eq!((copy.key.as_str(), copy.kind), ("token", Some(CredentialKind::ServiceAccountToken)));
        assert_eq!(copy.issuer.as_ref(), Some(&credential.at));
    }

    #[test]
    fn a_token_secret_that_is_not_filled_yet_is_a_credential_without_a_copy() {
        let json = serde_json::json!({
            "metadata": {"name": "t", "namespace": "ci", "annotations": {"kubernetes.io/service-account.name": "ci"},
                "labels": {"kubernetes.io/legacy-token-invalid-since": "2026-11-01"}},
            "type": "kubernetes.io/service-account-token", "data": null,
        });
        let (copies, credentials) = observed(&json.to_string(), &AccountIndex::default());
        assert!(copies.is_empty());
        assert_eq!(credentials[0].state, CredentialState::Suspended);
        assert_eq!(credentials[0].attributes["invalid_since"], "2026-11-01");
        assert!(credentials[0].handle.is_none());
    }

    #[test]
    fn a_superseded_helm_release_is_former() {
        let release = |status: &str| {
            serde_json::json!({
                "metadata": {"name": "sh.helm.release.v1.web.v3", "namespace": "a", "labels": {"status": status, "name": "web", "version": "3", "owner": "helm"}},
                "type": "helm.sh/release.v1", "data": {"release": STANDARD.encode("H4sI")},
            })
            .to_string()
        };
        for (status, stage) in [("deployed", CopyStage::Current), ("superseded", CopyStage::Former)] {
            let (copies, _) = observed(&release(status), &AccountIndex::default());
            assert!(copies[0].owners.is_empty(), "{:?}", copies[0].owners);
            assert_eq!(
                (copies[0].stage, &copies[0].attributes["helm_release"]),
                (stage, &Value::from("web"))
            );
        }
    }

    #[test]
    fn types_say_what_their_keys_are() {
        for (kind, key, expected) in [
            ("kubernetes.io/tls", "tls.key", Some(CredentialKind::Certificate)),
            ("kubernetes.io/basic-auth", "password", Some(CredentialKind::Password)),
            ("kubernetes.io/ssh-auth", "ssh-privatekey", Some(CredentialKind::SshKey)),
            ("kubernetes.io/dockerconfigjson", ".dockerconfigjson", Some(CredentialKind::Registry)),
            ("Opaque", "tls.key", None),
        ] {
            let mut json =
                serde_json::json!({"metadata": {"name": "x", "namespace": "a"}, "type": kind, "data": {}});
            json["data"][key] = STANDARD.encode([0xff, 0x00]).into();
            json["data"]["ca.crt"] = "".into();
            let (copies, _) = observed(&json.to_string(), &AccountIndex::default());
            let copy = copies.iter().find(|copy| copy.key == key).expect("the key");
            assert_eq!(copy.kind, expected, "{kind}");
        }
    }
}
