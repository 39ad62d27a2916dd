//! Userpass: users with a password that no server ever shows.

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, CredentialKind, CredentialState, IdentityKind, Labels, Scope},
    observation::{Observation, ObservedCredential, ObservedIdentity},
};
use serde::Deserialize;
use serde_json::json;

use super::{Gaps, Survey, policy::Held};

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    token_policies: Option<Vec<String>>,
    #[serde(default)]
    token_ttl: u64,
    #[serde(default)]
    token_max_ttl: u64,
    #[serde(default)]
    token_bound_cidrs: Option<Vec<String>>,
}

impl Survey<'_> {
    pub(super) async fn users(&self, mount: &str, held: &mut Held, sink: &mut ScanSink) -> Result<()> {
        let scope = Scope::new(mount, "users");
        let users = match self.api.list("inventory", &format!("{mount}/users")).await {
            Ok(users) => users,
            Err(error) => return Gaps::of(&format!("LIST {mount}/users"), &error).end(&scope, sink).await,
        };
        let mut gaps = Gaps::default();
        let mut page = Vec::new();
        for name in users {
            let path = format!("{mount}/users/{name}");
            let user = match self.api.get::<User>("inventory", &path).await {
                Ok(Some(user)) => user,
                Ok(None) => continue,
                Err(error) => {
                    gaps.add(&name, &error);
                    continue;
                }
            };
            let at = self.names.object(&path);
            for policy in user.token_policies.iter().flatten() {
                held.add(&at, policy);
            }
            let attributes = Attributes::from([
                ("token_policies".to_owned(), json!(user.token_policies.unwrap_or_default())),
                ("token_ttl".to_owned(), json!(user.token_ttl)),
                ("token_max_ttl".to_owned(), json!(user.token_max_ttl)),
                ("token_bound_cidrs".to_owned(), json!(user.token_bound_cidrs.unwrap_or_default())),
            ]);
            page.push(Observation::Identity(ObservedIdentity {
                at: at.clone(),
                kind: IdentityKind::VaultToken,
                created_at: None,
                last_used_at: None,
                disabled: false,
                labels: Labels::new(),
                owners: Vec::new(),
                attributes,
            }));
            page.push(Observation::Credential(ObservedCredential {
                at: self.names.object(&format!("{path}/password")),
                kind: CredentialKind::Password,
                identity: Some(at),
                state: CredentialState::Active,
                created_at: None,
                rotated_at: None,
                expires_at: None,
                last_used_at: None,
                handle: None,
                verifier: None,
                labels: Labels::new(),
                owners: Vec::new(),
                attributes: Attributes::from([("no_expiry".to_owned(), json!(true))]),
            }));
        }
        sink.page(&scope, page).await?;
        gaps.end(&scope, sink).await
    }
}
