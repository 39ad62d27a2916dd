//! Access tokens, deploy tokens, triggers and runners as credentials. What can be done with which of them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_backend::{
    Ending, Error, ErrorKind, Held, Identified, Issued, Issuer, Offer, Operation, Overlap, Presence, Probe,
    Prospect, Restore, Result, Sibling, ValueForm, ValueOrigin, Verdict,
};
use claviger_core::{reference::Ref, secret::SecretValue};

use super::{
    backend::GitlabBackend,
    names::{Names, Subject},
    wire::{DeployToken, Trigger, time},
};
use crate::{client::Request, deploy_key};

/// GitLab notes a use at most every ten minutes (its documents on personal access tokens), in seconds.
const NOTED_WITHIN: u32 = 600;

fn unsupported(operation: &'static str, at: &Ref, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, operation, format!("{at}: {why}"))
}

impl GitlabBackend {
    async fn deploy_token(
        &self,
        operation: &'static str,
        path: &str,
        id: u64,
    ) -> Result<Option<DeployToken>> {
        let Some(home) = self.home(operation, path).await? else { return Ok(None) };
        let id = id.to_string();
        let mut path = home.of("deploy_tokens");
        path.push(&id);
        let found: Option<DeployToken> = self.api.maybe(operation, Request::get(&path)).await?;
        Ok(found.filter(|found| !found.revoked))
    }

    async fn trigger(&self, operation: &'static str, path: &str, id: u64) -> Result<Option<Trigger>> {
        let id = id.to_string();
        self.api.maybe(operation, Request::get(&["projects", path, "triggers", &id])).await
    }
}

#[async_trait]
impl Issuer for GitlabBackend {
    fn offer(&self, subject: &Ref) -> Option<Offer> {
        match Names::subject(subject) {
            Subject::Token { .. } => Some(Offer {
                overlap: Overlap::Dual,
                origin: ValueOrigin::MintedMarked,
                form: ValueForm::NotOurs,
                slots: None,
                settles_within: 0,
                last_used_grain: NOTED_WITHIN,
            }),
            Subject::DeployKey { .. } => Some(deploy_key::offer()),
            _ => None,
        }
    }

    async fn prospect(&self, subject: &Ref) -> Result<Prospect> {
        match Names::subject(subject) {
            Subject::Token { holder, id } => self.token_prospect(subject, &holder, id).await,
            Subject::DeployKey { path, id } => self.key_prospect(subject, &path, id).await,
            // Said here, so that the reader of a plan need not guess.
            Subject::DeployToken { .. } => Ok(Prospect::refuse(
                "no-issue",
                format!(
                    "{subject}: a deploy token goes with a user name that its copies hold too, and no login with it proves anything: make another by hand"
                ),
            )),
            Subject::Trigger { .. } => Ok(Prospect::refuse(
                "no-issue",
                format!(
                    "{subject}: whoever tries a trigger starts a pipeline, so that another one could not be shown to work before the old one ends: make it by hand"
                ),
            )),
            Subject::Runner(_) => Ok(Prospect::refuse(
                "no-issue",
                format!(
                    "{subject}: a runner has one token, which lies in its own configuration and which it changes by itself where the token ends"
                ),
            )),
            _ => Ok(Prospect::refuse(
                "no-issue",
                format!("{subject} is nothing that another one could be made of"),
            )),
        }
    }

    async fn issue(&self, op: &Operation, subject: &Ref, value: Option<&SecretValue>) -> Result<Issued> {
        match Names::subject(subject) {
            Subject::Token { .. } if value.is_some() => {
                let text = format!("{subject}: GitLab makes a token's value itself");
                Err(Error::new(ErrorKind::Invalid, "issue", text))
            }
            Subject::Token { holder, id } => self.make_token(op, subject, &holder, id).await,
            Subject::DeployKey { path, id } => self.add_key(op, subject, (&path, id), value).await,
            _ => Err(unsupported("issue", subject, "nothing can be issued for it")),
        }
    }

    async fn issued(&self, _: &Operation, subject: &Ref) -> Result<Option<Issued>> {
        Err(unsupported("issued", subject, "it is not made under a name"))
    }

    async fn verify(&self, subject: &Ref, value: &SecretValue) -> Result<Probe> {
        let unproven = |why: &str| {
            Ok(Probe { verdict: Verdict::Inconclusive(why.to_owned()), path: format!("none for {subject}") })
        };
        match Names::subject(subject) {
            Subject::Token { id, .. } => self.try_token(id, value).await,
            Subject::DeployKey { path, .. } => self.try_key(&path, value).await,
            Subject::DeployToken { .. } => unproven(
                "a deploy token opens repositories and registries, some of which are open to everybody: no login with it proves anything",
            ),
            Subject::Trigger { .. } => unproven("whoever uses it starts a pipeline"),
            Subject::Runner(_) => unproven("whoever uses it is taken for the runner"),
            _ => Err(unsupported("verify", subject, "nobody logs in with it")),
        }
    }

    async fn identify(&self, value: &SecretValue) -> Result<Option<Identified>> {
        self.whose(value).await
    }

    async fn added(&self, subject: &Ref, value: &SecretValue) -> Result<Option<Identified>> {
        match Names::subject(subject) {
            Subject::DeployKey { path, .. } => self.key_added(&path, value).await,
            _ => Err(unsupported("added", subject, "no value of ours is added beside it")),
        }
    }

    async fn snapshot(&self, _: &Ref) -> Result<Option<Restore>> {
        Ok(None)
    }

    async fn restore(&self, _: &Operation, subject: &Ref, _: &Restore) -> Result<()> {
        Err(unsupported("restore", subject, "a former value cannot be put back"))
    }

    async fn presence(&self, subject: &Ref) -> Result<Presence> {
        match Names::subject(subject) {
            Subject::Token { holder, id } => self.token_presence(&holder, id).await,
            Subject::DeployKey { path, id } => self.key_presence(&path, id).await,
            Subject::DeployToken { path, id } => {
                let found = self.deploy_token("presence", &path, id).await?;
                Ok(found
                    .map_or(Presence::Absent, |found| Presence::Present(format!("{id} {}", found.username))))
            }
            Subject::Trigger { path, id } => {
                let found = self.trigger("presence", &path, id).await?;
                Ok(found.map_or(Presence::Absent, |found| {
                    Presence::Present(format!("{id} {}", found.created_at.unwrap_or_default()))
                }))
            }
            _ => Err(unsupported("presence", subject, "it is no credential that is looked at here")),
        }
    }

    async fn siblings(&self, subject: &Ref) -> Result<Vec<Sibling>> {
        Err(unsupported("siblings", subject, "copies of it show no public half"))
    }

    async fn made_by(&self, op: &Operation, subject: &Ref) -> Result<Vec<Ref>> {
        match Names::subject(subject) {
            Subject::Token { holder, .. } => self.tokens_made_by(op, &holder).await,
            _ => Err(unsupported("made_by", subject, "nothing is issued for it")),
        }
    }

    async fn held(&self, _: &Ref) -> Result<Option<Held>> {
        Ok(None)
    }

    async fn disable(&self, _: &Operation, subject: &Ref) -> Result<()> {
        Err(unsupported("disable", subject, "GitLab suspends no single credential"))
    }

    async fn enable(&self, _: &Operation, subject: &Ref) -> Result<()> {
        Err(unsupported("enable", subject, "GitLab suspends no single credential"))
    }

    fn ending(&self, subject: &Ref) -> Ending {
        let unproven = |why: &str| Ending { notes: vec![why.to_owned()], ..Ending::default() };
        match Names::subject(subject) {
            Subject::Token { .. } => Ending::default(),
            Subject::DeployKey { .. } if self.known_hosts.is_none() => unproven(
                "`known_hosts` is not set for this backend, so that no SSH login can be shown to be refused",
            ),
            Subject::DeployKey { .. } => Ending::default(),
            Subject::DeployToken { .. } => {
                unproven("no login with a deploy token proves anything: that it is gone, GitLab alone says")
            }
            Subject::Trigger { .. } => {
                unproven("a login with it would start a pipeline: that it is gone, GitLab alone says")
            }
            Subject::Runner(_) => Ending::refuse(
                "no-revoke",
                format!(
                    "{subject}: reset the runner's token in GitLab and register it anew, or remove the runner there"
                ),
            ),
            _ => Ending::refuse("no-revoke", format!("{subject} is ended by hand in GitLab")),
        }
    }

    async fn revoke(&self, _: &Operation, subject: &Ref, expect: Option<&str>) -> Result<()> {
        let found = match self.presence(subject).await? {
            Presence::Absent => return Ok(()),
            Presence::Present(found) => found,
        };
        if expect.is_some_and(|expect| expect != found) {
            let text = format!("{subject} is another one than was expected");
            return Err(Error::new(ErrorKind::Conflict, "revoke", text));
        }
        match Names::subject(subject) {
            Subject::Token { holder, id } => self.end_token(&holder, id).await,
            Subject::DeployKey { path, id } => self.end_key(&path, id).await,
            Subject::DeployToken { path, id } => {
                let Some(home) = self.home("revoke", &path).await? else { return Ok(()) };
                let id = id.to_string();
                let mut path = home.of("deploy_tokens");
                path.push(&id);
                self.delete(&path).await
            }
            Subject::Trigger { path, id } => {
                self.delete(&["projects", &path, "triggers", &id.to_string()]).await
            }
            _ => Err(unsupported("revoke", subject, "it is no credential that is ended here")),
        }
    }

    async fn last_used(&self, subject: &Ref) -> Result<Option<DateTime<Utc>>> {
        let Subject::Token { holder, id } = Names::subject(subject) else { return Ok(None) };
        let token = self.living("last_used", &holder, id).await?;
        Ok(token.and_then(|token| time(token.last_used_at.as_deref())))
    }
}
