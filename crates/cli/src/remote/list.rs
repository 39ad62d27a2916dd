use claviger_server::document::list::Thing;

use super::client::Client;
use crate::{
    args::{Global, ListArgs},
    commands::list,
    error::{Exit, Result},
    output,
};

/// `list`
pub(super) async fn run(global: &Global, client: &Client, args: &ListArgs) -> Result<Exit> {
    let (thing, columns) = list::shape(args.thing);
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
