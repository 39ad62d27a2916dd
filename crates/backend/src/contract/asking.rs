//! The issuer's methods for credentials whose value it changes itself, and shows.

use std::sync::Arc;

use claviger_core::secret::SecretValue;

use super::{
    bench::{Bench, Outcome, Unnamed, failed, must, subject, trial},
    description::shows,
};
use crate::{ErrorKind, Held, Overlap, ValueOrigin};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    if !bench.capability.issue_asked {
        return Vec::new();
    }
    vec![
        trial(
            bench,
            "issue_of_an_asked_one_changes_what_is_held",
            |bench| async move { asked(&bench).await },
        ),
        trial(bench, "issue_of_an_asked_one_takes_no_value", |bench| async move {
            let it = subject(&bench.fixture.asked, "asked")?;
            let value = SecretValue::from_text("claviger-contract-brought-value".into());
            match bench.issuer()?.issue(&bench.operation(), &it.at, Some(&value)).await {
                Err(error) if error.kind() == ErrorKind::Invalid => Ok(()),
                Err(error) => Err(format!("expected Invalid, got {error:?}")),
                Ok(_) => Err("it took a value that the issuer makes itself".into()),
            }
        }),
        trial(bench, "held_of_an_absent_is_none", |bench| async move {
            let it = subject(&bench.fixture.asked, "asked")?;
            let absent = claviger_core::reference::Ref::from_text(format!("{}-claviger-absent", it.at));
            let held = failed("held", bench.issuer()?.held(&absent).await)?;
            must(held.is_none(), "what does not exist has a value")
        }),
    ]
}

async fn held(bench: &Bench) -> Result<Held, String> {
    let it = subject(&bench.fixture.asked, "asked")?;
    let held = failed("held", bench.issuer()?.held(&it.at).await)?;
    held.ok_or_else(|| "the issuer shows no value of `asked`".to_owned())
}

async fn asked(bench: &Bench) -> Outcome {
    let issuer = bench.issuer()?;
    let it = subject(&bench.fixture.asked, "asked")?;
    let offer = issuer.offer(&it.at).ok_or("asking is claimed, and `asked` is offered nothing")?;
    must(
        offer.origin == ValueOrigin::Asked && offer.overlap == Overlap::None,
        format!("{offer:?} of `asked`"),
    )?;
    let (before, again) = (held(bench).await?, held(bench).await?);
    must(before.value.expose() == it.value.expose(), "what is held is not the fixture's value")?;
    must(before.version == again.version, "the version changes when it is asked for")?;
    let prospect = failed("prospect", issuer.prospect(&it.at).await)?;
    must(prospect.refused.is_none() && prospect.shown_at.is_some(), format!("{prospect:?}"))?;
    must(!shows(&format!("{prospect:?}"), std::slice::from_ref(&it.value)), "the value is in the prospect")?;
    let issued = failed("issue", issuer.issue(&bench.operation(), &it.at, None).await)?;
    let value = issued.minted.ok_or("it was asked, and does not tell what came of it")?;
    must(issued.at == it.at, format!("the changed one is {}", issued.at))?;
    let after = held(bench).await?;
    must(after.value.expose() == value.expose(), "what is held is not what was told")?;
    must(value.expose() != it.value.expose(), "the value is the same")?;
    must(after.version != before.version, "the version is the same after a change")
}
