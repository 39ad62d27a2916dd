//! Leaks that somebody reported by a request: they are traced as by hand, and what still opens something becomes an incident.
//!
//! Nothing is revoked or suspended by it: whoever may send a report may not decide what breaks. The incident is what a responder works on, through the
//! same plans, guards and approvals as always.

use std::collections::BTreeSet;

use claviger_core::{
    audit::AuditKind,
    id::{CredentialId, IncidentId},
    leak::Leaks,
    reference::Ref,
};
use claviger_store::Error as StoreError;

use crate::{
    Engine, Error, Result,
    trace::{AccountFit, Trace},
};

/// What came of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Values that it brought.
    pub values: usize,
    /// Lines of it that told no value.
    pub skipped: usize,
    /// The incident that it opened; `None`: nothing in it opens anything that is known here, or open incidents have all of it already.
    pub incident: Option<IncidentId>,
}

impl Engine {
    /// Traces what `receiver` was sent under the name `delivery`, opens an incident of what still opens something, and tells of it in the audit log.
    /// What an open incident concerns already opens no other one. Repeat with the same name: opens no second incident.
    ///
    /// # Errors
    /// The database. An issuer that could not be asked is told in the audit log.
    pub async fn take_report(&self, receiver: &str, delivery: &str, leaks: Leaks) -> Result<Reported> {
        let (values, skipped) = (leaks.leaks.len(), leaks.skipped.len());
        let id = IncidentId::reported(receiver, delivery);
        let trace = self.trace_all(&leaks.leaks, leaks.skipped).await?;
        let live: Vec<(CredentialId, Ref)> = trace
            .matches
            .iter()
            .filter(|found| found.is_live())
            .map(|found| (found.credential, found.at.clone()))
            .collect();
        let accounts = accounts(&trace);
        let all = self.ports.incidents.incidents().await?;
        let worked_on: BTreeSet<CredentialId> = all
            .iter()
            .filter(|incident| incident.closed().is_none())
            .flat_map(|incident| incident.subjects().into_iter().map(|(credential, _)| credential))
            .collect();
        let is_open = all.iter().any(|incident| incident.id == id);
        let fresh: Vec<_> =
            live.iter().filter(|(credential, _)| !worked_on.contains(credential)).cloned().collect();
        let incident = if is_open {
            Some(id)
        } else if fresh.is_empty() && accounts.is_empty() {
            None
        } else {
            Some(self.open_reported(id, &title(receiver, values, &accounts), &fresh).await?)
        };
        let refs = |all: &[(CredentialId, Ref)]| all.iter().map(|(_, at)| at.clone()).collect::<Vec<_>>();
        let detail = serde_json::json!({
            "receiver": receiver, "delivery": delivery, "values": values, "skipped": skipped, "live": refs(&live), "accounts": accounts,
            "unmatched": trace.unmatched, "unasked": trace.unasked, "incident": incident,
        });
        self.ports.audit.append(vec![self.said(AuditKind::Reported, receiver, detail)]).await?;
        Ok(Reported { values, skipped, incident })
    }

    /// Of two who open it at once, by a lease that ended too early, one does.
    async fn open_reported(
        &self,
        id: IncidentId,
        title: &str,
        concerned: &[(CredentialId, Ref)],
    ) -> Result<IncidentId> {
        match self.open_incident_as(id, title, None, concerned).await {
            Err(error @ Error::Store(StoreError::Refused(_))) => {
                let all = self.ports.incidents.incidents().await?;
                if all.iter().any(|incident| incident.id == id) { Ok(id) } else { Err(error) }
            }
            other => other,
        }
    }
}

/// Accounts of the inventory whose tokens were among the values: nothing lists these, so that they are no credentials.
fn accounts(trace: &Trace) -> Vec<Ref> {
    let unlisted = trace.values.iter().filter(|value| value.matched.is_empty());
    let tokens = unlisted.filter_map(|value| value.token.as_ref()).filter(|token| !token.expired);
    // One that was made for an account of before opens nothing of the account that has its name now.
    let fitting =
        tokens.flat_map(|token| &token.accounts).filter(|account| account.fit != AccountFit::OtherUid);
    let accounts: BTreeSet<Ref> = fitting.map(|account| account.at.clone()).collect();
    accounts.into_iter().collect()
}

fn title(receiver: &str, values: usize, accounts: &[Ref]) -> String {
    let values = if values == 1 { "a leaked value".to_owned() } else { format!("{values} leaked values") };
    let mut title = format!("`{receiver}` reported {values}");
    let names: Vec<_> = accounts.iter().map(Ref::as_str).collect();
    if !names.is_empty() {
        title.push_str(&format!(", tokens of {}", names.join(", ")));
    }
    title
}
