//! The stream of a scan: which users, groups and projects there are, and what each of them has.

mod deploy_keys;
mod pipelines;
mod tokens;
mod variables;

use std::collections::BTreeMap;

use claviger_backend::{Error, ErrorKind, Phase, Result, ScanSink};
use claviger_core::{
    model::{Scope, ScopeStatus},
    observation::Observation,
};

use self::variables::Standing;
use super::{
    backend::{GitlabBackend, Home},
    wire::{Group, Project, User},
};

/// The area of the lists of what there is.
pub(super) const INSTANCE: &str = "instance";

/// A scan of one backend.
pub(super) struct Survey<'b> {
    pub(super) backend: &'b GitlabBackend,
}

/// A part of a scope, and what is in it; or why it could not be read.
pub(super) type Part = (&'static str, Result<Vec<Observation>>);

impl GitlabBackend {
    fn admits(&self, path: &str) -> bool {
        self.owners.admit(path.split('/').next().unwrap_or_default())
    }

    /// People and service accounts, of an administrator; else who we are.
    async fn users(&self, ourselves: User) -> Result<Vec<User>> {
        if ourselves.is_admin != Some(true) {
            return Ok(vec![ourselves]);
        }
        // Users of project and group tokens are no one's: their tokens are listed where they belong.
        let mut all: Vec<User> =
            self.list("inventory", &["users"], &[("without_project_bots", "true")]).await?;
        all.retain(|user| self.admits(&user.username));
        Ok(all)
    }

    /// Of an administrator all; else those that we are in: others may be open to everybody, and their secrets are not ours to see.
    async fn groups(&self, all: bool) -> Result<Vec<Group>> {
        let filter: &[_] = if all { &[("all_available", "true")] } else { &[("min_access_level", "10")] };
        let mut found: Vec<Group> = self.list("inventory", &["groups"], filter).await?;
        found.retain(|group| self.admits(&group.full_path));
        Ok(found)
    }

    async fn projects(&self, all: bool) -> Result<Vec<Project>> {
        let filter: &[_] = if all { &[] } else { &[("membership", "true")] };
        let mut found = self.all_projects("inventory", filter).await?;
        found.retain(|project| self.admits(&project.path_with_namespace));
        Ok(found)
    }
}

impl Survey<'_> {
    pub(super) async fn run(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        let ourselves = self.backend.ourselves("inventory").await?;
        match phase {
            Phase::Issuers => self.issuers(sink, ourselves).await,
            Phase::Stores => self.stores(sink, ourselves).await,
        }
    }

    async fn issuers(&self, sink: &mut ScanSink, ourselves: User) -> Result<()> {
        let all = ourselves.is_admin == Some(true);
        let scope = Scope::new(INSTANCE, "users");
        let users = match self.backend.users(ourselves).await {
            Ok(users) => {
                sink.page(&scope, users.iter().flat_map(|user| self.account(user)).collect()).await?;
                if all {
                    sink.complete(&scope).await?;
                } else {
                    let why = "only an administrator's token lists users: the own one is read".to_owned();
                    sink.end(&scope, ScopeStatus::Denied, Some(why)).await?;
                }
                users
            }
            Err(error) => {
                self.refused(sink, &scope, &error).await?;
                Vec::new()
            }
        };
        for user in &users {
            let area = format!("users/{}", user.username);
            self.part(sink, &area, ("access-tokens", self.personal(user).await)).await?;
            if all {
                self.part(sink, &area, ("impersonation-tokens", self.impersonations(user).await)).await?;
            } else {
                let why = "GitLab shows impersonation tokens to administrators only".to_owned();
                sink.end(&Scope::new(&area, "impersonation-tokens"), ScopeStatus::Denied, Some(why)).await?;
            }
        }
        self.part(sink, INSTANCE, ("runners", self.runners(all).await)).await?;
        for home in self.homes(sink, all).await?.into_keys() {
            let area = home.path();
            self.part(sink, area, ("access-tokens", self.access_tokens(&home).await)).await?;
            self.part(sink, area, ("deploy-tokens", self.deploy_tokens(&home).await)).await?;
            if let Home::Project(path) = &home {
                self.part(sink, area, ("deploy-keys", self.deploy_keys(path).await)).await?;
                self.part(sink, area, ("triggers", self.triggers(path).await)).await?;
            }
        }
        Ok(())
    }

    async fn stores(&self, sink: &mut ScanSink, ourselves: User) -> Result<()> {
        let all = ourselves.is_admin == Some(true);
        // What jobs of a project are given lies above it too.
        let mut standing = Standing::default();
        self.variables(sink, &Home::Instance, &mut standing).await?;
        let homes = self.homes(sink, all).await?;
        for home in homes.keys() {
            self.variables(sink, home, &mut standing).await?;
        }
        for (home, project) in homes {
            let Some(project) = project else { continue };
            let pipelines = self.pipelines(&project, &standing).await;
            self.part(sink, home.path(), ("pipelines", pipelines)).await?;
            self.part(sink, home.path(), ("trigger-values", self.trigger_values(home.path()).await)).await?;
        }
        Ok(())
    }

    /// Groups and projects. Their lists are scopes of both phases: whatever they do not show is unread in both.
    async fn homes(&self, sink: &mut ScanSink, all: bool) -> Result<BTreeMap<Home, Option<Project>>> {
        let mut homes = BTreeMap::new();
        let scope = Scope::new(INSTANCE, "groups");
        match self.backend.groups(all).await {
            Ok(groups) => {
                homes.extend(groups.into_iter().map(|group| (Home::Group(group.full_path), None)));
                self.listed(sink, &scope, all).await?;
            }
            Err(error) => self.refused(sink, &scope, &error).await?,
        }
        let scope = Scope::new(INSTANCE, "projects");
        match self.backend.projects(all).await {
            Ok(projects) => {
                homes.extend(
                    projects
                        .into_iter()
                        .map(|project| (Home::Project(project.path_with_namespace.clone()), Some(project))),
                );
                self.listed(sink, &scope, all).await?;
            }
            Err(error) => self.refused(sink, &scope, &error).await?,
        }
        Ok(homes)
    }

    async fn listed(&self, sink: &mut ScanSink, scope: &Scope, all: bool) -> Result<()> {
        if all {
            return sink.complete(scope).await;
        }
        let why =
            format!("only an administrator's token lists all {}: those that we are in are read", scope.part);
        sink.end(scope, ScopeStatus::Denied, Some(why)).await
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
            // What one may not see is not there, as GitLab says it; of what is not one's own it also says that nobody has logged in.
            ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Unauthenticated => ScopeStatus::Denied,
            ErrorKind::Unsupported => ScopeStatus::Unreadable,
            _ => ScopeStatus::Failed,
        };
        let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        sink.end(scope, status, Some(format!("{}{hint}", error.message()))).await
    }
}
