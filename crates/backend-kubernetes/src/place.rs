//! Refs of this backend: `<backend>/<namespace>/<Kind>/<name>[#<field>]`, with `*` as the namespace of what has none.

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::reference::Ref;

/// What stands where a namespace would, for cluster-scoped objects and for users.
pub(crate) const CLUSTER: &str = "*";

/// Makes refs of one backend.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    backend: String,
}

impl Names {
    pub(crate) fn new(backend: &str) -> Self {
        Self { backend: backend.to_owned() }
    }

    pub(crate) fn object(&self, namespace: &str, kind: &str, name: &str) -> Ref {
        Ref::new(&self.backend, [namespace, kind, name])
    }
}

/// A ref taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) namespace: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) field: Option<String>,
}

impl Place {
    /// Takes apart the ref of a namespaced object. Names are checked, because they become part of a URL.
    pub(crate) fn parse(operation: &'static str, at: &Ref) -> Result<Self> {
        let refused = |why: &str| {
            Err(Error::new(ErrorKind::Invalid, operation, format!("{at} {why}"))
                .with_hint("a Kubernetes ref is <backend>/<namespace>/<Kind>/<name>, a copy also #<field>"))
        };
        let path = at.path();
        let mut segments = path.splitn(3, '/');
        let (Some(namespace), Some(kind), Some(name)) = (segments.next(), segments.next(), segments.next())
        else {
            return refused("does not name an object");
        };
        if !usable(namespace) || !usable(name) || !kind.chars().all(|c| c.is_ascii_alphanumeric()) {
            return refused("holds a name that Kubernetes does not allow");
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            field: at.field_name().map(str::to_owned),
        })
    }

    /// The key of the object's data: keys may hold dots but no slash, so what follows a slash points into the value.
    pub(crate) fn key(&self) -> Option<&str> {
        self.field.as_deref().and_then(|field| field.split('/').next()).filter(|key| !key.is_empty())
    }
}

/// Names of namespaces, Secrets and workloads are DNS subdomains (RFC 1123); a capital letter does no harm in a URL.
fn usable(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name != "."
        && name != ".."
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Place> {
        Place::parse("read", &Ref::from_text(text))
    }

    #[test]
    fn a_key_ends_at_the_first_slash() {
        let place = parse("prod/payments/Secret/db#config.yaml/users/0/password").expect("a ref");
        assert_eq!(
            (place.namespace.as_str(), place.kind.as_str(), place.name.as_str()),
            ("payments", "Secret", "db")
        );
        assert_eq!(place.key(), Some("config.yaml"));
        assert_eq!(parse("prod/payments/Secret/db").expect("a ref").key(), None);
    }

    #[test]
    fn names_that_would_leave_their_url_are_refused() {
        for bad in [
            "prod/a/Secret",
            "prod/../Secret/x",
            "prod/a/Secret/..",
            "prod/a/Secret/x?y=1",
            "prod/a/Sec%2f/x",
            "prod//Secret/x",
            "prod",
        ] {
            assert_eq!(parse(bad).err().map(|error| error.kind()), Some(ErrorKind::Invalid), "{bad}");
        }
    }
}
