//! Which permissions we hold, by asking for what each flow asks.

use claviger_backend::{Permission, PermissionStatus, Result};
use serde_json::Value;

use super::{backend::JenkinsBackend, names::Store, wire::WhoAmI};
use crate::{
    client::Request,
    permission::{permission, status},
};

impl JenkinsBackend {
    pub(super) async fn permissions(&self) -> Result<Vec<Permission>> {
        let ourselves: WhoAmI = self.api.one("check", Request::get(&["whoAmI", "api", "json"])).await?;
        let known = if ourselves.anonymous || ourselves.name.is_empty() {
            PermissionStatus::Missing("a user and an API token: the server takes us for nobody".to_owned())
        } else {
            PermissionStatus::Present
        };
        let mut path = Store::System.segments();
        path.extend(["api", "json"]);
        let lists = status(
            self.api.one::<Value>("check", Request::get(&path)).await,
            "the right Credentials/View, and the Credentials plugin",
        )?;
        // Jenkins tells it of one credential, when that is to be written.
        let writes = PermissionStatus::Unknown(
            "Credentials/Update is asked of each credential when it is planned".to_owned(),
        );
        Ok(vec![
            permission("scan", "know who we are", known),
            permission("scan", "list credentials of the system's store", lists),
            permission("rotate", "change credentials", writes),
        ])
    }
}
