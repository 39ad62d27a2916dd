//! What our own backends are logged in to with: renewed before it ends, and told before it fails.

use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::{OwnState, Renewal};
use claviger_core::{audit::AuditKind, reference::Ref};
use serde::Serialize;

use crate::{Engine, Result};

/// What ends within this is told.
const SOON: TimeDelta = TimeDelta::days(7);

/// How one of our own credentials stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnReport {
    /// The backend.
    pub backend: String,
    /// The credential.
    #[serde(rename = "ref")]
    pub at: Option<Ref>,
    /// When it ends; `None`: not by itself, or not known.
    pub expires_at: Option<DateTime<Utc>>,
    /// It was renewed just now.
    pub renewed: bool,
    /// What somebody has to know, and do something about.
    pub warning: Option<String>,
}

/// Is it time to renew? When two thirds of its life are over: the rest is for trying again.
fn is_due(state: &OwnState, now: DateTime<Utc>) -> bool {
    let Some(end) = state.expires_at else { return false };
    match state.since {
        Some(since) if end > since => (end - now) * 3 <= end - since,
        _ => end - now <= SOON,
    }
}

impl Engine {
    /// Looks at what each backend is logged in to with, and renews what is due and can be renewed. Repeat: renews what is due then.
    ///
    /// # Errors
    /// The audit log: without it nothing is renewed. A backend that cannot be asked is told in the answer.
    pub async fn keep_own(&self) -> Result<Vec<OwnReport>> {
        let mut reports = Vec::new();
        for member in self.estate.members() {
            let Some(own) = member.backend.own_login() else { continue };
            let backend = member.backend.info().name.clone();
            let unknown = |why: String| OwnReport {
                backend: backend.clone(),
                at: None,
                expires_at: None,
                renewed: false,
                warning: Some(format!("it is not known when our own credential ends: {why}")),
            };
            let state = match own.own().await {
                Ok(state) => state,
                Err(error) => {
                    reports.push(unknown(error.message().to_owned()));
                    continue;
                }
            };
            if !is_due(&state, self.clock.now()) || state.renewal == Renewal::ByItself {
                reports.push(self.report(&backend, state, false, None));
                continue;
            }
            if state.renewal == Renewal::Never {
                let why = "it cannot be renewed: bring another one before it ends".to_owned();
                reports.push(self.report(&backend, state, false, Some(why)));
                continue;
            }
            self.note_own(&state, "renew", None).await?;
            let before = state.expires_at;
            match own.renew().await {
                Ok(after) => {
                    self.note_own(&after, "renewed", after.expires_at).await?;
                    // At the end of its longest life a renewal is accepted and changes nothing.
                    let stuck = is_due(&after, self.clock.now()) && after.expires_at <= before;
                    let why = stuck.then(|| {
                        "it was renewed and does not last longer: it has come to its longest life, bring another one".to_owned()
                    });
                    reports.push(self.report(&backend, after, true, why));
                }
                Err(error) => {
                    let why = format!("it could not be renewed: {}", error.message());
                    reports.push(self.report(&backend, state, false, Some(why)));
                }
            }
        }
        Ok(reports)
    }

    fn report(&self, backend: &str, state: OwnState, renewed: bool, why: Option<String>) -> OwnReport {
        OwnReport {
            backend: backend.to_owned(),
            at: Some(state.at),
            expires_at: state.expires_at,
            renewed,
            warning: why,
        }
    }

    async fn note_own(&self, state: &OwnState, change: &str, until: Option<DateTime<Utc>>) -> Result<()> {
        let detail = serde_json::json!({ "change": change, "expires_at": until });
        self.ports.audit.append(vec![self.said(AuditKind::OwnRenewed, state.at.as_str(), detail)]).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_third_of_a_life_is_for_renewing() {
        let at = |hours: i64| DateTime::UNIX_EPOCH + TimeDelta::hours(hours);
        let state = |since: Option<i64>, end: Option<i64>| OwnState {
            at: Ref::from_text("vault/auth/token/accessor/a"),
            since: since.map(at),
            expires_at: end.map(at),
            renewal: Renewal::Asked,
        };
        assert!(!is_due(&state(Some(0), Some(30)), at(19)));
        assert!(is_due(&state(Some(0), Some(30)), at(20)));
        assert!(is_due(&state(Some(0), Some(30)), at(31)), "it has ended");
        assert!(!is_due(&state(Some(0), None), at(99_999)), "it does not end");
        assert!(is_due(&state(None, Some(30)), at(0)), "of unknown age, within a week");
        assert!(!is_due(&state(None, Some(24 * 8)), at(0)));
    }
}
