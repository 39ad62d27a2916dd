//! The inventory of SSM parameters, with the former values of those that are secret.

use claviger_backend::{Error, ErrorKind, Result, ScanSink};
use claviger_core::{
    model::{Attributes, CopyStage, Labels, OwnerEvidence, Place, Scope, ScopeStatus},
    observation::{Bundle, Content, Observation, ObservedCopy},
    secret::SecretValue,
};
use futures::stream::{self, StreamExt as _};
use serde_json::json;

use aws_sdk_ssm::types::{ParameterMetadata, ParameterType, ResourceTypeForTagging};

use crate::{
    failure::patiently,
    iam::{Gap, PARALLEL, Scan},
    labels::{from_tags, instant},
    names,
};

/// Former versions that are read of one parameter; SSM keeps a hundred.
const FORMER: usize = 10;

/// Reads all parameters into the sink.
///
/// # Errors
/// The reader is gone.
pub(crate) async fn read(scan: Scan<'_>, sink: &mut ScanSink) -> Result<()> {
    let scope = Scope::new("ssm", "");
    let mut gap = Gap::default();
    let mut token = None;
    loop {
        let ask = || {
            scan.clients.parameters.describe_parameters().max_results(50).set_next_token(token.clone()).send()
        };
        let page = match patiently(scan.account.endpoint(), "ssm:DescribeParameters", ask).await {
            Ok(page) => page,
            Err(error) => {
                gap.note(&error);
                break;
            }
        };
        let mut looks = stream::iter(page.parameters.unwrap_or_default())
            .map(|entry| one(scan, entry))
            .buffered(PARALLEL);
        while let Some((name, items, trouble)) = looks.next().await {
            if let Some(error) = trouble {
                if error.kind() == ErrorKind::Denied {
                    sink.end(&Scope::new("ssm", name), ScopeStatus::Denied, Some(error.message().to_owned()))
                        .await?;
                }
                gap.note(&error);
            }
            sink.page(&scope, items).await?;
        }
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    gap.end(&scope, sink).await
}

async fn one(scan: Scan<'_>, entry: ParameterMetadata) -> (String, Vec<Observation>, Option<Error>) {
    let name = entry.name.clone().unwrap_or_default();
    let mut attributes = describe(&entry);
    let (labels, owners) = match tags(scan, &name).await {
        Ok(tags) => from_tags(tags),
        Err(_) => {
            attributes.insert("tags_unread".to_owned(), json!(true));
            (Labels::new(), Vec::new())
        }
    };
    let secret = entry.r#type.as_ref() == Some(&ParameterType::SecureString);
    let frame = Frame { backend: scan.backend, entry: &entry, name: &name, secret, labels, owners };
    let ask = || scan.clients.parameters.get_parameter().name(&name).with_decryption(true).send();
    let mut items = Vec::new();
    match patiently(scan.account.endpoint(), "ssm:GetParameter", ask).await {
        Ok(answer) => {
            let Some(parameter) = answer.parameter else { return (name, items, None) };
            let current = parameter.version;
            let former =
                if secret && current > 1 { history(scan, &name, current).await } else { Ok(Vec::new()) };
            let former = former.unwrap_or_else(|_| {
                attributes.insert("history_unread".to_owned(), json!(true));
                Vec::new()
            });
            let content = Content::Value(SecretValue::from_text(parameter.value.unwrap_or_default()));
            let changed = parameter.last_modified_date.as_ref().and_then(instant);
            items.push(frame.copy(CopyStage::Current, current, content, changed, &attributes));
            for (version, value, changed) in former {
                items.push(frame.copy(
                    CopyStage::Former,
                    version,
                    Content::Value(value),
                    changed,
                    &attributes,
                ));
            }
            (name, items, None)
        }
        // Deleted since the list was made.
        Err(error) if error.kind() == ErrorKind::NotFound => (name, items, None),
        Err(error) => {
            let content = Content::Unreadable(error.message().to_owned());
            let changed = entry.last_modified_date.as_ref().and_then(instant);
            items.push(frame.copy(CopyStage::Current, entry.version, content, changed, &attributes));
            (name, items, Some(error))
        }
    }
}

fn describe(entry: &ParameterMetadata) -> Attributes {
    let text = |text: &Option<String>| text.as_ref().filter(|text| !text.is_empty()).map(|text| json!(text));
    [
        ("arn", text(&entry.arn)),
        ("type", entry.r#type.as_ref().map(|it| json!(it.as_str()))),
        ("tier", entry.tier.as_ref().map(|it| json!(it.as_str()))),
        ("kms_key", text(&entry.key_id)),
        ("last_modified_user", text(&entry.last_modified_user)),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect()
}

async fn tags(scan: Scan<'_>, name: &str) -> Result<Vec<(String, String)>> {
    let ask = || {
        let call = scan.clients.parameters.list_tags_for_resource();
        call.resource_type(ResourceTypeForTagging::Parameter).resource_id(name).send()
    };
    let answer = patiently(scan.account.endpoint(), "ssm:ListTagsForResource", ask).await?;
    Ok(answer.tag_list.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect())
}

type Former = (i64, SecretValue, Option<chrono::DateTime<chrono::Utc>>);

/// The newest versions before `current`.
async fn history(scan: Scan<'_>, name: &str, current: i64) -> Result<Vec<Former>> {
    let mut former: Vec<Former> = Vec::new();
    let mut token = None;
    loop {
        let ask = || {
            let call = scan.clients.parameters.get_parameter_history().name(name).with_decryption(true);
            call.set_next_token(token.clone()).send()
        };
        let page = patiently(scan.account.endpoint(), "ssm:GetParameterHistory", ask).await?;
        for version in page.parameters.unwrap_or_default() {
            if version.version < current {
                let changed = version.last_modified_date.as_ref().and_then(instant);
                former.push((
                    version.version,
                    SecretValue::from_text(version.value.unwrap_or_default()),
                    changed,
                ));
            }
        }
        // The service lists the oldest first: only the tail is kept, so memory does not grow with the history.
        former.sort_by_key(|(version, ..)| std::cmp::Reverse(*version));
        former.truncate(FORMER);
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(former);
        }
    }
}

struct Frame<'a> {
    backend: &'a str,
    entry: &'a ParameterMetadata,
    name: &'a str,
    secret: bool,
    labels: Labels,
    owners: Vec<OwnerEvidence>,
}

impl Frame<'_> {
    fn copy(
        &self,
        stage: CopyStage,
        version: i64,
        content: Content,
        changed: Option<chrono::DateTime<chrono::Utc>>,
        attributes: &Attributes,
    ) -> Observation {
        Observation::Copy(ObservedCopy {
            at: names::parameter(self.backend, self.name),
            key: self.name.rsplit('/').next().unwrap_or_default().to_owned(),
            version: Some(version.to_string()),
            stage,
            place: if self.secret { Place::SecretStore } else { Place::Configuration },
            content,
            bundle: Bundle::default(),
            kind: None,
            issuer: None,
            // SSM tells only when a parameter was last changed.
            created_at: None,
            updated_at: changed.or_else(|| self.entry.last_modified_date.as_ref().and_then(instant)),
            last_used_at: None,
            labels: self.labels.clone(),
            owners: self.owners.clone(),
            attributes: attributes.clone(),
        })
    }
}
