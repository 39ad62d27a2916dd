use std::fmt::Write as _;

use claviger_engine::Engine;
use claviger_server::{
    access::Sight,
    document::{policy, show},
};

use crate::{
    args::{Format, Global, PolicyArgs, PolicyCommand, PolicyTestArgs},
    compose::{Needs, compose},
    error::{Exit, Result},
    output::{self, Column, Shown},
};

pub(crate) const COLUMNS: &[Column] = &[
    Column::new("name", "NAME"),
    Column::new("match", "MATCH"),
    Column::new("strategy", "STRATEGY"),
    Column::new("max_age_seconds", "MAX AGE (S)").shown(Shown::Number),
    Column::new("credentials", "CREDENTIALS").shown(Shown::Number),
    Column::new("due", "DUE").shown(Shown::Number),
    Column::new("grace_seconds", "GRACE (S)").shown(Shown::Number).wide(),
    Column::new("approvals", "APPROVALS").shown(Shown::Number).wide(),
    Column::new("retain", "RETAIN").wide(),
];

/// Lists policies, or says which one holds.
pub(super) async fn run(global: &Global, args: &PolicyArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    match &args.command {
        PolicyCommand::List => list(global, &composed.engine).await,
        PolicyCommand::Test(args) => test(global, &composed.engine, args).await,
    }
}

async fn list(global: &Global, engine: &Engine) -> Result<Exit> {
    output::list(global, "policies", COLUMNS, &policy::items(engine, Sight::All).await?)?;
    Ok(Exit::Done)
}

async fn test(global: &Global, engine: &Engine, args: &PolicyTestArgs) -> Result<Exit> {
    let credential = show::one(engine, &args.id, Sight::All).await?;
    let verdict = policy::verdict(engine, &credential)?;
    if matches!(global.output, Format::Table | Format::Wide) {
        let mut text = String::new();
        let _ = writeln!(text, "{}", credential.at);
        for policy in &engine.estate.policies {
            let word = match &verdict.held {
                Some(held) if *held == policy.name => "holds",
                _ if policy.selector.matches(&credential).unwrap_or(false) => "matches, and comes too late",
                _ => "does not match",
            };
            let _ = writeln!(text, "  {:<20} {word}: {}", policy.name, policy.selector.text());
        }
        let _ = writeln!(text, "{}", verdict.why);
        output::text(&text);
        return Ok(Exit::Done);
    }
    output::document(global, &policy::document(engine, &credential, &verdict))?;
    Ok(Exit::Done)
}
