//! Which permissions we hold, by asking for what each flow asks.

use claviger_backend::{Permission, PermissionStatus, Result};
use serde_json::Value;

use super::backend::GitlabBackend;
use crate::{
    client::Request,
    permission::{permission, status},
};

impl GitlabBackend {
    pub(super) async fn permissions(&self) -> Result<Vec<Permission>> {
        let ourselves = self.ourselves("check").await?;
        let administrator = if ourselves.is_admin == Some(true) {
            PermissionStatus::Present
        } else {
            PermissionStatus::Missing(
                "an administrator's token: with another one only what its user is in is read".to_owned(),
            )
        };
        let writes = match self.may_write("check").await? {
            None => PermissionStatus::Present,
            Some(why) => PermissionStatus::Missing(why),
        };
        let mut found = vec![
            permission("scan", "know who we are", PermissionStatus::Present),
            permission("scan", "list users, and all groups and projects", administrator.clone()),
        ];
        found.extend(self.of_a_project().await?);
        found.push(permission("rotate", "write variables", writes.clone()));
        found.push(permission("rotate", "make access tokens of projects and groups", writes.clone()));
        found.push(permission("rotate", "make access tokens of users", administrator));
        found.push(permission("rotate", "make deploy keys", writes.clone()));
        found.push(permission("revoke", "end access tokens", writes));
        let proof = match &self.known_hosts {
            Some(path) if path.exists() => PermissionStatus::Present,
            Some(path) => PermissionStatus::Missing(format!("{}, which is not there", path.display())),
            None => {
                PermissionStatus::Missing("`known_hosts`: without it no deploy key can be proven".to_owned())
            }
        };
        found.push(permission("revoke", "log in by SSH", proof));
        Ok(found)
    }

    /// Rights at a project are asked of one: which may not hold of the others.
    async fn of_a_project(&self) -> Result<Vec<Permission>> {
        let query = [("membership", "true"), ("per_page", "1")];
        let some: Vec<super::wire::Project> =
            self.api.one("check", Request { query: &query, ..Request::get(&["projects"]) }).await?;
        let parts =
            [("variables", "variables"), ("access_tokens", "access tokens"), ("deploy_keys", "deploy keys")];
        let Some(one) = some.first() else {
            let unknown =
                || PermissionStatus::Unknown("there is no project of ours that could be asked".to_owned());
            return Ok(parts.map(|(_, name)| permission("scan", &format!("list {name}"), unknown())).into());
        };
        let mut found = Vec::new();
        for (part, name) in parts {
            let path = ["projects", one.path_with_namespace.as_str(), part];
            let query = [("per_page", "1")];
            let answer =
                self.api.one::<Value>("check", Request { query: &query, ..Request::get(&path) }).await;
            let missing = format!(
                "the role of a maintainer of {}, and a token with `read_api`",
                one.path_with_namespace
            );
            let name = format!("list {name} (asked of {})", one.path_with_namespace);
            found.push(permission("scan", &name, status(answer, &missing)?));
        }
        Ok(found)
    }
}
