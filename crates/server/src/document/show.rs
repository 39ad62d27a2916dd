//! One credential whole: `show` and `GET /api/v1/credentials/{id}`.

use claviger_core::{
    chain::{Chain, Limits},
    reference::Ref,
    resemblance::{self, Resemblance},
    view::{CredentialDetail, CredentialView},
};
use claviger_engine::{
    Engine,
    chain::Eyes,
    fault::{Fault, Kind},
    plan::Reach,
    policy,
    selector::Selector,
};
use claviger_store::Selection;
use serde_json::{Value, json};

use super::{Result, stamp, value};
use crate::access::{Sight, Subject};

/// A credential, and what its end would take with it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The credential.
    pub detail: CredentialDetail,
    /// The radius.
    pub reach: Reach,
    /// From build to run.
    pub chain: Chain,
    /// Places that are probably copies of it, or what it is probably a copy of: nothing acts on that until somebody declares it.
    pub proposals: Vec<Resemblance>,
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
        document["chain"] = value(&self.chain)?;
        document["proposals"] = value(&self.proposals)?;
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
    // Of what it is drawn from nothing is withheld any more: what these eyes do not see is no part of it.
    let credential = |mut other: CredentialDetail| {
        let is_seen = sight.sees_credential(&other.credential);
        is_seen.then(|| {
            narrow(&mut other, sight);
            other
        })
    };
    let backend = |name: &str| sight.covers(&Subject::Backend(name));
    let eyes = match sight.is_whole() {
        true => Eyes::All,
        false => Eyes::Some { credential: &credential, backend: &backend },
    };
    let chain = engine.chain(&detail, eyes, Limits::WHOLE).await?;
    let proposals = proposals(engine, &detail, sight).await?;
    Ok(Shown { detail, reach, chain, proposals, withheld })
}

/// What is proposed of one credential. All are read only where there is something to propose: of several that are alike the others count too.
async fn proposals(engine: &Engine, detail: &CredentialDetail, sight: Sight<'_>) -> Result<Vec<Resemblance>> {
    if !resemblance::is_question(detail) {
        let inventory = &engine.ports.inventory;
        let unread = inventory.unread().await?;
        let questions = inventory.subjects_of(engine.clock.now(), &unread).await?;
        if resemblance::resemblances(questions.iter().chain([detail])).is_empty() {
            return Ok(Vec::new());
        }
    }
    let mut all = proposed(engine, sight).await?;
    let is_own = |one: &Resemblance| {
        one.credential == detail.credential.id || detail.copies.iter().any(|copy| copy.at == one.copy)
    };
    all.retain(is_own);
    Ok(all)
}

/// Everything that is proposed, of what these eyes see.
pub(super) async fn proposed(engine: &Engine, sight: Sight<'_>) -> Result<Vec<Resemblance>> {
    let mut details = engine.ports.inventory.subjects(engine.clock.now(), &Selection::default()).await?;
    if !sight.is_whole() {
        details.retain(|detail| sight.sees_credential(&detail.credential));
        details.iter_mut().for_each(|detail| {
            narrow(detail, sight);
        });
    }
    Ok(resemblance::resemblances(&details))
}

/// Takes out of one credential what lies where these eyes do not reach. Gives how much.
fn narrow(detail: &mut CredentialDetail, sight: Sight<'_>) -> usize {
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
    left
}

/// The same, and of its radius too.
fn withhold(detail: &mut CredentialDetail, reach: &mut Reach, sight: Sight<'_>) -> usize {
    let mut left = narrow(detail, sight);
    let labels = detail.credential.labels.clone();
    let near = |at: &Ref| sight.sees(at.backend(), &labels);
    let mut count = |before: usize, after: usize| left += before - after;
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
