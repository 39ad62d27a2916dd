//! The commands: one file each.

mod approve;
mod audit;
mod completion;
mod db;
mod demo;
mod doctor;
mod drill;
mod guard;
mod incident;
mod init;
mod keys;
mod list;
mod man;
mod plan;
mod policy;
mod report;
mod resolve;
mod resume;
mod revoke;
mod rollback;
mod rotate;
mod scan;
mod schedule;
mod serve;
mod show;
mod trace;
mod verify;

use crate::{
    args::{Cli, Command},
    error::{Exit, Result},
};

/// Runs one command.
pub(crate) async fn run(cli: Cli) -> Result<Exit> {
    let global = &cli.global;
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
        Command::Db(args) => db::run(global, &args).await,
        Command::Completion(args) => completion::run(&args),
        Command::Man => man::run(),
    }
}
