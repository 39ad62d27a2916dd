//! The issuer's methods for credentials that it makes itself, and for those that it can suspend.

use std::{sync::Arc, time::Duration};

use claviger_core::secret::SecretValue;

use super::{
    Subject,
    bench::{Bench, Outcome, Unnamed, failed, must, subject, trial},
    issuer::{accepted, refused},
};
use crate::{ErrorKind, Issuer, Sibling, Suspension, ValueOrigin, Verdict};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    let mut trials = Vec::new();
    let claimed = bench.capability;
    if claimed.issue_mints {
        trials.push(trial(bench, "issue_mints_one_that_is_listed_and_accepted", |bench| async move {
            mint(&bench).await
        }));
        trials.push(trial(bench, "issue_of_a_minted_one_takes_no_value", |bench| async move {
            let it = subject(&bench.fixture.mintable, "mintable")?;
            let value = SecretValue::from_text("claviger-contract-brought-value".into());
            match bench.issuer()?.issue(&bench.operation(), &it.at, Some(&value)).await {
                Err(error) if error.kind() == ErrorKind::Invalid => Ok(()),
                Err(error) => Err(format!("expected Invalid, got {error:?}")),
                Ok(_) => Err("it took a value that the issuer makes itself".into()),
            }
        }));
    }
    if claimed.siblings {
        trials.push(trial(bench, "siblings_lists_the_subject_as_active", |bench| async move {
            let it = held(&bench)?;
            let found = listed(bench.issuer()?, it).await?;
            let own = found.iter().find(|sibling| sibling.at == it.at);
            must(own.is_some_and(|own| own.active && !own.public_half.is_empty()), format!("{found:?}"))
        }));
    }
    if claimed.disable {
        trials.push(trial(bench, "disable_refuses_and_enable_brings_back_each_twice", |bench| async move {
            suspend(&bench).await
        }));
        trials.push(trial(bench, "disable_of_an_absent_is_not_found", |bench| async move {
            let it = held(&bench)?;
            let (issuer, gone) = (bench.issuer()?, absent(it));
            for result in [
                issuer.disable(&bench.operation(), &gone).await,
                issuer.enable(&bench.operation(), &gone).await,
            ] {
                let kind = result.err().map(|error| error.kind());
                must(kind == Some(ErrorKind::NotFound), format!("expected NotFound, got {kind:?}"))?;
            }
            Ok(())
        }));
    }
    trials
}

async fn listed(issuer: &dyn Issuer, it: &Subject) -> Result<Vec<Sibling>, String> {
    failed("siblings", issuer.siblings(&it.at).await)
}

/// A ref beside the subject's that nothing has: its last letter twice more.
fn absent(it: &Subject) -> claviger_core::reference::Ref {
    let text = it.at.as_str();
    let end = text.chars().last().map_or(String::new(), |last| format!("{last}{last}"));
    claviger_core::reference::Ref::from_text(format!("{text}{end}"))
}

async fn mint(bench: &Bench) -> Outcome {
    let issuer = bench.issuer()?;
    let it = subject(&bench.fixture.mintable, "mintable")?;
    let offer = issuer.offer(&it.at).ok_or("minting is claimed, and `mintable` is offered nothing")?;
    must(offer.origin == ValueOrigin::Minted, format!("{offer:?} of `mintable`"))?;
    let before = listed(issuer, it).await?;
    let issued = failed("issue", issuer.issue(&bench.operation(), &it.at, None).await)?;
    // Whatever comes out, it is taken away again.
    let outcome = minted(bench, it, &before, &issued, offer.settles_within).await;
    failed("revoke", issuer.revoke(&bench.operation(), &issued.at, None).await)?;
    outcome?;
    must(listed(issuer, it).await? == before, "the list is another one after the minted one was revoked")
}

async fn minted(
    bench: &Bench,
    it: &Subject,
    before: &[Sibling],
    issued: &crate::Issued,
    settles_within: u32,
) -> Outcome {
    let issuer = bench.issuer()?;
    let value = issued.minted.as_ref().ok_or("nothing was minted")?.duplicate();
    must(issued.at != it.at, "the minted one has the subject's own ref")?;
    tokio::time::sleep(Duration::from_secs(u64::from(settles_within))).await;
    let after = listed(issuer, it).await?;
    let fresh: Vec<_> = after.iter().filter(|sibling| !before.contains(sibling)).collect();
    let [fresh] = fresh.as_slice() else { return Err(format!("{before:?} became {after:?}")) };
    must(fresh.at == issued.at && fresh.active, format!("{fresh:?}"))?;
    must(Some(&fresh.public_half) == issued.public_half.as_ref(), "two public halves")?;
    if bench.capability.verify {
        accepted(issuer, &Subject { at: issued.at.clone(), value: value.duplicate() }, &value).await?;
        accepted(issuer, it, &it.value).await.map_err(|why| format!("the one that was there: {why}"))?;
    }
    Ok(())
}

async fn suspend(bench: &Bench) -> Outcome {
    let issuer = bench.issuer()?;
    let it = held(bench)?;
    let settle = Duration::from_secs(u64::from(bench.capability.revoke_cache_seconds));
    let op = bench.operation();
    for _ in 0..2 {
        failed("disable", issuer.disable(&op, &it.at).await)?;
    }
    let outcome = suspended(bench, it, settle).await;
    let op = bench.operation();
    for _ in 0..2 {
        failed("enable", issuer.enable(&op, &it.at).await)?;
    }
    outcome?;
    tokio::time::sleep(settle).await;
    if bench.capability.verify { accepted(issuer, it, &it.value).await } else { Ok(()) }
}

async fn suspended(bench: &Bench, it: &Subject, settle: Duration) -> Outcome {
    let issuer = bench.issuer()?;
    if bench.capability.siblings {
        let found = listed(issuer, it).await?;
        let own = found.iter().find(|sibling| sibling.at == it.at);
        must(own.is_some_and(|own| !own.active), format!("suspended, and listed as {own:?}"))?;
    }
    tokio::time::sleep(settle).await;
    if !bench.capability.verify {
        return Ok(());
    }
    if issuer.ending(&it.at).suspension == Suspension::Shut {
        let probe = failed("verify", issuer.verify(&it.at, &it.value).await)?;
        let shut = matches!(probe.verdict, Verdict::Inconclusive(_));
        return must(shut, format!("suspended, and a login with it is {:?}", probe.verdict));
    }
    refused(issuer, it, &it.value).await
}

/// What can be suspended: where nothing is minted, the credential.
fn held(bench: &Bench) -> Result<&Subject, String> {
    let given = bench.fixture.mintable.as_ref().or(bench.fixture.credential.as_ref());
    given.ok_or_else(|| "a capability is claimed, and the fixture has no `mintable` to try it on".to_owned())
}
