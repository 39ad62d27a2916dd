//! Deploy keys: the public half lies at a repository, the private one wherever somebody put it. A login is shown through the SSH server.

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::STANDARD_NO_PAD};
use claviger_backend::{Presence, Probe, Result, Verdict};
use claviger_core::{
    model::{Handle, HandleScheme},
    secret::SecretValue,
};
use sha2::{Digest as _, Sha256};

use super::{backend::GithubBackend, wire::DeployKey};
use crate::{
    client::Request,
    ssh::{self, Remote},
};

impl GithubBackend {
    pub(super) async fn key_presence(&self, (owner, repository): (&str, &str), id: u64) -> Result<Presence> {
        let number = id.to_string();
        let path = ["repos", owner, repository, "keys", &number];
        let key: Option<DeployKey> = self.access.maybe("presence", Request::get(&path)).await?;
        Ok(key.map_or(Presence::Absent, |key| Presence::Present(format!("{id} {}", key.created_at))))
    }

    pub(super) async fn end_key(&self, (owner, repository): (&str, &str), id: u64) -> Result<()> {
        let id = id.to_string();
        self.delete(&["repos", owner, repository, "keys", &id]).await
    }

    /// Asks for the repository's refs with the private key.
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
        let url = format!("git@{}:{owner}/{repository}.git", self.ssh_host);
        let Some(remote) = Remote::parse(&url) else {
            return Ok(unproven("no SSH address could be made of the repository's name"));
        };
        Ok(ssh::login(&remote, known_hosts, value).await)
    }
}

/// OpenSSH's fingerprint of a public key as `authorized_keys` has it: what a private half shows too.
pub(super) fn fingerprint(key: &str) -> Option<Handle> {
    let blob = STANDARD.decode(key.split_whitespace().nth(1)?).ok()?;
    let digest = STANDARD_NO_PAD.encode(Sha256::digest(blob));
    Some(Handle::new(HandleScheme::SshFingerprint, format!("SHA256:{digest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_the_one_that_ssh_keygen_prints() {
        // `ssh-keygen -lf` on GitHub's own host key, published in its "SSH key fingerprints".
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl comment";
        let found = fingerprint(key).expect("a key");
        assert_eq!(found.value, "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
        assert_eq!(fingerprint("ssh-ed25519"), None);
        assert_eq!(fingerprint("ssh-ed25519 !"), None);
    }
}
