//! Deploy keys: the public halves. The private ones are found wherever they lie.

use claviger_backend::Result;
use claviger_core::{
    format::ssh,
    model::{CredentialKind, CredentialState, Handle, HandleScheme, PrivilegeLevel},
    observation::Observation,
};
use serde_json::json;

use super::{
    super::wire::time,
    Survey,
    tokens::{credential, grant, identity, with},
};

impl Survey<'_> {
    /// One that several projects have is listed with each of them.
    pub(super) async fn deploy_keys(&self, path: &str) -> Result<Vec<Observation>> {
        let now = self.backend.clock.now();
        let mut all = Vec::new();
        for key in self.backend.deploy_keys("inventory", path).await? {
            let at = self.backend.names.object(&format!("{path}/deploy-keys/{}", key.id));
            let (privilege, level) = match key.can_push {
                true => ("write repository", PrivilegeLevel::Write),
                false => ("read repository", PrivilegeLevel::Read),
            };
            all.push(Observation::Identity(identity(at.clone(), "deploy_key")));
            all.push(grant(&at, privilege.to_owned(), path, level));
            let mut seen = credential(at.clone(), at, time(key.created_at.as_deref()));
            seen.kind = CredentialKind::SshKey;
            seen.expires_at = time(key.expires_at.as_deref());
            if seen.expires_at.is_some_and(|ends| ends <= now) {
                seen.state = CredentialState::Expired;
            }
            seen.handle = ssh::parse_line(&key.key)
                .map(|line| Handle::new(HandleScheme::SshFingerprint, ssh::fingerprint(&line.public)));
            let facts = vec![
                ("title", json!(key.title)),
                ("read_only", json!(!key.can_push)),
                ("no_expiry", json!(key.expires_at.is_none())),
            ];
            with(&mut seen, facts);
            all.push(Observation::Credential(seen));
        }
        Ok(all)
    }
}
