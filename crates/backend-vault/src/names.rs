//! Refs of this backend, both ways.
//!
//! In the path of a ref `%` and `#` are written `%25` and `%23`, because `#` begins the field; everything else stands as the server has it.

use claviger_core::reference::Ref;

/// Makes the refs of one backend.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    backend: String,
}

/// What a ref stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A token by its accessor.
    Token {
        /// Accessor.
        accessor: String,
    },
    /// An AppRole secret-id by its accessor.
    SecretId {
        /// Mount with `auth/`: `auth/approle`.
        mount: String,
        /// Role.
        role: String,
        /// Accessor.
        accessor: String,
    },
    /// A static role of a database mount.
    StaticRole {
        /// Mount.
        mount: String,
        /// Role.
        name: String,
    },
    /// A connection of a database mount, with the root credential that it holds.
    Root {
        /// Mount.
        mount: String,
        /// Connection.
        name: String,
    },
    /// Anything else: a path, which mount it belongs to is for the server to say.
    Path {
        /// Mount and path.
        path: String,
        /// Field; empty for the object itself.
        key: String,
    },
}

impl Names {
    pub(crate) fn new(backend: &str) -> Self {
        Self { backend: backend.to_owned() }
    }

    /// Any object, by its path at the server.
    pub(crate) fn object(&self, path: &str) -> Ref {
        Ref::new(&self.backend, [escape(path)])
    }

    pub(crate) fn token(&self, accessor: &str) -> Ref {
        self.object(&format!("auth/token/accessor/{accessor}"))
    }

    pub(crate) fn approle(&self, mount: &str, role: &str) -> Ref {
        self.object(&format!("{mount}/role/{role}"))
    }

    pub(crate) fn secret_id(&self, mount: &str, role: &str, accessor: &str) -> Ref {
        self.object(&format!("{mount}/role/{role}/secret-id/{accessor}"))
    }

    pub(crate) fn policy(&self, name: &str) -> Ref {
        self.object(&format!("sys/policies/acl/{name}"))
    }

    /// Reads a ref of this backend.
    pub(crate) fn subject(at: &Ref) -> Subject {
        let path = unescape(at.path());
        if let Some(accessor) = path.strip_prefix("auth/token/accessor/") {
            return Subject::Token { accessor: accessor.to_owned() };
        }
        if path.starts_with("auth/")
            && let Some((role, accessor)) = path.rsplit_once("/secret-id/")
            && let Some((mount, role)) = role.rsplit_once("/role/")
        {
            return Subject::SecretId {
                mount: mount.to_owned(),
                role: role.to_owned(),
                accessor: accessor.to_owned(),
            };
        }
        if at.field_name().is_none()
            && !path.starts_with("auth/")
            && let Some((mount, name)) = path.rsplit_once("/static-roles/")
        {
            return Subject::StaticRole { mount: mount.to_owned(), name: name.to_owned() };
        }
        if at.field_name().is_none()
            && !path.starts_with("auth/")
            && let Some((mount, name)) = path.rsplit_once("/config/")
        {
            return Subject::Root { mount: mount.to_owned(), name: name.to_owned() };
        }
        Subject::Path { path, key: at.field_name().unwrap_or_default().to_owned() }
    }
}

fn escape(path: &str) -> String {
    path.replace('%', "%25").replace('#', "%23")
}

fn unescape(path: &str) -> String {
    path.replace("%23", "#").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_come_back() {
        let names = Names::new("vault");
        for path in ["secret/app", "secret/a#b", "secret/%23", "secret/a%25#/ü b", "team/kv/x"] {
            let at = names.object(path).field("k#/1");
            assert_eq!(
                Names::subject(&at),
                Subject::Path { path: path.to_owned(), key: "k#/1".to_owned() },
                "{at}"
            );
        }
    }

    #[test]
    fn credentials_have_the_refs_of_the_contract() {
        let names = Names::new("vault");
        let token = names.token("abc");
        assert_eq!(token.as_str(), "vault/auth/token/accessor/abc");
        assert_eq!(Names::subject(&token), Subject::Token { accessor: "abc".into() });
        let role = names.object("db/main/static-roles/app");
        assert_eq!(
            Names::subject(&role),
            Subject::StaticRole { mount: "db/main".into(), name: "app".into() }
        );
        let root = names.object("db/main/config/app");
        assert_eq!(Names::subject(&root), Subject::Root { mount: "db/main".into(), name: "app".into() });
        let field = names.object("kv/config/app").field("password");
        assert!(matches!(Names::subject(&field), Subject::Path { .. }));
        let secret_id = names.secret_id("auth/team/approle", "web", "x-y");
        assert_eq!(secret_id.as_str(), "vault/auth/team/approle/role/web/secret-id/x-y");
        let subject = Subject::SecretId {
            mount: "auth/team/approle".into(),
            role: "web".into(),
            accessor: "x-y".into(),
        };
        assert_eq!(Names::subject(&secret_id), subject);
    }
}
