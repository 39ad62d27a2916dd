use claviger_core::view::DrillView;
use serde_json::json;

use super::client::{Client, typed};
use crate::{
    args::{DrillArgs, Global},
    commands::drill,
    error::{Exit, Failure, Result},
};

/// `drill`: in a backend that is named, as only the service knows which can make decoys.
pub(super) async fn run(global: &Global, client: &Client, args: &DrillArgs) -> Result<Exit> {
    let Some(backend) = &args.backend else {
        return Err(Failure::config(431, "at a service it has to be said in which backend a drill is held")
            .hint("`claviger drill BACKEND`"));
    };
    if let Some(exit) = drill::ask(global, backend, args.yes)? {
        return Ok(exit);
    }
    let document = client.post(&["drills"], &json!({ "backend": backend, "wait": true })).await;
    let document = document.map_err(|failure| super::unknown(failure, std::slice::from_ref(backend)))?;
    let held: DrillView = typed(&document, "a drill")?;
    drill::tell(global, &held)
}
