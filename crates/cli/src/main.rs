//! The binary `claviger`: the composition root, and the only place where concrete backends are wired.
//!
//! To add a backend: a file in `registry/` with its configuration, and one line in `registry.rs`. To add a command: a file in `commands/`,
//! a variant in `args.rs`, one line in `commands.rs`.

mod args;
mod commands;
mod compose;
mod config;
mod confine;
mod error;
mod keys;
mod logging;
mod output;
mod progress;
mod registry;
mod remote;
mod reviewer;
mod telemetry;
mod witness;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Cli, error::Exit};

fn main() -> ExitCode {
    // Before anything is read that must not be seen.
    let confined = confine::memory();
    // The provider is chosen once for the whole process; a second choice would be a bug.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return error::usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return error::render(
                &error::Failure::bug(format!("the runtime does not start: {error}")),
                false,
            );
        }
    };
    let color = error::color(&cli.global);
    let telemetry = match telemetry::Telemetry::of(&cli.global, runtime.handle()) {
        Ok(telemetry) => telemetry,
        Err(failure) => return error::render(&failure, color),
    };
    logging::start(&cli.global, &telemetry);
    if let Err(error) = confined {
        tracing::warn!(%error, "this process could not be kept from being dumped: a core dump would hold values");
    }
    let done = runtime.block_on(commands::run(cli));
    telemetry.end();
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => error::render(&failure, color),
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
