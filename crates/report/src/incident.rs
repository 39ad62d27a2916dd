//! The incident report: what happened and when, what became of each credential, and what is to be done by whom.
//!
//! In JSON it is the document of `incident status`, which the command line writes.

use std::io::{BufWriter, Write};

use chrono::{DateTime, Utc};
use claviger_core::incident::IncidentView;

use crate::{Result, html};

/// What it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentReport {
    /// When it was made.
    pub generated_at: DateTime<Utc>,
    /// The incident.
    pub incident: IncidentView,
    /// The last entry of the audit log and its hash.
    pub audit_head: (i64, String),
}

/// Writes it as one HTML page.
///
/// # Errors
/// The writer's.
pub fn render(report: &IncidentReport, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    html::incident(report, &mut out)?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use claviger_core::{
        id::{CredentialId, IncidentId},
        incident::{Ask, Durations, Incident, Item, Moment, Runbook, Task},
        reference::Ref,
    };
    use uuid::Uuid;

    use super::*;

    const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\"'&";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    fn report(open: bool) -> IncidentReport {
        let item = Item {
            credential: CredentialId(Uuid::nil()),
            at: Ref::from_text(HOSTILE),
            kind: None,
            state: None,
            open,
            reason: HOSTILE.to_owned(),
            saga: None,
            verdict: Some("proven".to_owned()),
            revoked_at: Some(at(30)),
            proven_at: Some(at(40)),
            receipt: Some(7),
            copies: vec![Ref::from_text(HOSTILE)],
        };
        let moment = Moment {
            at: at(30),
            what: "revoked".to_owned(),
            actor: Some(HOSTILE.to_owned()),
            detail: HOSTILE.to_owned(),
            audit_seq: Some(7),
        };
        let incident = Incident {
            id: IncidentId(Uuid::nil()),
            title: HOSTILE.to_owned(),
            exposed_at: Some(at(0)),
            opened_at: at(10),
            opened_by: HOSTILE.to_owned(),
            notes: Vec::new(),
        };
        let view = IncidentView {
            incident,
            state: if open { "open" } else { "closed" }.to_owned(),
            break_glass_until: open.then(|| at(99)),
            break_glass_used: true,
            items: vec![item],
            open_items: usize::from(open),
            timeline: vec![moment],
            durations: Durations {
                revoked_at: Some(at(30)),
                proven_at: None,
                time_to_revoke: Some(20),
                time_to_proof: None,
                exposure: Some(3725),
            },
            runbook: Runbook {
                platform_escalation: vec![Ask {
                    whom: "PLATFORM".to_owned(),
                    what: HOSTILE.to_owned(),
                    evidence: vec![HOSTILE.to_owned()],
                }],
                tenant_remediation: vec![Task {
                    what: "OURS".to_owned(),
                    commands: vec![HOSTILE.to_owned()],
                    done: !open,
                }],
            },
        };
        IncidentReport { generated_at: at(50), incident: view, audit_head: (9, "ab".to_owned()) }
    }

    fn page(open: bool) -> String {
        let mut out = Vec::new();
        render(&report(open), &mut out).expect("a Vec takes everything");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn every_name_is_escaped_and_the_two_lists_are_apart() {
        let page = page(true);
        assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
        let (platform, ours) = (page.find("PLATFORM").expect("asked"), page.find("OURS").expect("told"));
        let heading = page.find("<h2 id=\"tenant-h\">").expect("a section of its own");
        assert!(platform < heading && heading < ours);
        assert!(page.contains("1 of 1 is open") && page.contains("1 h 2 min 5 s") && page.contains("20 s"));
    }

    #[test]
    fn a_closed_one_says_so() {
        let page = page(false);
        assert!(
            page.contains("closed")
                && page.contains("nothing is open")
                && !page.contains("without approvals until"),
            "{page}"
        );
    }
}
