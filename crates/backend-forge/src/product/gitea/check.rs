//! Which permissions we hold, by asking for what each flow asks.

use claviger_backend::{Permission, PermissionStatus, Result, StoreState};
use reqwest::Method;
use serde_json::Value;

use super::{
    backend::GiteaBackend,
    names::{Names, Owner},
    wire::User,
};
use crate::{
    client::{As, Request, shown},
    permission::{permission, status},
};

impl GiteaBackend {
    pub(super) async fn permissions(&self) -> Result<Vec<Permission>> {
        let ourselves: User = self.api.one("check", Request::get(&["user"])).await?;
        let first = [("limit", "1")];
        let admin = Request { query: &first, ..Request::get(&["admin", "users"]) };
        let users = status(
            self.api.one::<Value>("check", admin).await,
            "a site administrator's token with `read:admin`: without it only the own user is read",
        )?;
        let mut found = vec![
            permission("scan", "know who we are", PermissionStatus::Present),
            permission("scan", "list users and organisations", users),
        ];
        let path = ["users", &ourselves.login, "tokens"];
        let tokens = Request { query: &first, ..Request::get(&path) }.by(As::User);
        let tokens = match self.api.user() {
            None => PermissionStatus::Missing("`user` and `password`: no token may list tokens".to_owned()),
            Some(_) => {
                status(self.api.one::<Value>("check", tokens).await, "the user and password are refused")?
            }
        };
        for (flow, name) in [
            ("scan", "list access tokens"),
            ("rotate", "make access tokens"),
            ("revoke", "delete access tokens"),
        ] {
            found.push(permission(flow, name, tokens.clone()));
        }
        found.extend(self.of_a_repository().await?);
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

    /// Rights at a repository are asked of one: which may not hold of the others.
    async fn of_a_repository(&self) -> Result<Vec<Permission>> {
        let all = self.repositories("check").await?;
        let Some(one) = all.iter().find(|one| !Names::is_reserved(&one.owner.login)) else {
            let status =
                || PermissionStatus::Unknown("there is no repository that could be asked".to_owned());
            return Ok(vec![
                permission("scan", "list deploy keys", status()),
                permission("rotate", "make deploy keys", status()),
                permission("rotate", "write Actions secrets", status()),
            ]);
        };
        let (owner, name) = (one.owner.login.as_str(), one.name.as_str());
        let first = [("limit", "1")];
        let path = ["repos", owner, name, "keys"];
        let keys = self.api.one::<Value>("check", Request { query: &first, ..Request::get(&path) }).await;
        let missing = format!("administration of {owner}/{name}, and a token with `read:repository`");
        let keys = status(keys, &missing)?;
        // Nothing is registered: a key without a title is no key.
        let nothing = Request { method: &Method::POST, body: Some(b"{}"), ..Request::get(&path) };
        let what = shown(nothing);
        let call = self.api.call("check", &what, false);
        let makes = match self.api.send(call, nothing).await?.status {
            400 | 422 => PermissionStatus::Present,
            403 | 404 => PermissionStatus::Missing(format!(
                "administration of {owner}/{name}, and a token with `write:repository`"
            )),
            status => PermissionStatus::Unknown(format!("HTTP {status}")),
        };
        let place = Owner::Repository { owner: owner.to_owned(), name: name.to_owned() };
        let writes = match self.may_post(&place).await? {
            StoreState::Writable => PermissionStatus::Present,
            StoreState::Refused(why) | StoreState::ManagedElsewhere(why) => PermissionStatus::Missing(why),
        };
        Ok(vec![
            permission("scan", &format!("list deploy keys (asked of {owner}/{name})"), keys),
            permission("rotate", &format!("make deploy keys (asked of {owner}/{name})"), makes),
            permission("rotate", &format!("write Actions secrets (asked of {owner}/{name})"), writes),
        ])
    }
}
