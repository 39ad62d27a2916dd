//! Refs of this backend, both ways.

use claviger_core::reference::Ref;

/// Makes the refs of one backend.
#[derive(Debug, Clone)]
pub(super) struct Names {
    backend: String,
}

/// Who owns secrets and variables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// An organisation.
    Organisation(String),
    /// A repository.
    Repository {
        /// User or organisation.
        owner: String,
        /// Name.
        name: String,
    },
    /// A repository's environment.
    Environment {
        /// User or organisation.
        owner: String,
        /// The repository's name.
        name: String,
        /// The environment's.
        environment: String,
    },
}

/// For whom a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// Workflows.
    Actions,
    /// What brings dependencies up to date.
    Dependabot,
    /// Development machines.
    Codespaces,
}

/// What a ref stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// A secret. An environment has those of Actions alone.
    Secret(Owner, Family, String),
    /// An Actions variable.
    Variable(Owner, String),
    /// A deploy key.
    DeployKey {
        /// Owner of the repository.
        owner: String,
        /// The repository's name.
        repository: String,
        /// Number.
        id: u64,
    },
    /// A fine-grained token, as an organisation that let it in lists it.
    Grant {
        /// The organisation.
        organisation: String,
        /// Number of the grant, which is not the token's.
        id: u64,
    },
    /// A classic token, an OAuth token or a key that was authorised for single sign-on.
    Authorisation {
        /// The organisation.
        organisation: String,
        /// Number.
        id: u64,
    },
    /// Anything else.
    Other,
}

/// First segments that say what follows; no owner of that name can be told apart from them. GitHub keeps both names for itself.
const RESERVED: [&str; 2] = ["users", "orgs"];

impl Family {
    pub(super) const ALL: [Self; 3] = [Self::Actions, Self::Dependabot, Self::Codespaces];

    /// As the API and refs have it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Actions => "actions",
            Self::Dependabot => "dependabot",
            Self::Codespaces => "codespaces",
        }
    }
}

impl Owner {
    pub(super) fn repository(owner: &str, name: &str) -> Self {
        Self::Repository { owner: owner.to_owned(), name: name.to_owned() }
    }

    /// As refs and scopes have it.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Organisation(name) => format!("orgs/{name}"),
            Self::Repository { owner, name } => format!("{owner}/{name}"),
            Self::Environment { owner, name, environment } => {
                format!("{owner}/{name}/environments/{}", escape(environment))
            }
        }
    }

    /// Where the API has the secrets of a family, or the variables.
    pub(super) fn segments<'a>(&'a self, family: Family, what: &'a str) -> Vec<&'a str> {
        match self {
            Self::Organisation(name) => vec!["orgs", name, family.word(), what],
            Self::Repository { owner, name } => vec!["repos", owner, name, family.word(), what],
            Self::Environment { owner, name, environment } => {
                vec!["repos", owner, name, "environments", environment, what]
            }
        }
    }

    /// The same in refs.
    fn folder(&self, family: Family, what: &str) -> String {
        match self {
            Self::Environment { .. } => format!("{}/{what}", self.path()),
            _ => format!("{}/{}/{what}", self.path(), family.word()),
        }
    }
}

impl Names {
    pub(super) fn new(backend: &str) -> Self {
        Self { backend: backend.to_owned() }
    }

    pub(super) fn object(&self, path: &str) -> Ref {
        Ref::new(&self.backend, [path])
    }

    pub(super) fn user(&self, name: &str) -> Ref {
        self.object(&format!("users/{name}"))
    }

    pub(super) fn secret(&self, owner: &Owner, family: Family, name: &str) -> Ref {
        self.object(&format!("{}/{name}", owner.folder(family, "secrets")))
    }

    pub(super) fn variable(&self, owner: &Owner, name: &str) -> Ref {
        self.object(&format!("{}/{name}", owner.folder(Family::Actions, "variables")))
    }

    /// A job of a workflow file: owner and repository, the file, the job.
    pub(super) fn job(at: &Ref) -> Option<(&str, &str, &str, &str)> {
        let job = at.field_name()?.strip_prefix("jobs/")?;
        let (owner, rest) = at.path().split_once('/')?;
        let (name, file) = rest.split_once("/workflows/")?;
        (!Self::is_reserved(owner) && !name.contains('/')).then_some((owner, name, file, job))
    }

    /// True for an owner whose refs would read as something else.
    pub(super) fn is_reserved(owner: &str) -> bool {
        RESERVED.iter().any(|name| owner.eq_ignore_ascii_case(name))
    }

    /// Reads a ref of this backend.
    pub(super) fn subject(at: &Ref) -> Subject {
        let segments: Vec<&str> = at.path().split('/').collect();
        let family = |word: &str| Family::ALL.into_iter().find(|family| family.word() == word);
        let owner = |first: &str, second: &str| match first {
            "orgs" => Owner::Organisation(second.to_owned()),
            owner => Owner::repository(owner, second),
        };
        match segments.as_slice() {
            ["orgs", organisation, list @ ("personal-access-tokens" | "credential-authorizations"), id] => {
                let organisation = (*organisation).to_owned();
                match (*list, id.parse()) {
                    ("personal-access-tokens", Ok(id)) => Subject::Grant { organisation, id },
                    (_, Ok(id)) => Subject::Authorisation { organisation, id },
                    (_, Err(_)) => Subject::Other,
                }
            }
            ["users", ..] => Subject::Other,
            [first, second, "actions", "variables", name] => {
                Subject::Variable(owner(first, second), (*name).to_owned())
            }
            [first, second, word, "secrets", name] => match family(word) {
                Some(family) => Subject::Secret(owner(first, second), family, (*name).to_owned()),
                None => Subject::Other,
            },
            [first, second, "environments", environment, what @ ("secrets" | "variables"), name]
                if *first != "orgs" =>
            {
                let owner = Owner::Environment {
                    owner: (*first).to_owned(),
                    name: (*second).to_owned(),
                    environment: unescape(environment),
                };
                match *what {
                    "secrets" => Subject::Secret(owner, Family::Actions, (*name).to_owned()),
                    _ => Subject::Variable(owner, (*name).to_owned()),
                }
            }
            [first, second, "deploy-keys", id] if *first != "orgs" => match id.parse() {
                Ok(id) => {
                    Subject::DeployKey { owner: (*first).to_owned(), repository: (*second).to_owned(), id }
                }
                Err(_) => Subject::Other,
            },
            _ => Subject::Other,
        }
    }
}

/// An environment's name may hold what separates the parts of a ref.
fn escape(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F").replace('#', "%23")
}

fn unescape(name: &str) -> String {
    name.replace("%23", "#").replace("%2F", "/").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_are_those_of_the_contract_and_come_back() {
        let names = Names::new("forge");
        let shop = Owner::repository("acme", "shop");
        let live = Owner::Environment {
            owner: "acme".into(),
            name: "shop".into(),
            environment: "live/eu#1%2F".into(),
        };
        let secret = names.secret(&shop, Family::Actions, "DB_PASSWORD");
        assert_eq!(secret.as_str(), "forge/acme/shop/actions/secrets/DB_PASSWORD");
        let guarded = names.secret(&live, Family::Actions, "X");
        assert_eq!(guarded.as_str(), "forge/acme/shop/environments/live%2Feu%231%252F/secrets/X");
        assert_eq!(Names::subject(&guarded), Subject::Secret(live.clone(), Family::Actions, "X".into()));
        for owner in [shop, Owner::Organisation("acme".into())] {
            for family in Family::ALL {
                let at = names.secret(&owner, family, "X");
                assert_eq!(Names::subject(&at), Subject::Secret(owner.clone(), family, "X".into()), "{at}");
            }
            let at = names.variable(&owner, "REGION");
            assert_eq!(Names::subject(&at), Subject::Variable(owner, "REGION".into()), "{at}");
        }
        let at = names.variable(&live, "REGION");
        assert_eq!(Names::subject(&at), Subject::Variable(live, "REGION".into()));
        assert_eq!(
            Names::job(&Ref::from_text("forge/acme/shop/workflows/.github/workflows/a.yml#jobs/deploy")),
            Some(("acme", "shop", ".github/workflows/a.yml", "deploy"))
        );
        assert_eq!(Names::job(&Ref::from_text("forge/acme/shop/actions/secrets/X")), None);
        for (at, subject) in [
            (
                "forge/acme/shop/deploy-keys/3",
                Subject::DeployKey { owner: "acme".into(), repository: "shop".into(), id: 3 },
            ),
            (
                "forge/orgs/acme/personal-access-tokens/7",
                Subject::Grant { organisation: "acme".into(), id: 7 },
            ),
            (
                "forge/orgs/acme/credential-authorizations/8",
                Subject::Authorisation { organisation: "acme".into(), id: 8 },
            ),
        ] {
            assert_eq!(Names::subject(&Ref::from_text(at)), subject, "{at}");
        }
        for other in [
            "forge/users/dana/actions/secrets/X",
            "forge/orgs/acme/deploy-keys/3",
            "forge/acme/shop/deploy-keys/x",
            "forge/acme/shop/other/secrets/X",
            "forge/acme",
            "forge",
        ] {
            assert_eq!(Names::subject(&Ref::from_text(other)), Subject::Other, "{other}");
        }
    }
}
