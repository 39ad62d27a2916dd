use claviger_server::document::change;
use serde_json::json;

use super::{
    change::{Begun, Planned, chosen},
    client::Client,
};
use crate::{
    args::{Format, Global, RotateArgs},
    commands::plan,
    error::{Exit, Failure, Result},
    output,
};

/// `rotate`
pub(super) async fn run(global: &Global, client: &Client, args: &RotateArgs) -> Result<Exit> {
    let mut how = chosen(&args.selector, args.condition.condition.as_deref());
    how["leave_stale"] = args.leave_stale.into();
    how["due"] = args.due.into();
    let planned = Planned::new(client.post(&["plans"], &json!({ "rotate": how })).await?)?;
    let human = matches!(global.output, Format::Table | Format::Wide);
    if args.due && planned.subjects() == 0 && planned.refused().is_empty() {
        output::remark(global, "nothing is due that may start now; `claviger list schedules` says when");
        if !human {
            output::document(global, &change::rotations(&planned.plan, &[], "rotate"))?;
        }
        return Ok(Exit::Done);
    }
    if let Some(exit) = planned.ask(global, &args.change, "rotate")? {
        return Ok(exit);
    }
    let body = json!({ "plan": planned.hash(), "how": how, "reason": args.reason });
    let begun = Begun::read(&client.post(&["rotations"], &body).await?)?;
    let outcomes = begun.outcomes(client, "rotations", !args.detach).await?;
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
        output::document(global, &change::rotations(&planned.plan, &outcomes, "rotate"))?;
    }
    let refused = !planned.refused().is_empty();
    if args.detach {
        output::remark(global, "recorded; the service carries it out");
        return Ok(if refused || !begun.failed.is_empty() { Exit::Incomplete } else { Exit::Done });
    }
    Ok(plan::exit(&outcomes, refused).unless(!begun.failed.is_empty()))
}
