use chrono::{DateTime, Utc};
use claviger_core::{approval::Approval, saga::PlanHash};
use serde_json::{Value, json};

use super::client::{Client, strange, typed};
use crate::{
    args::{ApproveArgs, Format, Global},
    commands::plan,
    config,
    error::{Exit, Failure, Result},
    keys, output,
};

/// `approve`: the signature is made here, with a key that never leaves this machine.
pub(super) async fn run(global: &Global, client: &Client, args: &ApproveArgs) -> Result<Exit> {
    let text = args.plan.as_deref().unwrap_or_default();
    let valid = config::age(&args.valid)?;
    let mut document = client.get(&["plans", text], &[]).await?;
    plan::show(global, &document["plan"]);
    let word = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    let list = |document: &Value, name: &str| -> Vec<String> {
        let all = document[name].as_array().into_iter().flatten();
        all.filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let planned_at: DateTime<Utc> = typed(&document["planned_at"], "a plan")?;
    output::remark(
        global,
        &format!(
            "planned by {} on {} to {}: {}",
            word("planned_by"),
            planned_at.format("%Y-%m-%dT%H:%M:%SZ"),
            word("verb"),
            list(&document, "reasons").join("; ")
        ),
    );
    if let Some(file) = &args.key {
        let key = keys::person(file)?;
        let hash = document["plan"]["hash"].as_str().ok_or_else(|| strange("a plan without a hash"))?;
        // By the service's clock, which judges it.
        let now: DateTime<Utc> = typed(&document["now"], "the service's time")?;
        let expires = now.checked_add_signed(valid).unwrap_or(now);
        let whose = args.name.clone().ok_or_else(|| {
            Failure::config(633, "at a service has to be said who approves")
                .hint("`--name NAME`: as [[approvers]] of the service's configuration has it")
        })?;
        let approval = Approval::sign(PlanHash(hash.to_owned()), whose, now, expires, &key);
        let body = json!({ "approval": approval });
        document = client.post(&["plans", hash, "approvals"], &body).await?;
        output::remark(
            global,
            &format!(
                "approved by {} until {}",
                approval.approver,
                approval.expires.format("%Y-%m-%dT%H:%M:%SZ")
            ),
        );
    }
    let given = list(&document, "given");
    let given = if given.is_empty() { "none".to_owned() } else { given.join(", ") };
    output::remark(global, &format!("approvals: {} wanted, given: {given}", document["needed"]));
    if !matches!(global.output, Format::Table | Format::Wide) {
        if let Value::Object(document) = &mut document {
            document.remove("now");
        }
        output::document(global, &document)?;
    }
    Ok(Exit::Done)
}
