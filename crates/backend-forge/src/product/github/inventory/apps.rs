//! GitHub Apps that an organisation has installed, and what they may do there. Their keys lie with whoever made them: nobody lists those.

use claviger_backend::Result;
use claviger_core::{
    model::Attributes,
    observation::{Observation, ObservedGrant},
};
use serde_json::json;

use super::{
    super::wire::{Installation, Installations, time},
    Survey,
    identity::identity,
    tokens::{level, words},
};
use crate::client::Request;

impl Survey<'_> {
    pub(super) async fn apps(&self, organisation: &str) -> Result<Vec<Observation>> {
        let path = ["orgs", organisation, "installations"];
        let all =
            self.backend.access.all::<Installation, Installations>("inventory", Request::get(&path)).await?;
        Ok(all.into_iter().flat_map(|one| self.app(organisation, one)).collect())
    }

    fn app(&self, organisation: &str, one: Installation) -> [Observation; 2] {
        let at = self.backend.names.object(&format!("orgs/{organisation}/installations/{}", one.id));
        let mut app = identity(at.clone());
        app.created_at = time(&one.created_at);
        app.disabled = one.suspended_at.is_some();
        for (key, value) in [
            ("app", json!(one.app_slug)),
            ("app_id", json!(one.app_id)),
            ("repositories", json!(one.repository_selection)),
        ] {
            app.attributes.insert(key.to_owned(), value);
        }
        let grant = ObservedGrant {
            identity: at.clone(),
            source: at,
            privilege: words(one.permissions.iter()),
            reach: organisation.to_owned(),
            level: level(one.permissions.iter()),
            attributes: Attributes::from([("permissions".to_owned(), json!(one.permissions))]),
        };
        [Observation::Identity(app), Observation::Grant(grant)]
    }
}
