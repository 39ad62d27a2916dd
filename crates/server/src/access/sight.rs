use claviger_core::{
    model::Labels,
    reference::Ref,
    view::{CredentialView, IdentityView},
};

use super::{Principal, Subject, Verb};

/// Whose eyes a document is made for.
#[derive(Debug, Clone, Copy)]
pub enum Sight<'a> {
    /// Whoever has the database and the keys sees everything.
    All,
    /// What this person may do that to.
    Of(&'a Principal, Verb),
}

impl Sight<'_> {
    /// Is nothing left out?
    pub fn is_whole(&self) -> bool {
        self.covers(&Subject::Estate)
    }

    /// Is this within it?
    pub fn covers(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Of(principal, verb) => principal.may(*verb, subject),
        }
    }

    /// The same of a thing with labels.
    pub fn sees(&self, backend: &str, labels: &Labels) -> bool {
        self.covers(&Subject::Object { backend, labels })
    }

    /// The same of a thing of which only the ref is known.
    pub fn sees_ref(&self, at: &Ref) -> bool {
        self.covers(&Subject::Backend(at.backend()))
    }

    /// The same of a credential.
    pub fn sees_credential(&self, credential: &CredentialView) -> bool {
        self.sees(&credential.backend, &credential.labels)
    }

    /// The same of an identity.
    pub fn sees_identity(&self, identity: &IdentityView) -> bool {
        self.sees(identity.at.backend(), &identity.labels)
    }
}
