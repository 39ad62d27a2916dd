use std::sync::Arc;

use claviger_core::{clock::Clock, fingerprint::FingerprintKey, random::Random, seal::SealingKey};
use claviger_store::{Approvals, AuditLog, Incidents, Inventory, Journal};

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
}

/// Everything that an operation needs.
pub struct Engine {
    /// The backends and what the configuration says of them.
    pub estate: Estate,
    /// The database.
    pub ports: Ports,
    /// The keys.
    pub keys: Keys,
    /// Wall-clock time, for records.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for ids, salts and new values.
    pub random: Arc<dyn Random>,
    /// Who acts: `user@host` or `worker:<id>`.
    pub actor: String,
}
