use claviger_core::view::{CredentialDetail, CredentialView};
use claviger_engine::{Engine, plan::Reach, policy, selector::Selector};
use claviger_store::port::Selection;

use super::plan;
use crate::{
    args::{Format, Global, ShowArgs},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output,
};

/// Shows one credential; several that match are named instead.
pub(super) async fn run(global: &Global, args: &ShowArgs) -> Result<Exit> {
    let needs = if args.ask { Needs::Backends } else { Needs::Database };
    let composed = compose(global, needs).await?;
    let engine = &composed.engine;
    let now = engine.clock.now();
    let credential = one(engine, &args.id).await?;
    let Some(mut detail) = engine.ports.inventory.credential(now, credential.id).await? else {
        return Err(Failure::new(300, Exit::Failed, "it is no longer there"));
    };
    policy::apply(&engine.estate, &mut detail.credential, now);
    let reach = engine.reach(&detail, args.ask).await?;
    let mut document = output::value(&detail)?;
    document["blast"] = output::value(&reach)?;
    output::stamp(&mut document, "credential");
    match global.output {
        Format::Table | Format::Wide => output::text(&(page(&detail) + &radius(&reach))),
        _ => output::document(global, &document)?,
    }
    Ok(Exit::Done)
}

/// The one credential that an id, its beginning or a ref names.
pub(super) async fn one(engine: &Engine, id: &str) -> Result<CredentialView> {
    let now = engine.clock.now();
    let all =
        engine.ports.inventory.credentials(now, &Selection { gone: true, ..Selection::default() }).await?;
    let exact: Vec<_> = all.iter().filter(|credential| credential.at.as_str() == id).collect();
    let found: Vec<_> = if exact.is_empty() {
        let selector = Selector::parse(id)?;
        selector.choose(&all)?
    } else {
        exact
    };
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(by_copy(engine, id).await?),
        many => {
            let names: Vec<_> = many
                .iter()
                .take(5)
                .map(|credential| format!("{} ({})", credential.at, credential.id))
                .collect();
            Err(Failure::new(
                301,
                Exit::Failed,
                format!("`{}` matches {} credentials: {}", id, many.len(), names.join(", ")),
            )
            .hint("give more of the id"))
        }
    }
}

/// A copy's ref names its credential.
async fn by_copy(engine: &Engine, text: &str) -> Result<Failure> {
    let copies = engine.ports.inventory.copies(&Selection::default()).await?;
    let failure = Failure::new(300, Exit::Failed, format!("nothing in the inventory matches `{text}`"));
    Ok(match copies.iter().find(|copy| copy.at.as_str() == text) {
        Some(copy) => failure.hint(format!(
            "it is a copy of credential {}: `claviger show {}`",
            copy.credential, copy.credential
        )),
        None => failure.hint("`claviger list credentials` shows what is there"),
    })
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
