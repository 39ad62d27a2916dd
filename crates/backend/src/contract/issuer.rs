//! The issuer's methods.

use std::sync::Arc;

use claviger_core::secret::SecretValue;

use super::{
    Subject,
    bench::{Bench, Outcome, Unnamed, failed, must, subject, trial},
    description::shows,
};
use crate::{ErrorKind, Issuer, Operation, Overlap, Presence, ValueOrigin, Verdict};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    let mut trials = Vec::new();
    let claimed = bench.capability;
    if claimed.verify {
        trials.push(trial(bench, "verify_accepts_the_value", |bench| async move {
            let it = subject(&bench.fixture.credential, "credential")?;
            accepted(bench.issuer()?, it, &it.value).await
        }));
        trials.push(trial(bench, "verify_of_a_wrong_value_is_a_verdict", |bench| async move {
            let it = subject(&bench.fixture.credential, "credential")?;
            let wrong = SecretValue::from_text("claviger-contract-wrong-value".into());
            let probe = failed("verify", bench.issuer()?.verify(&it.at, &wrong).await)?;
            let Verdict::Refused(evidence) = probe.verdict else {
                return Err(format!("{:?}", probe.verdict));
            };
            must(!evidence.is_empty() && !probe.path.is_empty(), "a refusal without evidence or path")?;
            must(!evidence.contains("claviger-contract-wrong-value"), "the value is in the evidence")
        }));
    }
    // Those have trials of their own.
    let made = claimed.issue_mints || claimed.issue_by_name || claimed.issue_marks || claimed.issue_adds;
    if claimed.issue && (set_by_us(bench) || !made) {
        trials.push(trial(bench, "issue_twice_with_one_value_is_one_state", |bench| async move {
            issue_twice(&bench).await
        }));
        trials.push(trial(bench, "issue_of_an_absent_subject_is_not_found", |bench| async move {
            let at = subject(&bench.fixture.absent_credential, "absent_credential")?;
            let value = subject(&bench.fixture.new_value, "new_value")?();
            match bench.issuer()?.issue(&bench.operation(), at, Some(&value)).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    must(!shows(&format!("{error:?} {error}"), &[value]), "the value is in the error")
                }
                Err(error) => Err(format!("expected NotFound, got {error:?}")),
                Ok(_) => Err("it was made as a side effect".into()),
            }
        }));
    }
    if claimed.identify {
        trials.push(trial(bench, "identify_knows_its_own_and_no_other", |bench| async move {
            let it = subject(&bench.fixture.credential, "credential")?;
            let found = failed("identify", bench.issuer()?.identify(&it.value).await)?;
            must(
                found.as_ref().is_some_and(|found| found.at == it.at),
                format!("its own value is {found:?}"),
            )?;
            let foreign = SecretValue::from_text("claviger-contract-foreign-value".into());
            let found = failed("identify", bench.issuer()?.identify(&foreign).await)?;
            must(found.is_none(), format!("a foreign value is {found:?}"))
        }));
    }
    if claimed.restore {
        trials.push(trial(bench, "restore_brings_the_former_value_back_twice", |bench| async move {
            restore(&bench).await
        }));
    }
    if claimed.issue || claimed.revoke {
        trials.push(trial(bench, "presence_of_an_absent_is_absent", |bench| async move {
            let at = subject(&bench.fixture.absent_credential, "absent_credential")?;
            let presence = failed("presence", bench.issuer()?.presence(at).await)?;
            must(presence == Presence::Absent, format!("{presence:?}"))
        }));
    }
    if claimed.revoke {
        trials.push(trial(bench, "revoke_of_an_absent_succeeds", |bench| async move {
            let at = subject(&bench.fixture.absent_credential, "absent_credential")?;
            failed("revoke", bench.issuer()?.revoke(&bench.operation(), at, None).await)
        }));
        trials.push(trial(bench, "revoke_expects_then_ends_it_and_repeats", |bench| async move {
            revoke(&bench).await
        }));
    }
    trials
}

/// Does the fixture's credential take a value that we make? Where all are minted there is nothing to set.
fn set_by_us(bench: &Bench) -> bool {
    let offer = bench.fixture.credential.as_ref().zip(bench.backend.issuer());
    let offer = offer.and_then(|(it, issuer)| issuer.offer(&it.at));
    offer.is_some_and(|offer| offer.origin == ValueOrigin::SetByUs)
}

pub(super) async fn accepted(issuer: &dyn Issuer, it: &Subject, value: &SecretValue) -> Outcome {
    let probe = failed("verify", issuer.verify(&it.at, value).await)?;
    must(probe.verdict == Verdict::Accepted, format!("{:?} at {}", probe.verdict, probe.path))
}

pub(super) async fn refused(issuer: &dyn Issuer, it: &Subject, value: &SecretValue) -> Outcome {
    let probe = failed("verify", issuer.verify(&it.at, value).await)?;
    must(matches!(probe.verdict, Verdict::Refused(_)), format!("{:?} at {}", probe.verdict, probe.path))
}

async fn issue_twice(bench: &Bench) -> Outcome {
    let issuer = bench.issuer()?;
    let it = subject(&bench.fixture.credential, "credential")?;
    let value = subject(&bench.fixture.new_value, "new_value")?();
    let op = bench.operation();
    let issued = failed("issue", issuer.issue(&op, &it.at, Some(&value)).await)?;
    must(issued.minted.is_none(), "it takes our value and mints one as well")?;
    let after_one = bench.fixture.changes.as_ref().map(|count| count());
    failed("issue again with the same key", issuer.issue(&op, &it.at, Some(&value)).await)?;
    failed("issue again with another key", issuer.issue(&bench.operation(), &it.at, Some(&value)).await)?;
    let quiet = after_one == bench.fixture.changes.as_ref().map(|count| count());
    // Where the old one goes on beside it, the new one has a name of its own.
    let new = Subject { at: issued.at, value: value.duplicate() };
    let works = if bench.capability.verify { accepted(issuer, &new, &value).await } else { Ok(()) };
    let one_value = issuer.offer(&it.at).is_some_and(|offer| offer.overlap == Overlap::None);
    let old =
        if bench.capability.verify && one_value { refused(issuer, it, &it.value).await } else { Ok(()) };
    // Whatever came out, the next trial needs the value that it knows.
    failed("issue of the former value", issuer.issue(&bench.operation(), &it.at, Some(&it.value)).await)?;
    works?;
    old.map_err(|why| format!("the former value: {why}"))?;
    must(quiet, "the repeats changed something")
}

async fn restore(bench: &Bench) -> Outcome {
    let issuer = bench.issuer()?;
    let it = subject(&bench.fixture.credential, "credential")?;
    let value = subject(&bench.fixture.new_value, "new_value")?();
    let saved = failed("snapshot", issuer.snapshot(&it.at).await)?;
    let saved = saved.ok_or("restore is claimed and the snapshot is not to be had")?;
    failed("issue", issuer.issue(&bench.operation(), &it.at, Some(&value)).await)?;
    let op = bench.operation();
    for _ in 0..2 {
        failed("restore", issuer.restore(&op, &it.at, &saved).await)?;
    }
    if bench.capability.verify {
        accepted(issuer, it, &it.value).await?;
        refused(issuer, it, &value).await?;
    }
    Ok(())
}

/// Ends the subject, by its value where the issuer ends more by that.
async fn end(issuer: &dyn Issuer, op: &Operation, it: &Subject, expect: Option<&str>) -> crate::Result<()> {
    if issuer.ending(&it.at).by_value {
        issuer.revoke_held(op, &it.at, &it.value, expect).await
    } else {
        issuer.revoke(op, &it.at, expect).await
    }
}

async fn revoke(bench: &Bench) -> Outcome {
    let issuer = bench.issuer()?;
    let it = subject(&bench.fixture.revocable, "revocable")?;
    let presence = failed("presence", issuer.presence(&it.at).await)?;
    let Presence::Present(token) = presence else { return Err("the fixture's `revocable` is absent".into()) };
    if bench.capability.verify {
        accepted(issuer, it, &it.value).await?;
    }
    match end(issuer, &bench.operation(), it, Some("claviger-contract-another-token")).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        Err(error) => return Err(format!("with another presence token: expected Conflict, got {error:?}")),
        Ok(()) => return Err("another presence token was ignored".into()),
    }
    let still = failed("presence", issuer.presence(&it.at).await)?;
    must(still == Presence::Present(token.clone()), "the refused revocation changed it")?;
    if bench.capability.verify {
        accepted(issuer, it, &it.value).await?;
    }
    let op = bench.operation();
    failed("revoke", end(issuer, &op, it, Some(&token)).await)?;
    failed("revoke again", end(issuer, &op, it, Some(&token)).await)?;
    failed("revoke without expectation", end(issuer, &bench.operation(), it, None).await)?;
    let presence = failed("presence", issuer.presence(&it.at).await)?;
    must(presence == Presence::Absent, format!("{presence:?} after the revocation"))?;
    if bench.capability.verify {
        let wait = u64::from(bench.capability.revoke_cache_seconds);
        tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
        refused(issuer, it, &it.value).await?;
    }
    Ok(())
}
