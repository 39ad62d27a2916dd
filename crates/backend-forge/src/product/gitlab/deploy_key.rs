//! Deploy keys of projects: the public half lies there, the private one wherever somebody put it. A login is shown through the SSH server.

use chrono::SecondsFormat;
use claviger_backend::{
    ErrorKind, Identified, Issued, Operation, Presence, Probe, Prospect, Result, Verdict,
};
use claviger_core::{reference::Ref, secret::SecretValue, ssh_key};
use reqwest::Method;

use super::{
    backend::GitlabBackend,
    wire::{DeployKey, Project, time},
};
use crate::{
    client::{As, Request, shown},
    deploy_key::{self, Half, Right},
    naming::successor,
    ssh::{self, Remote},
};

impl DeployKey {
    fn right(&self) -> Right {
        Right::of(!self.can_push)
    }

    /// Is this its public half? GitLab shows it with the comment that it came with.
    fn is(&self, line: &str) -> bool {
        self.key.split_whitespace().take(2).eq(line.split_whitespace())
    }
}

impl GitlabBackend {
    pub(super) async fn deploy_keys(&self, operation: &'static str, path: &str) -> Result<Vec<DeployKey>> {
        self.list(operation, &["projects", path, "deploy_keys"], &[]).await
    }

    async fn deploy_key(&self, operation: &'static str, path: &str, id: u64) -> Result<Option<DeployKey>> {
        let id = id.to_string();
        self.api.maybe(operation, Request::get(&["projects", path, "deploy_keys", &id])).await
    }

    async fn key_of(&self, operation: &'static str, path: &str, line: &str) -> Result<Option<DeployKey>> {
        match self.deploy_keys(operation, path).await {
            Ok(all) => Ok(all.into_iter().find(|key| key.is(line))),
            // Of a project that is gone there is none.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn key_prospect(&self, at: &Ref, path: &str, id: u64) -> Result<Prospect> {
        let key = self.deploy_key("prospect", path, id).await?;
        if let Some(why) = self.may_write("prospect").await? {
            return Ok(Prospect::refuse("no-scope", why));
        }
        let ends = key.as_ref().and_then(|key| self.next_expiry(key));
        let right = key.as_ref().map(DeployKey::right);
        let mut prospect = deploy_key::prospect(at, path, right, self.known_hosts.as_deref());
        prospect.notes.extend(
            ends.map(|ends| format!("the new one ends at {ends}, after as long as the old one was made for")),
        );
        Ok(prospect)
    }

    /// As long from now as the old one was made for. `None`: it does not end.
    fn next_expiry(&self, key: &DeployKey) -> Option<String> {
        let (made, ends) = (time(key.created_at.as_deref())?, time(key.expires_at.as_deref())?);
        let next = self.clock.now() + ends.signed_duration_since(made);
        Some(next.to_rfc3339_opts(SecondsFormat::Secs, true))
    }

    /// Registers the public half of `value` beside a key, with that one's right.
    pub(super) async fn add_key(
        &self,
        op: &Operation,
        at: &Ref,
        (path, id): (&str, u64),
        value: Option<&SecretValue>,
    ) -> Result<Issued> {
        let half = Half::of(value)?;
        deploy_key::by_deadline(op, at, self.register(op, at, (path, id), &half)).await
    }

    async fn register(
        &self,
        op: &Operation,
        at: &Ref,
        (path, id): (&str, u64),
        half: &Half,
    ) -> Result<Issued> {
        let present = self.deploy_key("issue", path, id).await?.ok_or_else(|| deploy_key::gone(at))?;
        // What GitLab does with one that it has already, its documents do not say for the same project: so it is not sent again.
        let known = self.key_of("issue", path, &half.line).await?;
        let (made, fresh) = match known {
            Some(known) => (known, false),
            None => (self.send_key(op, at, (path, &present), half).await?, true),
        };
        if made.right() != present.right() {
            if fresh {
                self.end_key(path, made.id).await?;
            }
            return Err(deploy_key::otherwise(at, present.right()));
        }
        Ok(Issued { at: self.key_at(path, made.id), minted: None, public_half: None })
    }

    async fn send_key(
        &self,
        op: &Operation,
        at: &Ref,
        (path, present): (&str, &DeployKey),
        half: &Half,
    ) -> Result<DeployKey> {
        let title = successor(&present.title, op);
        let mut body = serde_json::json!({ "title": title, "key": half.line, "can_push": present.can_push });
        if let Some(ends) = self.next_expiry(present) {
            body["expires_at"] = serde_json::json!(ends);
        }
        let body = body.to_string();
        let path = ["projects", path, "deploy_keys"];
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
        if answer.status == 400 && answer.mentions("has already been taken") {
            return Err(deploy_key::taken(at, half));
        }
        answer.good(call)?.json(call)
    }

    /// The key that was added with this value.
    pub(super) async fn key_added(&self, path: &str, value: &SecretValue) -> Result<Option<Identified>> {
        let Some(line) = ssh_key::public_line(value) else { return Ok(None) };
        let found = self.key_of("added", path, &line).await?;
        Ok(found.map(|key| Identified { at: self.key_at(path, key.id) }))
    }

    fn key_at(&self, path: &str, id: u64) -> Ref {
        self.names.object(&format!("{path}/deploy-keys/{id}"))
    }

    pub(super) async fn key_presence(&self, path: &str, id: u64) -> Result<Presence> {
        let key = self.deploy_key("presence", path, id).await?;
        Ok(key.map_or(Presence::Absent, |key| {
            Presence::Present(format!("{id} {}", key.created_at.unwrap_or_default()))
        }))
    }

    /// Takes it from the project; GitLab deletes it when no other project has it.
    pub(super) async fn end_key(&self, path: &str, id: u64) -> Result<()> {
        self.delete(&["projects", path, "deploy_keys", &id.to_string()]).await
    }

    /// Asks for the project's refs with the private key, at the address that GitLab itself gives for cloning.
    pub(super) async fn try_key(&self, path: &str, value: &SecretValue) -> Result<Probe> {
        let unproven = |why: &str| {
            Ok(Probe { verdict: Verdict::Inconclusive(why.to_owned()), path: format!("ssh {path}") })
        };
        let Some(known_hosts) = &self.known_hosts else {
            return unproven(
                "`known_hosts` is not set for this backend: whoever answers at the SSH port could say anything",
            );
        };
        let found: Option<Project> = self.api.maybe("verify", Request::get(&["projects", path])).await?;
        let Some(found) = found else {
            return unproven("its project is not there, or not shown to us");
        };
        let Some(remote) = found.ssh_url_to_repo.as_deref().and_then(Remote::parse) else {
            return unproven("GitLab gives no SSH address for the project that we could use");
        };
        Ok(ssh::login(&remote, known_hosts, value).await)
    }
}
