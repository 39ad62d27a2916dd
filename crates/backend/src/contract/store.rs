//! The store's methods.

use std::sync::Arc;

use claviger_core::{reference::Ref, secret::SecretValue};

use super::bench::{Bench, Outcome, Unnamed, failed, must, subject, trial};
use crate::{ErrorKind, Expect, Field, Operation, Store, StoreState, StoredValue};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    let mut trials = Vec::new();
    let claimed = bench.capability;
    if claimed.read {
        trials.push(trial(bench, "read_gives_a_value_and_its_version", |bench| async move {
            let at = subject(&bench.fixture.copy, "copy")?;
            let stored = present(bench.store()?, at).await?;
            must(!stored.version.is_empty(), "no version")
        }));
        trials.push(trial(bench, "read_of_an_absent_is_nothing", |bench| async move {
            let at = subject(&bench.fixture.absent_copy, "absent_copy")?;
            must(failed("read", bench.store()?.read(at).await)?.is_none(), "there is something")
        }));
    }
    if claimed.write {
        trials.push(trial(bench, "writable_says_yes_and_changes_nothing", |bench| async move {
            let at = subject(&bench.fixture.copy, "copy")?;
            let store = bench.store()?;
            let before = failed("read", store.read(at).await)?.map(|stored| stored.version);
            let state = failed("writable", store.writable(at).await)?;
            must(state == StoreState::Writable, format!("{state:?}"))?;
            let after = failed("read", store.read(at).await)?.map(|stored| stored.version);
            must(before == after, "asking changed the version")
        }));
        trials.push(trial(bench, "write_expecting_absence_of_what_is_there_conflicts", |bench| async move {
            let at = subject(&bench.fixture.copy, "copy")?;
            let before = present(bench.store()?, at).await?;
            conflicts(&bench, at, &Expect::Absent).await?;
            unchanged(bench.store()?, at, &before).await
        }));
    }
    if claimed.write_with_expect {
        trials.push(trial(
            bench,
            "write_with_a_stale_version_conflicts_and_changes_nothing",
            |bench| async move {
                let at = subject(&bench.fixture.copy, "copy")?;
                let store = bench.store()?;
                let stale = present(store, at).await?;
                let other = SecretValue::from_text("claviger-contract-between".into());
                let expect = Expect::Version(stale.version.clone());
                failed("write", store.write(&bench.operation(), at, &other, &expect).await)?;
                let between = present(store, at).await?;
                let lost = conflicts(&bench, at, &expect).await;
                let held = unchanged(store, at, &between).await;
                put_back(&bench, at, &stale.value).await?;
                lost.and(held)
            },
        ));
        trials.push(trial(
            bench,
            "write_gives_the_version_that_read_gives_and_repeats",
            |bench| async move { write_and_repeat(&bench).await },
        ));
    }
    if claimed.write_together {
        trials.push(trial(
            bench,
            "write_together_is_one_version_and_a_stale_one_conflicts",
            |bench| async move { together(&bench).await },
        ));
    }
    trials
}

pub(super) async fn present(store: &dyn Store, at: &Ref) -> Result<StoredValue, String> {
    failed("read", store.read(at).await)?.ok_or_else(|| format!("the fixture's `copy` {at} is absent"))
}

async fn unchanged(store: &dyn Store, at: &Ref, before: &StoredValue) -> Outcome {
    let after = present(store, at).await?;
    must(after.version == before.version, "the refused write changed the version")?;
    must(after.value.expose() == before.value.expose(), "the refused write changed the value")
}

async fn conflicts(bench: &Bench, at: &Ref, expect: &Expect) -> Outcome {
    let value = SecretValue::from_text("claviger-contract-lost-write".into());
    match bench.store()?.write(&bench.operation(), at, &value, expect).await {
        Err(error) if error.kind() == ErrorKind::Conflict => must(
            !format!("{error:?} {error}").contains("claviger-contract-lost-write"),
            "the value is in the error",
        ),
        Err(error) => Err(format!("expected Conflict, got {error:?}")),
        Ok(_) => Err("the expectation was ignored".into()),
    }
}

async fn put_back(bench: &Bench, at: &Ref, value: &SecretValue) -> Outcome {
    let store = bench.store()?;
    let expect = Expect::Version(present(store, at).await?.version);
    failed("putting the former value back", store.write(&bench.operation(), at, value, &expect).await)
        .map(|_| ())
}

async fn write_and_repeat(bench: &Bench) -> Outcome {
    let at = subject(&bench.fixture.copy, "copy")?;
    let store = bench.store()?;
    let former = present(store, at).await?;
    let result = written_once(store, at, &former, &bench.operation()).await;
    put_back(bench, at, &former.value).await?;
    result
}

async fn written_once(store: &dyn Store, at: &Ref, former: &StoredValue, op: &Operation) -> Outcome {
    let value = SecretValue::from_text("claviger-contract-written".into());
    let expect = Expect::Version(former.version.clone());
    let version = failed("write", store.write(op, at, &value, &expect).await)?;
    let stored = present(store, at).await?;
    must(stored.version == version, "`write` and `read` give different versions")?;
    must(version != former.version, "the version is the former one")?;
    must(stored.value.expose() == value.expose(), "another value was stored")?;
    let ours = stored.written_by.is_none_or(|key| key == op.key.to_string());
    must(ours, "`written_by` is not the key of the write")?;
    // The acknowledgement was lost, so the caller tries again: it wins with the same version or loses against itself, and nothing else.
    match store.write(op, at, &value, &expect).await {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        Err(error) => return Err(format!("repeat: {error:?}")),
    }
    let again = present(store, at).await?;
    must(again.version == version, "the repeat made another version")?;
    must(again.value.expose() == value.expose(), "the repeat changed the value")
}

async fn together(bench: &Bench) -> Outcome {
    let (at, beside) =
        (subject(&bench.fixture.copy, "copy")?, subject(&bench.fixture.copy_beside, "copy_beside")?);
    let store = bench.store()?;
    let former = (present(store, at).await?, present(store, beside).await?);
    must(former.0.version == former.1.version, "two fields of one object have two versions")?;
    let values = ["claviger-contract-half", "claviger-contract-other-half"];
    let [one, two] = values.map(|text| SecretValue::from_text(text.into()));
    let fields = [Field { at, value: &one }, Field { at: beside, value: &two }];
    let expect = Expect::Version(former.0.version.clone());
    let version = failed("write_together", store.write_together(&bench.operation(), &fields, &expect).await)?;
    let outcome = written_together(bench, &version, &expect, [at, beside], [&one, &two]).await;
    let fields = [Field { at, value: &former.0.value }, Field { at: beside, value: &former.1.value }];
    let expect = Expect::Version(present(store, at).await?.version);
    let back = store.write_together(&bench.operation(), &fields, &expect).await;
    failed("putting the former values back", back)?;
    outcome
}

async fn written_together(
    bench: &Bench,
    version: &str,
    stale: &Expect,
    places: [&Ref; 2],
    values: [&SecretValue; 2],
) -> Outcome {
    let store = bench.store()?;
    for (at, value) in places.into_iter().zip(values) {
        let stored = present(store, at).await?;
        must(stored.value.expose() == value.expose(), format!("another value was stored at {at}"))?;
        must(stored.version == version, format!("{at} has another version than the write gave"))?;
    }
    let lost = SecretValue::from_text("claviger-contract-lost-half".into());
    let fields = places.map(|at| Field { at, value: &lost });
    match store.write_together(&bench.operation(), &fields, stale).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        Err(error) => return Err(format!("expected Conflict, got {error:?}")),
        Ok(_) => return Err("the expectation was ignored".into()),
    }
    let stored = present(store, places[1]).await?;
    must(stored.value.expose() == values[1].expose(), "the refused write changed a field")
}
