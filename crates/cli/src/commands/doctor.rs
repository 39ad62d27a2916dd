use serde_json::Value;

use crate::{
    args::{DoctorArgs, Format, Global},
    compose::{Needs, compose},
    error::{Exit, Result},
    output::{self, Column},
};

const COLUMNS: &[Column] = &[
    Column::new("backend", "BACKEND"),
    Column::new("flow", "FLOW"),
    Column::new("permission", "PERMISSION"),
    Column::new("status", "STATUS"),
    Column::new("detail", "DETAIL"),
];

/// Asks each backend what we may do there.
pub(super) async fn run(global: &Global, args: &DoctorArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Backends).await?;
    let found = composed.engine.estate.permissions(args.backend.as_deref()).await?;
    let mut document = output::value(&found)?;
    output::stamp(&mut document, "doctor");
    tell(global, &document)
}

/// Prints what we may do.
pub(crate) fn tell(global: &Global, document: &Value) -> Result<Exit> {
    match global.output {
        Format::Json | Format::Yaml => output::document(global, document)?,
        _ => {
            let rows = document["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            output::list(global, "doctor", COLUMNS, rows)?;
        }
    }
    Ok(if document["complete"] == true { Exit::Done } else { Exit::Incomplete })
}
