//! Refs and the names behind them.

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::reference::Ref;

pub(crate) fn user(backend: &str, name: &str) -> Ref {
    Ref::new(backend, ["iam", "user", name])
}

pub(crate) fn role(backend: &str, name: &str) -> Ref {
    Ref::new(backend, ["iam", "role", name])
}

pub(crate) fn access_key(backend: &str, user: &str, id: &str) -> Ref {
    Ref::new(backend, ["iam", "user", user, "access-key", id])
}

/// The root user's key; it belongs to no IAM user.
pub(crate) fn root_key(backend: &str, id: &str) -> Ref {
    Ref::new(backend, ["iam", "root", "access-key", id])
}

pub(crate) fn root(backend: &str) -> Ref {
    Ref::new(backend, ["iam", "root"])
}

pub(crate) fn policy(backend: &str, name: &str) -> Ref {
    Ref::new(backend, ["iam", "policy", name])
}

pub(crate) fn group(backend: &str, name: &str) -> Ref {
    Ref::new(backend, ["iam", "group", name])
}

pub(crate) fn secret(backend: &str, name: &str) -> Ref {
    Ref::new(backend, ["secretsmanager", name])
}

/// As in the parameter's ARN: `/prod/db` is `…/ssm/prod/db`.
pub(crate) fn parameter(backend: &str, name: &str) -> Ref {
    Ref::new(backend, ["ssm", name.strip_prefix('/').unwrap_or(name)])
}

/// What a ref of this backend names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// A user's access key.
    AccessKey { user: &'a str, id: &'a str },
    /// A secret, and one key of it.
    Secret { name: &'a str, key: Option<&'a str> },
    /// A parameter, as IAM and the API write it.
    Parameter { name: String },
}

/// Reads a ref.
///
/// # Errors
/// `Invalid` when it names nothing of ours.
pub(crate) fn read<'a>(backend: &str, operation: &'static str, at: &'a Ref) -> Result<Named<'a>> {
    parse(backend, at.as_str()).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, operation, format!("{at} names nothing that {backend} can do this to"))
            .with_hint(format!("{backend}/secretsmanager/<name>#<key>, {backend}/ssm/<name> or {backend}/iam/user/<user>/access-key/<id>"))
    })
}

fn parse<'a>(backend: &str, text: &'a str) -> Option<Named<'a>> {
    let rest = text.strip_prefix(backend)?.strip_prefix('/')?;
    if let Some(rest) = rest.strip_prefix("secretsmanager/") {
        let (name, key) = rest.split_once('#').map_or((rest, None), |(name, key)| (name, Some(key)));
        return (!name.is_empty()).then_some(Named::Secret { name, key });
    }
    if let Some(rest) = rest.strip_prefix("ssm/") {
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        // A name in a hierarchy begins with a slash, a flat one needs none.
        let name = if rest.contains('/') { format!("/{rest}") } else { rest.to_owned() };
        return (!rest.is_empty() && !rest.contains('#')).then_some(Named::Parameter { name });
    }
    let (user, id) = rest.strip_prefix("iam/user/")?.split_once("/access-key/")?;
    let plain = |part: &str| !part.is_empty() && !part.contains(['/', '#']);
    (plain(user) && plain(id)).then_some(Named::AccessKey { user, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_give_back_their_names() {
        let at = secret("aws", "prod/db").field("pass/word#1");
        assert_eq!(
            read("aws", "read", &at).expect("a secret"),
            Named::Secret { name: "prod/db", key: Some("pass/word#1") }
        );
        let at = access_key("aws", "ci", "AKIA1");
        assert_eq!(read("aws", "verify", &at).expect("a key"), Named::AccessKey { user: "ci", id: "AKIA1" });
        for (name, text) in [("/prod/db", "aws/ssm/prod/db"), ("flat", "aws/ssm/flat")] {
            let at = parameter("aws", name);
            assert_eq!(at.as_str(), text);
            assert_eq!(
                read("aws", "read", &at).expect("a parameter"),
                Named::Parameter { name: name.to_owned() }
            );
        }
        assert_eq!(
            read("aws", "read", &Ref::from_text("aws/ssm//prod/db")).expect("too"),
            Named::Parameter { name: "/prod/db".to_owned() }
        );
        for other in
            ["aws/iam/user/ci", "aws/secretsmanager/", "other/ssm/x", "aws/iam/user/a/access-key/", "aws"]
        {
            assert!(read("aws", "read", &Ref::from_text(other)).is_err(), "{other}");
        }
    }
}
