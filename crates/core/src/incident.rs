//! Incidents: what happened, what was decided, and what is left to be done.
//!
//! An incident is a list of notes that only grows. What was revoked and proven is not repeated in it: that is read from the ledger of sagas and
//! receipts each time, so that an incident cannot say anything else than they do.

mod view;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub use self::view::{Ask, Durations, IncidentView, Item, Moment, Runbook, Task};
use crate::{
    id::{CredentialId, IncidentId, Seq},
    reference::Ref,
    saga::PlanHash,
};

/// Something that is noted of an incident. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Note {
    /// It was opened.
    Opened,
    /// A credential is concerned.
    Concerned {
        /// The credential.
        credential: CredentialId,
        /// Its ref.
        #[serde(rename = "ref")]
        at: Ref,
    },
    /// A plan was decided on, and is about to be carried out.
    Decided {
        /// `revoke` or `rotate`.
        verb: String,
        /// The plan.
        plan: PlanHash,
        /// Its subjects.
        subjects: Vec<Ref>,
        /// Who approved it.
        approved_by: Vec<String>,
        /// Why, in the words of whoever decided.
        reason: String,
    },
    /// A plan was let through without the approvals that it wanted.
    BreakGlass {
        /// The plan.
        plan: PlanHash,
        /// How many it wanted.
        needed: u32,
        /// Who had approved it.
        approved_by: Vec<String>,
        /// What wanted them.
        reasons: Vec<String>,
    },
    /// It was closed.
    Closed {
        /// What is to be said after the act.
        note: String,
        /// Why it was closed although something was open.
        unresolved: Option<String>,
        /// What was open.
        open: Vec<Ref>,
    },
}

impl Note {
    /// The word that is stored beside it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Concerned { .. } => "concerned",
            Self::Decided { .. } => "decided",
            Self::BreakGlass { .. } => "break-glass",
            Self::Closed { .. } => "closed",
        }
    }
}

/// A note with who made it, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// Its entry in the audit log.
    pub audit_seq: Seq,
    /// What.
    #[serde(flatten)]
    pub note: Note,
}

/// An incident as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// What people call it.
    pub title: String,
    /// Since when somebody else could have had what leaked, where that is known.
    pub exposed_at: Option<DateTime<Utc>>,
    /// When it became known here.
    pub opened_at: DateTime<Utc>,
    /// Who opened it.
    pub opened_by: String,
    /// Its notes, oldest first.
    pub notes: Vec<Noted>,
}

impl Incident {
    /// The note that closed it.
    pub fn closed(&self) -> Option<&Noted> {
        self.notes.iter().find(|noted| matches!(noted.note, Note::Closed { .. }))
    }

    /// The credentials concerned, each once, in the order in which they were named.
    pub fn subjects(&self) -> Vec<(CredentialId, Ref)> {
        let mut subjects: Vec<(CredentialId, Ref)> = Vec::new();
        for noted in &self.notes {
            if let Note::Concerned { credential, at } = &noted.note
                && !subjects.iter().any(|(known, _)| known == credential)
            {
                subjects.push((*credential, at.clone()));
            }
        }
        subjects
    }

    /// Was anything let through without its approvals?
    pub fn broke_glass(&self) -> bool {
        self.notes.iter().any(|noted| matches!(noted.note, Note::BreakGlass { .. }))
    }

    /// Until when something may be let through because of it. Nothing may after it was closed.
    pub fn glass_until(&self, length: TimeDelta) -> Option<DateTime<Utc>> {
        match self.closed() {
            Some(_) => None,
            None => self.opened_at.checked_add_signed(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    fn incident(notes: Vec<Note>) -> Incident {
        let noted =
            |(index, note)| Noted { at: at(index), actor: "a".to_owned(), audit_seq: Seq(index), note };
        Incident {
            id: IncidentId(Uuid::from_u128(1)),
            title: "t".to_owned(),
            exposed_at: None,
            opened_at: at(0),
            opened_by: "a".to_owned(),
            notes: (0..).zip(notes).map(noted).collect(),
        }
    }

    #[test]
    fn subjects_are_named_once_and_a_closed_one_lets_nothing_through() {
        let concerned = |id: u128| Note::Concerned {
            credential: CredentialId(Uuid::from_u128(id)),
            at: Ref::from_text(format!("a/{id}")),
        };
        let mut one = incident(vec![Note::Opened, concerned(2), concerned(1), concerned(2)]);
        let refs: Vec<_> = one.subjects().into_iter().map(|(_, at)| at.to_string()).collect();
        assert_eq!(refs, ["a/2", "a/1"]);
        assert_eq!(one.glass_until(TimeDelta::hours(4)), Some(at(4 * 3600)));
        let closed = Note::Closed { note: "n".to_owned(), unresolved: None, open: Vec::new() };
        one.notes.push(Noted { at: at(9), actor: "a".to_owned(), audit_seq: Seq(9), note: closed });
        assert_eq!(one.glass_until(TimeDelta::hours(4)), None);
    }

    #[test]
    fn a_note_is_stored_as_it_was() {
        let notes = [
            Note::Opened,
            Note::Decided {
                verb: "revoke".into(),
                plan: PlanHash("a".into()),
                subjects: vec![Ref::from_text("a/b")],
                approved_by: vec!["d".into()],
                reason: "r".into(),
            },
            Note::BreakGlass {
                plan: PlanHash("a".into()),
                needed: 2,
                approved_by: vec![],
                reasons: vec!["x".into()],
            },
            Note::Closed {
                note: "n".into(),
                unresolved: Some("u".into()),
                open: vec![Ref::from_text("a/b")],
            },
        ];
        for note in notes {
            let text = serde_json::to_string(&note).expect("JSON");
            assert!(text.contains(&format!("\"kind\":\"{}\"", note.word())), "{text}");
            assert_eq!(serde_json::from_str::<Note>(&text).expect("read back"), note);
        }
    }
}
