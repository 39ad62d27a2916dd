//! One credential whole: `show` and `GET /api/v1/credentials/{id}`.

use claviger_core::{
    reference::Ref,
    view::{CredentialDetail, CredentialView},
};
use claviger_engine::{
    Engine,
    fault::{Fault, Kind},
    plan::Reach,
    policy,
    selector::Selector,
};
use claviger_store::Selection;
use serde_json::{Value, json};

use super::{Result, stamp, value};
use crate::access::Sight;

/// A credential, and what its end would take with it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The credential.
    pub detail: CredentialDetail,
    /// The radius.
    pub reach: Reach,
    /// How many things about it are left out, as they are not for these eyes.
    pub withheld: usize,
}

impl Shown {
    /// As programs read it.
    ///
    /// # Errors
    /// A bug.
    pub fn document(&self) -> Result<Value> {
        let mut document = value(&self.detail)?;
        document["blast"] = value(&self.reach)?;
        if self.withheld > 0 {
            document["withheld"] = json!(self.withheld);
        }
        stamp(&mut document, "credential");
        Ok(document)
    }
}

/// Finds and reads one. `ask` asks the targets too.
///
/// # Errors
/// There is none, or more than one; the database.
pub async fn shown(engine: &Engine, id: &str, ask: bool, sight: Sight<'_>) -> Result<Shown> {
    let now = engine.clock.now();
    let credential = one(engine, id, sight).await?;
    let Some(mut detail) = engine.ports.inventory.credential(now, credential.id).await? else {
        return Err(Fault::new(300, Kind::Absent, "it is no longer there"));
    };
    policy::apply(&engine.estate, &mut detail.credential, now);
    let mut reach = engine.reach(&detail, ask).await?;
    let withheld = if sight.is_whole() { 0 } else { withhold(&mut detail, &mut reach, sight) };
    Ok(Shown { detail, reach, withheld })
}

/// Takes out what lies where these eyes do not reach. Gives how much.
fn withhold(detail: &mut CredentialDetail, reach: &mut Reach, sight: Sight<'_>) -> usize {
    let labels = detail.credential.labels.clone();
    let near = |at: &Ref| sight.sees(at.backend(), &labels);
    let mut left = 0;
    let mut count = |before: usize, after: usize| left += before - after;
    let before = detail.copies.len();
    detail.copies.retain(|copy| sight.sees(&copy.store, &copy.labels));
    count(before, detail.copies.len());
    let before = detail.consumers.len();
    detail.consumers.retain(|consumer| near(&consumer.at) && near(&consumer.copy));
    count(before, detail.consumers.len());
    let before = detail.history.len();
    detail.history.retain(|event| near(&event.subject));
    count(before, detail.history.len());
    if detail.identity.as_ref().is_some_and(|identity| !sight.sees_identity(identity)) {
        detail.identity = None;
        count(1, 0);
    }
    let blast = &mut reach.blast;
    if detail.identity.is_none() && blast.identity.take().is_some() {
        count(blast.may.len(), 0);
        blast.may.clear();
    }
    for refs in [Some(&mut blast.breaks), Some(&mut blast.shares), blast.saved.as_mut()].into_iter().flatten()
    {
        let before = refs.len();
        refs.retain(near);
        count(before, refs.len());
    }
    left
}

/// The one credential that an id, its beginning or a ref names.
///
/// # Errors
/// There is none that these eyes see, or more than one; the database.
pub async fn one(engine: &Engine, id: &str, sight: Sight<'_>) -> Result<CredentialView> {
    let now = engine.clock.now();
    let gone = Selection { gone: true, ..Selection::default() };
    let mut all = engine.ports.inventory.credentials(now, &gone).await?;
    all.retain(|credential| sight.sees_credential(credential));
    let exact: Vec<_> = all.iter().filter(|credential| credential.at.as_str() == id).collect();
    let found: Vec<_> = if exact.is_empty() { Selector::parse(id)?.choose(&all)? } else { exact };
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(by_copy(engine, id, sight).await?),
        many => {
            let names: Vec<_> = many
                .iter()
                .take(5)
                .map(|credential| format!("{} ({})", credential.at, credential.id))
                .collect();
            let message = format!("`{}` matches {} credentials: {}", id, many.len(), names.join(", "));
            Err(Fault::new(301, Kind::Absent, message).hint("give more of the id"))
        }
    }
}

/// A copy's ref names its credential.
async fn by_copy(engine: &Engine, text: &str, sight: Sight<'_>) -> Result<Fault> {
    let copies = engine.ports.inventory.copies(&Selection::default()).await?;
    let fault = Fault::new(300, Kind::Absent, format!("nothing in the inventory matches `{text}`"));
    let copy = copies.iter().find(|copy| copy.at.as_str() == text && sight.sees(&copy.store, &copy.labels));
    Ok(match copy {
        Some(copy) => fault.hint(format!(
            "it is a copy of credential {}: `claviger show {}`",
            copy.credential, copy.credential
        )),
        None => fault.hint("`claviger list credentials` shows what is there"),
    })
}
