//! A repository's environments, each with secrets and variables of its own.

use std::collections::{BTreeMap, BTreeSet};

use claviger_backend::{Result, ScanSink};
use claviger_core::model::Scope;

use super::{
    super::{
        names::{Family, Owner},
        wire::{Environment, Environments},
    },
    ENVIRONMENTS, Survey,
};
use crate::client::Request;

/// Environments, each with the names of its secrets.
pub(super) type Guarded = BTreeMap<String, BTreeSet<String>>;

impl Survey<'_> {
    pub(super) async fn environments(&self, sink: &mut ScanSink, owner: &str, name: &str) -> Result<Guarded> {
        let area = format!("{owner}/{name}");
        let path = ["repos", owner, name, "environments"];
        let listed =
            self.backend.access.all::<Environment, Environments>("inventory", Request::get(&path)).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                self.refused(sink, &Scope::new(&area, ENVIRONMENTS), &error).await?;
                return Ok(Guarded::new());
            }
        };
        self.part(sink, &area, (ENVIRONMENTS, Ok(Vec::new()))).await?;
        let mut guarded = Guarded::new();
        for environment in listed {
            let place = Owner::Environment {
                owner: owner.to_owned(),
                name: name.to_owned(),
                environment: environment.name.clone(),
            };
            let names = self.secrets(sink, &place, Family::Actions).await?;
            self.part(sink, &place.path(), ("variables", self.variables(&place).await)).await?;
            guarded.insert(environment.name, names);
        }
        Ok(guarded)
    }
}
