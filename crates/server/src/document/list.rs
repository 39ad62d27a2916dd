//! Lists: `list …` and `GET /api/v1/…`.

use std::collections::{BTreeSet, HashMap};

use claviger_core::{
    id::CredentialId,
    reference::Ref,
    saga::SagaKind,
    schedule::Schedule,
    view::{ConsumerView, CredentialView, FindingView, IdentityView},
};
use claviger_engine::{
    Engine, exception, policy,
    selector::{Selector, glob},
    timing::{self, Wait},
};
use claviger_store::Selection;
use serde_json::{Value, json};

use super::{Result, show, values};
use crate::access::Sight;

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Authenticators.
    Credentials,
    /// Principals.
    Identities,
    /// Places where a value lies.
    Copies,
    /// Workloads that read a copy.
    Consumers,
    /// Rules that hold.
    Findings,
    /// Rotations.
    Rotations,
    /// Revocations.
    Revocations,
    /// Swaps to workload identity.
    Swaps,
    /// What policies will have rotated, and when.
    Schedules,
    /// Drills.
    Drills,
    /// What others are to be told, and were not yet.
    Notifications,
    /// What our own backends are logged in to with.
    Connections,
    /// Places that are probably copies of a credential.
    Proposals,
}

impl Thing {
    /// The word for it, which its schema has too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Identities => "identities",
            Self::Copies => "copies",
            Self::Consumers => "consumers",
            Self::Findings => "findings",
            Self::Rotations => "rotations",
            Self::Revocations => "revocations",
            Self::Swaps => "swaps",
            Self::Schedules => "schedules",
            Self::Drills => "drills",
            Self::Notifications => "notifications",
            Self::Connections => "connections",
            Self::Proposals => "proposals",
        }
    }

    /// The fields that together tell one item from all others.
    pub const fn identity(self) -> &'static [&'static str] {
        match self {
            Self::Credentials | Self::Identities => &["id"],
            Self::Copies => &["ref", "stage", "version", "credential"],
            Self::Consumers => &["credential", "copy", "ref", "how", "container"],
            Self::Findings => &["slug", "subject"],
            Self::Rotations | Self::Revocations | Self::Swaps => &["rotation_id"],
            Self::Schedules => &["credential"],
            Self::Drills => &["drill_id"],
            Self::Notifications => &["receiver", "id"],
            Self::Connections => &["backend", "ref"],
            Self::Proposals => &["copy", "credential"],
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Only what this matches: it chooses credentials; copies, consumers and sagas follow theirs, findings and identities their ref too.
    pub selector: Option<Selector>,
    /// Also what is gone.
    pub gone: bool,
}

/// The items, in their order.
///
/// # Errors
/// The database, or a condition that cannot be decided.
pub async fn items(engine: &Engine, thing: Thing, asked: &Asked, sight: Sight<'_>) -> Result<Vec<Value>> {
    let list = List { engine, asked, sight };
    match thing {
        Thing::Credentials => list.credentials().await,
        Thing::Identities => values(&list.identities().await?),
        Thing::Copies => list.copies().await,
        Thing::Consumers => list.consumers().await,
        Thing::Findings => list.findings().await,
        Thing::Rotations => list.sagas(SagaKind::Rotation).await,
        Thing::Revocations => list.sagas(SagaKind::Revocation).await,
        Thing::Swaps => list.sagas(SagaKind::Swap).await,
        Thing::Schedules => list.schedules().await,
        Thing::Drills => {
            let mut drills = engine.ports.incidents.drills().await?;
            drills.retain(|drill| sight.covers(&crate::access::Subject::Backend(&drill.backend)));
            values(&drills)
        }
        // They tell of all of the estate.
        Thing::Notifications if !sight.covers(&crate::access::Subject::Estate) => Ok(Vec::new()),
        Thing::Notifications => values(&engine.ports.notifications.open_notifications().await?),
        Thing::Connections => {
            let built = engine.estate.members().map(|member| member.backend.info().name.as_str());
            let broken = engine.estate.broken.iter().map(|(name, ..)| name.as_str());
            let names: BTreeSet<&str> = built.chain(broken).collect();
            connections(engine, names.into_iter(), asked, sight).await
        }
        Thing::Proposals => list.proposals().await,
    }
}

/// What the backends of these names are logged in to with, as the newest scan recognised it.
///
/// # Errors
/// As [`items`].
pub async fn connections(
    engine: &Engine,
    names: impl Iterator<Item = &str>,
    asked: &Asked,
    sight: Sight<'_>,
) -> Result<Vec<Value>> {
    let mut own = List { engine, asked, sight }.visible(&Selection::default()).await?;
    own.retain(|credential| credential.attributes.get("own").is_some_and(|own| own == true));
    let chosen = match &asked.selector {
        Some(selector) => selector.choose(&own)?,
        None => own.iter().collect(),
    };
    let mut items = Vec::new();
    for name in names.filter(|name| sight.covers(&crate::access::Subject::Backend(name))) {
        let before = items.len();
        for credential in chosen.iter().filter(|credential| credential.backend == name) {
            items.push(json!({
                "backend": name, "credential": credential.id, "ref": credential.at, "age_days": credential.age_days,
                "created_at": credential.created_at, "expires_at": credential.expires_at, "last_used_at": credential.last_used_at,
                "copies": credential.copies, "detail": Value::Null,
            }));
        }
        if items.len() == before && asked.selector.is_none() {
            // A certificate of a cluster, or an account whose issuer cannot be read: unknown, and not none.
            let detail = "not known: no scan has recognised it";
            items.push(json!({ "backend": name, "ref": Value::Null, "detail": detail }));
        }
    }
    Ok(items)
}

struct List<'a> {
    engine: &'a Engine,
    asked: &'a Asked,
    sight: Sight<'a>,
}

impl List<'_> {
    fn selection(&self) -> Selection {
        Selection { gone: self.asked.gone, ..Selection::default() }
    }

    /// The credentials that may be seen; what nobody may see no selector finds either.
    async fn visible(&self, selection: &Selection) -> Result<Vec<CredentialView>> {
        let now = self.engine.clock.now();
        let mut all = self.engine.ports.inventory.credentials(now, selection).await?;
        all.retain(|credential| self.sight.sees_credential(credential));
        Ok(all)
    }

    async fn matching(&self) -> Result<Vec<CredentialView>> {
        let all = self.visible(&self.selection()).await?;
        Ok(match &self.asked.selector {
            Some(selector) => selector.choose(&all)?.into_iter().cloned().collect(),
            None => all,
        })
    }

    async fn credentials(&self) -> Result<Vec<Value>> {
        let mut items = self.matching().await?;
        let now = self.engine.clock.now();
        items.iter_mut().for_each(|credential| policy::apply(&self.engine.estate, credential, now));
        values(&items)
    }

    /// Of the credentials that are chosen, or of places whose ref is.
    async fn proposals(&self) -> Result<Vec<Value>> {
        let chosen = self.chosen(&Selection::default()).await?;
        let mut items = show::proposed(self.engine, self.sight).await?;
        let text = self.asked.selector.as_ref().map_or("", |selector| selector.text());
        items.retain(|one| {
            chosen.as_ref().is_none_or(|ids| ids.contains(&one.credential)) || glob(text, one.copy.as_str())
        });
        values(&items)
    }

    async fn identities(&self) -> Result<Vec<IdentityView>> {
        let mut items = self.engine.ports.inventory.identities(&self.selection()).await?;
        items.retain(|identity| self.sight.sees_identity(identity));
        if let Some(selector) = &self.asked.selector {
            items.retain(|identity| {
                glob(selector.text(), identity.at.as_str())
                    || identity.id.to_string().starts_with(selector.text())
            });
        }
        Ok(items)
    }

    async fn copies(&self) -> Result<Vec<Value>> {
        let chosen = self.chosen(&self.selection()).await?;
        let mut items = self.engine.ports.inventory.copies(&self.selection()).await?;
        items.retain(|copy| {
            chosen.as_ref().is_none_or(|ids| ids.contains(&copy.credential))
                && self.sight.sees(&copy.store, &copy.labels)
        });
        values(&items)
    }

    async fn consumers(&self) -> Result<Vec<Value>> {
        let chosen = self.chosen(&self.selection()).await?;
        let known = self.known().await?;
        let mut items = self.engine.ports.inventory.consumers(&self.selection()).await?;
        items.retain(|consumer| {
            chosen.as_ref().is_none_or(|ids| consumer.credential.is_some_and(|id| ids.contains(&id)))
                && sees_consumer(&self.sight, consumer, known.as_ref())
        });
        values(&items)
    }

    async fn findings(&self) -> Result<Vec<Value>> {
        let mut items = self.engine.ports.inventory.findings().await?;
        let (now, exceptions) = (self.engine.clock.now(), &self.engine.estate.exceptions);
        let selector = self.asked.selector.as_ref();
        let all = if selector.is_some() || !exceptions.is_empty() {
            self.visible(&self.selection()).await?
        } else {
            Vec::new()
        };
        if let Some(known) = self.known().await? {
            let identities = self.engine.ports.inventory.identities(&Selection::default()).await?;
            let identities: HashMap<&Ref, bool> = identities
                .iter()
                .map(|identity| (&identity.at, self.sight.sees_identity(identity)))
                .collect();
            let sees = |finding: &FindingView| {
                let subject = &finding.subject;
                let of_credential = known.iter().find(|(_, one)| one.at == *subject).map(|(_, one)| one);
                match (of_credential, identities.get(subject)) {
                    (Some(credential), _) => self.sight.sees_credential(credential),
                    (None, Some(sees)) => *sees,
                    (None, None) => self.sight.sees_ref(subject),
                }
            };
            items.retain(sees);
        }
        exception::waive(exceptions, &mut items, &all, now);
        if let Some(selector) = selector {
            let refs: BTreeSet<_> =
                selector.choose(&all)?.into_iter().map(|credential| credential.at.clone()).collect();
            let slug = selector.text().strip_prefix("finding=").unwrap_or(selector.text());
            items.retain(|finding| {
                refs.contains(&finding.subject)
                    || glob(selector.text(), finding.subject.as_str())
                    || glob(slug, &finding.slug)
            });
        }
        values(&items)
    }

    async fn sagas(&self, kind: SagaKind) -> Result<Vec<Value>> {
        let gone = Selection { gone: true, ..Selection::default() };
        let chosen = self.chosen(&gone).await?;
        let known = self.known().await?;
        let mut items = self.engine.ports.journal.list(kind, None).await?;
        items.retain(|saga| {
            chosen.as_ref().is_none_or(|ids| ids.contains(&saga.credential))
                && known.as_ref().is_none_or(|known| {
                    known.get(&saga.credential).map_or_else(
                        || self.sight.sees_ref(&saga.at),
                        |credential| self.sight.sees_credential(credential),
                    )
                })
        });
        values(&items)
    }

    /// What is due by a policy, the first to start first. Where it cannot be decided, that is said instead of a time.
    async fn schedules(&self) -> Result<Vec<Value>> {
        let (now, estate) = (self.engine.clock.now(), &self.engine.estate);
        let mut items = Vec::new();
        for credential in &self.matching().await? {
            let base =
                |policy: &str| json!({ "credential": credential.id, "ref": credential.at, "policy": policy });
            let policy = match policy::policy_for(&estate.policies, credential) {
                Ok(Some(policy)) => policy,
                Ok(None) => continue,
                Err(error) => {
                    let mut item = base(policy::UNDECIDED);
                    item["waits_for"] = error.to_string().into();
                    items.push((None, item));
                    continue;
                }
            };
            let mut item = base(&policy.name);
            let due = match timing::due(estate, policy, credential, now) {
                Ok(Some(due)) => due,
                Ok(None) => continue,
                Err(error) => {
                    item["waits_for"] = error.to_string().into();
                    items.push((None, item));
                    continue;
                }
            };
            item["schedule"] = json!(policy.timing.schedule.as_ref().map(Schedule::as_str));
            item["timezone"] = json!(policy.timing.schedule.as_ref().map(|schedule| schedule.zone().name()));
            item["due_at"] = json!(due.at);
            item["starts_at"] = json!(due.starts_at);
            item["latest_at"] = json!(policy.due(credential));
            item["due"] = json!(due.at <= now);
            item["waits_for"] = json!(due.waits_for.map(|wait| match wait {
                Wait::Window => "its window".to_owned(),
                Wait::Blackout(name) => format!("the end of blackout `{name}`"),
            }));
            items.push((Some(due.starts_at), item));
        }
        items.sort_by_key(|(starts_at, _)| *starts_at);
        Ok(items.into_iter().map(|(_, item)| item).collect())
    }

    /// The ids of what the selector chooses; `None` without one.
    async fn chosen(&self, selection: &Selection) -> Result<Option<BTreeSet<CredentialId>>> {
        let Some(selector) = &self.asked.selector else { return Ok(None) };
        let all = self.visible(selection).await?;
        Ok(Some(selector.choose(&all)?.into_iter().map(|credential| credential.id).collect()))
    }

    /// All credentials, for things that have no labels of their own. `None` where nothing is left out anyway.
    async fn known(&self) -> Result<Option<HashMap<CredentialId, CredentialView>>> {
        if self.sight.is_whole() {
            return Ok(None);
        }
        known(self.engine).await.map(Some)
    }
}

/// All credentials, those that are gone too, by their id.
pub(crate) async fn known(engine: &Engine) -> Result<HashMap<CredentialId, CredentialView>> {
    let gone = Selection { gone: true, ..Selection::default() };
    let all = engine.ports.inventory.credentials(engine.clock.now(), &gone).await?;
    Ok(all.into_iter().map(|credential| (credential.id, credential)).collect())
}

/// A consumer has no labels of its own: those of what it reads count, and the backend that it is in.
fn sees_consumer(
    sight: &Sight<'_>,
    consumer: &ConsumerView,
    known: Option<&HashMap<CredentialId, CredentialView>>,
) -> bool {
    let Some(known) = known else { return true };
    match consumer.credential.and_then(|id| known.get(&id)) {
        Some(credential) => {
            sight.sees_credential(credential) && sight.sees(consumer.at.backend(), &credential.labels)
        }
        None => sight.sees_ref(&consumer.at),
    }
}
