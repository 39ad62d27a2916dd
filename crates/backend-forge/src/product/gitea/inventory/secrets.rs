//! Actions secrets, of which the name is shown, and variables, of which the value is.

use std::collections::BTreeSet;

use claviger_backend::Result;
use claviger_backend::ScanSink;
use claviger_core::{
    model::{Attributes, Place, Scope, ScopeStatus},
    observation::{Content, Observation, ObservedCopy},
    secret::SecretValue,
};
use serde_json::json;

use super::{
    super::{
        names::Owner,
        store::actions,
        wire::{Secret, Variable, time},
    },
    Survey,
};
use crate::marker;
use crate::place::copy;

/// Why the values of secrets are not read.
pub(super) const WRITE_ONLY: &str = "the forge shows the values of secrets to nobody";

impl Survey<'_> {
    /// Sends the names of an owner's secrets, and says that their values are unread; gives the names. The list is a scope of its own: a name that it
    /// no longer shows is gone, although no value was ever read.
    pub(super) async fn secrets(&self, sink: &mut ScanSink, owner: &Owner) -> Result<BTreeSet<String>> {
        let path = actions(owner, "secrets");
        let listed: Vec<Secret> = match self.backend.list(&path).await {
            Ok(listed) => listed,
            Err(error) => {
                self.refused(sink, &Scope::new(owner.path(), "secrets"), &error).await?;
                return Ok(BTreeSet::new());
            }
        };
        let names: BTreeSet<String> = listed.iter().map(|secret| secret.name.clone()).collect();
        let seen = listed.into_iter().map(|secret| self.secret(owner, secret)).collect();
        self.part(sink, &owner.path(), ("secrets", Ok(seen))).await?;
        if !names.is_empty() {
            let scope = Scope::new(owner.path(), "secret-values");
            let why = format!("{WRITE_ONLY}: {} are known by name", names.len());
            sink.end(&scope, ScopeStatus::Unreadable, Some(why)).await?;
        }
        Ok(names)
    }

    fn secret(&self, owner: &Owner, secret: Secret) -> Observation {
        let at = self.backend.names.secret(owner, &secret.name);
        let content = Content::Unreadable(WRITE_ONLY.to_owned());
        let (_, marker) = marker::read(&secret.description);
        Observation::Copy(ObservedCopy {
            version: Some(marker::version(&secret.description, &secret.created_at)),
            created_at: time(&secret.created_at),
            // The forge tells no time of the last write; of ours the marker does.
            updated_at: marker.map(|marker| marker.at),
            attributes: Attributes::from([("write_only".to_owned(), json!(true))]),
            ..copy(at, &secret.name, Place::SecretStore, content)
        })
    }

    pub(super) async fn variables(&self, owner: &Owner) -> Result<Vec<Observation>> {
        let listed: Vec<Variable> = self.backend.list(&actions(owner, "variables")).await?;
        let seen = listed.into_iter().map(|variable| {
            let at = self.backend.names.variable(owner, &variable.name);
            let content = Content::Value(SecretValue::from_text(variable.data));
            Observation::Copy(copy(at, &variable.name, Place::Configuration, content))
        });
        Ok(seen.collect())
    }
}
