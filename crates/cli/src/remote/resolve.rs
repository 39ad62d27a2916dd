use serde_json::json;

use super::{
    client::Client,
    saga::{Taken, find},
};
use crate::{
    args::{Global, ResolveArgs},
    commands::resolve,
    error::{Exit, Result},
};

/// `resolve`
pub(super) async fn run(global: &Global, client: &Client, args: &ResolveArgs) -> Result<Exit> {
    let (kind, id) = find(client, &args.rotation).await?;
    let decision = if args.close { "close" } else { "retry" };
    let body = json!({ "decision": decision, "reason": args.reason });
    let document = client.post(&[kind, &id, "resolve"], &body).await?;
    resolve::tell(global, &Taken::read(&document)?.outcomes()?)
}
