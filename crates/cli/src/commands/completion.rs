use clap::CommandFactory;

use crate::{
    args::{Cli, CompletionArgs},
    error::{Exit, Result},
};

/// Prints the script.
pub(crate) fn run(args: &CompletionArgs) -> Result<Exit> {
    clap_complete::generate(args.shell, &mut Cli::command(), "claviger", &mut std::io::stdout().lock());
    Ok(Exit::Done)
}
