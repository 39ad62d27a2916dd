use claviger_core::clock::{Clock as _, SystemClock};
use claviger_server::document::change;
use serde_json::json;

use super::{
    change::{Begun, Planned, chosen},
    client::Client,
};
use crate::{
    args::{Format, Global, RevokeArgs},
    commands::plan,
    error::{Exit, Result},
    output,
};

/// `revoke`
pub(super) async fn run(global: &Global, client: &Client, args: &RevokeArgs) -> Result<Exit> {
    let mut how = chosen(&args.selector, args.condition.condition.as_deref());
    for (name, value) in [
        ("scrub", args.scrub),
        ("replace", args.replace),
        ("force", args.force),
        ("recreate_service_account", args.recreate_service_account),
        ("leave_stale", args.leave_stale),
    ] {
        how[name] = value.into();
    }
    how["incident"] = args.incident.clone().into();
    let planned = Planned::new(client.post(&["plans"], &json!({ "revoke": how })).await?)?;
    if let Some(exit) = planned.ask(global, &args.change, "revoke")? {
        return Ok(exit);
    }
    let body = json!({ "plan": planned.hash(), "how": how, "reason": args.reason });
    let begun = Begun::read(&client.post(&["revocations"], &body).await?)?;
    begun.failed.iter().for_each(|failed| output::remark(global, &failed.reason));
    let outcomes = begun.outcomes(client, "revocations", true).await?;
    let receipts = change::receipts(&outcomes, &begun.not_begun(), SystemClock.now())?;
    if matches!(global.output, Format::Table | Format::Wide) {
        plan::show_outcomes(&outcomes);
    } else {
        output::document(global, &change::revocations(&planned.plan, &outcomes, &receipts))?;
    }
    let unproven =
        receipts.iter().any(|receipt| receipt["verdict"] != "proven" && receipt["verdict"] != "attested");
    // What had ended before is no failure of this work.
    let refused = planned.refused().iter().any(|refusal| refusal["code"] != "already-gone");
    let left = outcomes.iter().any(|outcome| !outcome.left.is_empty());
    Ok(plan::exit(&outcomes, refused).unless(!begun.failed.is_empty() || unproven || left))
}
