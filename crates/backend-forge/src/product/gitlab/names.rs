//! Refs of this backend, both ways.

use claviger_core::reference::Ref;

/// Makes the refs of one backend.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    backend: String,
}

/// Who owns variables, tokens and triggers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// The whole server.
    Instance,
    /// The group or the project with this path. No two have the same one.
    Path(String),
}

/// A variable: one key stands there once for each environment scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VariableName {
    /// Whose.
    pub(crate) owner: Owner,
    /// Its key.
    pub(crate) key: String,
    /// `*`, `production`, `review/*`.
    pub(crate) scope: String,
}

/// Whose an access token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A user's own.
    Personal(String),
    /// One that an administrator made for a user.
    Impersonation(String),
    /// Of a group or project, at this path.
    Path(String),
}

/// What a ref stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An access token.
    Token {
        /// Whose.
        holder: Holder,
        /// Number.
        id: u64,
    },
    /// A deploy token of a group or project.
    DeployToken {
        /// Path.
        path: String,
        /// Number.
        id: u64,
    },
    /// A deploy key of a project.
    DeployKey {
        /// The project's path.
        path: String,
        /// Number.
        id: u64,
    },
    /// A token that starts a project's pipelines.
    Trigger {
        /// The project's path.
        path: String,
        /// Number.
        id: u64,
    },
    /// A runner, with its authentication token.
    Runner(u64),
    /// A variable whose value is shown.
    Variable(VariableName),
    /// A hidden one. What is hidden stays so, therefore the ref can say it.
    Hidden(VariableName),
    /// Anything else.
    Other,
}

/// What stands for the server among paths: GitLab keeps it for itself.
const INSTANCE: &str = "-";
/// First segment of what belongs to a user: GitLab keeps the name for itself, so no group has it.
const USERS: &str = "users";
const VARIABLES: &str = "variables";
const HIDDEN: &str = "hidden-variables";

impl Owner {
    /// As refs and scopes have it.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Instance => INSTANCE,
            Self::Path(path) => path,
        }
    }

    fn of(path: &str) -> Self {
        if path == INSTANCE { Self::Instance } else { Self::Path(path.to_owned()) }
    }

    /// Itself and what lies above it, the nearest first. A job is given the variables of all of them.
    pub(crate) fn and_above(path: &str) -> Vec<Self> {
        let mut all = Vec::new();
        let mut rest = Some(path);
        while let Some(path) = rest.filter(|path| !path.is_empty()) {
            all.push(Self::Path(path.to_owned()));
            rest = path.rsplit_once('/').map(|(above, _)| above);
        }
        all.push(Self::Instance);
        all
    }
}

impl Holder {
    fn path(&self) -> String {
        match self {
            Self::Personal(user) => format!("{USERS}/{user}/access-tokens"),
            Self::Impersonation(user) => format!("{USERS}/{user}/impersonation-tokens"),
            Self::Path(path) => format!("{path}/access-tokens"),
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
        self.object(&format!("{USERS}/{name}"))
    }

    pub(crate) fn token(&self, holder: &Holder, id: u64) -> Ref {
        self.object(&format!("{}/{id}", holder.path()))
    }

    pub(crate) fn runner(&self, id: u64) -> Ref {
        self.object(&format!("{INSTANCE}/runners/{id}"))
    }

    pub(crate) fn variable(&self, name: &VariableName, hidden: bool) -> Ref {
        let kind = if hidden { HIDDEN } else { VARIABLES };
        self.object(&format!("{}/{kind}/{}@{}", name.owner.path(), name.key, name.scope))
    }

    /// Reads a ref of this backend.
    pub(crate) fn subject(at: &Ref) -> Subject {
        let path = at.path();
        if let Some(name) = variable(path, HIDDEN) {
            return Subject::Hidden(name);
        }
        if let Some(name) = variable(path, VARIABLES) {
            return Subject::Variable(name);
        }
        let Some((rest, id)) = path.rsplit_once('/') else { return Subject::Other };
        let (Some((owner, kind)), Ok(id)) = (rest.rsplit_once('/'), id.parse()) else {
            return Subject::Other;
        };
        let user = owner.strip_prefix("users/").filter(|user| !user.contains('/')).map(str::to_owned);
        match (kind, user, owner) {
            ("access-tokens", Some(user), _) => Subject::Token { holder: Holder::Personal(user), id },
            ("impersonation-tokens", Some(user), _) => {
                Subject::Token { holder: Holder::Impersonation(user), id }
            }
            ("runners", None, INSTANCE) => Subject::Runner(id),
            (_, _, INSTANCE) => Subject::Other,
            ("access-tokens", None, path) => Subject::Token { holder: Holder::Path(path.to_owned()), id },
            ("deploy-tokens", None, path) => Subject::DeployToken { path: path.to_owned(), id },
            ("deploy-keys", None, path) => Subject::DeployKey { path: path.to_owned(), id },
            ("triggers", None, path) => Subject::Trigger { path: path.to_owned(), id },
            _ => Subject::Other,
        }
    }
}

/// `acme/shop/variables/KEY@review/*`: a key has no slash, so the first place where one follows with its `@` is the right one, also in a project
/// that is called like the segment.
fn variable(path: &str, kind: &str) -> Option<VariableName> {
    path.match_indices('/').find_map(|(start, _)| {
        let rest = path[start + 1..].strip_prefix(kind)?.strip_prefix('/')?;
        let (key, scope) = rest.split_once('@')?;
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let owner = Owner::of(&path[..start]);
        (is_key && start > 0 && !scope.is_empty()).then(|| VariableName {
            owner,
            key: key.to_owned(),
            scope: scope.to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(owner: &str, key: &str, scope: &str) -> VariableName {
        VariableName { owner: Owner::of(owner), key: key.into(), scope: scope.into() }
    }

    #[test]
    fn variables_come_back_with_their_scope_and_their_owner() {
        let names = Names::new("forge");
        for (name, text) in [
            (name("acme/shop", "DB", "*"), "forge/acme/shop/variables/DB@*"),
            (name("acme/web/shop", "DB", "review/*"), "forge/acme/web/shop/variables/DB@review/*"),
            (name("acme/variables", "DB", "a b"), "forge/acme/variables/variables/DB@a b"),
            (name("-", "DB", "*"), "forge/-/variables/DB@*"),
        ] {
            let at = names.variable(&name, false);
            assert_eq!(at.as_str(), text);
            assert_eq!(Names::subject(&at), Subject::Variable(name.clone()), "{at}");
            let hidden = names.variable(&name, true);
            assert_eq!(Names::subject(&hidden), Subject::Hidden(name), "{hidden}");
        }
        for other in [
            "forge/acme/variables/DB",
            "forge/variables/DB@*",
            "forge/acme/variables/D-B@*",
            "forge/a/variables/DB@",
        ] {
            assert_eq!(Names::subject(&Ref::from_text(other)), Subject::Other, "{other}");
        }
    }

    #[test]
    fn tokens_come_back_with_their_holder() {
        let names = Names::new("forge");
        for holder in [
            Holder::Personal("dana".into()),
            Holder::Impersonation("dana".into()),
            Holder::Path("acme".into()),
            Holder::Path("acme/web/shop".into()),
        ] {
            let at = names.token(&holder, 7);
            assert_eq!(Names::subject(&at), Subject::Token { holder, id: 7 }, "{at}");
        }
        assert_eq!(
            names.token(&Holder::Path("acme/shop".into()), 7).as_str(),
            "forge/acme/shop/access-tokens/7"
        );
        assert_eq!(Names::subject(&names.runner(3)), Subject::Runner(3));
        let read = |text: &str| Names::subject(&Ref::from_text(text));
        assert_eq!(read("forge/acme/shop/triggers/3"), Subject::Trigger { path: "acme/shop".into(), id: 3 });
        let key = Subject::DeployKey { path: "acme/shop".into(), id: 3 };
        assert_eq!(read("forge/acme/shop/deploy-keys/3"), key);
        assert_eq!(read("forge/acme/deploy-tokens/3"), Subject::DeployToken { path: "acme".into(), id: 3 });
        for other in [
            "forge/acme/runners/3",
            "forge/-/access-tokens/3",
            "forge/users/dana/triggers/3",
            "forge/acme",
            "forge",
        ] {
            assert_eq!(read(other), Subject::Other, "{other}");
        }
    }

    #[test]
    fn what_lies_above_is_named_from_near_to_far() {
        let paths: Vec<String> =
            Owner::and_above("acme/web/shop").iter().map(|owner| owner.path().to_owned()).collect();
        assert_eq!(paths, ["acme/web/shop", "acme/web", "acme", "-"]);
    }
}
