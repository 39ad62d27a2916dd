//! The stream of a scan: which users, organisations and repositories there are, and what each of them has.

mod accounts;
mod deploy_keys;
mod hooks;
mod secrets;
mod workflows;

use claviger_backend::{Error, ErrorKind, Phase, Result, ScanSink};
use claviger_core::{
    model::{Scope, ScopeStatus},
    observation::Observation,
};
use serde::de::DeserializeOwned;

use super::{
    backend::GiteaBackend,
    names::{Names, Owner},
    wire::{Found, Organisation, Repository, User},
};
use crate::client::Request;

/// The area of the lists of what there is.
pub(super) const INSTANCE: &str = "instance";

/// A scan of one backend.
pub(super) struct Survey<'b> {
    pub(super) backend: &'b GiteaBackend,
}

/// Who there is, as far as we may know.
pub(super) struct Users {
    pub(super) all: Vec<User>,
    /// Why there may be more.
    pub(super) missing: Option<String>,
}

/// A part of a scope, and what is in it; or why it could not be read.
pub(super) type Part = (&'static str, Result<Vec<Observation>>);

impl GiteaBackend {
    /// All users; where only site administrators see them, the one that we are.
    pub(super) async fn users(&self, operation: &'static str) -> Result<Users> {
        match self.api.all::<User>(operation, Request::get(&["admin", "users"])).await {
            Ok(all) => {
                let all = all.into_iter().filter(|user| self.owners.admit(&user.login)).collect();
                Ok(Users { all, missing: None })
            }
            Err(error) if error.kind() == ErrorKind::Denied => {
                let ourselves: User = self.api.one(operation, Request::get(&["user"])).await?;
                let missing =
                    "only a site administrator with `read:admin` may list users: the own one is read"
                        .to_owned();
                let all = vec![ourselves].into_iter().filter(|user| self.owners.admit(&user.login)).collect();
                Ok(Users { all, missing: Some(missing) })
            }
            Err(error) => Err(error),
        }
    }

    /// All organisations; where only site administrators see them, those that we are in.
    async fn organisations(&self) -> Result<(Vec<Organisation>, Option<String>)> {
        let (all, missing) = match self.api.all("inventory", Request::get(&["admin", "orgs"])).await {
            Ok(all) => (all, None),
            Err(error) if error.kind() == ErrorKind::Denied => {
                let own = self.api.all("inventory", Request::get(&["user", "orgs"])).await?;
                let missing = "only a site administrator with `read:admin` may list organisations: the own ones are read";
                (own, Some(missing.to_owned()))
            }
            Err(error) => return Err(error),
        };
        let admitted = all.into_iter().filter(|one: &Organisation| self.owners.admit(&one.name)).collect();
        Ok((admitted, missing))
    }

    /// All repositories that we may see, of the owners that are ours to read.
    pub(super) async fn repositories(&self, operation: &'static str) -> Result<Vec<Repository>> {
        let (mut all, mut taken) = (Vec::new(), 0);
        for number in 1.. {
            let request = Request::get(&["repos", "search"]);
            let (items, more) = self.api.page::<Repository, Found>(operation, request, number, taken).await?;
            taken += items.len();
            all.extend(items.into_iter().filter(|one| self.owners.admit(&one.owner.login)));
            if !more {
                break;
            }
        }
        Ok(all)
    }

    /// A list below an owner.
    async fn list<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Vec<T>> {
        self.api.all("inventory", Request::get(path)).await
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
        let users = self.backend.users("inventory").await?;
        let scope = Scope::new(INSTANCE, "users");
        sink.page(&scope, users.all.iter().flat_map(|user| self.account(user)).collect()).await?;
        match &users.missing {
            None => sink.complete(&scope).await?,
            Some(why) => sink.end(&scope, ScopeStatus::Denied, Some(why.clone())).await?,
        }
        for user in &users.all {
            let area = format!("users/{}", user.login);
            self.part(sink, &area, ("tokens", self.tokens(user).await)).await?;
            self.part(sink, &area, ("keys", self.keys(user).await)).await?;
        }
        for repository in self.named_repositories(sink, Phase::Issuers).await? {
            let (owner, name) = (repository.owner.login.as_str(), repository.name.as_str());
            self.part(sink, &format!("{owner}/{name}"), ("deploy-keys", self.deploy_keys(owner, name).await))
                .await?;
        }
        Ok(())
    }

    async fn stores(&self, sink: &mut ScanSink) -> Result<()> {
        let scope = Scope::new(INSTANCE, "organisations");
        let organisations = match self.backend.organisations().await {
            Ok((all, missing)) => {
                match missing {
                    None => sink.complete(&scope).await?,
                    Some(why) => sink.end(&scope, ScopeStatus::Denied, Some(why)).await?,
                }
                all
            }
            Err(error) => {
                self.refused(sink, &scope, &error).await?;
                Vec::new()
            }
        };
        for one in &organisations {
            let owner = Owner::Organisation(one.name.clone());
            self.secrets(sink, &owner).await?;
            self.part(sink, &owner.path(), ("variables", self.variables(&owner).await)).await?;
        }
        let ourselves: User = self.backend.api.one("inventory", Request::get(&["user"])).await?;
        for user in self.backend.users("inventory").await?.all {
            let owner = Owner::User(user.login.clone());
            // No value is looked up among them, so that those of other users, which nobody lists, leave the issuers as complete as they were.
            self.part(sink, &owner.path(), ("oauth2", self.applications(&user, &ourselves).await)).await?;
            let scope = Scope::new(owner.path(), "secrets");
            let why = "the forge lists a user's own Actions secrets to nobody".to_owned();
            sink.end(&scope, ScopeStatus::Unreadable, Some(why)).await?;
            if user.login == ourselves.login {
                self.part(sink, &owner.path(), ("variables", self.variables(&owner).await)).await?;
            } else {
                let scope = Scope::new(owner.path(), "variables");
                let why = "the forge shows a user's own Actions variables to that user only".to_owned();
                sink.end(&scope, ScopeStatus::Denied, Some(why)).await?;
            }
        }
        for repository in self.named_repositories(sink, Phase::Stores).await? {
            let owner =
                Owner::Repository { owner: repository.owner.login.clone(), name: repository.name.clone() };
            let names = self.secrets(sink, &owner).await?;
            self.part(sink, &owner.path(), ("variables", self.variables(&owner).await)).await?;
            self.hooks(sink, &repository).await?;
            let workflows = self.workflows(&repository, &names, &organisations).await;
            self.part(sink, &owner.path(), ("workflows", workflows)).await?;
        }
        Ok(())
    }

    /// The repositories that refs can name. The list is a scope of both phases: whatever it does not show is unread in both.
    async fn named_repositories(&self, sink: &mut ScanSink, phase: Phase) -> Result<Vec<Repository>> {
        let scope = Scope::new(INSTANCE, "repositories");
        let all = match self.backend.repositories("inventory").await {
            Ok(all) => all,
            Err(error) => {
                self.refused(sink, &scope, &error).await?;
                return Ok(Vec::new());
            }
        };
        sink.complete(&scope).await?;
        let (reserved, named): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|one| Names::is_reserved(&one.owner.login));
        for one in reserved.iter().filter(|_| phase == Phase::Stores) {
            let scope = Scope::new(format!("{}/{}", one.owner.login, one.name), "owner");
            let why = "its owner's name means something else in refs".to_owned();
            sink.end(&scope, ScopeStatus::Unreadable, Some(why)).await?;
        }
        Ok(named)
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
            // A repository without Actions, or one that we may not own, answers that it is not there.
            ErrorKind::Denied | ErrorKind::NotFound => ScopeStatus::Denied,
            ErrorKind::Unsupported => ScopeStatus::Unreadable,
            _ => ScopeStatus::Failed,
        };
        let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        sink.end(scope, status, Some(format!("{}{hint}", error.message()))).await
    }
}
