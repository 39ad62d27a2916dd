//! Tokens, by their accessors. Batch tokens have none and are not listed by any server.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, CredentialKind, CredentialState, Handle, HandleScheme, IdentityKind, Labels, Scope},
    observation::{Observation, ObservedCredential, ObservedIdentity},
    reference::Ref,
};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;

use super::{CONCURRENCY, Gaps, PAGE, Survey, policy::Held};
use crate::{
    labels::{owners, time},
    mounts::{MountKind, Mounts},
};

/// What the server says about a token. Its `id`, which is the token itself, is left in the zeroized answer.
#[derive(Deserialize)]
pub(crate) struct TokenInfo {
    #[serde(default)]
    pub(crate) accessor: String,
    #[serde(default)]
    pub(crate) bound_cidrs: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) creation_time: i64,
    #[serde(default)]
    pub(crate) creation_ttl: u64,
    #[serde(default)]
    pub(crate) display_name: String,
    #[serde(default)]
    pub(crate) entity_id: String,
    #[serde(default)]
    pub(crate) expire_time: Option<String>,
    #[serde(default)]
    pub(crate) explicit_max_ttl: u64,
    #[serde(default)]
    pub(crate) identity_policies: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) last_renewal_time: Option<i64>,
    #[serde(default)]
    pub(crate) meta: Option<Labels>,
    #[serde(default)]
    pub(crate) num_uses: u64,
    #[serde(default)]
    pub(crate) orphan: bool,
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) period: u64,
    #[serde(default)]
    pub(crate) policies: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) renewable: Option<bool>,
    #[serde(default)]
    pub(crate) role: Option<String>,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
}

/// The principal behind a token.
struct Holder {
    at: Ref,
    /// To be told, where no other part of the inventory does.
    told: Option<ObservedIdentity>,
}

impl Survey<'_> {
    pub(super) async fn tokens(
        &self,
        mounts: &Mounts,
        own: Option<&str>,
        held: &mut Held,
        sink: &mut ScanSink,
    ) -> Result<()> {
        let scope = Scope::new("auth/token", "accessors");
        let accessors = match self.api.list("inventory", "auth/token/accessors").await {
            Ok(accessors) => accessors,
            Err(error) => {
                return Gaps::of("auth/token/accessors (it takes `list` and `sudo`)", &error)
                    .end(&scope, sink)
                    .await;
            }
        };
        let mut gaps = Gaps::default();
        let mut told = BTreeSet::new();
        let mut page = Vec::new();
        let mut read = stream::iter(accessors)
            .map(|accessor| async move { (self.token(&accessor).await, accessor) })
            .buffer_unordered(CONCURRENCY);
        while let Some((found, accessor)) = read.next().await {
            match found {
                Ok(Some(token)) if token.kind != "batch" => {
                    let holder = self.holder(mounts, &token);
                    for policy in token.policies.iter().chain(&token.identity_policies).flatten() {
                        held.add(&holder.at, policy);
                    }
                    page.push(Observation::Credential(self.token_credential(&token, &holder.at, own)));
                    if let Some(identity) = holder.told.filter(|identity| told.insert(identity.at.clone())) {
                        page.push(Observation::Identity(identity));
                    }
                }
                // It ended after it was listed.
                Ok(_) => {}
                Err(error) => gaps.add(&format!("accessor {accessor}"), &error),
            }
            if page.len() >= PAGE {
                sink.page(&scope, std::mem::take(&mut page)).await?;
            }
        }
        sink.page(&scope, page).await?;
        gaps.end(&scope, sink).await
    }

    /// `None` when there is no such token any more.
    async fn token(&self, accessor: &str) -> Result<Option<TokenInfo>> {
        crate::issuer::token_by_accessor(self.api, "inventory", accessor).await
    }

    fn holder(&self, mounts: &Mounts, token: &TokenInfo) -> Holder {
        let meta = |key: &str| token.meta.as_ref().and_then(|meta| meta.get(key)).map(String::as_str);
        // A login's path is `<mount>/login` or `<mount>/login/<user>`.
        let login = mounts.mounts.iter().find(|mount| {
            token
                .path
                .strip_prefix(mount.path.as_str())
                .is_some_and(|rest| rest == "/login" || rest.starts_with("/login/"))
        });
        if let Some(mount) = login {
            if let (MountKind::AppRole, Some(role)) = (&mount.kind, meta("role_name")) {
                return Holder { at: self.names.approle(&mount.path, role), told: None };
            }
            if let (MountKind::Userpass, Some(user)) = (&mount.kind, meta("username")) {
                return Holder { at: self.names.object(&format!("{}/users/{user}", mount.path)), told: None };
            }
        }
        let (at, from) = if !token.entity_id.is_empty() {
            (self.names.object(&format!("identity/entity/{}", token.entity_id)), "entity")
        } else if matches!(token.display_name.as_str(), "" | "token") {
            // Nobody gave it a name: it is a principal of its own, else unrelated tokens would share their privileges.
            (self.names.token(&token.accessor), "token")
        } else {
            (self.names.object(&format!("auth/token/display-name/{}", token.display_name)), "display-name")
        };
        let told = ObservedIdentity {
            at: at.clone(),
            kind: IdentityKind::VaultToken,
            created_at: None,
            last_used_at: None,
            disabled: false,
            labels: Labels::new(),
            owners: Vec::new(),
            attributes: Attributes::from([
                ("display_name".to_owned(), json!(token.display_name)),
                ("known_by".to_owned(), json!(from)),
            ]),
        };
        Holder { at, told: Some(told) }
    }

    fn token_credential(&self, token: &TokenInfo, identity: &Ref, own: Option<&str>) -> ObservedCredential {
        let labels = token.meta.clone().unwrap_or_default();
        let policies: Vec<&String> =
            token.policies.iter().chain(&token.identity_policies).flatten().collect();
        let expires_at = token.expire_time.as_deref().and_then(time);
        // What is left of the TTL is not among these: it differs in each scan.
        let mut attributes = Attributes::from([
            ("ttl".to_owned(), json!(token.creation_ttl)),
            ("period".to_owned(), json!(token.period)),
            ("explicit_max_ttl".to_owned(), json!(token.explicit_max_ttl)),
            ("policies".to_owned(), json!(policies)),
            ("orphan".to_owned(), json!(token.orphan)),
            ("renewable".to_owned(), json!(token.renewable.unwrap_or(false))),
            ("num_uses".to_owned(), json!(token.num_uses)),
            ("display_name".to_owned(), json!(token.display_name)),
            ("path".to_owned(), json!(token.path)),
            ("root".to_owned(), json!(policies.iter().any(|policy| policy.as_str() == "root"))),
            ("no_expiry".to_owned(), json!(expires_at.is_none())),
            ("own".to_owned(), json!(own == Some(token.accessor.as_str()))),
        ]);
        if let Some(role) = token.role.as_deref().filter(|role| !role.is_empty()) {
            attributes.insert("token_role".to_owned(), json!(role));
        }
        ObservedCredential {
            at: self.names.token(&token.accessor),
            kind: CredentialKind::Token,
            identity: Some(identity.clone()),
            state: CredentialState::Active,
            created_at: token.created_at(),
            rotated_at: None,
            expires_at,
            last_used_at: None,
            handle: Some(Handle::new(HandleScheme::VaultAccessor, &token.accessor)),
            verifier: None,
            owners: owners("meta", &labels),
            labels,
            attributes,
        }
    }
}

impl TokenInfo {
    fn created_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.creation_time, 0).filter(|_| self.creation_time > 0)
    }
}
