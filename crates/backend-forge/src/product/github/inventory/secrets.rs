//! Secrets, of which the name and two times are shown, and variables, of which the value is.

use std::collections::BTreeSet;

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, Place, Scope, ScopeStatus},
    observation::{Content, Observation, ObservedCopy},
    secret::SecretValue,
};
use serde_json::json;

use super::{
    super::{
        names::{Family, Owner},
        wire::{Secret, Secrets, Variable, Variables, time},
    },
    Survey,
};
use crate::{client::Request, place::copy};

/// Why the values of secrets are not read.
const WRITE_ONLY: &str = "the forge shows the values of secrets to nobody";

/// The scopes of a family's names and of their values.
fn parts(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::Actions => ("secrets", "secret-values"),
        Family::Dependabot => ("dependabot-secrets", "dependabot-secret-values"),
        Family::Codespaces => ("codespaces-secrets", "codespaces-secret-values"),
    }
}

impl Survey<'_> {
    /// Sends the names of an owner's secrets, and says that their values are unread; gives the names. The list is a scope of its own: a name that it
    /// no longer shows is gone, although no value was ever read.
    pub(super) async fn secrets(
        &self,
        sink: &mut ScanSink,
        owner: &Owner,
        family: Family,
    ) -> Result<BTreeSet<String>> {
        let path = owner.segments(family, "secrets");
        let (part, values) = parts(family);
        let listed = self.backend.access.all::<Secret, Secrets>("inventory", Request::get(&path)).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                self.refused(sink, &Scope::new(owner.path(), part), &error).await?;
                return Ok(BTreeSet::new());
            }
        };
        let names: BTreeSet<String> = listed.iter().map(|secret| secret.name.clone()).collect();
        let seen = listed.into_iter().map(|secret| self.secret(owner, family, secret)).collect();
        self.part(sink, &owner.path(), (part, Ok(seen))).await?;
        if !names.is_empty() {
            let scope = Scope::new(owner.path(), values);
            let why = format!("{WRITE_ONLY}: {} are known by name", names.len());
            sink.end(&scope, ScopeStatus::Unreadable, Some(why)).await?;
        }
        Ok(names)
    }

    fn secret(&self, owner: &Owner, family: Family, secret: Secret) -> Observation {
        let at = self.backend.names.secret(owner, family, &secret.name);
        let content = Content::Unreadable(WRITE_ONLY.to_owned());
        let mut attributes = Attributes::from([("write_only".to_owned(), json!(true))]);
        if let Some(visibility) = &secret.visibility {
            attributes.insert("visibility".to_owned(), json!(visibility));
        }
        Observation::Copy(ObservedCopy {
            version: Some(secret.updated_at.clone()),
            created_at: time(&secret.created_at),
            updated_at: time(&secret.updated_at),
            attributes,
            ..copy(at, &secret.name, Place::SecretStore, content)
        })
    }

    pub(super) async fn variables(&self, owner: &Owner) -> Result<Vec<Observation>> {
        let path = owner.segments(Family::Actions, "variables");
        // A page of variables holds 30 at most.
        let request = Request { query: &[("per_page", "30")], ..Request::get(&path) };
        let listed = self.backend.access.all::<Variable, Variables>("inventory", request).await?;
        let seen = listed.into_iter().map(|variable| {
            let at = self.backend.names.variable(owner, &variable.name);
            let content = Content::Value(SecretValue::from_text(variable.value));
            Observation::Copy(ObservedCopy {
                updated_at: time(&variable.updated_at),
                ..copy(at, &variable.name, Place::Configuration, content)
            })
        });
        Ok(seen.collect())
    }
}
