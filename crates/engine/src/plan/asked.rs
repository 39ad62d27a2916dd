//! A value that an engine makes and holds for an account of another system: one value, which the inventory knows by two names. It has one
//! issuer, the engine: whoever changed it at the account would lock the engine out.

use claviger_core::{
    model::CopyStage,
    reference::Ref,
    view::{CopyView, CredentialDetail},
};
use claviger_store::port::Selection;

use super::{Refusal, refuse};
use crate::Engine;

/// The fact of a copy by which a store says whose value it shows there.
const SHOWN_FOR: &str = "shown_for";

/// Refuses a credential whose value an engine holds under another name.
pub(super) fn not_held_by_another(detail: &CredentialDetail) -> Result<(), Refusal> {
    let at = &detail.credential.at;
    let current = detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current);
    let owner = current.filter_map(owner).find(|owner| owner != at);
    owner.map_or(Ok(()), |owner| {
        let reason = format!(
            "its value belongs to {owner}, which changes it by itself and would be locked out: rotate {owner} instead"
        );
        Err(refuse(at, "engine-owned", reason))
    })
}

fn owner(copy: &CopyView) -> Option<Ref> {
    copy.attributes.get(SHOWN_FOR)?.as_str().map(Ref::from_text)
}

/// What is known of such a value under both names.
pub(super) struct Gathered {
    /// The credential with the copies and consumers of both; without the field in which its issuer shows it, which follows by itself.
    pub(super) detail: CredentialDetail,
    /// The account that one logs in as, where it is in the estate.
    pub(super) login: Option<Ref>,
}

/// Finds the account by the field that shows the value: a scan has proven that it is the account's.
pub(super) async fn gathered(
    engine: &Engine,
    detail: &CredentialDetail,
    shown_at: Option<&Ref>,
) -> Result<Gathered, Refusal> {
    let mut detail = detail.clone();
    let mut login = None;
    if let Some(shown_at) = shown_at {
        if let Some(account) = account(engine, &detail, shown_at).await? {
            let member = engine.estate.member(account.credential.at.backend());
            let tries = member
                .is_ok_and(|member| member.backend.capability().verify && member.backend.issuer().is_some());
            if account.credential.attributes.get("own").and_then(serde_json::Value::as_bool) == Some(true) {
                let text = format!(
                    "{} is the account that claviger's own connection uses: rotating it would lock claviger out; use another account for the connection",
                    account.credential.at
                );
                return Err(refuse(&detail.credential.at, "self-lock", text));
            }
            login = tries.then(|| account.credential.at.clone());
            detail.copies.extend(account.copies);
            detail.consumers.extend(account.consumers);
        }
        detail.copies.retain(|copy| copy.at != *shown_at);
    }
    Ok(Gathered { detail, login })
}

async fn account(
    engine: &Engine,
    detail: &CredentialDetail,
    shown_at: &Ref,
) -> Result<Option<CredentialDetail>, Refusal> {
    let inventory = &engine.ports.inventory;
    // Refs are ordered, and a field comes right after its object.
    let nearby = Selection { after: Some(shown_at.object()), limit: Some(8), ..Selection::default() };
    let unread = |_| refuse(&detail.credential.at, "inventory", "the inventory could not be read: try again");
    let copies = inventory.copies(&nearby).await.map_err(unread)?;
    let copy = copies.iter().find(|copy| copy.at == *shown_at && copy.stage == CopyStage::Current);
    let Some(id) = copy.map(|copy| copy.credential).filter(|id| *id != detail.credential.id) else {
        return Ok(None);
    };
    inventory.credential(engine.clock.now(), id).await.map_err(unread)
}
