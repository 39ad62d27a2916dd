//! Users and their access keys.

use claviger_backend::{Error, ErrorKind, Result, ScanSink};
use claviger_core::{
    model::{Attributes, CredentialKind, CredentialState, Handle, HandleScheme, IdentityKind, Labels, Scope},
    observation::{Observation, ObservedCredential, ObservedIdentity},
};
use futures::stream::{self, StreamExt as _};
use serde_json::json;

use super::{Gap, Grants, PARALLEL, Scan};
use crate::{
    clients::Caller,
    failure::patiently,
    labels::{from_tags, instant, instant_text},
    names,
};

type User = aws_sdk_iam::types::User;
type Key = aws_sdk_iam::types::AccessKeyMetadata;

/// All users, page by page.
pub(super) async fn read(
    scan: Scan<'_>,
    caller: &Caller,
    grants: &Grants<'_>,
    sink: &mut ScanSink,
) -> Result<()> {
    let scope = Scope::new("iam", "");
    let mut gap = Gap::default();
    let mut marker = None;
    loop {
        let ask = || scan.clients.iam.list_users().set_marker(marker.clone()).send();
        let page = match patiently(scan.account.endpoint(), "iam:ListUsers", ask).await {
            Ok(page) => page,
            Err(error) => {
                gap.note(&error);
                break;
            }
        };
        let mut looks =
            stream::iter(page.users).map(|user| one(scan, caller, grants, user)).buffered(PARALLEL);
        while let Some((items, trouble)) = looks.next().await {
            gap.merge(trouble);
            sink.page(&scope, items).await?;
        }
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            break;
        }
    }
    gap.end(&scope, sink).await
}

async fn one(scan: Scan<'_>, caller: &Caller, grants: &Grants<'_>, user: User) -> (Vec<Observation>, Gap) {
    let mut gap = Gap::default();
    let name = user.user_name.as_str();
    let keys = gap.or_default(keys(scan, name).await);
    let (labels, owners) = from_tags(gap.or_default(tags(scan, name).await));
    let at = names::user(scan.backend, name);
    let active = keys.iter().filter(|key| is_active(key)).count();
    let counts = [("keys_of_user", json!(keys.len())), ("active_keys_of_user", json!(active))];
    let mut attributes: Attributes =
        counts.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    attributes.insert("arn".to_owned(), json!(user.arn));
    attributes.insert("path".to_owned(), json!(user.path));
    if let Some(boundary) = user.permissions_boundary.as_ref().and_then(|it| it.permissions_boundary_arn()) {
        attributes.insert("permissions_boundary".to_owned(), json!(boundary));
    }
    if let Some(used) = instant_text(user.password_last_used.as_ref()) {
        attributes.insert("password_last_used".to_owned(), used);
    }
    let mut items = vec![Observation::Identity(ObservedIdentity {
        at: at.clone(),
        kind: IdentityKind::AwsUser,
        created_at: instant(&user.create_date),
        last_used_at: user.password_last_used.as_ref().and_then(instant),
        disabled: false,
        labels: labels.clone(),
        owners: owners.clone(),
        attributes,
    })];
    for key in keys {
        let Some(id) = key.access_key_id.clone() else { continue };
        let used = gap.or_default(last_used(scan, &id).await.map(Some));
        let own = caller.key_id.as_deref() == Some(&id);
        let mut attributes: Attributes =
            counts.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        attributes.insert("status".to_owned(), json!(if is_active(&key) { "Active" } else { "Inactive" }));
        attributes.insert("own".to_owned(), json!(own));
        if let Some(used) = &used {
            used.describe(scan.account.genuine() && !own, &mut attributes);
        }
        items.push(Observation::Credential(ObservedCredential {
            at: names::access_key(scan.backend, name, &id),
            kind: CredentialKind::AccessKey,
            identity: Some(at.clone()),
            state: if is_active(&key) { CredentialState::Active } else { CredentialState::Suspended },
            created_at: key.create_date.as_ref().and_then(instant),
            // A key is never changed, only replaced.
            rotated_at: None,
            expires_at: None,
            last_used_at: used.as_ref().and_then(|used| used.date),
            handle: Some(Handle::new(HandleScheme::AwsAccessKeyId, id)),
            verifier: None,
            labels: labels.clone(),
            owners: owners.clone(),
            attributes,
        }));
    }
    items.extend(gap.or_default(grants.of_user(&at, name).await).into_iter().map(Observation::Grant));
    (items, gap)
}

pub(crate) fn is_active(key: &Key) -> bool {
    key.status.as_ref() == Some(&aws_sdk_iam::types::StatusType::Active)
}

async fn keys(scan: Scan<'_>, user: &str) -> Result<Vec<Key>> {
    let (mut all, mut marker) = (Vec::new(), None);
    loop {
        let ask = || scan.clients.iam.list_access_keys().user_name(user).set_marker(marker.clone()).send();
        let page = patiently(scan.account.endpoint(), "iam:ListAccessKeys", ask).await?;
        all.extend(page.access_key_metadata);
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            return Ok(all);
        }
    }
}

async fn tags(scan: Scan<'_>, user: &str) -> Result<Vec<(String, String)>> {
    let (mut all, mut marker) = (Vec::new(), None);
    loop {
        let ask = || scan.clients.iam.list_user_tags().user_name(user).set_marker(marker.clone()).send();
        let page = patiently(scan.account.endpoint(), "iam:ListUserTags", ask).await?;
        all.extend(page.tags.into_iter().map(|tag| (tag.key, tag.value)));
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            return Ok(all);
        }
    }
}

/// When and where a key was last used.
struct LastUsed {
    date: Option<chrono::DateTime<chrono::Utc>>,
    service: Option<String>,
    region: Option<String>,
}

impl LastUsed {
    /// Without a date AWS says that the key was not used since 2015, when it began to count. Others do not count at all, so
    /// it is `trusted` only there, and never for the key that asks.
    fn describe(&self, trusted: bool, attributes: &mut Attributes) {
        if self.date.is_none() && trusted {
            attributes.insert("never_used".to_owned(), json!(true));
        }
        for (key, value) in [("last_used_service", &self.service), ("last_used_region", &self.region)] {
            if let Some(value) = value {
                attributes.insert(key.to_owned(), json!(value));
            }
        }
    }
}

async fn last_used(scan: Scan<'_>, id: &str) -> Result<LastUsed> {
    let ask = || scan.clients.iam.get_access_key_last_used().access_key_id(id).send();
    let answer = patiently(scan.account.endpoint(), "iam:GetAccessKeyLastUsed", ask).await?;
    let used = answer.access_key_last_used;
    let said = |text: &str| (text != "N/A" && !text.is_empty()).then(|| text.to_owned());
    Ok(LastUsed {
        date: used.as_ref().and_then(|used| used.last_used_date.as_ref()).and_then(instant),
        service: used.as_ref().and_then(|used| said(&used.service_name)),
        region: used.as_ref().and_then(|used| said(&used.region)),
    })
}

/// The root user's keys: IAM tells only how many there are, and we know ours.
pub(super) async fn read_root(scan: Scan<'_>, caller: &Caller, sink: &mut ScanSink) -> Result<()> {
    let scope = Scope::new("iam", "account");
    let mut gap = Gap::default();
    let ask = || scan.clients.iam.get_account_summary().send();
    let count = match patiently(scan.account.endpoint(), "iam:GetAccountSummary", ask).await {
        Ok(summary) => {
            let map = summary.summary_map.unwrap_or_default();
            map.get(&aws_sdk_iam::types::SummaryKeyType::AccountAccessKeysPresent).copied().unwrap_or(0)
        }
        // A compatible server without this operation has no root keys to tell of.
        Err(error) if error.kind() == ErrorKind::Unsupported => 0,
        Err(error) => {
            gap.note(&error);
            0
        }
    };
    let own = caller.root().then(|| caller.key_id.clone()).flatten();
    let mut keys: Vec<(String, bool)> = own.into_iter().map(|id| (id, true)).collect();
    // A key whose id nobody tells is listed by its number.
    keys.extend(
        (keys.len()..usize::try_from(count).unwrap_or(0)).map(|number| (format!("{}", number + 1), false)),
    );
    if !keys.is_empty() {
        sink.page(&scope, root_items(scan.backend, &keys)).await?;
    }
    gap.end(&scope, sink).await
}

fn root_items(backend: &str, keys: &[(String, bool)]) -> Vec<Observation> {
    let at = names::root(backend);
    let attributes = |own: bool| {
        Attributes::from([
            ("root".to_owned(), json!(true)),
            ("own".to_owned(), json!(own)),
            ("active_keys_of_user".to_owned(), json!(keys.len())),
        ])
    };
    let mut items = vec![Observation::Identity(ObservedIdentity {
        at: at.clone(),
        kind: IdentityKind::AwsUser,
        created_at: None,
        last_used_at: None,
        disabled: false,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::from([("root".to_owned(), json!(true))]),
    })];
    for (id, own) in keys {
        items.push(Observation::Credential(ObservedCredential {
            at: names::root_key(backend, id),
            kind: CredentialKind::AccessKey,
            identity: Some(at.clone()),
            state: CredentialState::Active,
            created_at: None,
            rotated_at: None,
            expires_at: None,
            last_used_at: None,
            handle: own.then(|| Handle::new(HandleScheme::AwsAccessKeyId, id.clone())),
            verifier: None,
            labels: Labels::new(),
            owners: Vec::new(),
            attributes: attributes(*own),
        }));
    }
    items
}

/// One user's keys, for the issuer.
///
/// # Errors
/// As [`crate::failure::of`]; `NotFound` when there is no such user.
pub(crate) async fn keys_of(scan: Scan<'_>, operation: &'static str, user: &str) -> Result<Vec<Key>> {
    let answer = scan.clients.iam.list_access_keys().user_name(user).send().await;
    let page: Result<_, Error> = answer.map_err(|error| {
        crate::failure::of(operation, scan.account.endpoint(), "iam:ListAccessKeys", &error)
    });
    Ok(page?.access_key_metadata)
}
