//! Credentials whose value its issuer makes under a name: who reads it where the issuer keeps it, and who of them can be made to read another.

use claviger_backend::{Offer, StoreState};
use claviger_core::{
    model::{ConsumerHow, CopyStage},
    reference::Ref,
    saga::{Evidence, Quiet},
    view::CredentialDetail,
};
use claviger_store::port::Selection;

use super::{Refusal, refuse};
use crate::{Engine, policy::Policy};

/// Those who name the subject.
#[derive(Default)]
pub(super) struct Pointed {
    /// They can be made to name another.
    pub(super) movable: Vec<(Ref, ConsumerHow)>,
    /// They cannot; why.
    pub(super) fixed: Vec<(Ref, String)>,
}

/// The field in which the issuer keeps the value. Where another system would make the subject again, with the same value, it is refused.
pub(super) fn own(detail: &CredentialDetail) -> Result<Ref, Refusal> {
    let at = &detail.credential.at;
    let fact = |key: &str| detail.credential.attributes.get(key);
    if fact("dangling").and_then(serde_json::Value::as_bool) == Some(true) {
        let reason = "its identity does not exist, so that no other value can be made for it: revoke it";
        return Err(refuse(at, "dangling", reason));
    }
    let own = detail.copies.iter().find(|copy| copy.stage == CopyStage::Current && copy.at.object() == *at);
    let Some(own) = own else {
        return Err(refuse(at, "no-value", format!("no scan has read its value at {at}: scan again")));
    };
    let system = own.attributes.get("managed_by").or_else(|| fact("managed_by"));
    if let Some(system) = system.and_then(|system| system.as_str()) {
        let reason = format!(
            "it is managed by {system}, which would make it again under its name, and with it the same value: change it at its source, then revoke this one"
        );
        return Err(refuse(at, "managed-elsewhere", reason));
    }
    Ok(own.at.clone())
}

/// Everybody who names the subject, whatever of it he reads: without it his pods do not start.
pub(super) async fn pointed(
    engine: &Engine,
    detail: &CredentialDetail,
    leave: bool,
) -> Result<Pointed, Refusal> {
    let at = &detail.credential.at;
    let known = engine
        .ports
        .inventory
        .consumers(&Selection::default())
        .await
        .map_err(|error| refuse(at, "inventory", format!("its consumers could not be read: {error}")))?;
    let mut naming: Vec<_> = known
        .into_iter()
        .filter(|consumer| consumer.copy.object() == *at)
        .map(|consumer| (consumer.at, consumer.how))
        .collect();
    naming.sort_by_key(|(consumer, how)| (consumer.clone(), *how));
    naming.dedup_by(|(one, _), (other, _)| one == other);
    let mut found = Pointed::default();
    for (consumer, how) in naming {
        match fixed(engine, &consumer, at).await? {
            None => found.movable.push((consumer, how)),
            Some(why) => found.fixed.push((consumer, why)),
        }
    }
    if let Some((consumer, why)) = found.fixed.first().filter(|_| !leave) {
        let reason = format!(
            "{consumer} reads it and cannot be made to read the new one: {why}; change it at its source, or accept that it stops working when the old one is ended with `--leave-stale`"
        );
        return Err(refuse(at, "consumer-fixed", reason));
    }
    Ok(found)
}

/// Why a consumer cannot be made to read another object.
async fn fixed(engine: &Engine, consumer: &Ref, from: &Ref) -> Result<Option<String>, Refusal> {
    let member = engine.estate.member(consumer.backend()).ok();
    let backend = member.map(|member| member.backend.as_ref());
    let runtime =
        backend.filter(|backend| backend.capability().repoint).and_then(|backend| backend.runtime());
    let Some(runtime) = runtime else {
        return Ok(Some("claviger cannot change workloads there".to_owned()));
    };
    match runtime.repointable(consumer, from).await {
        Ok(StoreState::Writable) => Ok(None),
        Ok(StoreState::Refused(why)) => Ok(Some(why)),
        Ok(StoreState::ManagedElsewhere(system)) => Ok(Some(format!("it is managed by {system}"))),
        Err(error) => {
            let reason = format!("whether {consumer} can be changed could not be asked: {}", error.message());
            Err(refuse(consumer, "runtime-silent", reason))
        }
    }
}

/// What has to be seen before the old value is ended.
pub(super) fn quiet(offer: &Offer, policy: Option<&Policy>, grace: u64) -> Quiet {
    let least = policy.and_then(|policy| policy.evidence).unwrap_or(Evidence::Sampled);
    Quiet { seconds: grace, grain: offer.last_used_grain, least }
}

/// What the reader should know.
pub(super) fn notes(detail: &CredentialDetail, quiet: Quiet) -> Vec<String> {
    let at = &detail.credential.at;
    let mut notes = vec![format!(
        "both are accepted until the old one is suspended, after every consumer below runs on the new one; it gets a name of its own, which the next scan lists. Whatever names {at} outside of what was scanned, such as a file that is applied later, has to be changed at its source"
    )];
    if quiet.grain > 0 {
        let hours = quiet.grain.div_ceil(3600);
        notes.push(match quiet.least {
            Evidence::Blind => format!(
                "its issuer tells the last use to {hours} h only, and the rotation itself logs in with the old one: that nobody else uses it is not seen (blind), as its policy allows; whoever does is cut off"
            ),
            _ => format!(
                "its issuer tells the last use to {hours} h only, and the rotation itself logs in with the old one: the old one is suspended when that time is over and no use after it is seen; a policy with evidence = \"blind\" does not wait for that"
            ),
        });
    }
    if detail.credential.attributes.get("auto").and_then(serde_json::Value::as_bool) == Some(true) {
        let identity = detail.credential.identity.as_ref().map_or("its identity", Ref::as_str);
        notes.push(format!(
            "{identity} may name it in its own lists (`secrets`, `imagePullSecrets`): the new one is not put there"
        ));
    }
    notes
}
