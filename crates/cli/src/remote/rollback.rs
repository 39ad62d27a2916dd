use serde_json::json;

use super::{
    client::Client,
    saga::{Taken, find},
};
use crate::{
    args::{Format, Global, RollbackArgs},
    commands::{
        plan::{self, Answer},
        rollback,
    },
    error::{Exit, Result},
    output,
};

/// `rollback`
pub(super) async fn run(global: &Global, client: &Client, args: &RollbackArgs) -> Result<Exit> {
    let (kind, id) = find(client, &args.rotation).await?;
    let planned = client.post(&[kind, &id, "rollback-plan"], &json!({})).await?;
    let mut shown = planned.clone();
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("schema");
    }
    plan::show(global, &shown);
    if let Answer::Stop(exit) = plan::ask(1, &args.change, "take back")? {
        if !matches!(global.output, Format::Table | Format::Wide) {
            output::document(global, &planned)?;
        }
        return Ok(exit);
    }
    let body = json!({ "plan": planned["hash"], "reason": args.reason, "wait": true });
    let document = client.post(&[kind, &id, "rollback"], &body).await?;
    rollback::tell(global, &shown, &Taken::read(&document)?.outcomes()?)
}
