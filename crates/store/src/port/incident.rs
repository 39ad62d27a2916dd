use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    audit::AuditDraft,
    id::{IncidentId, Seq},
    incident::{Incident, Note},
    view::DrillView,
};

use crate::Result;

/// An incident to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIncident {
    /// Its id.
    pub id: IncidentId,
    /// What people call it.
    pub title: String,
    /// Since when somebody else could have had what leaked.
    pub exposed_at: Option<DateTime<Utc>>,
    /// Who opens it.
    pub actor: String,
}

/// Incidents and drills. Nothing in it can be changed or deleted.
#[async_trait]
pub trait Incidents: Send + Sync {
    /// Opens an incident with its first notes, each with its audit entry, in one transaction.
    async fn open_incident(&self, incident: &NewIncident, notes: Vec<(Note, AuditDraft)>) -> Result<()>;

    /// Adds notes, each with its audit entry, in one transaction. `None`: there is no such incident, or it is closed, and nothing was written.
    async fn note_incident(
        &self,
        id: IncidentId,
        actor: &str,
        notes: Vec<(Note, AuditDraft)>,
    ) -> Result<Option<Vec<Seq>>>;

    /// All incidents with their notes, newest first.
    async fn incidents(&self) -> Result<Vec<Incident>>;

    /// Keeps a drill that came to its end, with its audit entry, in one transaction.
    async fn record_drill(&self, drill: &DrillView, audit: AuditDraft) -> Result<Seq>;

    /// All drills, newest first.
    async fn drills(&self) -> Result<Vec<DrillView>>;
}
