//! What others are told of: each notice is made from one entry of the audit log.
//!
//! The log is written in the same transaction as what it tells of, so that a notice needs no second write and none is lost: whoever has read the log up to
//! an entry has told of everything before it. Pure: entries come in, notices and signed bodies go out. A notice holds no secret, as an entry holds none.
//!
//! To add an event: a word in [`Event`], and the entry that it is made from in [`Notice::of`].

mod body;
mod signature;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    body::{Shape, body},
    signature::{Headers, NoKey, SigningSecret},
};
use crate::{
    audit::{AuditEntry, AuditKind},
    reference::Ref,
};

/// Names of one thing in one notice: more are counted, not listed.
const MOST_REFS: usize = 50;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Event {
    /// A revocation ended, and the credential is proven to be refused.
    #[serde(rename = "revocation.proven")]
    RevocationProven,
    /// A revocation ended on its issuer's word: nobody could try the value.
    #[serde(rename = "revocation.attested")]
    RevocationAttested,
    /// A revocation ended, and nothing shows that the credential is refused.
    #[serde(rename = "revocation.unproven")]
    RevocationUnproven,
    /// A revocation was taken back or given up.
    #[serde(rename = "revocation.failed")]
    RevocationFailed,
    /// A revocation stands still until somebody decides.
    #[serde(rename = "revocation.stuck")]
    RevocationStuck,
    /// What was revoked is accepted or listed again.
    #[serde(rename = "credential.returned")]
    CredentialReturned,
    /// Findings of the highest severity are new.
    #[serde(rename = "finding.critical")]
    FindingCritical,
    /// A rotation was taken back or given up.
    #[serde(rename = "rotation.failed")]
    RotationFailed,
    /// A rotation stands still until somebody decides.
    #[serde(rename = "rotation.stuck")]
    RotationStuck,
    /// An incident was opened.
    #[serde(rename = "incident.opened")]
    IncidentOpened,
    /// An incident was closed.
    #[serde(rename = "incident.closed")]
    IncidentClosed,
    /// A guard kept a plan, or the rest of one, from being begun: `canary`, `operator_key`.
    #[serde(rename = "guard.stopped")]
    GuardStopped,
    /// An incident let a plan through that had not the approvals that guards or policies want.
    #[serde(rename = "guard.bypassed")]
    GuardBypassed,
    /// A backend wants to be left alone: nothing is begun there for a while.
    #[serde(rename = "budget.closed")]
    BudgetClosed,
    /// Somebody paused what is scheduled.
    #[serde(rename = "schedule.paused")]
    SchedulePaused,
    /// A pause ended.
    #[serde(rename = "schedule.resumed")]
    ScheduleResumed,
    /// A plan waits for another person's approval: because of a policy's `approvals`, or of the guards `max_targets` and `max_share`.
    #[serde(rename = "approval.wanted")]
    ApprovalWanted,
    /// Leaked values were reported by a request.
    #[serde(rename = "leak.reported")]
    LeakReported,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::RevocationProven,
        Self::RevocationAttested,
        Self::RevocationUnproven,
        Self::RevocationFailed,
        Self::RevocationStuck,
        Self::CredentialReturned,
        Self::FindingCritical,
        Self::RotationFailed,
        Self::RotationStuck,
        Self::IncidentOpened,
        Self::IncidentClosed,
        Self::GuardStopped,
        Self::GuardBypassed,
        Self::BudgetClosed,
        Self::SchedulePaused,
        Self::ScheduleResumed,
        Self::ApprovalWanted,
        Self::LeakReported,
    ];

    /// The word that is sent and configured.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RevocationProven => "revocation.proven",
            Self::RevocationAttested => "revocation.attested",
            Self::RevocationUnproven => "revocation.unproven",
            Self::RevocationFailed => "revocation.failed",
            Self::RevocationStuck => "revocation.stuck",
            Self::CredentialReturned => "credential.returned",
            Self::FindingCritical => "finding.critical",
            Self::RotationFailed => "rotation.failed",
            Self::RotationStuck => "rotation.stuck",
            Self::IncidentOpened => "incident.opened",
            Self::IncidentClosed => "incident.closed",
            Self::GuardStopped => "guard.stopped",
            Self::GuardBypassed => "guard.bypassed",
            Self::BudgetClosed => "budget.closed",
            Self::SchedulePaused => "schedule.paused",
            Self::ScheduleResumed => "schedule.resumed",
            Self::ApprovalWanted => "approval.wanted",
            Self::LeakReported => "leak.reported",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub event: Event,
    /// One sentence.
    pub title: String,
    /// What it happened to.
    pub refs: Vec<Ref>,
    /// More, as the log has it.
    pub detail: Value,
}

impl Notice {
    /// What an entry gives others to know, if anything.
    pub fn of(entry: &AuditEntry) -> Option<Self> {
        let (subject, detail) = (&entry.draft.subject, &entry.draft.detail);
        let text = |field: &str| detail[field].as_str().unwrap_or_default();
        let one = || vec![Ref::from_text(subject.clone())];
        let (event, title, refs, shown) = match entry.draft.kind {
            AuditKind::SagaFinished => {
                let (event, what) = finished(text("kind"), text("state"), text("verdict"))?;
                let why = detail["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
                (event, format!("{subject} {what}{why}"), one(), &["kind", "state", "reason", "verdict"][..])
            }
            AuditKind::SagaStopped => {
                let event = match text("kind") {
                    "revocation" => Event::RevocationStuck,
                    _ => Event::RotationStuck,
                };
                let title =
                    format!("the {} of {subject} waits for an operator: {}", text("kind"), text("reason"));
                (event, title, one(), &["kind", "state", "reason"][..])
            }
            AuditKind::Reprobed => {
                let back = refs(&detail["back"]);
                if back.is_empty() {
                    return None;
                }
                let title = format!(
                    "{} revoked and accepted or listed again",
                    count(back.len(), "credential is", "credentials are")
                );
                (Event::CredentialReturned, title, back, &["tried", "unknown"][..])
            }
            AuditKind::FindingsOpened => {
                let opened = detail["opened"].as_array()?;
                let refs = opened
                    .iter()
                    .filter_map(|one| one["subject"].as_str())
                    .map(|at| Ref::from_text(at.to_owned()));
                let all = usize::try_from(detail["count"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
                let title = match opened.first() {
                    Some(first) if all == 1 => {
                        format!(
                            "critical finding of {}: {}",
                            first["subject"].as_str().unwrap_or_default(),
                            first["title"].as_str().unwrap_or_default()
                        )
                    }
                    _ => format!("{all} critical findings are new"),
                };
                (Event::FindingCritical, title, refs.collect(), &["opened", "count"][..])
            }
            AuditKind::Incident if text("kind") == "opened" => (
                Event::IncidentOpened,
                format!("incident {subject} was opened: {}", text("title")),
                Vec::new(),
                &["title", "exposed_at"][..],
            ),
            AuditKind::Incident if text("kind") == "closed" => {
                let open = detail["open"].as_array().map_or(0, Vec::len);
                let left = if open == 0 {
                    String::new()
                } else {
                    format!(", with {} open", count(open, "credential", "credentials"))
                };
                (
                    Event::IncidentClosed,
                    format!("incident {subject} was closed{left}: {}", text("note")),
                    Vec::new(),
                    &["note", "unresolved", "open"][..],
                )
            }
            AuditKind::GuardStopped => {
                let title = format!("guard `{}`: {}", text("guard"), text("reason"));
                (Event::GuardStopped, title, refs(&detail["subjects"]), &["guard", "reason", "count"][..])
            }
            AuditKind::BreakGlass => {
                let title = format!(
                    "incident {subject} let plan {} through without the approvals that it wants",
                    text("plan")
                );
                (Event::GuardBypassed, title, Vec::new(), &["plan", "needed", "approved_by", "reasons"][..])
            }
            AuditKind::BudgetClosed => {
                let title = format!(
                    "backend `{subject}` wants to be left alone: nothing is begun there until {}",
                    text("until")
                );
                (Event::BudgetClosed, title, one(), &["until"][..])
            }
            AuditKind::SchedulePaused => {
                let title = format!("what is scheduled is paused ({subject}): {}", text("reason"));
                (Event::SchedulePaused, title, Vec::new(), &["pause", "reason"][..])
            }
            AuditKind::ScheduleResumed => {
                let title = format!("a pause of what is scheduled ended ({subject})");
                (Event::ScheduleResumed, title, Vec::new(), &["pause", "reason"][..])
            }
            AuditKind::Proposed => {
                let all = refs(&detail["subjects"]);
                let title = format!(
                    "plan {subject} ({} of {}) wants {} of other people",
                    text("verb"),
                    count(all.len(), "subject", "subjects"),
                    count(
                        usize::try_from(detail["needed"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX),
                        "approval",
                        "approvals"
                    )
                );
                (Event::ApprovalWanted, title, all, &["verb", "needed", "reasons"][..])
            }
            AuditKind::Reported => {
                let live = refs(&detail["live"]);
                let values = usize::try_from(detail["values"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
                let title = format!(
                    "`{subject}` reported {}, {} known and open something",
                    count(values, "leaked value", "leaked values"),
                    count(live.len(), "credential is", "credentials are")
                );
                (
                    Event::LeakReported,
                    title,
                    live,
                    &["values", "skipped", "unmatched", "accounts", "incident"][..],
                )
            }
            _ => return None,
        };
        let shown = shown.iter().map(|field| ((*field).to_owned(), detail[*field].clone()));
        Some(Self { event, title, refs, detail: shown.filter(|(_, value)| !value.is_null()).collect() })
    }

    /// The name under which it is sent to everybody, each time: that of its entry.
    pub fn id(entry: &AuditEntry) -> String {
        format!("evt_{}", &entry.hash.to_string()[..32])
    }
}

fn finished(kind: &str, state: &str, verdict: &str) -> Option<(Event, String)> {
    Some(match (kind, state, verdict) {
        ("revocation", "done", "proven") => {
            (Event::RevocationProven, "is revoked, and proven to be refused".to_owned())
        }
        ("revocation", "done", "attested") => (
            Event::RevocationAttested,
            "is revoked by its issuer's word; nobody could try the value".to_owned(),
        ),
        ("revocation", "done", _) => {
            (Event::RevocationUnproven, "was revoked, and nothing proves that it is refused".to_owned())
        }
        ("revocation", _, _) => (Event::RevocationFailed, format!("is not revoked ({state})")),
        ("rotation", "unwound" | "closed" | "rolled-back", _) => {
            (Event::RotationFailed, format!("was not rotated ({state})"))
        }
        _ => return None,
    })
}

fn refs(all: &Value) -> Vec<Ref> {
    let texts = all.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str);
    texts.map(|text| Ref::from_text(text.to_owned())).collect()
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::{
        audit::{AuditDraft, AuditHash},
        id::Seq,
    };

    pub(super) fn entry(kind: AuditKind, subject: &str, detail: Value) -> AuditEntry {
        let draft = AuditDraft {
            kind,
            actor: "dana@desk".to_owned(),
            subject: subject.to_owned(),
            saga: None,
            step: None,
            detail,
        };
        AuditEntry::chain(draft, DateTime::UNIX_EPOCH, (Seq(6), AuditHash::GENESIS))
    }

    fn event(kind: AuditKind, detail: Value) -> Option<Event> {
        Notice::of(&entry(kind, "db/role/app", detail)).map(|notice| notice.event)
    }

    #[test]
    fn each_end_is_told_as_what_it_is_and_nothing_as_more() {
        let ended = |kind: &str, state: &str, verdict: Value| {
            event(AuditKind::SagaFinished, json!({ "kind": kind, "state": state, "verdict": verdict }))
        };
        for (verdict, expected) in [
            (json!("proven"), Event::RevocationProven),
            (json!("attested"), Event::RevocationAttested),
            (json!("unprovable"), Event::RevocationUnproven),
            (json!("failed"), Event::RevocationUnproven),
            (Value::Null, Event::RevocationUnproven),
        ] {
            assert_eq!(ended("revocation", "done", verdict), Some(expected));
        }
        for state in ["unwound", "closed", "rolled-back", "anything"] {
            assert_eq!(ended("revocation", state, json!("proven")), Some(Event::RevocationFailed), "{state}");
        }
        assert_eq!(ended("rotation", "done", json!("proven")), None, "as it should be");
        assert_eq!(ended("rotation", "unwound", Value::Null), Some(Event::RotationFailed));
        assert_eq!(event(AuditKind::SagaStopped, json!({ "kind": "rotation" })), Some(Event::RotationStuck));
        assert_eq!(
            event(AuditKind::SagaStopped, json!({ "kind": "revocation" })),
            Some(Event::RevocationStuck)
        );
        assert_eq!(event(AuditKind::Reprobed, json!({ "back": [] })), None);
        assert_eq!(
            event(AuditKind::Reprobed, json!({ "back": ["db/role/a"] })),
            Some(Event::CredentialReturned)
        );
        assert_eq!(event(AuditKind::Incident, json!({ "kind": "concerned" })), None);
        assert_eq!(event(AuditKind::Intent, json!({})), None);
    }

    #[test]
    fn each_guard_is_told_of() {
        for (kind, expected) in [
            (AuditKind::GuardStopped, Event::GuardStopped),
            (AuditKind::BreakGlass, Event::GuardBypassed),
            (AuditKind::BudgetClosed, Event::BudgetClosed),
            (AuditKind::SchedulePaused, Event::SchedulePaused),
            (AuditKind::ScheduleResumed, Event::ScheduleResumed),
            (AuditKind::Proposed, Event::ApprovalWanted),
        ] {
            assert_eq!(event(kind, json!({})), Some(expected));
        }
        let closed = entry(AuditKind::BudgetClosed, "db", json!({ "until": "2026-01-01T00:00:00Z" }));
        let closed = Notice::of(&closed).unwrap_or_else(|| panic!("nothing"));
        assert!(closed.title.contains("`db`") && closed.title.contains("2026-01-01"), "{}", closed.title);
        assert_eq!(closed.refs.len(), 1, "whoever asks for others alone is not told");
    }

    #[test]
    fn only_what_was_chosen_of_an_entry_is_told() {
        let told = Notice::of(&entry(
            AuditKind::Proposed,
            "abc",
            json!({ "verb": "revoke", "needed": 1, "subjects": ["db/role/a", "db/role/b"], "other": "x" }),
        ));
        let told = told.unwrap_or_else(|| panic!("nothing"));
        assert_eq!(told.title, "plan abc (revoke of 2 subjects) wants 1 approval of other people");
        assert_eq!(told.detail, json!({ "verb": "revoke", "needed": 1 }));
        assert_eq!(told.refs.len(), 2);
    }

    #[test]
    fn words_are_the_same_where_they_are_read_and_written() {
        for event in Event::ALL {
            assert_eq!(serde_json::to_value(event).ok(), Some(json!(event.as_str())));
        }
    }

    #[test]
    fn the_same_entry_has_the_same_name_and_another_one_another() {
        let (a, b) = (entry(AuditKind::Incident, "a", json!({})), entry(AuditKind::Incident, "b", json!({})));
        assert_eq!(Notice::id(&a), Notice::id(&a));
        assert_ne!(Notice::id(&a), Notice::id(&b));
    }
}
