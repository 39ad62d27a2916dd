//! Incidents: opened, worked on, closed. What became of their credentials is read from sagas and receipts.

mod item;
mod reported;
mod runbook;

use std::fmt;

use chrono::{DateTime, Utc};
use claviger_core::{
    audit::AuditKind,
    id::{CredentialId, IncidentId},
    incident::{Durations, Incident, IncidentView, Item, Moment, Note},
    reference::Ref,
    saga::Cause,
};
use claviger_store::NewIncident;

pub use self::reported::Reported;

use crate::{Engine, Error, Result, approval::Admission, plan::Plan};

impl Engine {
    /// Opens an incident of these credentials.
    ///
    /// # Errors
    /// The exposure lies in the future, or the database fails.
    pub async fn open_incident(
        &self,
        title: &str,
        exposed_at: Option<DateTime<Utc>>,
        credentials: &[(CredentialId, Ref)],
    ) -> Result<IncidentId> {
        if exposed_at.is_some_and(|exposed| exposed > self.clock.now()) {
            let reason = "`exposed` lies in the future".to_owned();
            return Err(Error::Incident { code: "future", reason });
        }
        let id = IncidentId::generate(self.clock.as_ref(), self.random.as_ref());
        self.open_incident_as(id, title, exposed_at, credentials).await
    }

    /// The same under an id that is known.
    async fn open_incident_as(
        &self,
        id: IncidentId,
        title: &str,
        exposed_at: Option<DateTime<Utc>>,
        credentials: &[(CredentialId, Ref)],
    ) -> Result<IncidentId> {
        let new = NewIncident { id, title: title.to_owned(), exposed_at, actor: self.actor.clone() };
        let concerned = credentials
            .iter()
            .map(|(credential, at)| Note::Concerned { credential: *credential, at: at.clone() });
        let mut notes: Vec<_> = Vec::new();
        for note in [Note::Opened].into_iter().chain(concerned) {
            let mut detail = serde_json::to_value(&note).unwrap_or_default();
            if note == Note::Opened {
                detail["title"] = title.into();
                detail["exposed_at"] = serde_json::to_value(exposed_at).unwrap_or_default();
            }
            notes.push((note, self.said(AuditKind::Incident, &new.id.to_string(), detail)));
        }
        self.ports.incidents.open_incident(&new, notes).await?;
        Ok(new.id)
    }

    /// The incident whose id begins so.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub async fn incident(&self, beginning: &str) -> Result<Incident> {
        let all = self.ports.incidents.incidents().await?;
        let mut found = all.into_iter().filter(|incident| incident.id.to_string().starts_with(beginning));
        match (found.next(), found.next()) {
            (Some(incident), None) => Ok(incident),
            (None, _) => {
                Err(Error::Incident { code: "none", reason: format!("there is no incident `{beginning}`") })
            }
            _ => Err(Error::Incident {
                code: "ambiguous",
                reason: format!("`{beginning}` begins more than one incident's id"),
            }),
        }
    }

    /// The same, and it must be open.
    ///
    /// # Errors
    /// There is none, or it is closed.
    pub async fn open_one(&self, beginning: &str) -> Result<Incident> {
        let incident = self.incident(beginning).await?;
        match incident.closed() {
            None => Ok(incident),
            Some(closed) => Err(closed_at(incident.id, closed.at)),
        }
    }

    /// Notes that a plan was decided on, with the credentials that it brings into the incident. Before anything is begun.
    ///
    /// # Errors
    /// It is closed, or the database fails.
    pub async fn decide(
        &self,
        incident: &Incident,
        verb: &str,
        plan: &Plan,
        admission: &Admission,
        reason: &str,
    ) -> Result<()> {
        let known = incident.subjects();
        let mut notes: Vec<Note> = plan
            .subjects
            .iter()
            .filter(|subject| !known.iter().any(|(id, _)| *id == subject.credential))
            .map(|subject| Note::Concerned { credential: subject.credential, at: subject.subject.clone() })
            .collect();
        notes.push(Note::Decided {
            verb: verb.to_owned(),
            plan: plan.hash.clone(),
            subjects: plan.subjects.iter().map(|subject| subject.subject.clone()).collect(),
            approved_by: admission.count.given.clone(),
            reason: reason.to_owned(),
        });
        self.note(incident.id, notes).await
    }

    /// Adds notes, each with its audit entry.
    pub(crate) async fn note(&self, id: IncidentId, notes: Vec<Note>) -> Result<()> {
        let notes = notes
            .into_iter()
            .map(|note| {
                let kind = match note {
                    Note::BreakGlass { .. } => AuditKind::BreakGlass,
                    _ => AuditKind::Incident,
                };
                let detail = serde_json::to_value(&note).unwrap_or_default();
                (note, self.said(kind, &id.to_string(), detail))
            })
            .collect();
        match self.ports.incidents.note_incident(id, &self.actor, notes).await? {
            Some(_) => Ok(()),
            None => Err(closed_at(id, self.clock.now())),
        }
    }

    /// Closes it. What is said after the act is wanted in any case, and a reason where something is open.
    ///
    /// # Errors
    /// It is closed already, the note is empty, something is open and no reason was given, or the database fails.
    pub async fn close_incident(
        &self,
        incident: &Incident,
        note: &str,
        unresolved: Option<&str>,
    ) -> Result<IncidentView> {
        if let Some(closed) = incident.closed() {
            return Err(closed_at(incident.id, closed.at));
        }
        if note.trim().is_empty() || unresolved.is_some_and(|reason| reason.trim().is_empty()) {
            let reason = "an incident is closed with a note that says something".to_owned();
            return Err(Error::Incident { code: "no-note", reason });
        }
        let items = self.items(incident).await?;
        let open: Vec<Ref> = items.iter().filter(|item| item.open).map(|item| item.at.clone()).collect();
        if !open.is_empty() && unresolved.is_none() {
            let names: Vec<_> = items.iter().filter(|item| item.open).map(Named).collect();
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            return Err(Error::Incident {
                code: "open-items",
                reason: format!("it is not over: {}", names.join("; ")),
            });
        }
        let closed = Note::Closed {
            note: note.to_owned(),
            // A reason for what is not open says nothing.
            unresolved: unresolved.filter(|_| !open.is_empty()).map(str::to_owned),
            open,
        };
        self.note(incident.id, vec![closed]).await?;
        let incident = self.incident(&incident.id.to_string()).await?;
        self.incident_view(incident).await
    }

    /// All that is known of an incident now.
    ///
    /// # Errors
    /// The database.
    pub async fn incident_view(&self, incident: Incident) -> Result<IncidentView> {
        let items = self.items(&incident).await?;
        let open_items = items.iter().filter(|item| item.open).count();
        let timeline = timeline(&incident, &items);
        let durations = durations(&incident, &items);
        let runbook = runbook::of(&self.estate, &incident, &items);
        Ok(IncidentView {
            state: if incident.closed().is_some() { "closed" } else { "open" }.to_owned(),
            break_glass_until: incident.glass_until(self.estate.break_glass),
            break_glass_used: incident.broke_glass(),
            open_items,
            items,
            timeline,
            durations,
            runbook,
            incident,
        })
    }
}

/// What sagas of an incident say as their cause.
pub fn cause(incident: Option<&Incident>) -> Cause {
    if incident.is_some() { Cause::Incident } else { Cause::Manual }
}

struct Named<'a>(&'a Item);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.at, self.0.reason)
    }
}

fn closed_at(id: IncidentId, at: DateTime<Utc>) -> Error {
    let reason = format!("incident {id} is closed since {}", at.format("%Y-%m-%dT%H:%M:%SZ"));
    Error::Incident { code: "closed", reason }
}

fn timeline(incident: &Incident, items: &[Item]) -> Vec<Moment> {
    let of = |at, what: &str, detail: String| Moment {
        at,
        what: what.to_owned(),
        actor: None,
        detail,
        audit_seq: None,
    };
    let mut moments = Vec::new();
    if let Some(exposed) = incident.exposed_at {
        moments.push(of(exposed, "exposed", "since then somebody else could have had it".to_owned()));
    }
    for noted in &incident.notes {
        let (what, detail) = match &noted.note {
            Note::Opened => ("known", incident.title.clone()),
            Note::Concerned { at, .. } => ("concerned", format!("{at} is concerned")),
            Note::Decided { verb, plan, subjects, approved_by, reason } => {
                let by = if approved_by.is_empty() {
                    String::new()
                } else {
                    format!(", approved by {}", approved_by.join(", "))
                };
                ("decided", format!("{verb} {} subjects by plan {plan}{by}: {reason}", subjects.len()))
            }
            Note::BreakGlass { plan, needed, approved_by, .. } => (
                "break-glass",
                format!("plan {plan} was let through with {} of {needed} approvals", approved_by.len()),
            ),
            Note::Closed { note, unresolved: None, .. } => ("closed", note.clone()),
            Note::Closed { note, unresolved: Some(reason), open } => {
                ("closed", format!("{note}; {} are open: {reason}", open.len()))
            }
        };
        moments.push(Moment {
            actor: Some(noted.actor.clone()),
            audit_seq: Some(noted.audit_seq.0),
            ..of(noted.at, what, detail)
        });
    }
    for item in items {
        if let Some(at) = item.revoked_at {
            moments.push(of(at, "revoked", format!("{}: its issuer was told", item.at)));
        }
        if let Some(at) = item.proven_at {
            let detail = format!("{}: {}", item.at, item.reason);
            moments.push(Moment { audit_seq: item.receipt, ..of(at, "proven", detail) });
        }
    }
    moments.sort_by_key(|moment| moment.at);
    moments
}

fn durations(incident: &Incident, items: &[Item]) -> Durations {
    // The last of all, once there is one of each.
    let last = |of: fn(&Item) -> Option<DateTime<Utc>>| {
        let all: Option<Vec<_>> = items.iter().map(of).collect();
        all.and_then(|all| all.into_iter().max())
    };
    let revoked_at = last(|item| item.revoked_at.filter(|_| !item.open));
    let proven_at = last(|item| item.proven_at.filter(|_| !item.open));
    let since =
        |from: DateTime<Utc>, to: Option<DateTime<Utc>>| to.map(|to| (to - from).num_seconds().max(0));
    Durations {
        revoked_at,
        proven_at,
        time_to_revoke: since(incident.opened_at, revoked_at),
        time_to_proof: since(incident.opened_at, proven_at),
        exposure: incident.exposed_at.and_then(|exposed| since(exposed, revoked_at)),
    }
}
