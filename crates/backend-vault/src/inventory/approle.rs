//! AppRole: roles are identities, secret-ids their credentials.

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, CredentialKind, CredentialState, Handle, HandleScheme, IdentityKind, Labels, Scope},
    observation::{Observation, ObservedCredential, ObservedIdentity},
};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CONCURRENCY, Gaps, PAGE, Survey, policy::Held};
use crate::{
    issuer::{MARK, secret_id_by_accessor},
    labels::{owners, time},
};

#[derive(Deserialize)]
struct Role {
    #[serde(default)]
    bind_secret_id: bool,
    #[serde(default)]
    secret_id_bound_cidrs: Option<Vec<String>>,
    #[serde(default)]
    secret_id_num_uses: u64,
    #[serde(default)]
    secret_id_ttl: u64,
    #[serde(default)]
    token_bound_cidrs: Option<Vec<String>>,
    #[serde(default)]
    token_max_ttl: u64,
    #[serde(default)]
    token_num_uses: u64,
    #[serde(default)]
    token_period: u64,
    #[serde(default)]
    token_policies: Option<Vec<String>>,
    #[serde(default)]
    token_ttl: u64,
    #[serde(default)]
    token_type: String,
}

/// What the server says about a secret-id.
#[derive(Deserialize)]
pub(crate) struct SecretIdInfo {
    #[serde(default)]
    pub(crate) secret_id_accessor: String,
    #[serde(default)]
    pub(crate) creation_time: String,
    #[serde(default)]
    expiration_time: String,
    #[serde(default)]
    last_updated_time: String,
    #[serde(default)]
    cidr_list: Option<Vec<String>>,
    #[serde(default)]
    token_bound_cidrs: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) metadata: Option<Labels>,
    /// Uses that are left; 0 means any number.
    #[serde(default)]
    pub(crate) secret_id_num_uses: u64,
    #[serde(default)]
    secret_id_ttl: u64,
}

impl SecretIdInfo {
    /// The request for a secret-id with this value that may do what this one may. The mark goes into its metadata, so that the tokens that it
    /// will give can be told from those of this one.
    pub(crate) fn successor(&self, value: &str, mark: &str) -> serde_json::Value {
        let mut metadata = self.metadata.clone().unwrap_or_default();
        metadata.insert(MARK.to_owned(), mark.to_owned());
        let list = |cidrs: &Option<Vec<String>>| cidrs.clone().unwrap_or_default();
        serde_json::json!({
            "secret_id": value,
            // The one field that the server wants as JSON in a string.
            "metadata": serde_json::to_string(&metadata).unwrap_or_default(),
            "cidr_list": list(&self.cidr_list),
            "token_bound_cidrs": list(&self.token_bound_cidrs),
            "num_uses": self.secret_id_num_uses,
            "ttl": self.secret_id_ttl,
        })
    }
}

impl Survey<'_> {
    pub(super) async fn approles(
        &self,
        mount: &str,
        leases: Option<u64>,
        held: &mut Held,
        sink: &mut ScanSink,
    ) -> Result<()> {
        let scope = Scope::new(mount, "roles");
        let held_login = self.api.held().await?;
        let what = format!("LIST {mount}/role");
        let login = mount.strip_prefix("auth/").unwrap_or(mount);
        let listed = self
            .api
            .typed(
                self.api.call("inventory", &what, false),
                vaultrs::auth::approle::role::list(&held_login.typed, login),
            )
            .await;
        let roles = match listed {
            Ok(listed) => listed.keys,
            Err(error) if error.kind() == claviger_backend::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                Gaps::of(&what, &error).end(&scope, sink).await?;
                return Gaps::of(&what, &error).end(&Scope::new(mount, "secret-ids"), sink).await;
            }
        };
        let mut gaps = Gaps::default();
        let mut page = Vec::new();
        let mut read = stream::iter(roles.clone())
            .map(|name| async move {
                (self.api.get::<Role>("inventory", &format!("{mount}/role/{name}")).await, name)
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((found, name)) = read.next().await {
            match found {
                Ok(Some(role)) => {
                    let at = self.names.approle(mount, &name);
                    for policy in role.token_policies.iter().flatten() {
                        held.add(&at, policy);
                    }
                    page.push(Observation::Identity(self.role_identity(mount, &name, &role, leases)));
                }
                Ok(None) => {}
                Err(error) => gaps.add(&name, &error),
            }
            if page.len() >= PAGE {
                sink.page(&scope, std::mem::take(&mut page)).await?;
            }
        }
        sink.page(&scope, page).await?;
        gaps.end(&scope, sink).await?;
        self.secret_ids(mount, roles, sink).await
    }

    fn role_identity(&self, mount: &str, name: &str, role: &Role, leases: Option<u64>) -> ObservedIdentity {
        let mut attributes = Attributes::from([
            ("bind_secret_id".to_owned(), json!(role.bind_secret_id)),
            ("secret_id_ttl".to_owned(), json!(role.secret_id_ttl)),
            ("secret_id_num_uses".to_owned(), json!(role.secret_id_num_uses)),
            (
                "secret_id_bound_cidrs".to_owned(),
                json!(role.secret_id_bound_cidrs.clone().unwrap_or_default()),
            ),
            ("token_ttl".to_owned(), json!(role.token_ttl)),
            ("token_max_ttl".to_owned(), json!(role.token_max_ttl)),
            ("token_period".to_owned(), json!(role.token_period)),
            ("token_num_uses".to_owned(), json!(role.token_num_uses)),
            ("token_type".to_owned(), json!(role.token_type)),
            ("token_policies".to_owned(), json!(role.token_policies.clone().unwrap_or_default())),
            ("token_bound_cidrs".to_owned(), json!(role.token_bound_cidrs.clone().unwrap_or_default())),
        ]);
        if let Some(leases) = leases {
            attributes.insert("leases_count".to_owned(), json!(leases));
        }
        ObservedIdentity {
            at: self.names.approle(mount, name),
            kind: IdentityKind::VaultAppRole,
            created_at: None,
            last_used_at: None,
            disabled: false,
            labels: Labels::new(),
            owners: Vec::new(),
            attributes,
        }
    }

    async fn secret_ids(&self, mount: &str, roles: Vec<String>, sink: &mut ScanSink) -> Result<()> {
        let scope = Scope::new(mount, "secret-ids");
        let mut gaps = Gaps::default();
        for role in roles {
            let accessors = match self.api.list("inventory", &format!("{mount}/role/{role}/secret-id")).await
            {
                Ok(accessors) => accessors,
                Err(error) => {
                    gaps.add(&format!("secret-ids of {role}"), &error);
                    continue;
                }
            };
            let role = role.as_str();
            let mut page = Vec::new();
            let mut read = stream::iter(accessors)
                .map(|accessor| async move {
                    secret_id_by_accessor(self.api, "inventory", mount, role, &accessor).await
                })
                .buffer_unordered(CONCURRENCY);
            while let Some(found) = read.next().await {
                match found {
                    Ok(Some(secret_id)) => {
                        page.push(Observation::Credential(self.secret_id_credential(mount, role, secret_id)))
                    }
                    Ok(None) => {}
                    Err(error) => gaps.add(&format!("secret-ids of {role}"), &error),
                }
                if page.len() >= PAGE {
                    sink.page(&scope, std::mem::take(&mut page)).await?;
                }
            }
            sink.page(&scope, page).await?;
        }
        gaps.end(&scope, sink).await
    }

    fn secret_id_credential(&self, mount: &str, role: &str, found: SecretIdInfo) -> ObservedCredential {
        let labels = found.metadata.unwrap_or_default();
        let expires_at = time(&found.expiration_time);
        let list = |cidrs: Option<Vec<String>>| Value::from(cidrs.unwrap_or_default());
        ObservedCredential {
            at: self.names.secret_id(mount, role, &found.secret_id_accessor),
            kind: CredentialKind::SecretId,
            identity: Some(self.names.approle(mount, role)),
            state: CredentialState::Active,
            created_at: time(&found.creation_time),
            // A change of its uses or TTL also moves this time, and its value never changes.
            rotated_at: None,
            expires_at,
            last_used_at: None,
            handle: Some(Handle::new(HandleScheme::VaultAccessor, &found.secret_id_accessor)),
            verifier: None,
            owners: owners("metadata", &labels),
            labels,
            attributes: Attributes::from([
                ("ttl".to_owned(), json!(found.secret_id_ttl)),
                ("num_uses".to_owned(), json!(found.secret_id_num_uses)),
                ("bound_cidrs".to_owned(), list(found.cidr_list)),
                ("token_bound_cidrs".to_owned(), list(found.token_bound_cidrs)),
                ("no_expiry".to_owned(), json!(expires_at.is_none())),
                ("updated_at".to_owned(), json!(found.last_updated_time)),
            ]),
        }
    }
}
