//! Tokens and deploy keys as credentials. What can be done with which of them is in their own files.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_backend::{
    Ending, Error, ErrorKind, Held, Identified, Issued, Issuer, Offer, Operation, Overlap, Presence, Probe,
    Prospect, Restore, Result, Sibling, ValueForm, ValueOrigin,
};
use claviger_core::{reference::Ref, secret::SecretValue};

use super::{
    backend::GiteaBackend,
    names::{Names, Subject},
    wire::last_use,
};
use crate::deploy_key;

fn unsupported(operation: &'static str, at: &Ref, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, operation, format!("{at}: {why}"))
}

#[async_trait]
impl Issuer for GiteaBackend {
    fn offer(&self, subject: &Ref) -> Option<Offer> {
        match Names::subject(subject) {
            Subject::Token { .. } => Some(Offer {
                overlap: Overlap::Dual,
                origin: ValueOrigin::MintedMarked,
                form: ValueForm::NotOurs,
                slots: None,
                settles_within: 0,
                // Measured on 1.26.0: each use is noted, to the second.
                last_used_grain: 1,
            }),
            Subject::DeployKey { .. } => Some(deploy_key::offer()),
            _ => None,
        }
    }

    async fn prospect(&self, subject: &Ref) -> Result<Prospect> {
        match Names::subject(subject) {
            Subject::Token { user, id } => self.token_prospect(subject, &user, id).await,
            Subject::DeployKey { owner, repository, id } => {
                self.key_prospect(subject, (&owner, &repository), id).await
            }
            _ => Ok(Prospect::refuse(
                "no-issue",
                format!("{subject} is nothing that another one could be made of"),
            )),
        }
    }

    async fn issue(&self, op: &Operation, subject: &Ref, value: Option<&SecretValue>) -> Result<Issued> {
        match Names::subject(subject) {
            Subject::Token { .. } if value.is_some() => {
                let text = format!("{subject}: the forge makes a token's value itself");
                Err(Error::new(ErrorKind::Invalid, "issue", text))
            }
            Subject::Token { user, id } => self.make_token(op, subject, &user, id).await,
            Subject::DeployKey { owner, repository, id } => {
                self.add_key(op, subject, ((&owner, &repository), id), value).await
            }
            _ => Err(unsupported("issue", subject, "nothing can be issued for it")),
        }
    }

    async fn issued(&self, _: &Operation, subject: &Ref) -> Result<Option<Issued>> {
        Err(unsupported("issued", subject, "it is not made under a name"))
    }

    async fn verify(&self, subject: &Ref, value: &SecretValue) -> Result<Probe> {
        match Names::subject(subject) {
            Subject::Token { user, .. } => self.try_token(&user, value).await,
            Subject::DeployKey { owner, repository, .. } => self.try_key((&owner, &repository), value).await,
            _ => Err(unsupported("verify", subject, "nobody logs in with it")),
        }
    }

    async fn identify(&self, value: &SecretValue) -> Result<Option<Identified>> {
        self.whose(value).await
    }

    async fn added(&self, subject: &Ref, value: &SecretValue) -> Result<Option<Identified>> {
        match Names::subject(subject) {
            Subject::DeployKey { owner, repository, .. } => {
                self.key_added((&owner, &repository), value).await
            }
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
            Subject::Token { user, id } => self.token_presence(&user, id).await,
            Subject::DeployKey { owner, repository, id } => {
                self.key_presence((&owner, &repository), id).await
            }
            _ => Err(unsupported("presence", subject, "it is no credential of this forge")),
        }
    }

    async fn siblings(&self, subject: &Ref) -> Result<Vec<Sibling>> {
        Err(unsupported("siblings", subject, "copies of it show no public half"))
    }

    async fn made_by(&self, op: &Operation, subject: &Ref) -> Result<Vec<Ref>> {
        match Names::subject(subject) {
            Subject::Token { user, .. } => self.tokens_made_by(op, &user).await,
            _ => Err(unsupported("made_by", subject, "nothing is issued for it")),
        }
    }

    async fn held(&self, _: &Ref) -> Result<Option<Held>> {
        Ok(None)
    }

    async fn disable(&self, _: &Operation, subject: &Ref) -> Result<()> {
        Err(unsupported("disable", subject, "the forge suspends no single credential"))
    }

    async fn enable(&self, _: &Operation, subject: &Ref) -> Result<()> {
        Err(unsupported("enable", subject, "the forge suspends no single credential"))
    }

    fn ending(&self, subject: &Ref) -> Ending {
        match Names::subject(subject) {
            Subject::Token { .. } => {
                let mut ending = Ending::default();
                if self.api.user().is_none() {
                    let text = "a token is ended with user and password only: set `user` and `password` for this backend";
                    ending.refused = Some(("no-login", text.to_owned()));
                }
                ending
            }
            Subject::DeployKey { .. } => {
                let mut ending = Ending::default();
                if self.known_hosts.is_none() {
                    let note = "`known_hosts` is not set for this backend, so that no SSH login can be shown to be refused";
                    ending.notes.push(note.to_owned());
                }
                ending
            }
            _ => Ending::refuse("no-revoke", format!("{subject} is ended by hand in the forge")),
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
            Subject::Token { user, id } => self.end_token(&user, id).await,
            Subject::DeployKey { owner, repository, id } => self.end_key((&owner, &repository), id).await,
            _ => Err(unsupported("revoke", subject, "it is no credential of this forge")),
        }
    }

    async fn last_used(&self, subject: &Ref) -> Result<Option<DateTime<Utc>>> {
        let Subject::Token { user, id } = Names::subject(subject) else { return Ok(None) };
        let token = self.token("last_used", &user, id).await?;
        Ok(token.and_then(|token| last_use(&token.last_used_at, &token.created_at)))
    }
}
