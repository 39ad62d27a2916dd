use std::sync::Arc;

use claviger_core::{clock::Clock, fingerprint::FingerprintKey, random::Random, seal::SealingKey};
use claviger_store::{Approvals, AuditLog, Incidents, Inventory, Journal, Notifications};

use crate::Estate;

/// The installation's keys. They lie outside the database.
pub struct Keys {
    /// Makes fingerprints.
    pub fingerprint: FingerprintKey,
    /// Seals values of running sagas.
    pub sealing: SealingKey,
}

/// The lifecycle database's ports.
#[derive(Clone)]
pub struct Ports {
    /// The inventory.
    pub inventory: Arc<dyn Inventory>,
    /// The journal of sagas.
    pub journal: Arc<dyn Journal>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// Plans that wait for approval, and approvals.
    pub approvals: Arc<dyn Approvals>,
    /// Incidents.
    pub incidents: Arc<dyn Incidents>,
    /// What others are told.
    pub notifications: Arc<dyn Notifications>,
}

/// Everything that an operation needs.
pub struct Engine {
    /// The backends and what the configuration says of them.
    pub estate: Estate,
    /// The database.
    pub ports: Ports,
    /// The keys.
    pub keys: Arc<Keys>,
    /// Wall-clock time, for records.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for ids, salts and new values.
    pub random: Arc<dyn Random>,
    /// Who acts: `user@host` or `worker:<id>`.
    pub actor: String,
}

impl Engine {
    /// The same engine, at somebody else's word: what it writes into the audit log names `actor`, and `operator` is who has shown that they are that person.
    #[must_use]
    pub fn acting_as(&self, actor: &str, operator: Option<String>) -> Self {
        let mut estate = self.estate.clone();
        estate.operator = operator;
        Self {
            estate,
            ports: self.ports.clone(),
            keys: Arc::clone(&self.keys),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            actor: actor.to_owned(),
        }
    }
}
