//! Variables: of most the value is shown to maintainers, of hidden ones to nobody.

use std::collections::BTreeMap;

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, CopyStage, Labels, Place, Scope, ScopeStatus},
    observation::{Bundle, Content, Observation, ObservedCopy},
    reference::Ref,
    secret::SecretValue,
};
use serde_json::json;

use super::{
    super::{
        backend::Home,
        letterbox::marked,
        names::{Owner, VariableName},
        wire::Variable,
    },
    Survey,
};

/// Why the values of hidden variables are not read.
const HIDDEN: &str = "GitLab shows the values of hidden variables to nobody";

/// Which variables stand where: what jobs can be given.
#[derive(Default)]
pub(super) struct Standing(BTreeMap<Owner, Vec<(VariableName, Ref)>>);

impl Standing {
    /// What a job of this project may be given under this key: of the nearest owner that has any. `environment` is where it deploys to; `None`: nowhere.
    /// One whose name is not known may be any.
    pub(super) fn given(&self, project: &str, key: &str, environment: Option<&str>) -> Vec<&Ref> {
        for owner in Owner::and_above(project) {
            let all = self.0.get(&owner).map(Vec::as_slice).unwrap_or_default();
            let fits = all.iter().filter(|(name, _)| name.key == key && holds(&name.scope, environment));
            let found: Vec<&Ref> = fits.map(|(_, at)| at).collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// The keys that jobs of this project can be given.
    pub(super) fn keys(&self, project: &str) -> impl Iterator<Item = &str> {
        let owners = Owner::and_above(project).into_iter();
        owners.filter_map(move |owner| self.0.get(&owner)).flatten().map(|(name, _)| name.key.as_str())
    }
}

/// Does a variable with this scope hold for a job with this environment? `*` in a scope is any run of characters; a name with a variable in it is not known
/// before the job runs.
fn holds(scope: &str, environment: Option<&str>) -> bool {
    match environment {
        _ if scope == "*" => true,
        None => false,
        Some(name) if name.contains('$') => true,
        Some(name) => fits(scope.as_bytes(), name.as_bytes()),
    }
}

fn fits(glob: &[u8], text: &[u8]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            fits(rest, text) || text.split_first().is_some_and(|(_, text)| fits(glob, text))
        }
        (Some((one, glob)), Some((other, text))) => one == other && fits(glob, text),
        _ => false,
    }
}

impl Survey<'_> {
    /// Sends an owner's variables, and says which values are unread. Their list is one scope: a name that it no longer shows is gone.
    pub(super) async fn variables(
        &self,
        sink: &mut ScanSink,
        home: &Home,
        standing: &mut Standing,
    ) -> Result<()> {
        let area = home.path();
        let listed: Vec<Variable> = match self.backend.list("inventory", &home.of("variables"), &[]).await {
            Ok(listed) => listed,
            Err(error) => return self.refused(sink, &Scope::new(area, "variables"), &error).await,
        };
        let owner = match home {
            Home::Instance => Owner::Instance,
            Home::Project(path) | Home::Group(path) => Owner::Path(path.clone()),
        };
        let hidden = listed.iter().filter(|variable| variable.hidden).count();
        let mut seen = Vec::new();
        for variable in listed {
            let name = VariableName {
                owner: owner.clone(),
                key: variable.key.clone(),
                scope: variable.environment_scope.clone(),
            };
            let at = self.backend.names.variable(&name, variable.hidden);
            standing.0.entry(owner.clone()).or_default().push((name, at.clone()));
            seen.push(Observation::Copy(self.observed_variable(at, variable)));
        }
        self.part(sink, area, ("variables", Ok(seen))).await?;
        if hidden > 0 {
            let why = format!("{HIDDEN}: {hidden} are known by name");
            sink.end(&Scope::new(area, "hidden-values"), ScopeStatus::Unreadable, Some(why)).await?;
        }
        Ok(())
    }

    fn observed_variable(&self, at: Ref, variable: Variable) -> ObservedCopy {
        let mut attributes = Attributes::from([
            ("variable_type".to_owned(), json!(variable.variable_type)),
            ("environment_scope".to_owned(), json!(variable.environment_scope)),
            ("protected".to_owned(), json!(variable.protected)),
            ("masked".to_owned(), json!(variable.masked)),
        ]);
        let there = marked(&variable);
        let (content, version, updated_at) = match variable.value {
            Some(value) if !variable.hidden => {
                let value = SecretValue::from_text(value);
                let version = self.backend.version_of(&value);
                (Content::Value(value), version, None)
            }
            _ => {
                attributes.insert("write_only".to_owned(), json!(true));
                (Content::Unreadable(HIDDEN.to_owned()), there.version, there.written_at)
            }
        };
        // Whoever asked GitLab to mask it says that it is a secret.
        let place =
            if variable.masked || variable.hidden { Place::SecretStore } else { Place::Configuration };
        ObservedCopy {
            at,
            key: variable.key,
            version: Some(version),
            stage: CopyStage::Current,
            place,
            content,
            bundle: Bundle::default(),
            kind: None,
            issuer: None,
            created_at: None,
            updated_at,
            last_used_at: None,
            labels: Labels::new(),
            owners: Vec::new(),
            attributes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_holds_for_the_environments_that_it_names() {
        for (scope, environment, expected) in [
            ("*", None, true),
            ("*", Some("production"), true),
            ("production", None, false),
            ("production", Some("production"), true),
            ("production", Some("staging"), false),
            ("review/*", Some("review/a"), true),
            ("review/*", Some("review"), false),
            // Known when the job runs only.
            ("review/*", Some("$ENVIRONMENT"), true),
        ] {
            assert_eq!(holds(scope, environment), expected, "{scope} for {environment:?}");
        }
    }

    #[test]
    fn of_two_with_one_key_the_nearer_one_is_given() {
        let mut standing = Standing::default();
        for (owner, scope) in [("acme", "*"), ("acme/shop", "production")] {
            let owner = Owner::Path(owner.to_owned());
            let name = VariableName { owner: owner.clone(), key: "DB".into(), scope: scope.into() };
            let at = Ref::from_text(format!("forge/{}/variables/DB@{scope}", owner.path()));
            standing.0.entry(owner).or_default().push((name, at));
        }
        let given = |environment| {
            standing.given("acme/shop", "DB", environment).into_iter().map(Ref::as_str).collect::<Vec<_>>()
        };
        assert_eq!(given(Some("production")), ["forge/acme/shop/variables/DB@production"]);
        assert_eq!(given(None), ["forge/acme/variables/DB@*"]);
        assert!(standing.given("acme/shop", "OTHER", None).is_empty());
        assert_eq!(standing.keys("acme/shop").collect::<Vec<_>>(), ["DB", "DB"]);
    }
}
