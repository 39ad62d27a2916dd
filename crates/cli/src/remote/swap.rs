use claviger_server::document::swap as swaps;
use serde_json::json;

use super::{
    change::{Begun, Planned, chosen},
    client::Client,
};
use crate::{
    args::{Format, Global, SwapArgs},
    commands::{
        plan::{self, Answer},
        swap,
    },
    error::{Exit, Failure, Result},
    output,
};

/// `swap`
pub(super) async fn run(global: &Global, client: &Client, args: &SwapArgs) -> Result<Exit> {
    let mut how = chosen(&args.selector, args.condition.condition.as_deref());
    how["by_hand"] = args.patch.is_some().into();
    how["leave_stale"] = args.leave_stale.into();
    let planned = Planned::new(client.post(&["plans"], &json!({ "swap": how })).await?)?;
    let human = matches!(global.output, Format::Table | Format::Wide);
    swap::show(global, &planned.plan);
    swap::must_be_meant(args, &planned.plan)?;
    planned.gate.show(global);
    if !args.change.dry_run {
        planned.gate.stop(global, &planned.plan, "swap")?;
    }
    // Patches are for whoever asked: they are written here.
    if let Answer::Stop(exit) = swap::ask(global, args, planned.subjects(), &planned.plan)? {
        if !human {
            output::document(global, &planned.judged)?;
        }
        return Ok(exit);
    }
    let body = json!({ "plan": planned.hash(), "how": how, "reason": args.reason });
    let begun = Begun::read(&client.post(&["swaps"], &body).await?)?;
    let outcomes = begun.outcomes(client, "swaps", true).await?;
    for (index, failed) in begun.failed.iter().enumerate() {
        // Where nothing was done, the first reason is the command's.
        if outcomes.is_empty() && index == 0 {
            return Err(Failure::new(400, Exit::Refused, failed.reason.clone()));
        }
        output::remark(global, &failed.reason);
    }
    if human {
        plan::show_outcomes(&outcomes);
    } else {
        output::document(global, &swaps::swaps(&planned.plan, &outcomes)?)?;
    }
    Ok(plan::exit(&outcomes, !planned.refused().is_empty()).unless(!begun.failed.is_empty()))
}
