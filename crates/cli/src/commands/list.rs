use std::collections::BTreeSet;

use claviger_core::{id::CredentialId, saga::SagaKind, schedule::Schedule, view::CredentialView};
use claviger_engine::{
    Engine, exception, policy,
    selector::{Selector, glob},
    timing::{self, Wait},
};
use claviger_store::port::Selection;
use serde_json::{Value, json};

use crate::{
    args::{Global, ListArgs, Thing},
    compose::{Needs, compose},
    error::{Exit, Result},
    output::{self, Column, Shown},
};

const CREDENTIALS: &[Column] = &[
    Column::new("id", "ID").shown(Shown::Id),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("kind", "KIND"),
    Column::new("state", "STATE"),
    Column::new("owner", "OWNER"),
    Column::new("age_days", "AGE").shown(Shown::Number),
    Column::new("copies", "COPIES").shown(Shown::Number),
    Column::new("consumers", "CONSUMERS").shown(Shown::Number),
    Column::new("findings", "FINDINGS"),
    Column::new("identity", "IDENTITY").shown(Shown::Ref).wide(),
    Column::new("link", "LINK").wide(),
    Column::new("created_at", "CREATED").shown(Shown::Day).wide(),
    Column::new("last_rotated_at", "ROTATED").shown(Shown::Day).wide(),
    Column::new("expires_at", "EXPIRES").shown(Shown::Day).wide(),
    Column::new("last_used_at", "USED").shown(Shown::Day).wide(),
    Column::new("policy", "POLICY").wide(),
    Column::new("next_due_at", "DUE").shown(Shown::Day).wide(),
];
const IDENTITIES: &[Column] = &[
    Column::new("id", "ID").shown(Shown::Id),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("kind", "KIND"),
    Column::new("owner", "OWNER"),
    Column::new("privilege", "PRIVILEGE"),
    Column::new("credentials", "CREDENTIALS").shown(Shown::Number),
];
const COPIES: &[Column] = &[
    Column::new("credential", "CREDENTIAL").shown(Shown::Id),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("stage", "STAGE"),
    Column::new("evidence", "EVIDENCE"),
    Column::new("last_seen", "LAST SEEN").shown(Shown::Time),
    Column::new("version", "VERSION").wide(),
    Column::new("fingerprint", "FINGERPRINT").wide(),
];
const CONSUMERS: &[Column] = &[
    Column::new("credential", "CREDENTIAL").shown(Shown::Id),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("how", "HOW"),
    Column::new("copy", "COPY").shown(Shown::Ref),
    Column::new("container", "CONTAINER"),
];
const FINDINGS: &[Column] = &[
    Column::new("severity", "SEVERITY"),
    Column::new("slug", "SLUG"),
    Column::new("subject", "SUBJECT").shown(Shown::Ref),
    Column::new("title", "TITLE"),
    Column::new("first_seen", "SINCE").shown(Shown::Day).wide(),
    Column::new("suggested", "SUGGESTED").wide(),
    Column::new("waived", "WAIVED").wide(),
];
const SAGAS: &[Column] = &[
    Column::new("rotation_id", "ID"),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("state", "STATE"),
    Column::new("cause", "CAUSE"),
    Column::new("started_at", "STARTED").shown(Shown::Time),
    Column::new("finished_at", "FINISHED").shown(Shown::Time),
    Column::new("detail", "DETAIL"),
];

const DRILLS: &[Column] = &[
    Column::new("drill_id", "ID"),
    Column::new("backend", "BACKEND"),
    Column::new("passed", "PASSED"),
    Column::new("begun_at", "BEGUN").shown(Shown::Time),
    Column::new("time_to_revoke_ms", "MS TO REVOKE").shown(Shown::Number),
    Column::new("time_to_proof_ms", "MS TO PROOF").shown(Shown::Number),
    Column::new("verdict", "VERDICT"),
    Column::new("reason", "REASON"),
    Column::new("ref", "DECOY").shown(Shown::Ref).wide(),
    Column::new("actor", "BY").wide(),
];

const CONNECTIONS: &[Column] = &[
    Column::new("backend", "BACKEND"),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("age_days", "AGE").shown(Shown::Number),
    Column::new("expires_at", "EXPIRES").shown(Shown::Time),
    Column::new("copies", "COPIES").shown(Shown::Number),
    Column::new("detail", "DETAIL"),
    Column::new("created_at", "CREATED").shown(Shown::Day).wide(),
    Column::new("last_used_at", "USED").shown(Shown::Day).wide(),
    Column::new("credential", "CREDENTIAL").shown(Shown::Id).wide(),
];

const SCHEDULES: &[Column] = &[
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("policy", "POLICY"),
    Column::new("schedule", "SCHEDULE"),
    Column::new("timezone", "ZONE"),
    Column::new("due_at", "DUE").shown(Shown::Time),
    Column::new("starts_at", "STARTS").shown(Shown::Time),
    Column::new("waits_for", "WAITS FOR"),
    Column::new("latest_at", "AT THE LATEST").shown(Shown::Time).wide(),
    Column::new("credential", "CREDENTIAL").shown(Shown::Id).wide(),
];

/// Lists one thing. The selector chooses credentials; copies, consumers and sagas follow theirs, findings and identities their ref too.
pub(super) async fn run(global: &Global, args: &ListArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let engine = &composed.engine;
    let given =
        args.selector.iter().any(|word| !word.trim().is_empty()) || args.condition.condition.is_some();
    let selector = given.then(|| args.condition.selector(&args.selector)).transpose()?;
    let selection = Selection { gone: args.gone, ..Selection::default() };
    let (name, columns, items) = match args.thing {
        Thing::Credentials => {
            ("credentials", CREDENTIALS, credentials(engine, selector.as_ref(), &selection).await?)
        }
        Thing::Identities => {
            let mut items = engine.ports.inventory.identities(&selection).await?;
            if let Some(selector) = &selector {
                items.retain(|identity| {
                    glob(selector.text(), identity.at.as_str())
                        || identity.id.to_string().starts_with(selector.text())
                });
            }
            ("identities", IDENTITIES, output::values(&items)?)
        }
        Thing::Copies => {
            let chosen = chosen(engine, selector.as_ref(), &selection).await?;
            let mut items = engine.ports.inventory.copies(&selection).await?;
            items.retain(|copy| chosen.as_ref().is_none_or(|ids| ids.contains(&copy.credential)));
            ("copies", COPIES, output::values(&items)?)
        }
        Thing::Consumers => {
            let chosen = chosen(engine, selector.as_ref(), &selection).await?;
            let mut items = engine.ports.inventory.consumers(&selection).await?;
            items.retain(|consumer| {
                chosen.as_ref().is_none_or(|ids| consumer.credential.is_some_and(|id| ids.contains(&id)))
            });
            ("consumers", CONSUMERS, output::values(&items)?)
        }
        Thing::Findings => {
            let mut items = engine.ports.inventory.findings().await?;
            let (now, exceptions) = (engine.clock.now(), &engine.estate.exceptions);
            let all = if selector.is_some() || !exceptions.is_empty() {
                engine.ports.inventory.credentials(now, &selection).await?
            } else {
                Vec::new()
            };
            exception::waive(exceptions, &mut items, &all, now);
            if let Some(selector) = &selector {
                let refs: BTreeSet<_> =
                    selector.choose(&all)?.into_iter().map(|credential| credential.at.clone()).collect();
                let slug = selector.text().strip_prefix("finding=").unwrap_or(selector.text());
                items.retain(|finding| {
                    refs.contains(&finding.subject)
                        || glob(selector.text(), finding.subject.as_str())
                        || glob(slug, &finding.slug)
                });
            }
            ("findings", FINDINGS, output::values(&items)?)
        }
        Thing::Rotations => {
            ("rotations", SAGAS, sagas(engine, SagaKind::Rotation, selector.as_ref(), &selection).await?)
        }
        Thing::Revocations => {
            ("revocations", SAGAS, sagas(engine, SagaKind::Revocation, selector.as_ref(), &selection).await?)
        }
        Thing::Connections => {
            let names = composed.loaded.config.backends.keys().map(String::as_str);
            ("connections", CONNECTIONS, connections(engine, names, selector.as_ref()).await?)
        }
        Thing::Drills => ("drills", DRILLS, output::values(&engine.ports.incidents.drills().await?)?),
        Thing::Schedules => ("schedules", SCHEDULES, schedules(engine, selector.as_ref(), &selection).await?),
    };
    output::list(global, name, columns, &items)?;
    Ok(Exit::Done)
}

async fn credentials(
    engine: &Engine,
    selector: Option<&Selector>,
    selection: &Selection,
) -> Result<Vec<Value>> {
    let mut items = engine.ports.inventory.credentials(engine.clock.now(), selection).await?;
    if let Some(selector) = selector {
        items = selector.choose(&items)?.into_iter().cloned().collect();
    }
    let now = engine.clock.now();
    items.iter_mut().for_each(|credential| policy::apply(&engine.estate, credential, now));
    output::values(&items)
}

/// What our own backends are logged in to with, as the newest scan recognised it.
async fn connections<'n>(
    engine: &Engine,
    names: impl Iterator<Item = &'n str>,
    selector: Option<&Selector>,
) -> Result<Vec<Value>> {
    let all = engine.ports.inventory.credentials(engine.clock.now(), &Selection::default()).await?;
    let is_own =
        |credential: &CredentialView| credential.attributes.get("own").is_some_and(|own| own == true);
    let own: Vec<CredentialView> = all.into_iter().filter(is_own).collect();
    let chosen = match selector {
        Some(selector) => selector.choose(&own)?,
        None => own.iter().collect(),
    };
    let mut items = Vec::new();
    for name in names {
        let before = items.len();
        for credential in chosen.iter().filter(|credential| credential.backend == name) {
            items.push(json!({
                "backend": name, "credential": credential.id, "ref": credential.at, "age_days": credential.age_days,
                "created_at": credential.created_at, "expires_at": credential.expires_at, "last_used_at": credential.last_used_at,
                "copies": credential.copies, "detail": Value::Null,
            }));
        }
        if items.len() == before && selector.is_none() {
            // A certificate of a cluster, or an account whose issuer cannot be read: unknown, and not none.
            let detail = "not known: no scan has recognised it";
            items.push(json!({ "backend": name, "ref": Value::Null, "detail": detail }));
        }
    }
    Ok(items)
}

/// What is due by a policy, the first to start first. Where it cannot be decided, that is said instead of a time.
async fn schedules(
    engine: &Engine,
    selector: Option<&Selector>,
    selection: &Selection,
) -> Result<Vec<Value>> {
    let now = engine.clock.now();
    let mut all = engine.ports.inventory.credentials(now, selection).await?;
    if let Some(selector) = selector {
        all = selector.choose(&all)?.into_iter().cloned().collect();
    }
    let mut items = Vec::new();
    for credential in &all {
        let base =
            |policy: &str| json!({ "credential": credential.id, "ref": credential.at, "policy": policy });
        let policy = match policy::policy_for(&engine.estate.policies, credential) {
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
        let due = match timing::due(&engine.estate, policy, credential, now) {
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

async fn chosen(
    engine: &Engine,
    selector: Option<&Selector>,
    selection: &Selection,
) -> Result<Option<BTreeSet<CredentialId>>> {
    let Some(selector) = selector else { return Ok(None) };
    let all = engine.ports.inventory.credentials(engine.clock.now(), selection).await?;
    Ok(Some(selector.choose(&all)?.into_iter().map(|credential| credential.id).collect()))
}

async fn sagas(
    engine: &Engine,
    kind: SagaKind,
    selector: Option<&Selector>,
    selection: &Selection,
) -> Result<Vec<Value>> {
    let gone = Selection { gone: true, ..selection.clone() };
    let chosen = chosen(engine, selector, &gone).await?;
    let mut items = engine.ports.journal.list(kind, None).await?;
    items.retain(|saga| chosen.as_ref().is_none_or(|ids| ids.contains(&saga.credential)));
    output::values(&items)
}
