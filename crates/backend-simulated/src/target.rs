//! What a ref of this backend names.

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::reference::Ref;

use crate::estate::{ObjectKind, ObjectName};

/// A parsed ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `db/role/<role>`.
    Role(String),
    /// `iam/user/<user>/access-key/<id>`.
    AccessKey {
        /// The user.
        user: String,
        /// The key's id.
        id: String,
    },
    /// `auth/token/accessor/<accessor>`.
    Token(String),
    /// `database/static-roles/<name>`.
    StaticRole(String),
    /// `database/config/<name>`.
    Connection(String),
    /// `kv/<path>#<key>`.
    Kv {
        /// The path.
        path: String,
        /// The field.
        key: String,
    },
    /// `k8s/<namespace>/<Kind>/<name>`, with a field or without.
    Object {
        /// The namespace.
        namespace: String,
        /// The object.
        object: ObjectName,
        /// The field.
        key: Option<String>,
    },
    /// `k8s/<namespace>/ServiceAccount/<name>`.
    ServiceAccount {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// `k8s/<namespace>/Pod/<name>`: one to which tokens are bound.
    Pod {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// `identity/entity/<name>`.
    Entity(String),
    /// `auth/kubernetes/role/<name>`.
    KubernetesRole(String),
    /// `forge/<owner>/<repository>/actions/secrets/<name>`.
    ForgeSecret {
        /// `<owner>/<repository>`.
        repository: String,
        /// The name.
        name: String,
    },
    /// `forge/<owner>/<repository>/deploy-keys/<id>`.
    DeployKey {
        /// `<owner>/<repository>`.
        repository: String,
        /// The forge's name for it.
        id: String,
    },
    /// `k8s/*/ClusterRoleBinding/<name>`.
    UserBinding(String),
    /// `k8s/<namespace>/Deployment/<name>`.
    Deployment {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// `k8s/<namespace>/Deployment/<name>#containers/<container>/env/<variable>`.
    Literal {
        /// The namespace.
        namespace: String,
        /// The Deployment's name.
        name: String,
        /// The container.
        container: String,
        /// The variable.
        variable: String,
    },
}

impl Target {
    /// Reads a ref.
    ///
    /// # Errors
    /// `Invalid` for a ref that none of this backend's targets has.
    pub fn parse(operation: &'static str, at: &Ref) -> Result<Self> {
        let segments: Vec<&str> = at.path().split('/').collect();
        let field = at.field_name();
        let target = match (segments.as_slice(), field) {
            (["db", "role", role], None) => Some(Self::Role((*role).to_owned())),
            (["iam", "user", user, "access-key", id], None) => {
                Some(Self::AccessKey { user: (*user).to_owned(), id: (*id).to_owned() })
            }
            (["auth", "token", "accessor", accessor], None) => Some(Self::Token((*accessor).to_owned())),
            (["auth", "kubernetes", "role", name], None) => Some(Self::KubernetesRole((*name).to_owned())),
            (["identity", "entity", name], None) => Some(Self::Entity((*name).to_owned())),
            (["forge", owner, repository, "actions", "secrets", name], None) => Some(Self::ForgeSecret {
                repository: format!("{owner}/{repository}"),
                name: (*name).to_owned(),
            }),
            (["forge", owner, repository, "deploy-keys", id], None) => {
                Some(Self::DeployKey { repository: format!("{owner}/{repository}"), id: (*id).to_owned() })
            }
            (["database", "static-roles", name], None) => Some(Self::StaticRole((*name).to_owned())),
            (["database", "config", name], None) => Some(Self::Connection((*name).to_owned())),
            (["kv", path @ ..], Some(key)) if !path.is_empty() => {
                Some(Self::Kv { path: path.join("/"), key: field_of(key) })
            }
            (["k8s", "*", "ClusterRoleBinding", name], None) => Some(Self::UserBinding((*name).to_owned())),
            (["k8s", namespace, kind, name], key) => object(namespace, kind, name, key),
            _ => None,
        };
        target.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, operation, format!("{at} is no target of a simulated estate"))
        })
    }

    /// The part of the estate: `db`, `iam`, `kv`, `auth`, `k8s`, `forge`.
    pub fn part(&self) -> &'static str {
        match self {
            Self::Role(_) => "db",
            Self::StaticRole(_) | Self::Connection(_) => "auth",
            Self::AccessKey { .. } => "iam",
            Self::Token(_) | Self::Entity(_) | Self::KubernetesRole(_) => "auth",
            Self::Kv { .. } => "kv",
            Self::ForgeSecret { .. } | Self::DeployKey { .. } => "forge",
            Self::Object { .. }
            | Self::ServiceAccount { .. }
            | Self::Pod { .. }
            | Self::UserBinding(_)
            | Self::Deployment { .. }
            | Self::Literal { .. } => "k8s",
        }
    }
}

/// What follows a slash points into the field's value.
fn field_of(key: &str) -> String {
    key.split('/').next().unwrap_or_default().to_owned()
}

fn object(namespace: &str, kind: &str, name: &str, key: Option<&str>) -> Option<Target> {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    let kind = match kind {
        "Secret" => ObjectKind::Secret,
        "ConfigMap" => ObjectKind::ConfigMap,
        "ServiceAccount" if key.is_none() => return Some(Target::ServiceAccount { namespace, name }),
        "Pod" if key.is_none() => return Some(Target::Pod { namespace, name }),
        "Deployment" => return deployment(namespace, name, key),
        _ => return None,
    };
    Some(Target::Object { namespace, object: ObjectName { kind, name }, key: key.map(field_of) })
}

fn deployment(namespace: String, name: String, key: Option<&str>) -> Option<Target> {
    let Some(key) = key else { return Some(Target::Deployment { namespace, name }) };
    let mut parts = key.split('/');
    let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
    let [Some("containers"), Some(container), Some("env"), Some(variable), None] = parts else { return None };
    Some(Target::Literal { namespace, name, container: container.to_owned(), variable: variable.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Target> {
        Target::parse("test", &Ref::from_text(text)).ok()
    }

    #[test]
    fn refs_name_their_targets() {
        assert_eq!(parse("sim/db/role/app"), Some(Target::Role("app".into())));
        assert_eq!(parse("sim/kv/a/b#c"), Some(Target::Kv { path: "a/b".into(), key: "c".into() }));
        assert_eq!(
            parse("sim/k8s/shop/Deployment/web#containers/app/env/KEY"),
            Some(Target::Literal {
                namespace: "shop".into(),
                name: "web".into(),
                container: "app".into(),
                variable: "KEY".into()
            })
        );
        assert_eq!(
            parse("sim/forge/acme/shop/actions/secrets/KEY"),
            Some(Target::ForgeSecret { repository: "acme/shop".into(), name: "KEY".into() })
        );
        assert_eq!(parse("sim/forge/acme/shop/actions/secrets/KEY#x"), None);
        assert_eq!(parse("sim/kv/a/b"), None);
        assert_eq!(parse("sim/k8s/shop/Job/web"), None);
        assert_eq!(parse("sim/k8s/shop/Deployment/web#containers/app/env/KEY/more"), None);
        assert_eq!(parse("sim/db/role"), None);
    }
}
