//! Revocations on the real servers, one file for each system.

mod access_key;
mod account;
mod client_certificate;
mod lease;
mod pod;
mod role;
mod secret_id;
mod token_secret;
mod value;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::Place;

/// `revoke` with these arguments and this exit code; its document.
pub(crate) fn revoked(place: &Place, code: i32, more: &[&str]) -> Result<Value> {
    let mut arguments = vec!["revoke", "--reason", "leaked", "-o", "json"];
    arguments.extend(more);
    tokio::task::block_in_place(|| place.run(&arguments, None))?.expect(code)?.json()
}

/// The names of the steps of the first subject of a plan.
pub(crate) fn steps(plan: &Value) -> Result<Vec<&str>> {
    let steps = plan["subjects"][0]["steps"].as_array().context("steps")?;
    Ok(steps.iter().map(|step| step["step"].as_str().unwrap_or_default()).collect())
}
