//! `--server URL`: the commands at a service, with the same output and exit codes as at the database.
//!
//! A command that needs the database or the backends themselves says so. To add one: a file in `remote/` that asks the API and prints what its
//! local half prints, and a line in [`run`].

mod approve;
mod audit;
mod change;
mod client;
mod doctor;
mod drill;
mod incident;
mod list;
mod policy;
mod report;
mod resolve;
mod resume;
mod revoke;
mod rollback;
mod rotate;
mod saga;
mod scan;
mod schedule;
mod show;
mod swap;
mod trace;
mod verify;

use self::{client::Client, saga::ABSENT};
use crate::{
    args::{Cli, Command},
    error::{Exit, Failure, Result},
};

/// Runs one command at a service.
pub(crate) async fn run(server: &str, cli: &Cli) -> Result<Exit> {
    let global = &cli.global;
    let name = match &cli.command {
        // These ask nobody.
        Command::Completion(args) => return crate::commands::completion(args),
        Command::Man => return crate::commands::man(),
        command => word(command),
    };
    let client = || Client::new(server, global);
    match &cli.command {
        Command::List(args) => list::run(global, &client()?, args).await,
        Command::Show(args) => show::run(global, &client()?, args).await,
        Command::Scan(args) => scan::run(global, &client()?, args).await,
        Command::Report(args) => report::run(global, &client()?, args).await,
        Command::Verify(args) => verify::run(global, &client()?, args).await,
        Command::Drill(args) => drill::run(global, &client()?, args).await,
        Command::Rollback(args) => rollback::run(global, &client()?, args).await,
        Command::Resume(args) => resume::run(global, &client()?, args).await,
        Command::Resolve(args) => resolve::run(global, &client()?, args).await,
        Command::Policy(args) => policy::run(global, &client()?, args).await,
        Command::Rotate(args) => rotate::run(global, &client()?, args).await,
        Command::Revoke(args) => revoke::run(global, &client()?, args).await,
        Command::Swap(args) => swap::run(global, &client()?, args).await,
        Command::Trace(args) => trace::run(global, &client()?, args).await,
        Command::Approve(args) if args.new_key.is_none() => approve::run(global, &client()?, args).await,
        Command::Schedule(args) => schedule::run(global, &client()?, args).await,
        Command::Incident(args) => incident::run(global, &client()?, args).await,
        Command::Audit(args) => audit::run(global, &client()?, &args.command).await,
        Command::Doctor(args) => doctor::run(global, &client()?, args).await,
        _ => Err(elsewhere(name)),
    }
}

fn elsewhere(name: &str) -> Failure {
    Failure::new(632, Exit::Usage, format!("`{name}` is not done at a service"))
        .hint("leave `--server` (and CLAVIGER_SERVER) out, and run it where the configuration is")
}

/// A backend that is named and that the service does not know, told as here.
fn unknown(failure: Failure, names: &[String]) -> Failure {
    let is_it = |name: &&String| failure.is(ABSENT) && failure.line().contains(&format!("backend `{name}`"));
    match names.iter().find(is_it) {
        Some(name) => claviger_engine::Error::UnknownBackend(name.clone()).into(),
        None => failure,
    }
}

fn word(command: &Command) -> &'static str {
    match command {
        Command::Init(_) => "init",
        Command::Doctor(_) => "doctor",
        Command::Demo(_) => "demo",
        Command::Scan(_) => "scan",
        Command::List(_) => "list",
        Command::Show(_) => "show",
        Command::Trace(_) => "trace",
        Command::Rotate(_) => "rotate",
        Command::Revoke(_) => "revoke",
        Command::Swap(_) => "swap",
        Command::Rollback(_) => "rollback",
        Command::Resume(_) => "resume",
        Command::Resolve(_) => "resolve",
        Command::Report(_) => "report",
        Command::Audit(_) => "audit",
        Command::Policy(_) => "policy",
        Command::Approve(_) => "approve --new-key",
        Command::Incident(_) => "incident",
        Command::Verify(_) => "verify",
        Command::Drill(_) => "drill",
        Command::Schedule(_) => "schedule",
        Command::Serve(_) => "serve",
        Command::Token(_) => "token",
        Command::Keys(_) => "keys",
        Command::Db(_) => "db",
        Command::Completion(_) => "completion",
        Command::Man => "man",
    }
}
