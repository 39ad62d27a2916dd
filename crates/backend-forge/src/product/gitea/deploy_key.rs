//! Deploy keys: the public half lies at a repository, the private one wherever somebody put it. A login is shown through the SSH server.

use claviger_backend::{
    ErrorKind, Identified, Issued, Operation, Presence, Probe, Prospect, Result, Verdict,
};
use claviger_core::{reference::Ref, secret::SecretValue, ssh_key};
use reqwest::Method;

use super::{
    backend::GiteaBackend,
    wire::{DeployKey, Repository},
};
use crate::{
    client::{As, Request, shown},
    deploy_key::{self, Half, Right},
    naming::successor,
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

    /// The key with this public half at a repository.
    async fn key_of(
        &self,
        operation: &'static str,
        (owner, repository): (&str, &str),
        fingerprint: &str,
    ) -> Result<Option<DeployKey>> {
        let path = ["repos", owner, repository, "keys"];
        let all: Vec<DeployKey> = match self.api.all(operation, Request::get(&path)).await {
            // Of a repository that is gone there is none.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            all => all?,
        };
        Ok(all.into_iter().find(|key| key.fingerprint == fingerprint))
    }

    pub(super) async fn key_prospect(&self, at: &Ref, repository: (&str, &str), id: u64) -> Result<Prospect> {
        let key = self.deploy_key("prospect", repository, id).await?;
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
        let call = self.api.call("issue", &what, true);
        let answer = self.api.send(call, request).await?;
        let (made, fresh) = if answer.status == 422 {
            // It may be there by an earlier attempt of ours, as nobody else has the private half. Other things are called invalid too.
            match self.key_of("issue", repository, &half.fingerprint).await? {
                Some(known) => (known, false),
                None if answer.mentions("content has been used") => return Err(deploy_key::taken(at, half)),
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
        let Some(fingerprint) = ssh_key::fingerprint(value) else { return Ok(None) };
        let found = self.key_of("added", repository, &fingerprint).await?;
        Ok(found.map(|key| Identified { at: self.key_at(repository, key.id) }))
    }

    fn key_at(&self, (owner, repository): (&str, &str), id: u64) -> Ref {
        self.names.object(&format!("{owner}/{repository}/deploy-keys/{id}"))
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
