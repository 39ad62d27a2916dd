use super::{Role, Scope, Subject, Verb, decide};

/// A role and where it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// Where.
    pub scope: Scope,
}

/// Who asks, after they have shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// As the audit log names them: the name before the `@`, how it was shown after it.
    pub actor: String,
    /// What they may do.
    pub grants: Vec<Grant>,
    /// Has somebody outside of this installation said who this is? A local token's value was seen by whoever made it.
    pub vouched: bool,
}

impl Principal {
    /// May they do this to that?
    pub fn may(&self, verb: Verb, subject: &Subject<'_>) -> bool {
        self.grants.iter().any(|grant| decide(grant.role, verb, &grant.scope, subject))
    }

    /// May they do this to anything?
    pub fn may_somewhere(&self, verb: Verb) -> bool {
        self.grants.iter().any(|grant| grant.role.may(verb))
    }

    /// Those of these backends in which they may do nothing, whatever a thing's labels are.
    pub fn hidden<'n>(&self, backends: impl IntoIterator<Item = &'n str>) -> Vec<String> {
        let reaches = |name: &str| {
            self.grants.iter().any(|grant| {
                let anywhere = Scope { labels: Default::default(), ..grant.scope.clone() };
                anywhere.covers(&Subject::Backend(name))
            })
        };
        backends.into_iter().filter(|name| !reaches(name)).map(str::to_owned).collect()
    }

    /// Who has shown that they are themselves, for the guard that wants that of whoever plans.
    pub fn operator(&self) -> Option<String> {
        self.vouched.then(|| self.actor.split('@').next().unwrap_or(&self.actor).to_owned())
    }
}
