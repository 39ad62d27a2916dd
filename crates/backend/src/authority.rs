//! What gives a person its rights, and taking it away: all that can be done where a credential cannot be refused.

use async_trait::async_trait;
use claviger_core::{
    reference::Ref,
    saga::{Party, Person, Question},
};

use crate::{Operation, Result};

/// A binding that names a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The binding.
    pub at: Ref,
    /// What it gives, e.g. `ClusterRole/edit`.
    pub privilege: String,
    /// Where that holds: a namespace, `*` for everywhere.
    pub reach: String,
    /// Those of the person's that it names.
    pub parties: Vec<Party>,
    /// Others that it names; they stay in it.
    pub others: Vec<String>,
    /// Which other system writes it.
    pub managed_by: Option<String>,
}

/// What gives a person its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The ref of its user.
    pub at: Ref,
    /// The bindings that name it, ordered by ref.
    pub holds: Vec<Hold>,
    /// What those allow, to ask about before and after; a selection where it is much.
    pub questions: Vec<Question>,
    /// Why nothing is cut: a stable code, and what to do instead.
    pub refused: Option<(&'static str, String)>,
}

/// Who says what a person may do.
#[async_trait]
pub trait Authority: Send + Sync {
    /// Is this the address of the system, as a client's configuration has it? Constant, and nobody is asked.
    fn is_at(&self, server: &str) -> bool;

    /// What gives the person its rights, of what is to be cut of it. Changes nothing.
    async fn rights(&self, who: &Person) -> Result<Rights>;

    /// May the person do this? One answer for each question, of all that decides about it.
    async fn may(&self, who: &Person, questions: &[Question]) -> Result<Vec<bool>>;

    /// Takes these out of the binding by compare-and-set; the others stay as they are, and so does a binding that names nobody any more. Gives
    /// those that were in it. Absent binding, or none of them in it: success, and nothing is changed. Cancellation: effect unknown; a repeat is
    /// safe.
    async fn cut(&self, op: &Operation, binding: &Ref, parties: &[Party]) -> Result<Vec<Party>>;
}
