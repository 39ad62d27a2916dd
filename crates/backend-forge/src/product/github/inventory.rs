//! The stream of a scan: which organisations and repositories there are, and what each of them has.

mod apps;
mod deploy_keys;
mod environments;
mod hooks;
mod identity;
mod leaks;
mod secrets;
mod tokens;
mod workflows;

use std::collections::BTreeSet;

use claviger_backend::{Error, ErrorKind, Phase, Result, ScanSink};
use claviger_core::{
    model::{Scope, ScopeStatus},
    observation::Observation,
};

use super::{
    backend::GithubBackend,
    names::{Family, Names, Owner},
    wire::{Account, Repositories, Repository},
};
use crate::client::Request;

/// The area of the lists of what there is.
pub(super) const INSTANCE: &str = "instance";
/// The list of a repository's environments.
pub(super) const ENVIRONMENTS: &str = "environments";

/// A scan of one backend.
pub(super) struct Survey<'b> {
    pub(super) backend: &'b GithubBackend,
}

/// A part of a scope, and what is in it; or why it could not be read.
pub(super) type Part = (&'static str, Result<Vec<Observation>>);

impl GithubBackend {
    /// All repositories that we may see, of the owners that are ours to read.
    pub(super) async fn repositories(&self, operation: &'static str) -> Result<Vec<Repository>> {
        let all = if self.access.is_app() {
            let path = ["installation", "repositories"];
            self.access.all::<Repository, Repositories>(operation, Request::get(&path)).await?
        } else {
            self.access
                .all::<Repository, Vec<Repository>>(operation, Request::get(&["user", "repos"]))
                .await?
        };
        Ok(all.into_iter().filter(|one| self.access.owners().admit(&one.owner.login)).collect())
    }

    /// The organisations that are ours to read, and why there may be more.
    pub(super) async fn organisations(
        &self,
        operation: &'static str,
    ) -> Result<(BTreeSet<String>, Option<String>)> {
        let owners = self.repositories(operation).await?.into_iter().map(|one| one.owner);
        let mut all: BTreeSet<String> =
            owners.filter(Account::is_organisation).map(|owner| owner.login).collect();
        let mut missing = None;
        if !self.access.is_app() {
            match self.access.all::<Account, Vec<Account>>(operation, Request::get(&["user", "orgs"])).await {
                Ok(own) => all.extend(own.into_iter().map(|one| one.login)),
                Err(error) if error.kind() == ErrorKind::Denied => {
                    missing = Some("our token may not list its organisations (`read:org`): those of the repositories are read".to_owned());
                }
                Err(error) => return Err(error),
            }
        }
        Ok((all.into_iter().filter(|one| self.access.owners().admit(one)).collect(), missing))
    }
}

impl Survey<'_> {
    pub(super) async fn run(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        match phase {
            Phase::Issuers => self.issuers(sink).await,
            Phase::Stores => self.stores(sink).await,
        }
    }

    async fn issuers(&self, sink: &mut ScanSink) -> Result<()> {
        for organisation in self.named_organisations(sink).await? {
            let area = format!("orgs/{organisation}");
            self.part(sink, &area, ("tokens", self.fine_grained(&organisation).await)).await?;
            self.part(sink, &area, ("authorizations", self.classic(&organisation).await)).await?;
            self.part(sink, &area, ("apps", self.apps(&organisation).await)).await?;
        }
        for repository in self.named_repositories(sink).await? {
            let (owner, name) = (repository.owner.login.as_str(), repository.name.as_str());
            let keys = self.deploy_keys(owner, name).await;
            self.part(sink, &format!("{owner}/{name}"), ("deploy-keys", keys)).await?;
        }
        Ok(())
    }

    async fn stores(&self, sink: &mut ScanSink) -> Result<()> {
        for organisation in self.named_organisations(sink).await? {
            let owner = Owner::Organisation(organisation.clone());
            for family in Family::ALL {
                self.secrets(sink, &owner, family).await?;
            }
            self.part(sink, &owner.path(), ("variables", self.variables(&owner).await)).await?;
            self.hooks(sink, &owner.path(), &["orgs", &organisation, "hooks"]).await?;
            let path = ["orgs", organisation.as_str(), "secret-scanning", "alerts"];
            self.leaks(sink, &owner.path(), &path).await?;
        }
        for repository in self.named_repositories(sink).await? {
            self.repository(sink, &repository).await?;
        }
        Ok(())
    }

    async fn repository(&self, sink: &mut ScanSink, repository: &Repository) -> Result<()> {
        let (login, name) = (repository.owner.login.as_str(), repository.name.as_str());
        let owner = Owner::repository(login, name);
        let area = owner.path();
        let mut names = BTreeSet::new();
        for family in Family::ALL {
            let found = self.secrets(sink, &owner, family).await?;
            if family == Family::Actions {
                names = found;
            }
        }
        self.part(sink, &area, ("variables", self.variables(&owner).await)).await?;
        self.hooks(sink, &area, &["repos", login, name, "hooks"]).await?;
        let guarded = self.environments(sink, login, name).await?;
        let workflows = self.workflows(repository, &names, &guarded).await;
        self.part(sink, &area, ("workflows", workflows)).await?;
        // An organisation's alerts are listed with it; a user's repository has nobody else to ask.
        if !repository.owner.is_organisation() {
            self.leaks(sink, &area, &["repos", login, name, "secret-scanning", "alerts"]).await?;
        }
        Ok(())
    }

    async fn named_organisations(&self, sink: &mut ScanSink) -> Result<BTreeSet<String>> {
        let scope = Scope::new(INSTANCE, "organisations");
        match self.backend.organisations("inventory").await {
            Ok((all, missing)) => {
                match missing {
                    None => sink.complete(&scope).await?,
                    Some(why) => sink.end(&scope, ScopeStatus::Denied, Some(why)).await?,
                }
                Ok(all)
            }
            Err(error) => {
                self.refused(sink, &scope, &error).await?;
                Ok(BTreeSet::new())
            }
        }
    }

    /// The repositories that refs can name. The list is a scope of both phases: whatever it does not show is unread in both.
    async fn named_repositories(&self, sink: &mut ScanSink) -> Result<Vec<Repository>> {
        let scope = Scope::new(INSTANCE, "repositories");
        match self.backend.repositories("inventory").await {
            Ok(all) => {
                sink.complete(&scope).await?;
                Ok(all.into_iter().filter(|one| !Names::is_reserved(&one.owner.login)).collect())
            }
            Err(error) => {
                self.refused(sink, &scope, &error).await?;
                Ok(Vec::new())
            }
        }
    }

    /// Sends one part of an area, and how it ended. What is refused to us is told, and the others go on.
    async fn part(&self, sink: &mut ScanSink, area: &str, (part, items): Part) -> Result<()> {
        let scope = Scope::new(area, part);
        match items {
            Ok(items) => {
                sink.page(&scope, items).await?;
                sink.complete(&scope).await
            }
            Err(error) => self.refused(sink, &scope, &error).await,
        }
    }

    async fn refused(&self, sink: &mut ScanSink, scope: &Scope, error: &Error) -> Result<()> {
        let status = match error.kind() {
            // What a token may not see is not there for it.
            ErrorKind::Denied | ErrorKind::NotFound => ScopeStatus::Denied,
            ErrorKind::Unsupported => ScopeStatus::Unreadable,
            _ => ScopeStatus::Failed,
        };
        let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        sink.end(scope, status, Some(format!("{}{hint}", error.message()))).await
    }
}
