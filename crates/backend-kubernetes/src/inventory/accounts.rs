//! ServiceAccounts: the cluster's own identities, and the cloud roles that they are bound to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use claviger_backend::{Result, ScanSink};
use claviger_core::{model::IdentityKind, observation::Observation};
use serde_json::Value;

use super::{Context, Scan, identity};
use crate::{
    failure::Failure,
    paging::{Batch, PageReader},
    resource::SERVICE_ACCOUNTS,
    wire::{self, Meta, ServiceAccount},
};

pub(super) const PART: &str = "serviceaccounts";

/// What other kinds of object must know of ServiceAccounts. Kept only for those that differ from the plain case.
#[derive(Debug, Default)]
pub(super) struct AccountIndex {
    /// All of those in namespaces that are to be read were read: who is missing there does not exist.
    pub(super) complete: bool,
    known: BTreeSet<(String, String)>,
    unusual: BTreeMap<(String, String), Unusual>,
}

#[derive(Debug, Default)]
struct Unusual {
    secrets: Vec<String>,
    image_pull_secrets: Vec<String>,
    no_automount: bool,
}

impl AccountIndex {
    fn add(&mut self, account: &ServiceAccount<'_>) {
        let key = (account.metadata.namespace.plain(), account.metadata.name.plain());
        let unusual = Unusual {
            secrets: account.secrets.iter().map(|secret| secret.name.plain()).collect(),
            image_pull_secrets: account.image_pull_secrets.iter().map(|secret| secret.name.plain()).collect(),
            no_automount: account.automount_service_account_token == Some(false),
        };
        if unusual.no_automount || !unusual.secrets.is_empty() || !unusual.image_pull_secrets.is_empty() {
            self.unusual.insert(key.clone(), unusual);
        }
        self.known.insert(key);
    }

    fn unusual(&self, namespace: &str, account: &str) -> Option<&Unusual> {
        self.unusual.get(&(namespace.to_owned(), account.to_owned()))
    }

    /// `None` where it cannot be said.
    pub(super) fn exists(&self, namespace: &str, account: &str) -> Option<bool> {
        let known = self.known.contains(&(namespace.to_owned(), account.to_owned()));
        (known || self.complete).then_some(known)
    }

    /// Does the account list this Secret, as the token controller of Kubernetes before 1.24 made it do?
    pub(super) fn lists_secret(&self, namespace: &str, account: &str, secret: &str) -> bool {
        self.unusual(namespace, account)
            .is_some_and(|unusual| unusual.secrets.iter().any(|listed| listed == secret))
    }

    pub(super) fn image_pull_secrets(&self, namespace: &str, account: &str) -> &[String] {
        self.unusual(namespace, account).map_or(&[], |unusual| &unusual.image_pull_secrets)
    }

    pub(super) fn automounts(&self, namespace: &str, account: &str) -> bool {
        !self.unusual(namespace, account).is_some_and(|unusual| unusual.no_automount)
    }
}

impl Scan<'_> {
    /// ServiceAccounts as identities.
    pub(super) async fn service_accounts(&mut self, sink: &mut ScanSink) -> Result<AccountIndex> {
        self.read_accounts(true, sink).await
    }

    /// ServiceAccounts read again for what depends on them in the other phase; no scope of its own.
    pub(super) async fn account_index(&mut self, sink: &mut ScanSink) -> Result<AccountIndex> {
        self.read_accounts(false, sink).await
    }

    async fn read_accounts(&mut self, observe: bool, sink: &mut ScanSink) -> Result<AccountIndex> {
        let context = Arc::clone(&self.context);
        let mut reader = AccountReader { context: &context, observe, index: AccountIndex::default() };
        let troubles = self.read(SERVICE_ACCOUNTS, &mut reader, sink).await?;
        let mut index = reader.index;
        index.complete = troubles.is_empty() && self.listed;
        if observe {
            self.end(PART, &troubles, sink).await?;
        }
        Ok(index)
    }
}

struct AccountReader<'s> {
    context: &'s Context<'s>,
    observe: bool,
    index: AccountIndex,
}

impl PageReader for AccountReader<'_> {
    fn read(&mut self, body: &[u8], batch: &mut Batch) -> Result<(usize, Option<String>), Failure> {
        let (items, next) = wire::page::<ServiceAccount<'_>>(body)?;
        for account in &items {
            let meta = &account.metadata;
            if !self.context.selects(meta.namespace.as_str()) {
                continue;
            }
            self.index.add(account);
            if self.observe {
                let area = meta.namespace.plain();
                batch.push(&area, PART, Observation::Identity(observe(self.context, account)));
            }
        }
        Ok((items.len(), next))
    }
}

fn observe(
    context: &Context<'_>,
    account: &ServiceAccount<'_>,
) -> claviger_core::observation::ObservedIdentity {
    let meta = &account.metadata;
    let at = context.names.object(&meta.namespace.plain(), "ServiceAccount", &meta.name.plain());
    let mut observed = identity(at, IdentityKind::KubernetesServiceAccount, context.labels_of(meta));
    observed.created_at = meta.creation_timestamp.as_ref().and_then(wire::time);
    observed.owners = context.owners_of(meta);
    let attributes = &mut observed.attributes;
    // Each token carries it: that is how a leaked one is told from one of another cluster's account of the same name.
    if !meta.uid.as_str().is_empty() {
        attributes.insert("uid".to_owned(), Value::from(meta.uid.plain()));
    }
    if let Some(automount) = account.automount_service_account_token {
        attributes.insert("automount".to_owned(), Value::from(automount));
    }
    if let Some((provider, role)) = cloud_role(meta) {
        attributes.insert("cloud_provider".to_owned(), Value::from(provider));
        attributes.insert("cloud_role".to_owned(), Value::from(role));
    }
    if !account.secrets.is_empty() {
        let names: Vec<_> = account.secrets.iter().map(|secret| secret.name.plain()).collect();
        attributes.insert("secrets".to_owned(), Value::from(names));
    }
    if !account.image_pull_secrets.is_empty() {
        let names: Vec<_> = account.image_pull_secrets.iter().map(|secret| secret.name.plain()).collect();
        attributes.insert("image_pull_secrets".to_owned(), Value::from(names));
    }
    observed
}

/// The cloud identity that the account may take: EKS roles for service accounts, GKE and AKS workload identity.
fn cloud_role(meta: &Meta<'_>) -> Option<(&'static str, String)> {
    [
        ("aws", "eks.amazonaws.com/role-arn"),
        ("gcp", "iam.gke.io/gcp-service-account"),
        ("azure", "azure.workload.identity/client-id"),
    ]
    .into_iter()
    .find_map(|(provider, key)| {
        let role = meta.annotations.get(key)?;
        (!role.is_empty()).then(|| (provider, role.replace('\0', "\u{fffd}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloud_roles_of_the_three_clouds() {
        for (json, expected) in [
            (
                r#"{"annotations":{"eks.amazonaws.com/role-arn":"arn:aws:iam::1:role/x"}}"#,
                Some(("aws", "arn:aws:iam::1:role/x")),
            ),
            (r#"{"annotations":{"iam.gke.io/gcp-service-account":"a@p.iam"}}"#, Some(("gcp", "a@p.iam"))),
            (r#"{"annotations":{"azure.workload.identity/client-id":"7"}}"#, Some(("azure", "7"))),
            (r#"{"annotations":{"eks.amazonaws.com/role-arn":""}}"#, None),
            (r#"{}"#, None),
        ] {
            let meta: Meta<'_> = wire::read(json.as_bytes()).expect("metadata");
            assert_eq!(cloud_role(&meta), expected.map(|(cloud, role)| (cloud, role.to_owned())), "{json}");
        }
    }

    #[test]
    fn absence_is_known_only_of_a_complete_index() {
        let mut index = AccountIndex::default();
        let account = br#"{"metadata":{"namespace":"a","name":"web"},"secrets":[{"name":"web-token-x"}],"automountServiceAccountToken":false}"#;
        index.add(&wire::read::<ServiceAccount<'_>>(account).expect("an account"));
        assert_eq!(index.exists("a", "web"), Some(true));
        assert_eq!(index.exists("a", "other"), None);
        index.complete = true;
        assert_eq!(index.exists("a", "other"), Some(false));
        assert!(index.lists_secret("a", "web", "web-token-x") && !index.lists_secret("a", "web", "y"));
        assert!(!index.automounts("a", "web") && index.automounts("a", "other"));
    }
}
