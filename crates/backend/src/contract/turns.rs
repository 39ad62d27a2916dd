//! Two users that take turns.

use std::sync::Arc;

use super::{
    Subject,
    bench::{Bench, Outcome, Unnamed, failed, must, subject, trial},
    issuer::{accepted, refused},
};
use crate::{ErrorKind, Likeness, Pairing, Presence, Turn, Turns, Verdict};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    let mut trials = Vec::new();
    if bench.capability.alternate {
        trials.push(trial(bench, "pair_names_another_user_and_changes_nothing", |bench| async move {
            let it = subject(&bench.fixture.alternating, "alternating")?;
            let before = bench.fixture.changes.as_ref().map(|count| count());
            let pairing = pair(&bench, it).await?;
            must(pairing.standby != it.at && !pairing.name.is_empty(), "it takes turns with itself")?;
            must(before == bench.fixture.changes.as_ref().map(|count| count()), "asking changed something")
        }));
        trials.push(trial(bench, "wake_twice_is_one_state_and_unwake_leaves_none", |bench| async move {
            wake_and_unwake(&bench).await
        }));
        trials.push(trial(bench, "users_take_turns_and_take_them_back", |bench| async move {
            take_turns(&bench).await
        }));
    }
    trials
}

fn turns(bench: &Bench) -> std::result::Result<&dyn Turns, String> {
    bench.backend.turns().ok_or_else(|| "the capability claims turns, and `turns()` gives none".into())
}

async fn pair(bench: &Bench, it: &Subject) -> std::result::Result<Pairing, String> {
    match failed("pair", turns(bench)?.pair(&it.at).await)? {
        Turn::To(pairing) => Ok(pairing),
        Turn::Refused(code, why) => Err(format!("the fixture's `alternating` is refused: {code}: {why}")),
    }
}

async fn wake_and_unwake(bench: &Bench) -> Outcome {
    let it = subject(&bench.fixture.alternating, "alternating")?;
    let (turns, issuer) = (turns(bench)?, bench.issuer()?);
    let standby = pair(bench, it).await?.standby;
    let value = subject(&bench.fixture.new_value, "new_value")?();
    let op = bench.operation();
    failed("wake", turns.wake(&op, &it.at, &standby, &value).await)?;
    let after_one = bench.fixture.changes.as_ref().map(|count| count());
    failed("wake again with the same key", turns.wake(&op, &it.at, &standby, &value).await)?;
    failed("wake again with another key", turns.wake(&bench.operation(), &it.at, &standby, &value).await)?;
    must(after_one == bench.fixture.changes.as_ref().map(|count| count()), "the repeats changed something")?;
    let probe = failed("verify", issuer.verify(&standby, &value).await)?;
    must(probe.verdict == Verdict::Accepted, format!("the new user: {:?}", probe.verdict))?;
    accepted(issuer, it, &it.value).await?;
    let likeness = failed("compare", turns.compare(&it.at, &standby, &value).await)?;
    must(matches!(likeness, Likeness::Same(_)), format!("{likeness:?}"))?;
    let other = subject(&bench.fixture.new_value, "new_value")?();
    match turns.wake(&bench.operation(), &it.at, &standby, &other).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        Err(error) => return Err(format!("another value: expected Conflict, got {error:?}")),
        Ok(()) => return Err("a value that somebody else may have set was replaced".into()),
    }
    failed("unwake with another value", turns.unwake(&bench.operation(), &standby, &other, op.key).await)?;
    let probe = failed("verify", issuer.verify(&standby, &value).await)?;
    must(probe.verdict == Verdict::Accepted, "a user with another value was not left alone")?;
    let undo = bench.operation();
    for _ in 0..2 {
        failed("unwake", turns.unwake(&undo, &standby, &value, op.key).await)?;
    }
    let presence = failed("presence", issuer.presence(&standby).await)?;
    must(presence == Presence::Absent, format!("{presence:?} after the undo"))?;
    accepted(issuer, it, &it.value).await
}

/// Over to the other user, and back.
async fn take_turns(bench: &Bench) -> Outcome {
    let it = subject(&bench.fixture.alternating, "alternating")?;
    let (turns, issuer) = (turns(bench)?, bench.issuer()?);
    let value = subject(&bench.fixture.new_value, "new_value")?();
    let standby = pair(bench, it).await?.standby;
    failed("wake", turns.wake(&bench.operation(), &it.at, &standby, &value).await)?;
    let siblings = failed("siblings", issuer.siblings(&it.at).await)?;
    must(siblings.len() == 2 && siblings.iter().all(|user| user.active), format!("{siblings:?}"))?;

    // The former one can be suspended and enabled again, and then ends.
    let presence = failed("presence", issuer.presence(&it.at).await)?;
    let Presence::Present(token) = presence else {
        return Err("the fixture's `alternating` is absent".into());
    };
    failed("disable", issuer.disable(&bench.operation(), &it.at).await)?;
    let siblings = failed("siblings", issuer.siblings(&it.at).await)?;
    let suspended = siblings.iter().any(|user| user.at == it.at && !user.active);
    must(suspended, format!("it is suspended, and listed as active: {siblings:?}"))?;
    failed("enable", issuer.enable(&bench.operation(), &it.at).await)?;
    accepted(issuer, it, &it.value).await?;
    failed("disable", issuer.disable(&bench.operation(), &it.at).await)?;
    match issuer.revoke(&bench.operation(), &it.at, Some("claviger-contract-another-token")).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        Err(error) => return Err(format!("with another presence token: expected Conflict, got {error:?}")),
        Ok(()) => return Err("another presence token was ignored".into()),
    }
    let op = bench.operation();
    for _ in 0..2 {
        failed("revoke", issuer.revoke(&op, &it.at, Some(&token)).await)?;
    }
    must(failed("presence", issuer.presence(&it.at).await)? == Presence::Absent, "it has ended")?;
    refused(issuer, it, &it.value).await?;
    let sessions = failed("sessions", turns.sessions(&it.at).await)?;
    must(sessions.is_none_or(|sessions| sessions.live == 0), "it has sessions")?;

    // And back, with the value that the next trial knows.
    let now = Subject { at: standby, value };
    let back = pair(bench, &now).await?;
    must(back.standby == it.at && back.exists, format!("{back:?} takes turns with {}", now.at))?;
    failed("wake", turns.wake(&bench.operation(), &now.at, &it.at, &it.value).await)?;
    accepted(issuer, it, &it.value).await?;
    accepted(issuer, &now, &now.value).await?;
    failed("disable", issuer.disable(&bench.operation(), &now.at).await)?;
    failed("revoke", issuer.revoke(&bench.operation(), &now.at, None).await)?;
    refused(issuer, &now, &now.value).await
}
