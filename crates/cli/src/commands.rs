//! The commands: one file each.

pub(crate) mod approve;
pub(crate) mod audit;
mod completion;
mod db;
mod demo;
pub(crate) mod doctor;
pub(crate) mod drill;
pub(crate) mod guard;
pub(crate) mod incident;
mod init;
mod keys;
pub(crate) mod list;
mod man;
pub(crate) mod plan;
pub(crate) mod policy;
mod report;
pub(crate) mod resolve;
pub(crate) mod resume;
mod revoke;
pub(crate) mod rollback;
pub(crate) mod rotate;
pub(crate) mod scan;
pub(crate) mod schedule;
mod serve;
pub(crate) mod show;
pub(crate) mod swap;
mod token;
pub(crate) mod trace;
pub(crate) mod verify;

use crate::{
    args::{Cli, Command},
    error::{Exit, Result},
    remote,
};

pub(crate) use self::{completion::run as completion, man::run as man};

/// Runs one command.
pub(crate) async fn run(cli: Cli) -> Result<Exit> {
    let global = &cli.global;
    if let Some(server) = &global.server {
        return remote::run(server, &cli).await;
    }
    match cli.command {
        Command::Init(args) => init::run(global, &args),
        Command::Doctor(args) => doctor::run(global, &args).await,
        Command::Demo(args) => demo::run(global, &args).await,
        Command::Scan(args) => scan::run(global, &args).await,
        Command::List(args) => list::run(global, &args).await,
        Command::Show(args) => show::run(global, &args).await,
        Command::Trace(args) => trace::run(global, &args).await,
        Command::Rotate(args) => rotate::run(global, &args).await,
        Command::Revoke(args) => revoke::run(global, &args).await,
        Command::Swap(args) => swap::run(global, &args).await,
        Command::Rollback(args) => rollback::run(global, &args).await,
        Command::Resolve(args) => resolve::run(global, &args).await,
        Command::Resume(args) => resume::run(global, &args).await,
        Command::Report(args) => report::run(global, &args).await,
        Command::Audit(args) => audit::run(global, &args).await,
        Command::Policy(args) => policy::run(global, &args).await,
        Command::Approve(args) => approve::run(global, &args).await,
        Command::Incident(args) => incident::run(global, &args).await,
        Command::Verify(args) => verify::run(global, &args).await,
        Command::Drill(args) => drill::run(global, &args).await,
        Command::Schedule(args) => schedule::run(global, &args).await,
        Command::Keys(args) => keys::run(global, &args).await,
        Command::Serve(args) => serve::run(global, &args).await,
        Command::Token(args) => token::run(global, &args).await,
        Command::Db(args) => db::run(global, &args).await,
        Command::Completion(args) => completion::run(&args),
        Command::Man => man::run(),
    }
}
