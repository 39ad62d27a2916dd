//! What became of an incident's credentials.

use claviger_core::{
    id::CredentialId,
    incident::{Incident, Item},
    model::{CopyStage, CredentialState},
    reference::Ref,
    saga::SagaKind,
    view::{CredentialDetail, SagaView},
};

use crate::{Engine, Result, plan::ROLLBACK, saga::SagaOutcome};

/// Steps that tell an issuer, in any of the sagas that end a value.
const TELLING: [&str; 4] = ["revoke", "set-at-issuer", "ask-issuer", "rotate-root"];

impl Engine {
    pub(super) async fn items(&self, incident: &Incident) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for (credential, at) in incident.subjects() {
            items.push(self.item(incident, credential, at).await?);
        }
        Ok(items)
    }

    async fn item(&self, incident: &Incident, credential: CredentialId, at: Ref) -> Result<Item> {
        let detail = self.ports.inventory.credential(self.clock.now(), credential).await?;
        let mut item = Item {
            credential,
            at,
            kind: detail.as_ref().map(|detail| detail.credential.kind),
            state: detail.as_ref().map(|detail| detail.credential.state),
            open: true,
            reason: "nothing was done yet".to_owned(),
            saga: None,
            verdict: None,
            revoked_at: None,
            proven_at: None,
            receipt: None,
            copies: detail.as_ref().map(current).unwrap_or_default(),
        };
        // What was changed before it leaked did not end what leaked.
        let since = incident.exposed_at.map_or(incident.opened_at, |exposed| exposed.min(incident.opened_at));
        let mut sagas: Vec<SagaView> = Vec::new();
        for kind in SagaKind::ALL {
            let all = self.ports.journal.list(kind, Some(credential)).await?;
            sagas.extend(all.into_iter().filter(|saga| saga.started_at >= since));
        }
        sagas.sort_by_key(|saga| std::cmp::Reverse(saga.started_at));
        for saga in sagas {
            let Some(record) = self.ports.journal.load(saga.rotation_id).await? else { continue };
            if record.plan.strategy == ROLLBACK {
                continue;
            }
            let outcome =
                SagaOutcome::of(&record, self.ports.journal.receipts(Some(saga.rotation_id)).await?);
            let judged = judged(&item, &saga, &outcome);
            let is_first = item.saga.is_none();
            if !judged.open {
                return Ok(judged);
            }
            // The newest attempt says why it is open, unless an older one has ended it.
            if is_first {
                item = judged;
            }
        }
        if item.saga.is_none() {
            return Ok(without_saga(item));
        }
        Ok(item)
    }
}

/// What one saga made of it.
fn judged(item: &Item, saga: &SagaView, outcome: &SagaOutcome) -> Item {
    let mut item = Item { saga: Some(saga.rotation_id), ..item.clone() };
    let told = outcome
        .steps
        .iter()
        .filter(|step| TELLING.contains(&step.step.as_str()) && step.status == "succeeded")
        .filter_map(|step| step.finished_at);
    item.revoked_at = told.max();
    let receipt = outcome.receipts.first();
    item.verdict = receipt.map(|receipt| receipt.verdict.clone());
    item.receipt = receipt.and_then(|receipt| receipt.audit_seq);
    item.reason = match (saga.state.as_str(), receipt) {
        ("done", Some(receipt)) => receipt.detail.clone(),
        ("done", None) => "it was carried out and left no receipt".to_owned(),
        (state, _) => format!(
            "saga {} is `{state}`: {}",
            saga.rotation_id,
            outcome.reason.as_deref().unwrap_or("not at its end")
        ),
    };
    if saga.state == "done" {
        item.open = !matches!(item.verdict.as_deref(), Some("proven" | "attested"));
        item.revoked_at = item.revoked_at.or(saga.finished_at);
        item.proven_at =
            receipt.filter(|receipt| receipt.verdict == "proven").map(|receipt| receipt.observed_at);
    }
    item
}

/// Somebody may have ended it without us.
fn without_saga(mut item: Item) -> Item {
    match item.state {
        None | Some(CredentialState::Gone) => {
            item.open = false;
            item.reason = "a complete scan no longer shows it; nobody tried whether it is refused".to_owned();
        }
        Some(CredentialState::RevokedProven | CredentialState::RevokedAttested) => {
            item.open = false;
            item.reason = "it was revoked before".to_owned();
        }
        Some(CredentialState::Expired) => {
            item.open = false;
            item.reason = "it has ended by itself".to_owned();
        }
        Some(_) => {}
    }
    item
}

fn current(detail: &CredentialDetail) -> Vec<Ref> {
    let mut copies: Vec<Ref> = detail
        .copies
        .iter()
        .filter(|copy| copy.stage == CopyStage::Current)
        .map(|copy| copy.at.clone())
        .collect();
    copies.sort();
    copies.dedup();
    copies
}
