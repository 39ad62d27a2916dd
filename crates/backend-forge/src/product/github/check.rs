//! Which permissions we hold, by asking for what each flow asks.

use claviger_backend::{Permission, PermissionStatus, Result, StoreState};
use serde_json::Value;

use super::{
    backend::GithubBackend,
    names::{Family, Names, Owner},
};
use crate::{
    client::{Request, shown},
    permission::{permission, status},
};

impl GithubBackend {
    pub(super) async fn permissions(&self) -> Result<Vec<Permission>> {
        let what = shown(Request::get(&["user"]));
        let call = self.access.call("check", &what, false);
        self.ourselves("check").await?.good(call)?;
        let mut found = vec![permission("scan", "know who we are", PermissionStatus::Present)];
        let (organisations, missing) = self.organisations("check").await?;
        let listed = missing.map_or(PermissionStatus::Present, PermissionStatus::Missing);
        found.push(permission("scan", "list organisations", listed));
        match organisations.first() {
            Some(organisation) => found.extend(self.of_an_organisation(organisation).await?),
            None => {
                let none =
                    PermissionStatus::Unknown("there is no organisation that could be asked".to_owned());
                found.push(permission("scan", "list an organisation's tokens", none));
            }
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

    async fn allowed(&self, path: &[&str], missing: &str) -> Result<PermissionStatus> {
        let request = Request { query: &[("per_page", "1")], ..Request::get(path) };
        status(self.access.one::<Value>("check", request).await, missing)
    }

    /// Rights at an organisation are asked of one: which may not hold of the others.
    async fn of_an_organisation(&self, name: &str) -> Result<Vec<Permission>> {
        let mut found = Vec::new();
        for (flow, what, path, missing) in [
            (
                "scan",
                "list secrets of an organisation",
                &["orgs", name, "actions", "secrets"][..],
                "`organization_secrets: read`, or the scope `admin:org`",
            ),
            (
                "scan",
                "list fine-grained tokens",
                &["orgs", name, "personal-access-tokens"][..],
                "an app with `organization_personal_access_tokens: read`: no token may list them",
            ),
            (
                "scan",
                "list classic tokens",
                &["orgs", name, "credential-authorizations"][..],
                "an owner's credential, and single sign-on: only such organisations list them",
            ),
            (
                "scan",
                "list apps",
                &["orgs", name, "installations"][..],
                "`organization_administration: read`, or an owner's token with `read:org`",
            ),
            (
                "scan",
                "list alerts of secret scanning",
                &["orgs", name, "secret-scanning", "alerts"][..],
                "`secret_scanning_alerts: read`, or the scope `security_events`",
            ),
        ] {
            let missing = format!("{missing} (asked of {name})");
            found.push(permission(
                flow,
                &format!("{what} (asked of {name})"),
                self.allowed(path, &missing).await?,
            ));
        }
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
                permission("rotate", "write Actions secrets", status()),
            ]);
        };
        let (owner, name) = (one.owner.login.as_str(), one.name.as_str());
        let missing = format!("`administration: read` at {owner}/{name}, or the scope `repo`");
        let keys = self.allowed(&["repos", owner, name, "keys"], &missing).await?;
        let place = Owner::repository(owner, name);
        let writes = match self.may_post(&place, Family::Actions).await? {
            StoreState::Writable => PermissionStatus::Present,
            StoreState::Refused(why) | StoreState::ManagedElsewhere(why) => PermissionStatus::Missing(why),
        };
        Ok(vec![
            permission("scan", &format!("list deploy keys (asked of {owner}/{name})"), keys),
            permission("rotate", &format!("write Actions secrets (asked of {owner}/{name})"), writes),
        ])
    }
}
