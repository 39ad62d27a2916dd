//! What is swept.

use std::fmt;

/// Which saga is swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saga {
    /// Of a value at a target that holds one: a database password.
    Rotation,
    /// Of a value at a target that holds several: a token of the secret store.
    Dual,
    /// The same, where the store makes the token itself and tells it once.
    Told,
    /// Of a key pair, whose public half alone its issuer is told: a deploy key.
    DeployKey,
    /// Of a value that its issuer makes, holds and shows: a database password by its static role.
    Asked,
    /// Of a value that its issuer makes, of which copies hold two halves: an access key.
    Minted,
    /// Of a value that its issuer makes under a name: a token Secret.
    Named,
    /// Of a value of which two users take turns to have one: the same database password.
    Alternating,
    /// Of a value that has no issuer: a signing key in two places.
    CopyOnly,
    /// Of a certificate with its key, which an authority of the estate signs.
    Reissue,
    /// Of a value that only its issuer knows afterwards: the root credential of a database engine.
    Root,
    /// The same, where a copy of the old value can be tried.
    RootCopied,
    Revocation,
    /// The swap of a token Secret to the pods' own tokens.
    Swap,
    /// The swap of a store's token to a role for the pods' account.
    SwapRole,
    /// The same, where nobody but the workload's own runs has its token, and its owner changes it.
    SwapSeen,
    /// The revocation of what is suspended first and outlived by sessions, or has no issuer; its copies are cleaned.
    Ending(Ended),
    /// The rollback of one of the others, which an operator asks for after it was stopped behind its pivot.
    Rollback(Stopped),
}

/// What is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A database password with live sessions, and its copies with it.
    Role,
    /// An access key that obtained session credentials.
    Key,
    /// A value without an issuer: only its copies can be cleaned.
    Value,
    /// Tokens that are bound to a ServiceAccount, which is made again.
    Account,
    /// A client certificate, whose rights are cut.
    Certificate,
    /// Tokens that are bound to a pod, of which its controller makes another one.
    Pod,
    /// An entity of the secret store, with its tokens.
    Entity,
}

/// What a rollback takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    Rotation,
    Dual,
    Told,
    DeployKey,
    Minted,
    Named,
    Alternating,
    CopyOnly,
    Reissue,
}

impl Saga {
    /// The saga that makes the plan: of a rollback the one that is taken back.
    pub(crate) fn first(self) -> Self {
        match self {
            Self::Rollback(Stopped::Rotation) => Self::Rotation,
            Self::Rollback(Stopped::Dual) => Self::Dual,
            Self::Rollback(Stopped::Told) => Self::Told,
            Self::Rollback(Stopped::DeployKey) => Self::DeployKey,
            Self::Rollback(Stopped::Minted) => Self::Minted,
            Self::Rollback(Stopped::Named) => Self::Named,
            Self::Rollback(Stopped::Alternating) => Self::Alternating,
            Self::Rollback(Stopped::CopyOnly) => Self::CopyOnly,
            Self::Rollback(Stopped::Reissue) => Self::Reissue,
            other => other,
        }
    }
}

/// A saga, and where the copies lie.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) saga: Saga,
    /// One more copy lies where values are taken and shown to nobody.
    pub(crate) posted: bool,
}

impl Saga {
    pub(crate) const fn shown(self) -> Case {
        Case { saga: self, posted: false }
    }

    pub(crate) const fn posted(self) -> Case {
        Case { saga: self, posted: true }
    }
}

impl From<Saga> for Case {
    fn from(saga: Saga) -> Self {
        saga.shown()
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let posted = if self.posted { " with a posted copy" } else { "" };
        write!(f, "{:?}{posted}", self.saga)
    }
}
