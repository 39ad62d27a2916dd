use serde_json::json;

use super::{
    client::Client,
    saga::{Taken, find},
};
use crate::{
    args::{Global, ResumeArgs},
    commands::resume,
    error::{Exit, Result},
    output,
};

/// `resume`
pub(super) async fn run(global: &Global, client: &Client, args: &ResumeArgs) -> Result<Exit> {
    let document = match &args.rotation {
        None => client.post(&["resumptions"], &json!({})).await?,
        Some(text) => {
            let (kind, id) = find(client, text).await?;
            client.post_with(&[kind, &id, "resume"], &[("wait", "true".to_owned())], &json!({})).await?
        }
    };
    let taken = Taken::read(&document)?;
    taken.failed.iter().for_each(|failed| output::remark(global, &failed.reason));
    resume::tell(global, &taken.outcomes()?, !taken.failed.is_empty())
}
