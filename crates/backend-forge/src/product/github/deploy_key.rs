//! Deploy keys: the public half lies at a repository, the private one wherever somebody put it. A login is shown through the SSH server.

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::STANDARD_NO_PAD};
use claviger_backend::{
    ErrorKind, Identified, Issued, Operation, Presence, Probe, Prospect, Result, Verdict,
};
use claviger_core::{
    model::{Handle, HandleScheme},
    reference::Ref,
    secret::SecretValue,
    ssh_key,
};
use reqwest::Method;
use sha2::{Digest as _, Sha256};

use super::{backend::GithubBackend, wire::DeployKey};
use crate::{
    client::{As, Request, shown},
    deploy_key::{self, Half, Right},
    naming::successor,
    ssh::{self, Remote},
};

impl GithubBackend {
    async fn deploy_key(
        &self,
        operation: &'static str,
        (owner, repository): (&str, &str),
        id: u64,
    ) -> Result<Option<DeployKey>> {
        let number = id.to_string();
        self.access.maybe(operation, Request::get(&["repos", owner, repository, "keys", &number])).await
    }

    /// The key with this public half at a repository.
    async fn key_of(
        &self,
        operation: &'static str,
        (owner, repository): (&str, &str),
        half: &str,
    ) -> Result<Option<DeployKey>> {
        let path = ["repos", owner, repository, "keys"];
        let all = self.access.all::<DeployKey, Vec<DeployKey>>(operation, Request::get(&path)).await;
        let all = match all {
            // Of a repository that is gone there is none.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            all => all?,
        };
        let is_it = |key: &DeployKey| fingerprint(&key.key).is_some_and(|found| found.value == half);
        Ok(all.into_iter().find(is_it))
    }

    pub(super) async fn key_prospect(&self, at: &Ref, repository: (&str, &str), id: u64) -> Result<Prospect> {
        let key = self.deploy_key("prospect", repository, id).await?;
        if key.as_ref().is_some_and(|key| key.enabled == Some(false)) {
            let text = format!("{at} is disabled by its organisation: another one would be too");
            return Ok(Prospect::refuse("disabled", text));
        }
        let right = key.map(|key| Right::of(key.read_only));
        let place = format!("{}/{}", repository.0, repository.1);
        Ok(deploy_key::prospect(at, &place, right, self.known_hosts.as_deref()))
    }

    /// Registers the public half of `value` beside a key, with that one's right.
    pub(super) async fn add_key(
        &self,
        op: &Operation,
        at: &Ref,
        (repository, id): ((&str, &str), u64),
        value: Option<&SecretValue>,
    ) -> Result<Issued> {
        let half = Half::of(value)?;
        deploy_key::by_deadline(op, at, self.register(op, at, (repository, id), &half)).await
    }

    async fn register(
        &self,
        op: &Operation,
        at: &Ref,
        (repository, id): ((&str, &str), u64),
        half: &Half,
    ) -> Result<Issued> {
        let present = self.deploy_key("issue", repository, id).await?;
        let present = present.ok_or_else(|| deploy_key::gone(at))?;
        let right = Right::of(present.read_only);
        let title = successor(&present.title, op);
        let body = serde_json::json!({ "title": title, "key": half.line, "read_only": right.is_read_only() })
            .to_string();
        let path = ["repos", repository.0, repository.1, "keys"];
        let request = Request {
            method: &Method::POST,
            path: &path,
            query: &[],
            who: As::Us,
            body: Some(body.as_bytes()),
        };
        let what = shown(request);
        let call = self.access.call("issue", &what, true);
        let answer = self.access.send(call, request).await?;
        // It may be there by an earlier attempt of ours, as nobody else has the private half. Other things are called invalid too.
        let (made, fresh) = if answer.status == 422 {
            match self.key_of("issue", repository, &half.fingerprint).await? {
                Some(known) => (known, false),
                None if answer.mentions("already in use") => return Err(deploy_key::taken(at, half)),
                None => return Err(call.refused(answer.status, None)),
            }
        } else {
            (answer.good(call)?.json::<DeployKey>(call)?, true)
        };
        if made.read_only != right.is_read_only() {
            if fresh {
                self.end_key(repository, made.id).await?;
            }
            return Err(deploy_key::otherwise(at, right));
        }
        Ok(Issued { at: self.key_at(repository, made.id), minted: None, public_half: None })
    }

    /// The key that was added with this value.
    pub(super) async fn key_added(
        &self,
        repository: (&str, &str),
        value: &SecretValue,
    ) -> Result<Option<Identified>> {
        let Some(half) = ssh_key::fingerprint(value) else { return Ok(None) };
        let found = self.key_of("added", repository, &half).await?;
        Ok(found.map(|key| Identified { at: self.key_at(repository, key.id) }))
    }

    fn key_at(&self, (owner, repository): (&str, &str), id: u64) -> Ref {
        self.names.object(&format!("{owner}/{repository}/deploy-keys/{id}"))
    }

    pub(super) async fn key_presence(&self, repository: (&str, &str), id: u64) -> Result<Presence> {
        let key = self.deploy_key("presence", repository, id).await?;
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
        let url = format!("ssh://git@{}/{owner}/{repository}.git", self.ssh_host);
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
