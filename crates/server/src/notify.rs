//! Who is told what happens, and how: one attempt to tell one receiver one thing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use claviger_core::{
    audit::AuditEntry,
    notice::{Event, Notice, Shape, SigningSecret, body},
};
use claviger_engine::selector::glob;
use claviger_store::{Notification, Queued};
use reqwest::{Client, StatusCode, Url, header, redirect};

use crate::address::safe;

/// Longest time that a receiver may ask us to wait by `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Somebody who is told.
pub struct Receiver {
    /// Its name in the configuration.
    pub name: String,
    /// How it is written to.
    pub shape: Shape,
    /// What of; none: all.
    pub events: Vec<Event>,
    /// Globs of refs: what happens to others alone is not told. None: everything is.
    pub subjects: Vec<String>,
    /// How long something is tried before it is given up.
    pub give_up: chrono::TimeDelta,
    url: Url,
    secret: Option<SigningSecret>,
    client: Client,
}

/// Why an attempt came to nothing. Holds neither the address, which may be a secret, nor what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) why: String,
    /// The receiver wants no more of it.
    pub(crate) is_final: bool,
    /// How long it asks us to wait.
    pub(crate) wait: Option<Duration>,
}

impl Receiver {
    /// Somebody at this address, who is told everything. `secret` signs; `ca` (PEM) are the authorities that are trusted instead of the system's.
    ///
    /// # Errors
    /// The address is neither https nor on this machine, or the certificates cannot be read.
    pub fn new(
        name: &str,
        shape: Shape,
        url: &str,
        secret: Option<SigningSecret>,
        ca: Option<&[u8]>,
    ) -> Result<Self, String> {
        let url = safe(url)?;
        // What is meant for one receiver is not given to whom it names.
        let builder = Client::builder().redirect(redirect::Policy::none()).user_agent("claviger");
        let builder = match ca {
            Some(pem) => {
                let trusted = reqwest::Certificate::from_pem_bundle(pem);
                builder.tls_certs_only(
                    trusted.map_err(|error| format!("its certificates cannot be read: {error}"))?,
                )
            }
            None => builder,
        };
        let client = builder.build().map_err(|error| format!("no client can be made: {error}"))?;
        Ok(Self {
            name: name.to_owned(),
            shape,
            events: Vec::new(),
            subjects: Vec::new(),
            give_up: chrono::TimeDelta::days(3),
            url,
            secret,
            client,
        })
    }

    /// What is to be sent of an entry, if this receiver wants to know.
    pub(crate) fn queued(&self, entry: &AuditEntry) -> Option<Queued> {
        let notice = Notice::of(entry)?;
        self.wants(&notice).then(|| Queued {
            audit_seq: entry.seq,
            id: Notice::id(entry),
            event: notice.event.to_string(),
            body: body(self.shape, entry, &notice),
        })
    }

    /// What names nothing is told whatever is asked for: an incident, say, that was opened of nothing yet.
    fn wants(&self, notice: &Notice) -> bool {
        let is_asked_for = self.events.is_empty() || self.events.contains(&notice.event);
        let fits = |at: &claviger_core::reference::Ref| {
            self.subjects.iter().any(|pattern| glob(pattern, at.as_str()))
        };
        is_asked_for && (self.subjects.is_empty() || notice.refs.is_empty() || notice.refs.iter().any(fits))
    }

    /// One attempt. It takes no longer than `patience`.
    pub(crate) async fn tell(
        &self,
        notification: &Notification,
        now: DateTime<Utc>,
        patience: Duration,
    ) -> Result<(), Failed> {
        let Queued { id, body, .. } = &notification.queued;
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(patience)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id);
        if let Some(secret) = &self.secret {
            let headers = secret.sign(id, now, body);
            request = request
                .header("webhook-timestamp", headers.timestamp)
                .header("webhook-signature", headers.signature);
        }
        let answer = request.body(body.clone()).send().await;
        let answer =
            answer.map_err(|error| Failed { why: unanswered(&error), is_final: false, wait: None })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let why = match status.is_redirection() {
            true => format!("it sends us elsewhere ({}), which is not followed", status.as_u16()),
            false => format!("it answers {}", status.as_u16()),
        };
        let asked = answer
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
        // RFC 9110: 410 is not there any more, and will not be again. Standard Webhooks asks senders to stop.
        let wait = asked.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
        Err(Failed { why, is_final: status == StatusCode::GONE, wait })
    }
}

/// In words of our own: the library's name the address.
fn unanswered(error: &reqwest::Error) -> String {
    let why = if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "it cannot be connected to"
    } else {
        "its answer did not come whole"
    };
    why.to_owned()
}

/// How long after so many attempts the next one comes: 2 s, doubled each time, at most an hour; from a half of it to all of it, by `draw`, so that those
/// that failed together do not come back together.
pub(crate) fn backoff(attempts: u32, draw: u8) -> Duration {
    let whole = Duration::from_secs(2 << attempts.saturating_sub(1).min(11)).min(LONGEST_WAIT);
    whole / 2 + whole / 2 * u32::from(draw) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use claviger_core::{
        audit::{AuditDraft, AuditHash, AuditKind},
        id::Seq,
    };
    use serde_json::json;

    use super::*;

    fn entry(detail: serde_json::Value) -> AuditEntry {
        let draft = AuditDraft {
            kind: AuditKind::Proposed,
            actor: "dana@desk".to_owned(),
            subject: "abc".to_owned(),
            saga: None,
            step: None,
            detail,
        };
        AuditEntry::chain(draft, DateTime::UNIX_EPOCH, (Seq(0), AuditHash::GENESIS))
    }

    #[test]
    fn a_receiver_is_told_what_it_asked_for() {
        let mut receiver = Receiver::new("a", Shape::Generic, "http://127.0.0.1:1/", None, None)
            .unwrap_or_else(|why| panic!("{why}"));
        let wanted =
            entry(json!({ "verb": "revoke", "needed": 1, "subjects": ["db/role/a", "prod/x/Secret/y"] }));
        assert!(receiver.queued(&wanted).is_some());
        receiver.subjects = vec!["prod/*".to_owned()];
        assert!(receiver.queued(&wanted).is_some(), "one of them");
        receiver.subjects = vec!["staging/*".to_owned()];
        assert!(receiver.queued(&wanted).is_none());
        assert!(receiver.queued(&entry(json!({ "subjects": [] }))).is_some(), "it names nothing");
        receiver.subjects.clear();
        receiver.events = vec![Event::RotationStuck];
        assert!(receiver.queued(&wanted).is_none());
        receiver.events.push(Event::ApprovalWanted);
        let queued = receiver.queued(&wanted).unwrap_or_else(|| panic!("not queued"));
        assert_eq!((queued.event.as_str(), queued.audit_seq), ("approval.wanted", Seq(1)));
        assert_eq!(Some(queued), receiver.queued(&wanted), "the same each time");
    }

    #[test]
    fn waits_grow_to_a_bound_and_differ() {
        assert_eq!((backoff(1, 0), backoff(1, 255)), (Duration::from_secs(1), Duration::from_secs(2)));
        assert_eq!((backoff(4, 0), backoff(4, 255)), (Duration::from_secs(8), Duration::from_secs(16)));
        for attempts in [12, 13, 40, u32::MAX] {
            assert_eq!(backoff(attempts, 255), Duration::from_secs(3600), "{attempts}");
        }
        assert!(backoff(6, 10) < backoff(6, 200));
    }

    #[test]
    fn no_address_in_the_clear_is_told_anything() {
        for bad in ["http://hooks.example/x", "ftp://127.0.0.1/", "hooks.example"] {
            assert!(Receiver::new("a", Shape::Generic, bad, None, None).is_err(), "{bad}");
        }
    }
}
