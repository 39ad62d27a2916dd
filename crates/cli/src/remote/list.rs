use claviger_server::document::list::Thing;
use serde_json::Value;

use super::client::Client;
use crate::{
    args::{Format, Global, ListArgs},
    commands::{audit, list},
    error::{Exit, Result},
    output,
};

/// `list`
pub(super) async fn run(global: &Global, client: &Client, args: &ListArgs) -> Result<Exit> {
    let (thing, columns) = list::shape(args.thing).ok_or_else(|| super::elsewhere("list connections"))?;
    let mut query = Vec::new();
    let words = args.selector.join(" ");
    // Nothing chooses a drill or a notification: what is given is not looked at, here as there.
    if !words.trim().is_empty() && !matches!(thing, Thing::Drills | Thing::Notifications) {
        query.push(("selector", words));
    }
    if thing != Thing::Notifications {
        query.extend(args.condition.condition.clone().map(|condition| ("where", condition)));
        query.extend(args.gone.then(|| ("gone", "true".to_owned())));
    }
    let items = client.items(&[thing.name()], &query).await?;
    output::list(global, thing.name(), columns, &items)?;
    Ok(Exit::Done)
}

/// `audit verify`
pub(super) async fn verification(global: &Global, client: &Client) -> Result<Exit> {
    let document = client.get(&["audit", "verification"], &[]).await?;
    let mut row = document.clone();
    if let Value::Object(row) = &mut row {
        row.remove("schema");
    }
    match global.output {
        Format::Json | Format::Yaml => output::document(global, &document)?,
        _ => output::list(global, "audit-verify", audit::COLUMNS, &[row])?,
    }
    if let Some(bad) = document["first_bad"].as_i64() {
        output::remark(
            global,
            &format!("the chain does not hold at entry {bad}: it was edited, removed, reordered or cut"),
        );
    }
    Ok(if document["valid"] == true { Exit::Done } else { Exit::Failed })
}
