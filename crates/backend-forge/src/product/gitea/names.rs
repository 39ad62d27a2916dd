//! Refs of this backend, both ways.

use claviger_core::reference::Ref;

/// Makes the refs of one backend.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    backend: String,
}

/// Who owns secrets and variables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// A user: the one that we are, no other can be asked about.
    User(String),
    /// An organisation.
    Organisation(String),
    /// A repository.
    Repository {
        /// User or organisation.
        owner: String,
        /// Name.
        name: String,
    },
}

/// What a ref stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An access token.
    Token {
        /// Whose.
        user: String,
        /// Number.
        id: u64,
    },
    /// A deploy key.
    DeployKey {
        /// Owner of the repository.
        owner: String,
        /// The repository's name.
        repository: String,
        /// Number.
        id: u64,
    },
    /// An Actions secret.
    Secret(Owner, String),
    /// An Actions variable.
    Variable(Owner, String),
    /// Anything else.
    Other,
}

/// First segments that say what follows; no owner of that name can be told apart from them.
const RESERVED: [&str; 2] = ["users", "orgs"];

impl Owner {
    /// As refs and scopes have it.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::User(user) => format!("users/{user}"),
            Self::Organisation(name) => format!("orgs/{name}"),
            Self::Repository { owner, name } => format!("{owner}/{name}"),
        }
    }

    /// Where the API has it.
    pub(crate) fn segments(&self) -> Vec<&str> {
        match self {
            Self::User(_) => vec!["user"],
            Self::Organisation(name) => vec!["orgs", name],
            Self::Repository { owner, name } => vec!["repos", owner, name],
        }
    }
}

impl Names {
    pub(crate) fn new(backend: &str) -> Self {
        Self { backend: backend.to_owned() }
    }

    pub(crate) fn object(&self, path: &str) -> Ref {
        Ref::new(&self.backend, [path])
    }

    pub(crate) fn user(&self, name: &str) -> Ref {
        self.object(&format!("users/{name}"))
    }

    pub(crate) fn token(&self, user: &str, id: u64) -> Ref {
        self.object(&format!("users/{user}/tokens/{id}"))
    }

    pub(crate) fn secret(&self, owner: &Owner, name: &str) -> Ref {
        self.object(&format!("{}/actions/secrets/{name}", owner.path()))
    }

    pub(crate) fn variable(&self, owner: &Owner, name: &str) -> Ref {
        self.object(&format!("{}/actions/variables/{name}", owner.path()))
    }

    /// True for an owner whose refs would read as something else.
    pub(crate) fn is_reserved(owner: &str) -> bool {
        RESERVED.iter().any(|name| owner.eq_ignore_ascii_case(name))
    }

    /// Reads a ref of this backend.
    pub(crate) fn subject(at: &Ref) -> Subject {
        let segments: Vec<&str> = at.path().split('/').collect();
        let owner = |first: &str, second: &str| match first {
            "users" => Owner::User(second.to_owned()),
            "orgs" => Owner::Organisation(second.to_owned()),
            owner => Owner::Repository { owner: owner.to_owned(), name: second.to_owned() },
        };
        match segments.as_slice() {
            ["users", user, "tokens", id] => match id.parse() {
                Ok(id) => Subject::Token { user: (*user).to_owned(), id },
                Err(_) => Subject::Other,
            },
            [first, second, "actions", "secrets", name] => {
                Subject::Secret(owner(first, second), (*name).to_owned())
            }
            [first, second, "actions", "variables", name] => {
                Subject::Variable(owner(first, second), (*name).to_owned())
            }
            [first, second, "deploy-keys", id] if !Self::is_reserved(first) => match id.parse() {
                Ok(id) => {
                    Subject::DeployKey { owner: (*first).to_owned(), repository: (*second).to_owned(), id }
                }
                Err(_) => Subject::Other,
            },
            _ => Subject::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_are_those_of_the_contract_and_come_back() {
        let names = Names::new("forge");
        let shop = Owner::Repository { owner: "acme".into(), name: "shop".into() };
        let secret = names.secret(&shop, "DB_PASSWORD");
        assert_eq!(secret.as_str(), "forge/acme/shop/actions/secrets/DB_PASSWORD");
        assert_eq!(Names::subject(&secret), Subject::Secret(shop.clone(), "DB_PASSWORD".into()));
        for owner in [shop, Owner::User("dana".into()), Owner::Organisation("acme".into())] {
            let at = names.variable(&owner, "REGION");
            assert_eq!(Names::subject(&at), Subject::Variable(owner, "REGION".into()), "{at}");
        }
        let token = names.token("ci-bot", 7);
        assert_eq!(token.as_str(), "forge/users/ci-bot/tokens/7");
        assert_eq!(Names::subject(&token), Subject::Token { user: "ci-bot".into(), id: 7 });
        let key = Ref::from_text("forge/acme/shop/deploy-keys/3");
        let subject = Subject::DeployKey { owner: "acme".into(), repository: "shop".into(), id: 3 };
        assert_eq!(Names::subject(&key), subject);
        for other in
            ["forge/users/dana/deploy-keys/3", "forge/acme/shop/deploy-keys/x", "forge/acme", "forge"]
        {
            assert_eq!(Names::subject(&Ref::from_text(other)), Subject::Other, "{other}");
        }
    }
}
