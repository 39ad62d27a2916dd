use clap::CommandFactory;

use crate::{
    args::Cli,
    error::{Exit, Failure, Result},
};

/// Prints the page in roff: `claviger man | man -l -`.
pub(crate) fn run() -> Result<Exit> {
    let stdout = std::path::Path::new("standard output");
    clap_mangen::Man::new(Cli::command())
        .render(&mut std::io::stdout().lock())
        .map_err(|error| Failure::file("write", stdout, &error))?;
    Ok(Exit::Done)
}
