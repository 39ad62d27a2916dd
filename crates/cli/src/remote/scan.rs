use claviger_core::view::ScanView;
use serde_json::json;

use super::client::{Client, typed};
use crate::{
    args::{Global, ScanArgs},
    commands::scan,
    error::{Exit, Result},
};

/// `scan`
pub(super) async fn run(global: &Global, client: &Client, args: &ScanArgs) -> Result<Exit> {
    let body = json!({ "backends": args.backends, "wait": true });
    let document = client.post(&["scans"], &body).await;
    let document = document.map_err(|failure| super::unknown(failure, &args.backends))?;
    let view: ScanView = typed(&document, "a scan")?;
    scan::print(global, &view)?;
    Ok(if view.complete { Exit::Done } else { Exit::Incomplete })
}
