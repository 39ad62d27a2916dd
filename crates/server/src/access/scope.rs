use claviger_core::model::Labels;
use claviger_engine::selector::glob;
use serde::{Deserialize, Serialize};

/// Where a role holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Names of backends, with globs. None: all of them.
    #[serde(default)]
    pub backends: Vec<String>,
    /// Labels that a thing must have, all of them. None: whatever it has.
    #[serde(default)]
    pub labels: Labels,
}

/// What something is done to.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// All of it: the audit log, an incident of nothing in particular, a pause of everything.
    Estate,
    /// A backend, or something in it of which nobody knows the labels.
    Backend(&'a str),
    /// Something in a backend, with its labels.
    Object {
        /// The backend.
        backend: &'a str,
        /// The labels.
        labels: &'a Labels,
    },
}

impl Scope {
    /// Does it leave nothing out?
    pub fn is_whole(&self) -> bool {
        self.labels.is_empty() && (self.backends.is_empty() || self.backends.iter().any(|glob| glob == "*"))
    }

    /// Is this within it? What is not known to be is not.
    pub fn covers(&self, subject: &Subject<'_>) -> bool {
        let in_backend =
            |name: &str| self.backends.is_empty() || self.backends.iter().any(|pattern| glob(pattern, name));
        match subject {
            Subject::Estate => self.is_whole(),
            Subject::Backend(name) => self.labels.is_empty() && in_backend(name),
            Subject::Object { backend, labels } => {
                in_backend(backend) && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            }
        }
    }
}
