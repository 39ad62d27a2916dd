use std::{collections::BTreeMap, sync::Arc};

use chrono::TimeDelta;
use claviger_backend::Backend;
use claviger_core::{approval::Approver, model::Labels, reference::Ref, schedule::Blackout};

use crate::{Error, Result, exception::Exception, guard::Guards, policy::Policy};

/// A backend of the configuration.
#[derive(Clone)]
pub struct Member {
    /// The backend.
    pub backend: Arc<dyn Backend>,
    /// Labels that the configuration gives all its items.
    pub labels: Labels,
    /// May candidate values be tried by logging in?
    pub link_by_login: bool,
}

/// Who answers for what matches: a rule of the configuration.
#[derive(Debug, Clone)]
pub struct OwnerRule {
    /// A ref with globs.
    pub pattern: String,
    /// Person or team.
    pub owner: String,
}

/// What matching cannot prove, said by hand: these copies belong to this credential.
#[derive(Debug, Clone)]
pub struct Declared {
    /// The credential's ref at its issuer.
    pub credential: Ref,
    /// Refs of its copies.
    pub copies: Vec<Ref>,
}

/// All backends, by name, and the rules that hold for them.
#[derive(Clone, Default)]
pub struct Estate {
    members: BTreeMap<String, Member>,
    /// Backends of the configuration that could not be built, with the error: they are reported as failed, and the others go on.
    pub broken: Vec<(String, String, Arc<claviger_backend::Error>)>,
    /// Owners by rule.
    pub owners: Vec<OwnerRule>,
    /// Links by hand.
    pub declared: Vec<Declared>,
    /// Policies, in the order of the configuration.
    pub policies: Vec<Policy>,
    /// What is waived for a while.
    pub exceptions: Vec<Exception>,
    /// Times in which nothing is started by itself.
    pub blackouts: Vec<Blackout>,
    /// People who may approve.
    pub approvers: Vec<Approver>,
    /// What is too much for one person.
    pub guards: Guards,
    /// Who acts, where they have shown their key: the name of an approver.
    pub operator: Option<String>,
    /// How long after its opening an incident lets plans through without the approvals that they want.
    pub break_glass: TimeDelta,
}

impl Estate {
    /// Adds a backend under its own name.
    pub fn add(&mut self, member: Member) {
        self.members.insert(member.backend.info().name.clone(), member);
    }

    /// The backend with this name.
    ///
    /// # Errors
    /// There is none.
    pub fn member(&self, name: &str) -> Result<&Member> {
        self.members.get(name).ok_or_else(|| Error::UnknownBackend(name.to_owned()))
    }

    /// The backend that a ref names.
    ///
    /// # Errors
    /// There is none.
    pub fn backend_of(&self, at: &Ref) -> Result<&Arc<dyn Backend>> {
        Ok(&self.member(at.backend())?.backend)
    }

    /// All backends, by name.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The credential that the configuration declares for a copy.
    pub fn declared_for(&self, copy: &Ref) -> Option<&Ref> {
        self.declared
            .iter()
            .find(|declared| declared.copies.contains(copy))
            .map(|declared| &declared.credential)
    }
}
