use claviger_backend::PermissionStatus;
use serde_json::{Value, json};

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
    let estate = &composed.engine.estate;
    let wanted = |name: &str| args.backend.as_deref().is_none_or(|given| given == name);
    if let Some(name) = &args.backend
        && !estate.broken.iter().any(|(broken, ..)| broken == name)
    {
        estate.member(name)?;
    }
    let mut rows: Vec<Value> = Vec::new();
    let mut gap = false;
    for (name, _, error) in estate.broken.iter().filter(|(name, ..)| wanted(name)) {
        gap = true;
        rows.push(unreachable(name, error));
    }
    for member in estate.members().filter(|member| wanted(&member.backend.info().name)) {
        let info = member.backend.info();
        match member.backend.check().await {
            Err(error) => {
                gap = true;
                rows.push(unreachable(&info.name, &error));
            }
            Ok(permissions) => {
                rows.push(json!({ "backend": info.name, "flow": "", "permission": "reach", "status": "present", "detail": info.endpoint }));
                for permission in permissions {
                    let (status, detail) = match permission.status {
                        PermissionStatus::Present => ("present", String::new()),
                        PermissionStatus::Missing(detail) => {
                            gap = true;
                            ("missing", detail)
                        }
                        PermissionStatus::Unknown(detail) => ("unknown", detail),
                    };
                    rows.push(json!({ "backend": info.name, "flow": permission.flow, "permission": permission.name, "status": status, "detail": detail }));
                }
            }
        }
    }
    match global.output {
        Format::Json | Format::Yaml => {
            let mut document = json!({ "complete": !gap, "items": rows });
            output::stamp(&mut document, "doctor");
            output::document(global, &document)?;
        }
        _ => output::list(global, "doctor", COLUMNS, &rows)?,
    }
    Ok(if gap { Exit::Incomplete } else { Exit::Done })
}

fn unreachable(name: &str, error: &claviger_backend::Error) -> Value {
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    json!({ "backend": name, "flow": "", "permission": "reach", "status": "failed", "detail": format!("{}{hint}", error.message()) })
}
