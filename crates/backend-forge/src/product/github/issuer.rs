//! Tokens and deploy keys as credentials. What can be done with which of them is in their own files.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_backend::{
    Ending, Error, ErrorKind, Held, Identified, Issued, Issuer, Offer, Operation, Presence, Probe, Prospect,
    Restore, Result, Sibling,
};
use claviger_core::{reference::Ref, secret::SecretValue};

use super::{
    backend::GithubBackend,
    names::{Names, Subject},
    token::{is_of_application, is_token},
};
use crate::deploy_key;

fn unsupported(operation: &'static str, at: &Ref, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, operation, format!("{at}: {why}"))
}

#[async_trait]
impl Issuer for GithubBackend {
    fn offer(&self, subject: &Ref) -> Option<Offer> {
        matches!(Names::subject(subject), Subject::DeployKey { .. }).then(deploy_key::offer)
    }

    async fn prospect(&self, subject: &Ref) -> Result<Prospect> {
        if let Subject::DeployKey { owner, repository, id } = Names::subject(subject) {
            return self.key_prospect(subject, (&owner, &repository), id).await;
        }
        Ok(Prospect::refuse(
            "no-issue",
            format!("{subject} is made by hand: GitHub lets no program make one"),
        ))
    }

    async fn issue(&self, op: &Operation, subject: &Ref, value: Option<&SecretValue>) -> Result<Issued> {
        if let Subject::DeployKey { owner, repository, id } = Names::subject(subject) {
            return self.add_key(op, subject, ((&owner, &repository), id), value).await;
        }
        Err(unsupported("issue", subject, "nothing can be issued for it"))
    }

    async fn issued(&self, _: &Operation, subject: &Ref) -> Result<Option<Issued>> {
        Err(unsupported("issued", subject, "it is not made under a name"))
    }

    async fn verify(&self, subject: &Ref, value: &SecretValue) -> Result<Probe> {
        match Names::subject(subject) {
            token @ (Subject::Grant { .. } | Subject::Authorisation { .. }) => {
                self.try_token(&token, value).await
            }
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
            token @ (Subject::Grant { .. } | Subject::Authorisation { .. }) => {
                self.token_presence(&token).await
            }
            Subject::DeployKey { owner, repository, id } => {
                self.key_presence((&owner, &repository), id).await
            }
            _ => Err(unsupported("presence", subject, "it is no credential of this forge")),
        }
    }

    async fn siblings(&self, subject: &Ref) -> Result<Vec<Sibling>> {
        Err(unsupported("siblings", subject, "copies of it show no public half"))
    }

    async fn made_by(&self, _: &Operation, subject: &Ref) -> Result<Vec<Ref>> {
        Err(unsupported("made_by", subject, "nothing is issued for it"))
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
        let mut ending = Ending::default();
        match Names::subject(subject) {
            Subject::Grant { .. } | Subject::Authorisation { .. } => {
                ending.by_value = true;
                let note = "where its value is held it is reported to the forge as exposed, which ends it everywhere and tells its owner; without the value it is only shut out of this organisation, and may work elsewhere";
                ending.notes.push(note.to_owned());
            }
            Subject::DeployKey { .. } => {
                if self.known_hosts.is_none() {
                    let note = "`known_hosts` is not set for this backend, so that no SSH login can be shown to be refused";
                    ending.notes.push(note.to_owned());
                }
            }
            _ => return Ending::refuse("no-revoke", format!("{subject} is ended by hand in the forge")),
        }
        ending
    }

    async fn revoke(&self, _: &Operation, subject: &Ref, expect: Option<&str>) -> Result<()> {
        if !self.is_expected(subject, expect).await? {
            return Ok(());
        }
        self.shut(subject).await
    }

    async fn revoke_held(
        &self,
        _: &Operation,
        subject: &Ref,
        value: &SecretValue,
        expect: Option<&str>,
    ) -> Result<()> {
        let listed = self.is_expected(subject, expect).await?;
        if is_token(subject) {
            // Also where no list shows it any more: the value may work on.
            let ended = match self.access.application().filter(|_| is_of_application(value)) {
                Some(client) => self.end_of_application(client, value).await?,
                None => false,
            };
            if !ended {
                match self.report(value).await {
                    // An Enterprise Server takes no reports. What is left is the organisation's door, and a login shows that it was no end.
                    Err(error) if error.kind() == ErrorKind::Unsupported => {}
                    outcome => outcome?,
                }
            }
        }
        // The list may know it for a while longer.
        if listed { self.shut(subject).await } else { Ok(()) }
    }

    async fn last_used(&self, _: &Ref) -> Result<Option<DateTime<Utc>>> {
        // Told by the day or later, and of no use as evidence.
        Ok(None)
    }
}

impl GithubBackend {
    /// Is it there, and the one that was expected? `false`: it is not there.
    async fn is_expected(&self, subject: &Ref, expect: Option<&str>) -> Result<bool> {
        match self.presence(subject).await? {
            Presence::Absent => Ok(false),
            Presence::Present(found) if expect.is_some_and(|expect| expect != found) => {
                let text = format!("{subject} is another one than was expected");
                Err(Error::new(ErrorKind::Conflict, "revoke", text))
            }
            Presence::Present(_) => Ok(true),
        }
    }

    /// Ends what its name is enough for.
    async fn shut(&self, subject: &Ref) -> Result<()> {
        match Names::subject(subject) {
            token @ (Subject::Grant { .. } | Subject::Authorisation { .. }) => self.shut_out(&token).await,
            Subject::DeployKey { owner, repository, id } => self.end_key((&owner, &repository), id).await,
            _ => Err(unsupported("revoke", subject, "it is no credential of this forge")),
        }
    }
}
