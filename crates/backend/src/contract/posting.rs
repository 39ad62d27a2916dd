//! Places that take a value and show none.

use std::sync::Arc;

use claviger_core::{reference::Ref, secret::SecretValue};

use super::{
    bench::{Bench, Outcome, Unnamed, failed, must, subject, trial},
    description::shows,
};
use crate::{ErrorKind, Expect, Letterbox, Marked, StoreState};

const VALUE: &str = "claviger-contract-posted";

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    if !bench.capability.post {
        return Vec::new();
    }
    vec![
        trial(bench, "open_says_yes_and_changes_nothing", |bench| async move {
            let at = subject(&bench.fixture.posted, "posted")?;
            let letterbox = letterbox(&bench)?;
            must(letterbox.takes(at), "it does not take the fixture's `posted`")?;
            let before = there(letterbox, at).await?;
            let state = failed("open", letterbox.open(at).await)?;
            must(state == StoreState::Writable, format!("{state:?}"))?;
            must(there(letterbox, at).await? == before, "asking changed what stands there")
        }),
        trial(bench, "marked_of_an_absent_is_nothing_and_nothing_is_posted_there", |bench| async move {
            let at = subject(&bench.fixture.absent_posted, "absent_posted")?;
            let letterbox = letterbox(&bench)?;
            must(failed("marked", letterbox.marked(at).await)?.is_none(), "there is something")?;
            let expect = Expect::Version("claviger-contract-no-version".into());
            conflicts(&bench, at, &expect).await?;
            must(failed("marked", letterbox.marked(at).await)?.is_none(), "it was made all the same")
        }),
        trial(bench, "post_marks_what_it_writes_and_repeats", |bench| async move { posted(&bench).await }),
    ]
}

fn letterbox(bench: &Bench) -> Result<&dyn Letterbox, String> {
    bench.backend.letterbox().ok_or_else(|| "posting is claimed, and `letterbox()` gives none".to_owned())
}

async fn there(letterbox: &dyn Letterbox, at: &Ref) -> Result<Marked, String> {
    failed("marked", letterbox.marked(at).await)?
        .ok_or_else(|| format!("the fixture's `posted` {at} is absent"))
}

async fn conflicts(bench: &Bench, at: &Ref, expect: &Expect) -> Outcome {
    let value = SecretValue::from_text(VALUE.into());
    match letterbox(bench)?.post(&bench.operation(), at, &value, expect).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            must(!shows(&format!("{error:?} {error}"), &[value]), "the value is in the error")
        }
        Err(error) => Err(format!("expected Conflict, got {error:?}")),
        Ok(_) => Err("the expectation was ignored".into()),
    }
}

async fn posted(bench: &Bench) -> Outcome {
    let at = subject(&bench.fixture.posted, "posted")?;
    let letterbox = letterbox(bench)?;
    let before = there(letterbox, at).await?;
    conflicts(bench, at, &Expect::Absent).await?;
    must(there(letterbox, at).await? == before, "the refused write changed what stands there")?;

    let (op, value) = (bench.operation(), SecretValue::from_text(VALUE.into()));
    let expect = Expect::Version(before.version.clone());
    let marked = failed("post", letterbox.post(&op, at, &value, &expect).await)?;
    let key = op.key.to_string();
    let mark = (!bench.capability.post_unmarked).then_some(key.as_str());
    must(marked.written_by.as_deref() == mark, format!("{marked:?} of {}", op.key))?;
    must(marked.version != before.version, "the version is the former one")?;
    must(there(letterbox, at).await? == marked, "`post` and `marked` say different things")?;
    must(!shows(&format!("{marked:?}"), &[value.duplicate()]), "the value is in the marker")?;

    // The acknowledgement was lost, so the caller tries again: it wins with the same version or loses against itself, and nothing else.
    match letterbox.post(&op, at, &value, &expect).await {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        Err(error) => return Err(format!("repeat: {error:?}")),
    }
    must(there(letterbox, at).await?.version == marked.version, "the repeat made another version")?;
    conflicts(bench, at, &expect).await?;
    let other = bench.operation();
    let again = failed(
        "post again",
        letterbox.post(&other, at, &value, &Expect::Version(marked.version.clone())).await,
    )?;
    must(again.version != marked.version, "two operations with one version")
}
