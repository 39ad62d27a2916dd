//! What must hold, looked at from outside: in the estate and in the database's bytes.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use claviger_core::{
    audit::{AuditKind, Verifier},
    clock::SystemClock,
    id::Seq,
    model::{CopyStage, CredentialState},
    reference::Ref,
    saga::{Event, SagaKind},
    seal::{Frame, Slot},
};
use claviger_store::{AuditLog, Inventory, Journal};

use claviger_testkit::database::TestDatabase;

use crate::alternating;
use crate::world::{COPIES, KEYS, Process, ROLE, Saga, TOKEN, World};
use crate::{certificate, deploy_key, minted, named, swap};

/// L: some durably held value authenticates, and the target accepts no value that the journal does not know.
pub(crate) async fn nothing_lost(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let observer = world.observer(dir);
    let mut held = sealed(process).await?;
    held.push(world.old.clone());
    for copy in observer.copies_of(&world.old)? {
        ensure!(copy.stage != CopyStage::Pending, "a half-written copy at {}", copy.at);
    }
    held.push(current(process, "sim/kv/payments/db#password").await?);
    let accepted = held
        .iter()
        .map(|value| observer.accepts(ROLE, value, &SystemClock))
        .collect::<Result<Vec<_>, _>>()?;
    ensure!(accepted.contains(&true), "no durably held value is accepted");
    Ok(())
}

/// The values that are durable in the journal: those that sagas made, and those that they follow.
pub(crate) async fn sealed(process: &Process) -> Result<Vec<Vec<u8>>> {
    let mut held = Vec::new();
    for saga in process.store().list(SagaKind::Rotation, None).await? {
        let record = process.store().load(saga.rotation_id).await?.context("the saga")?;
        let Some(salt) = record.salt else { continue };
        for slot in [Slot::New(0), Slot::New(1), Slot::New(2), Slot::Old] {
            let Some(sealed) = process.store().sealed(record.id, &slot.word()).await? else { continue };
            let frame = Frame { saga: record.id, credential: record.plan.credential, slot, salt: &salt };
            let value = process.engine.keys.sealing.open(&frame, &sealed).ok().context("opens")?;
            held.push(value.expose().to_vec());
        }
    }
    Ok(held)
}

/// L, where there is no issuer: what a copy holds is the old value or a durable new one, or the saga is over.
pub(crate) async fn known_values(world: &World, process: &Process) -> Result<()> {
    let mut known = sealed(process).await?;
    known.push(world.old.clone());
    let over = process.store().unfinished().await?.is_empty();
    for place in KEYS {
        ensure!(
            over || known.contains(&current(process, place).await?),
            "{place} holds a value that nobody knows"
        );
    }
    Ok(())
}

/// Both copies hold this value.
pub(crate) async fn in_step(process: &Process, value: &[u8]) -> Result<()> {
    for place in KEYS {
        ensure!(current(process, place).await? == value, "{place} is out of step");
    }
    Ok(())
}

/// After the rotation of a value without an issuer came to rest: both copies hold the new one, and nothing is said to be proven.
pub(crate) async fn copy_only(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    let now = current(process, KEYS[0]).await?;
    ensure!((now != world.old) == began, "began: {began}, and the copy's value says otherwise");
    in_step(process, &now).await?;
    let receipts = process.store().receipts(None).await?;
    ensure!(
        receipts.len() == usize::from(began)
            && receipts.iter().all(|receipt| receipt.verdict == "unprovable"),
        "{receipts:?}"
    );
    settled(world, process, database, dir, &[&world.old, &now]).await
}

/// After a rotation came to rest: one value everywhere, accepted; the old one refused; consumers work; nothing sealed remains.
pub(crate) async fn rotation(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    let observer = world.observer(dir);
    let now = current(process, "sim/kv/payments/db#password").await?;
    ensure!(observer.accepts(ROLE, &now, &SystemClock)?, "the value in the store is not accepted");
    if began {
        ensure!(now != world.old, "the rotation is done and the value is the old one");
        ensure!(!observer.accepts(ROLE, &world.old, &SystemClock)?, "the old value is still accepted");
    }
    for place in COPIES {
        let holds = observer
            .copies_of(&now)?
            .iter()
            .any(|copy| copy.at == Ref::from_text(place) && copy.stage == CopyStage::Current);
        ensure!(holds, "{place} is out of step");
    }
    let logins = observer.witness_logins(&SystemClock)?;
    let ours: Vec<_> = logins.iter().filter(|login| login.role == ROLE).collect();
    ensure!(ours.len() >= 2, "the witnesses are gone");
    ensure!(ours.iter().all(|login| login.accepted), "a consumer cannot log in: {ours:?}");
    settled(world, process, database, dir, &[&world.old, &now]).await
}

/// L, where both values work side by side: at every moment the copy holds a token that the store accepts.
pub(crate) async fn token_works(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let held = current(process, TOKEN).await?;
    let tokens = world.observer(dir).estate()?.secret_store.tokens;
    ensure!(tokens.values().any(|token| token.value.is(&held)), "{TOKEN} holds a token that is not accepted");
    Ok(())
}

/// Exactly one token of this name is left, with this value: no orphan.
pub(crate) fn one_token(world: &World, dir: &Path, value: &[u8]) -> Result<()> {
    let tokens = world.observer(dir).estate()?.secret_store.tokens;
    let ours: Vec<_> = tokens.values().filter(|token| token.display_name == "terraform").collect();
    ensure!(ours.len() == 1, "{} tokens are left", ours.len());
    ensure!(ours[0].value.is(value), "the token that is left is another one");
    ensure!(ours[0].policies == ["infra-write"], "it may do something else: {:?}", ours[0].policies);
    Ok(())
}

/// After a rotation with two values came to rest: one token is left, the copy holds it, the old one is recorded as dead.
pub(crate) async fn dual(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    let now = current(process, TOKEN).await?;
    ensure!((now != world.old) == began, "began: {began}, and the copy's value says otherwise");
    one_token(world, dir, &now)?;
    if began {
        dead(world, process).await?;
    }
    settled(world, process, database, dir, &[&world.old, &now]).await
}

/// After a rotation was taken back: everything is as it was, and none of the values that it made is accepted or lies anywhere.
pub(crate) async fn back(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    made: &[Vec<u8>],
) -> Result<()> {
    let observer = world.observer(dir);
    match world.first() {
        Saga::Rotation => {
            ensure!(observer.accepts(ROLE, &world.old, &SystemClock)?, "the former value is not accepted");
            for value in made.iter().filter(|value| value.trim_ascii_end() != world.old.trim_ascii_end()) {
                ensure!(
                    !observer.accepts(ROLE, value, &SystemClock)?,
                    "the value that was taken back is accepted"
                );
            }
            for place in COPIES {
                let copies = observer.copies_of(&world.old)?;
                ensure!(copies.iter().any(|copy| copy.at == Ref::from_text(place)), "{place} is out of step");
            }
            let logins = observer.witness_logins(&SystemClock)?;
            let ours = logins.iter().filter(|login| login.role == ROLE);
            ensure!(ours.clone().count() >= 2 && ours.clone().all(|login| login.accepted), "{logins:?}");
        }
        Saga::Dual | Saga::Told => {
            ensure!(current(process, TOKEN).await? == world.old, "{TOKEN} is out of step");
            one_token(world, dir, &world.old)?;
        }
        Saga::DeployKey => deploy_key::as_before(world, process, dir).await?,
        Saga::Minted => minted::unwound(world, process, dir).await?,
        Saga::Named => named::unwound(world, process, dir).await?,
        Saga::Alternating => {
            alternating::as_before(world, process, dir, false).await?;
            for (value, role) in made.iter().flat_map(|value| [(value, ROLE), (value, alternating::OTHER)]) {
                let former = role == ROLE && *value == world.old;
                ensure!(
                    former || !observer.accepts(role, value, &SystemClock)?,
                    "a value that was taken back is accepted as {role}"
                );
            }
        }
        Saga::CopyOnly => in_step(process, &world.old).await?,
        Saga::Reissue => certificate::as_before(world, process, dir).await?,
        Saga::Swap | Saga::SwapRole | Saga::SwapSeen => swap::unwound(world, process, dir).await?,
        other => anyhow::bail!("{other:?} is not taken back"),
    }
    for value in made.iter().filter(|value| value.trim_ascii_end() != world.old.trim_ascii_end()) {
        // A store that keeps versions keeps this one too; it is refused, and nobody reads it.
        let mut copies = observer.copies_of(value)?;
        copies.retain(|copy| copy.stage != CopyStage::Former);
        ensure!(copies.is_empty(), "{} still holds the value that was taken back", copies[0].at);
    }
    let detail = process.store().credential(chrono::DateTime::UNIX_EPOCH, world.plan().credential).await?;
    let state = detail.context("the credential")?.credential.state;
    ensure!(state == CredentialState::Active, "{state:?}");
    let mut values: Vec<&[u8]> = made.iter().map(Vec::as_slice).collect();
    values.push(&world.old);
    settled(world, process, database, dir, &values).await
}

/// The former password is in force, in every copy and for every consumer.
pub(crate) async fn old_in_force(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let observer = world.observer(dir);
    ensure!(observer.accepts(ROLE, &world.old, &SystemClock)?, "the former value is not accepted");
    ensure!(
        current(process, "sim/kv/payments/db#password").await? == world.old,
        "the store holds another value"
    );
    let logins = observer.witness_logins(&SystemClock)?;
    let ours = logins.iter().filter(|login| login.role == ROLE);
    ensure!(ours.clone().count() >= 2 && ours.clone().all(|login| login.accepted), "{logins:?}");
    Ok(())
}

/// Nothing was revoked.
pub(crate) fn still_accepted(world: &World, dir: &Path) -> Result<()> {
    let accepted = world.observer(dir).accepts_token(&world.old, &SystemClock)?;
    ensure!(accepted, "the token was revoked after all");
    Ok(())
}

/// After a revocation came to rest: refused, recorded as such, with exactly one receipt.
pub(crate) async fn revocation(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    began: bool,
) -> Result<()> {
    let observer = world.observer(dir);
    let accepted = observer.accepts_token(&world.old, &SystemClock)?;
    ensure!(accepted != began, "began: {began}, accepted: {accepted}");
    if began {
        dead(world, process).await?;
        after_the_cache(world, process, dir).await?;
    }
    settled(world, process, database, dir, &[&world.old]).await
}

/// The subject's value is recorded as dead, with exactly one receipt.
pub(crate) async fn dead(world: &World, process: &Process) -> Result<()> {
    let detail = process
        .store()
        .credential(chrono::DateTime::UNIX_EPOCH, world.plan().credential)
        .await?
        .context("the credential")?;
    ensure!(
        detail.credential.state == CredentialState::RevokedProven,
        "{:?} of {}",
        detail.credential.state,
        world.subject()
    );
    let receipts = process.store().receipts(None).await?;
    ensure!(
        receipts.len() == 1 && receipts[0].verdict == "proven" && receipts[0].audit_seq.is_some(),
        "{receipts:?}"
    );
    Ok(())
}

/// A refusal counts only when no cache could still have accepted the value.
async fn after_the_cache(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let estate = world.observer(dir).estate()?;
    let window = chrono::Duration::seconds(i64::from(estate.settings.revoke_cache_seconds));
    ensure!(window > chrono::Duration::zero(), "the estate has no cache, and nothing is shown");
    let ended =
        estate.effects.iter().find(|effect| effect.operation == "revoke").context("the revocation")?;
    for saga in process.store().list(SagaKind::Revocation, None).await? {
        let record = process.store().load(saga.rotation_id).await?.context("the saga")?;
        // The estate would refuse a probe that comes too early its proof, so the question itself is looked at, not the answer.
        let asked = record.events.iter().find_map(|(at, event)| match event {
            Event::Started { step, .. } if step.starts_with("prove-refused") => Some(*at),
            _ => None,
        });
        let after = asked.context("the question")? - ended.at;
        ensure!(after >= window, "asked {after} after the end, and the cache holds for {window}");
    }
    Ok(())
}

/// What holds of every saga at rest: T, nothing sealed, S.
pub(crate) async fn settled(
    world: &World,
    process: &Process,
    database: &TestDatabase,
    dir: &Path,
    values: &[&[u8]],
) -> Result<()> {
    told(world, process, dir).await?;
    resting(process).await?;
    no_value_in(database, values).await
}

/// T: each effect at the target has an intent in the audit log, written before it; and the chain holds.
pub(crate) async fn told(world: &World, process: &Process, dir: &Path) -> Result<()> {
    let entries = process.store().read(Seq(0), 100_000).await?;
    let mut verifier = Verifier::default();
    entries.iter().for_each(|entry| verifier.push(Some(entry)));
    let head = process.store().head().await?;
    let verification = verifier.finish(Some(head));
    ensure!(verification.valid, "{verification:?}");
    for effect in world.observer(dir).effects()? {
        let told = entries.iter().any(|entry| {
            entry.draft.kind == AuditKind::Intent
                && is_of(&entry.draft.subject, &effect.target)
                && entry.at <= effect.at
        });
        ensure!(told, "{} of {} was not told before", effect.operation, effect.target);
    }
    Ok(())
}

/// An intent names the copy, which may lie within the field that is written.
fn is_of(subject: &str, target: &Ref) -> bool {
    let rest = subject.strip_prefix(target.as_str());
    rest.is_some_and(|rest| rest.is_empty() || target.field_name().is_some() && rest.starts_with('/'))
}

/// At rest nothing sealed remains.
async fn resting(process: &Process) -> Result<()> {
    ensure!(process.store().unfinished().await?.is_empty(), "a saga is unfinished");
    for kind in SagaKind::ALL {
        for saga in process.store().list(kind, None).await? {
            let record = process.store().load(saga.rotation_id).await?.context("the saga")?;
            ensure!(record.salt.is_none(), "the salt is still there");
            for slot in [Slot::Old, Slot::New(0), Slot::Restore] {
                ensure!(
                    process.store().sealed(record.id, &slot.word()).await?.is_none(),
                    "slot {} is still sealed",
                    slot.word()
                );
            }
        }
    }
    Ok(())
}

/// S: no value, in any of the forms that a leak would have, in the database.
async fn no_value_in(database: &TestDatabase, values: &[&[u8]]) -> Result<()> {
    // As text, which keeps every value: the search in text is the standard library's own, many times faster in a debug build than a search in bytes.
    let bytes = database.dump().await?;
    let held = String::from_utf8_lossy(&bytes);
    for value in values {
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        for form in [std::str::from_utf8(value)?, &hex] {
            ensure!(!held.contains(form), "the database holds a value");
        }
    }
    Ok(())
}

pub(crate) async fn current(process: &Process, at: &str) -> Result<Vec<u8>> {
    let member = process.engine.estate.member("sim")?;
    let store = member.backend.store().context("a store")?;
    Ok(store.read(&Ref::from_text(at)).await?.context("the field")?.value.expose().to_vec())
}
