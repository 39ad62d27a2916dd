//! The issuer's methods for credentials whose value it changes itself, and shows nobody.

use std::sync::Arc;

use claviger_core::secret::SecretValue;

use super::{
    bench::{Bench, Outcome, Unnamed, failed, must, subject, trial},
    description::shows,
};
use crate::{ErrorKind, Overlap, Presence, ValueOrigin, Verdict};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    if !bench.capability.issue_hidden {
        return Vec::new();
    }
    vec![
        trial(bench, "issue_of_a_hidden_one_leaves_its_issuer_able_to_log_in", |bench| async move {
            hidden(&bench).await
        }),
        trial(bench, "issue_of_a_hidden_one_takes_no_value", |bench| async move {
            let it = subject(&bench.fixture.hidden, "hidden")?;
            let value = SecretValue::from_text("claviger-contract-brought-value".into());
            match bench.issuer()?.issue(&bench.operation(), &it.at, Some(&value)).await {
                Err(error) if error.kind() == ErrorKind::Invalid => Ok(()),
                Err(error) => Err(format!("expected Invalid, got {error:?}")),
                Ok(_) => Err("it took a value that the issuer makes itself".into()),
            }
        }),
        trial(bench, "connects_of_an_absent_is_not_found", |bench| async move {
            let it = subject(&bench.fixture.hidden, "hidden")?;
            let absent = claviger_core::reference::Ref::from_text(format!("{}-claviger-absent", it.at));
            let presence = failed("presence", bench.issuer()?.presence(&absent).await)?;
            must(presence == Presence::Absent, "what does not exist is present")?;
            match bench.issuer()?.connects(&bench.operation(), &absent).await {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                other => Err(format!("expected NotFound, got {other:?}")),
            }
        }),
    ]
}

async fn hidden(bench: &Bench) -> Outcome {
    let issuer = bench.issuer()?;
    let it = subject(&bench.fixture.hidden, "hidden")?;
    let offer = issuer.offer(&it.at).ok_or("hiding is claimed, and `hidden` is offered nothing")?;
    must(
        offer.origin == ValueOrigin::Hidden && offer.overlap == Overlap::None,
        format!("{offer:?} of `hidden`"),
    )?;
    let prospect = failed("prospect", issuer.prospect(&it.at).await)?;
    must(prospect.refused.is_none() && prospect.account.is_some(), format!("{prospect:?}"))?;
    must(!shows(&format!("{prospect:?}"), std::slice::from_ref(&it.value)), "the value is in the prospect")?;
    // Asked twice, as after an answer that was lost: the end is the same.
    for turn in ["before", "after one request", "after two"] {
        let probe = failed("connects", issuer.connects(&bench.operation(), &it.at).await)?;
        must(probe.verdict == Verdict::Accepted, format!("{turn} the issuer is not let in: {probe:?}"))?;
        let issued = failed("issue", issuer.issue(&bench.operation(), &it.at, None).await)?;
        must(issued.at == it.at && issued.minted.is_none(), "it tells a value that it alone holds")?;
    }
    let probe = failed("connects", issuer.connects(&bench.operation(), &it.at).await)?;
    must(probe.verdict == Verdict::Accepted, format!("at the end the issuer is not let in: {probe:?}"))
}
