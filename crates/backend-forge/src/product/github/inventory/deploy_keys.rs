//! Deploy keys: the public halves. The private ones are found wherever they lie.

use claviger_backend::Result;
use claviger_core::{
    model::{Attributes, CredentialKind, CredentialState, PrivilegeLevel},
    observation::{Observation, ObservedGrant},
};
use serde_json::json;

use super::{
    super::{
        deploy_key::fingerprint,
        wire::{DeployKey, time},
    },
    Survey,
    identity::{credential, identity},
};
use crate::client::Request;

impl Survey<'_> {
    pub(super) async fn deploy_keys(&self, owner: &str, repository: &str) -> Result<Vec<Observation>> {
        let path = ["repos", owner, repository, "keys"];
        let keys =
            self.backend.access.all::<DeployKey, Vec<DeployKey>>("inventory", Request::get(&path)).await?;
        Ok(keys.into_iter().flat_map(|key| self.deploy_key(owner, repository, key)).collect())
    }

    /// A deploy key is nobody's: it is an identity of its own, which may do one thing at one repository.
    fn deploy_key(&self, owner: &str, repository: &str, key: DeployKey) -> [Observation; 3] {
        let at = self.backend.names.object(&format!("{owner}/{repository}/deploy-keys/{}", key.id));
        let mut holder = identity(at.clone());
        holder.attributes.insert("deploy_key".to_owned(), json!(true));
        let (privilege, level) = if key.read_only {
            ("read repository", PrivilegeLevel::Read)
        } else {
            ("write repository", PrivilegeLevel::Write)
        };
        let grant = ObservedGrant {
            identity: at.clone(),
            source: at.clone(),
            privilege: privilege.to_owned(),
            reach: format!("{owner}/{repository}"),
            level,
            attributes: Attributes::new(),
        };
        let mut seen = credential(at.clone(), CredentialKind::SshKey, Some(at), &key.created_at);
        seen.handle = fingerprint(&key.key);
        seen.last_used_at = key.last_used.as_deref().and_then(time);
        if key.enabled == Some(false) {
            seen.state = CredentialState::Suspended;
        }
        for (name, value) in
            [("title", json!(key.title)), ("read_only", json!(key.read_only)), ("no_expiry", json!(true))]
        {
            seen.attributes.insert(name.to_owned(), value);
        }
        [Observation::Identity(holder), Observation::Grant(grant), Observation::Credential(seen)]
    }
}
