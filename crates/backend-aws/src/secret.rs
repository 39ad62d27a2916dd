//! The inventory of Secrets Manager: every labelled version of every secret.

use claviger_backend::{Error, ErrorKind, Result, ScanSink};
use claviger_core::{
    canonical::Neighbours,
    model::{Attributes, CopyStage, Labels, OwnerEvidence, Place, Scope, ScopeStatus},
    observation::{Bundle, Content, Observation, ObservedCopy},
    reference::Ref,
    secret::SecretValue,
};
use futures::stream::{self, StreamExt as _};
use serde_json::json;

use crate::{
    document,
    failure::patiently,
    iam::{Gap, PARALLEL, Scan},
    labels::{from_tags, instant, instant_text},
    names,
};

type Entry = aws_sdk_secretsmanager::types::SecretListEntry;

/// The label of the version that readers get.
pub(crate) const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
/// The label of a version that a rotation has made and not finished.
pub(crate) const PENDING: &str = "AWSPENDING";
/// Our own label for a version that is not yet current. Not `AWSPENDING`: left behind by a crash, that one blocks the service's
/// own rotation of the secret.
pub(crate) const OUR_PENDING: &str = "CLAVIGERPENDING";

/// Reads all secrets into the sink.
///
/// # Errors
/// The reader is gone.
pub(crate) async fn read(scan: Scan<'_>, sink: &mut ScanSink) -> Result<()> {
    let scope = Scope::new("secretsmanager", "");
    let mut gap = Gap::default();
    let mut token = None;
    loop {
        let ask = || {
            let call = scan.clients.secrets.list_secrets().include_planned_deletion(true).max_results(100);
            call.set_next_token(token.clone()).send()
        };
        let page = match patiently(scan.account.endpoint(), "secretsmanager:ListSecrets", ask).await {
            Ok(page) => page,
            Err(error) => {
                gap.note(&error);
                break;
            }
        };
        // A few at a time: a version may be 64 KiB.
        let mut looks = stream::iter(page.secret_list.unwrap_or_default())
            .map(|entry| one(scan, entry))
            .buffered(PARALLEL);
        while let Some(seen) = looks.next().await {
            if let Some(error) = &seen.trouble {
                if error.kind() == ErrorKind::Denied {
                    let own = Scope::new("secretsmanager", seen.name.clone());
                    sink.end(&own, ScopeStatus::Denied, Some(error.message().to_owned())).await?;
                }
                gap.note(error);
            }
            sink.page(&scope, seen.items).await?;
        }
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    gap.end(&scope, sink).await
}

struct Seen {
    name: String,
    items: Vec<Observation>,
    trouble: Option<Error>,
}

/// What all versions of a secret share.
struct Frame {
    at: Ref,
    name: String,
    entry: Entry,
    labels: Labels,
    owners: Vec<OwnerEvidence>,
    attributes: Attributes,
}

async fn one(scan: Scan<'_>, mut entry: Entry) -> Seen {
    let name = entry.name.clone().unwrap_or_default();
    let tags = entry.tags.take().unwrap_or_default();
    let (labels, owners) =
        from_tags(tags.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())));
    let attributes = describe(&entry);
    let at = names::secret(scan.backend, &name);
    let mut versions = stages(&entry);
    let mut seen = Seen { name: name.clone(), items: Vec::new(), trouble: None };
    let frame = Frame { at, name, entry, labels, owners, attributes };
    if frame.entry.deleted_date.is_some() {
        // Its value comes back only when the deletion is called off.
        let content = Content::Unreadable("it is scheduled for deletion".to_owned());
        seen.items.push(frame.copy(None, &[], None, CopyStage::Current, None, content, Bundle::default()));
        return seen;
    }
    if versions.is_empty() {
        // Without the list of versions the current one can still be asked for.
        versions.push((None, vec![CURRENT.to_owned()], CopyStage::Current));
    }
    for (version, labels, stage) in versions {
        let ask = || {
            let call = scan
                .clients
                .secrets
                .get_secret_value()
                .secret_id(&frame.name)
                .set_version_id(version.clone());
            call.set_version_stage(version.is_none().then(|| CURRENT.to_owned())).send()
        };
        match patiently(scan.account.endpoint(), "secretsmanager:GetSecretValue", ask).await {
            Ok(value) => frame.version(value, &labels, stage, &mut seen.items),
            // It lost its labels since the list was made, or the secret was made without a value.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                let content = Content::Unreadable(error.message().to_owned());
                seen.items.push(frame.copy(None, &labels, version, stage, None, content, Bundle::default()));
                seen.trouble.get_or_insert(error);
            }
        }
    }
    seen
}

/// The labelled versions, the current one first. A version without a label is about to be removed by the service.
fn stages(entry: &Entry) -> Vec<(Option<String>, Vec<String>, CopyStage)> {
    let mut versions: Vec<_> = entry
        .secret_versions_to_stages
        .iter()
        .flatten()
        .filter_map(|(version, labels)| {
            let has = |label: &str| labels.iter().any(|it| it == label);
            let stage = if has(CURRENT) {
                CopyStage::Current
            } else if has(PENDING) || has(OUR_PENDING) {
                CopyStage::Pending
            } else if has(PREVIOUS) || !labels.is_empty() {
                CopyStage::Former
            } else {
                return None;
            };
            Some((Some(version.clone()), labels.clone(), stage))
        })
        .collect();
    versions.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
    versions
}

fn describe(entry: &Entry) -> Attributes {
    let text = |text: &Option<String>| text.as_ref().filter(|text| !text.is_empty()).map(|text| json!(text));
    let rotation_days = entry.rotation_rules.as_ref().and_then(|rules| rules.automatically_after_days);
    [
        ("arn", text(&entry.arn)),
        ("kms_key", text(&entry.kms_key_id)),
        ("rotation_enabled", Some(json!(entry.rotation_enabled.unwrap_or(false)))),
        ("rotation_days", rotation_days.map(|days| json!(days))),
        ("rotation_lambda", text(&entry.rotation_lambda_arn)),
        ("owning_service", text(&entry.owning_service)),
        ("primary_region", text(&entry.primary_region)),
        ("last_rotated", instant_text(entry.last_rotated_date.as_ref())),
        ("last_changed", instant_text(entry.last_changed_date.as_ref())),
        ("last_accessed", instant_text(entry.last_accessed_date.as_ref())),
        ("next_rotation", instant_text(entry.next_rotation_date.as_ref())),
        ("deleted_date", instant_text(entry.deleted_date.as_ref())),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect()
}

impl Frame {
    fn version(
        &self,
        value: aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput,
        labels: &[String],
        stage: CopyStage,
        items: &mut Vec<Observation>,
    ) {
        let made = value.created_date.as_ref().and_then(instant);
        let version = value.version_id;
        let whole = match (value.secret_string, value.secret_binary) {
            (Some(text), _) => SecretValue::from_text(text),
            (None, Some(bytes)) => SecretValue::new(bytes.into_inner()),
            (None, None) => return,
        };
        let Some(fields) = whole.expose_text().and_then(document::fields) else {
            let content = Content::Value(whole);
            items.push(self.copy(None, labels, version, stage, made, content, Bundle::default()));
            return;
        };
        let beside = Neighbours::of(fields.iter().map(|(key, value)| (key.as_str(), value)));
        for (key, field) in fields {
            let content = Content::Value(field);
            let bundle = beside.describe(&key);
            items.push(self.copy(Some(&key), labels, version.clone(), stage, made, content, bundle));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one copy, each given once")]
    fn copy(
        &self,
        field: Option<&str>,
        stages: &[String],
        version: Option<String>,
        stage: CopyStage,
        made: Option<chrono::DateTime<chrono::Utc>>,
        content: Content,
        bundle: Bundle,
    ) -> Observation {
        let mut attributes = self.attributes.clone();
        if !stages.is_empty() {
            let mut stages = stages.to_vec();
            stages.sort();
            attributes.insert("stages".to_owned(), json!(stages));
        }
        if let Content::Value(value) = &content
            && value.expose_text().is_none()
        {
            attributes.insert("binary".to_owned(), json!(true));
        }
        let key = field.unwrap_or_else(|| self.name.rsplit('/').next().unwrap_or_default());
        Observation::Copy(ObservedCopy {
            at: self.at.field(field.unwrap_or_default()),
            key: key.to_owned(),
            version,
            stage,
            place: Place::SecretStore,
            content,
            bundle,
            kind: None,
            issuer: None,
            created_at: self.entry.created_date.as_ref().and_then(instant),
            updated_at: made.or_else(|| self.entry.last_changed_date.as_ref().and_then(instant)),
            last_used_at: self.entry.last_accessed_date.as_ref().and_then(instant),
            labels: self.labels.clone(),
            owners: self.owners.clone(),
            attributes,
        })
    }
}
