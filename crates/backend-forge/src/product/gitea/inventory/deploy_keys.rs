//! Deploy keys: the public halves. The private ones are found wherever they lie.

use claviger_backend::Result;
use claviger_core::{
    model::{Attributes, CredentialKind, IdentityKind, Labels, PrivilegeLevel},
    observation::{Observation, ObservedGrant, ObservedIdentity},
};
use serde_json::json;

use super::{
    super::wire::DeployKey,
    Survey,
    accounts::{credential, fingerprint},
};

impl Survey<'_> {
    pub(super) async fn deploy_keys(&self, owner: &str, repository: &str) -> Result<Vec<Observation>> {
        let keys: Vec<DeployKey> = self.backend.list(&["repos", owner, repository, "keys"]).await?;
        let mut seen = Vec::new();
        for key in keys {
            // A deploy key is nobody's: it is an identity of its own, which may do one thing at one repository.
            let at = self.backend.names.object(&format!("{owner}/{repository}/deploy-keys/{}", key.id));
            seen.push(Observation::Identity(ObservedIdentity {
                at: at.clone(),
                kind: IdentityKind::ForgeUser,
                created_at: None,
                last_used_at: None,
                disabled: false,
                labels: Labels::new(),
                owners: Vec::new(),
                attributes: Attributes::from([("deploy_key".to_owned(), json!(true))]),
            }));
            let (privilege, level) = if key.read_only {
                ("read repository", PrivilegeLevel::Read)
            } else {
                ("write repository", PrivilegeLevel::Write)
            };
            seen.push(Observation::Grant(ObservedGrant {
                identity: at.clone(),
                source: at.clone(),
                privilege: privilege.to_owned(),
                reach: format!("{owner}/{repository}"),
                level,
                attributes: Attributes::new(),
            }));
            let mut credential = credential(at.clone(), CredentialKind::SshKey, Some(at), &key.created_at);
            credential.handle = fingerprint(&key.fingerprint);
            credential.attributes.insert("title".to_owned(), json!(key.title));
            credential.attributes.insert("read_only".to_owned(), json!(key.read_only));
            seen.push(Observation::Credential(credential));
        }
        Ok(seen)
    }
}
