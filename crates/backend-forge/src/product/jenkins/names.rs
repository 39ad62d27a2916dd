//! Refs of this backend, both ways.

use claviger_core::reference::Ref;

/// Makes the refs of one backend.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    backend: String,
}

/// A store of credentials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Store {
    /// Of the whole server.
    System,
    /// Of a folder: the names of the folders that lead to it.
    Folder(Vec<String>),
}

/// A credential of Jenkins: something with an id, in which one or more values lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where.
    pub(crate) store: Store,
    /// `_` is the global domain.
    pub(crate) domain: String,
    /// Id.
    pub(crate) id: String,
}

const SYSTEM: &str = "system";
/// Stands before each folder's name, as in Jenkins' own addresses.
const JOB: &str = "job";

impl Store {
    /// As refs and scopes have it: `system`, `job/team/job/web`.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::System => SYSTEM.to_owned(),
            Self::Folder(names) => {
                names.iter().map(|name| format!("{JOB}/{name}")).collect::<Vec<_>>().join("/")
            }
        }
    }

    /// Where the server has it.
    pub(crate) fn segments(&self) -> Vec<&str> {
        let mut path = Vec::new();
        let kind = match self {
            Self::System => SYSTEM,
            Self::Folder(names) => {
                path.extend(names.iter().flat_map(|name| [JOB, name.as_str()]));
                "folder"
            }
        };
        path.extend(["credentials", "store", kind]);
        path
    }

    fn of(path: &[&str]) -> Option<Self> {
        if path == [SYSTEM] {
            return Some(Self::System);
        }
        let names = path.chunks(2).map(|pair| match pair {
            [JOB, name] => Some((*name).to_owned()),
            _ => None,
        });
        let names: Vec<String> = names.collect::<Option<_>>()?;
        (!names.is_empty()).then_some(Self::Folder(names))
    }
}

impl Place {
    /// Where the server has its XML.
    pub(crate) fn segments(&self) -> Vec<&str> {
        let mut path = self.store.segments();
        path.extend(["domain", self.domain.as_str(), "credential", self.id.as_str(), "config.xml"]);
        path
    }
}

impl Names {
    pub(crate) fn new(backend: &str) -> Self {
        Self { backend: backend.to_owned() }
    }

    pub(crate) fn place(&self, place: &Place) -> Ref {
        Ref::new(&self.backend, [place.store.path(), place.domain.clone(), place.id.clone()])
    }

    /// Can a ref name it? An id or a domain with a slash reads as something else.
    pub(crate) fn is_plain(text: &str) -> bool {
        !text.is_empty() && !text.contains(['/', '#']) && text != "." && text != ".."
    }

    /// Reads a ref of a value: the credential, and the element in which the value lies.
    pub(crate) fn read(at: &Ref) -> Option<(Place, String)> {
        let field = at.field_name()?.to_owned();
        let segments: Vec<&str> = at.path().split('/').collect();
        let [store @ .., domain, id] = segments.as_slice() else { return None };
        let store = Store::of(store)?;
        (Self::is_plain(domain) && Self::is_plain(id))
            .then(|| (Place { store, domain: (*domain).to_owned(), id: (*id).to_owned() }, field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_with_their_store() {
        let names = Names::new("ci");
        let folder = Store::Folder(vec!["team".into(), "web".into()]);
        for (store, text) in [(Store::System, "ci/system/_/db"), (folder, "ci/job/team/job/web/_/db")] {
            let place = Place { store, domain: "_".into(), id: "db".into() };
            let at = names.place(&place);
            assert_eq!(at.as_str(), text);
            assert_eq!(Names::read(&at.field("secret")), Some((place, "secret".to_owned())));
        }
        for other in [
            "ci/system/_/db",
            "ci/team/_/db#secret",
            "ci/job/_/db#secret",
            "ci/db#secret",
            "ci/job/a/b/_/db#secret",
        ] {
            assert_eq!(Names::read(&Ref::from_text(other)), None, "{other}");
        }
        // A folder may be called like the system's store.
        let folder = Store::Folder(vec!["system".into()]);
        assert_eq!(folder.segments(), ["job", "system", "credentials", "store", "folder"]);
    }
}
