//! Deploy keys: the public half lies at a repository, the private one wherever somebody put it. A login is shown through the SSH server.

use claviger_backend::{ErrorKind, Presence, Probe, Result, Verdict};
use claviger_core::secret::SecretValue;

use super::{
    backend::GiteaBackend,
    wire::{DeployKey, Repository},
};
use crate::{
    client::{As, Request},
    ssh::{self, Remote},
};

impl GiteaBackend {
    pub(super) async fn deploy_key(
        &self,
        operation: &'static str,
        (owner, repository): (&str, &str),
        id: u64,
    ) -> Result<Option<DeployKey>> {
        let id = id.to_string();
        self.api.maybe(operation, Request::get(&["repos", owner, repository, "keys", &id])).await
    }

    pub(super) async fn key_presence(&self, repository: (&str, &str), id: u64) -> Result<Presence> {
        let key = self.deploy_key("presence", repository, id).await?;
        Ok(key.map_or(Presence::Absent, |key| {
            Presence::Present(format!("{} {}", key.fingerprint, key.created_at))
        }))
    }

    pub(super) async fn end_key(&self, (owner, repository): (&str, &str), id: u64) -> Result<()> {
        let id = id.to_string();
        self.delete(&["repos", owner, repository, "keys", &id], As::Us).await
    }

    /// Asks for the repository's refs with the private key, at the address that the forge itself gives for cloning.
    pub(super) async fn try_key(
        &self,
        (owner, repository): (&str, &str),
        value: &SecretValue,
    ) -> Result<Probe> {
        let unproven = |why: &str| Probe {
            verdict: Verdict::Inconclusive(why.to_owned()),
            path: format!("ssh {owner}/{repository}"),
        };
        let Some(known_hosts) = &self.known_hosts else {
            return Ok(unproven(
                "`known_hosts` is not set for this backend: whoever answers at the SSH port could say anything",
            ));
        };
        let found: Result<Repository> =
            self.api.one("verify", Request::get(&["repos", owner, repository])).await;
        let found = match found {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(unproven("its repository is not there, or not shown to us"));
            }
            Err(error) => return Err(error),
        };
        let Some(remote) = Remote::parse(&found.ssh_url) else {
            return Ok(unproven("the forge gives no SSH address for the repository that we could use"));
        };
        Ok(ssh::login(&remote, known_hosts, value).await)
    }
}
