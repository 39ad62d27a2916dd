mod chain;

use claviger_core::{chain::Chain, resemblance::Resemblance, view::CredentialDetail};
use claviger_engine::plan::Reach;
use claviger_server::{access::Sight, document::show};

use serde_json::Value;

use super::plan;
use crate::{
    args::{Format, Global, ShowArgs},
    compose::{Needs, compose},
    error::{Exit, Result},
    output,
};

/// Shows one credential; several that match are named instead.
pub(super) async fn run(global: &Global, args: &ShowArgs) -> Result<Exit> {
    let needs = if args.ask { Needs::Backends } else { Needs::Database };
    let composed = compose(global, needs).await?;
    let shown = show::shown(&composed.engine, &args.id, args.ask, Sight::All).await?;
    let document = shown.document()?;
    let parts = (&shown.reach, &shown.chain, shown.proposals.as_slice());
    print(global, &shown.detail, parts, &document)?;
    Ok(Exit::Done)
}

/// Prints one credential, for people or for programs.
pub(crate) fn print(
    global: &Global,
    detail: &CredentialDetail,
    (reach, chain, proposals): (&Reach, &Chain, &[Resemblance]),
    document: &Value,
) -> Result<()> {
    match global.output {
        Format::Table | Format::Wide => {
            output::text(&(page(detail) + &chain::text(chain) + &proposed(proposals) + &radius(reach)));
            Ok(())
        }
        _ => output::document(global, document),
    }
}

/// What is probable and not known. Nothing is done with it until somebody says that it is so.
fn proposed(proposals: &[Resemblance]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for one in proposals {
        let alike =
            if one.rivals > 1 { format!(" (one of {} that are alike)", one.rivals) } else { String::new() };
        let _ = writeln!(text, "\nproposed: {} is probably a copy of {}{alike}", one.copy, one.at);
        for job in &one.jobs {
            let _ = writeln!(text, "  asked for by {job}");
        }
        for why in &one.because {
            let _ = writeln!(text, "  {why}");
        }
        for unknown in &one.unknown {
            let _ = writeln!(text, "  unknown: {unknown}");
        }
        let _ = writeln!(text, "  if it is one, say so in the configuration, and scan:");
        for line in one.confirm.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

/// What its end would take with it.
fn radius(reach: &Reach) -> String {
    use std::fmt::Write as _;
    let mut text = "\nif it ended now\n".to_owned();
    for consumer in &reach.blast.breaks {
        let _ = writeln!(text, "  breaks: {consumer}");
    }
    if reach.blast.breaks.is_empty() {
        let _ = writeln!(text, "  breaks: no consumer is known");
    }
    for line in plan::radius(&reach.blast) {
        let _ = writeln!(text, "{line}");
    }
    if let Some(why) = &reach.derived_unknown {
        let _ = writeln!(text, "  what was obtained with it is not known: {why}");
    }
    if !reach.asked {
        let _ = writeln!(
            text,
            "  `--ask` asks the targets whom a replacement would save and what was obtained with it"
        );
    }
    text
}

fn page(detail: &CredentialDetail) -> String {
    use std::fmt::Write as _;
    let credential = &detail.credential;
    let time = |time: &Option<chrono::DateTime<chrono::Utc>>| {
        time.map_or_else(|| "unknown".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
    };
    let or_unknown = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
    let mut page = String::new();
    let rows = [
        ("ref", credential.at.to_string()),
        ("id", credential.id.to_string()),
        ("kind", credential.kind.to_string()),
        ("state", credential.state.to_string()),
        ("identity", or_unknown(credential.identity.as_ref().map(claviger_core::reference::Ref::as_str))),
        (
            "privilege",
            detail.identity.as_ref().map_or("unknown", |identity| identity.privilege.as_str()).to_owned(),
        ),
        ("owner", or_unknown(credential.owner.as_deref())),
        ("created", time(&credential.created_at)),
        ("last rotated", time(&credential.last_rotated_at)),
        (
            "expires",
            credential.expires_at.map_or_else(
                || {
                    if credential.long_lived {
                        "never, as far as is known".to_owned()
                    } else {
                        "unknown".to_owned()
                    }
                },
                |_| time(&credential.expires_at),
            ),
        ),
        ("last used", time(&credential.last_used_at)),
        ("policy", credential.policy.clone().unwrap_or_else(|| "none".to_owned())),
        ("due", credential.next_due_at.map_or_else(|| "-".to_owned(), |_| time(&credential.next_due_at))),
        ("link", credential.link.clone()),
        (
            "findings",
            if credential.findings.is_empty() { "none".to_owned() } else { credential.findings.join(", ") },
        ),
    ];
    for (name, value) in rows {
        let _ = writeln!(page, "{name:<14}{value}");
    }
    let _ = writeln!(page, "\ncopies");
    for copy in &detail.copies {
        let version =
            copy.version.as_deref().map_or_else(String::new, |version| format!(", version {version}"));
        let _ = writeln!(page, "  {} ({}, {}{version})", copy.at, copy.stage, copy.evidence);
    }
    let _ = writeln!(page, "\nconsumers");
    for consumer in &detail.consumers {
        let container = consumer
            .container
            .as_deref()
            .map_or_else(String::new, |container| format!(", container {container}"));
        let _ = writeln!(page, "  {} reads {} ({}{container})", consumer.at, consumer.copy, consumer.how);
    }
    if let Some(identity) = detail.identity.as_ref().filter(|identity| !identity.grants.is_empty()) {
        let _ = writeln!(page, "\ngrants of {}", identity.at);
        for grant in &identity.grants {
            let _ = writeln!(
                page,
                "  {}: {} on {} by {}",
                grant.level, grant.privilege, grant.reach, grant.source
            );
        }
    }
    let _ = writeln!(page, "\nhistory");
    for event in &detail.history {
        let _ = writeln!(
            page,
            "  {} {} {} {} {}",
            event.at.format("%Y-%m-%d %H:%M:%SZ"),
            event.change,
            event.entity,
            event.subject,
            event.detail
        );
    }
    page
}
