//! A forge in the estate: the copy of a database password that a CI job is given, and credentials of the forge itself that have leaked.

mod alone;
mod chain;
mod copy;
mod deploy_key;
mod github;
mod gitlab;
mod hub_key;
mod jenkins;
mod kills;
mod leak;
mod project_key;
mod proposal;

use std::path::Path;

use anyhow::Result;
use claviger_tests::lab::{
    gitea::{ADMINISTRATOR, Gitea},
    private::write_private,
};

/// The section of a configuration in `directory`, and the files that it names.
fn section(gitea: &Gitea, directory: &Path) -> Result<String> {
    write_private(&directory.join("forge.token"), gitea.token())?;
    write_private(&directory.join("forge.password"), gitea.password())?;
    Ok(format!(
        "\n[backends.forge]\nkind = \"gitea\"\nurl = \"{}\"\ntoken = {{ file = \"forge.token\" }}\nuser = \"{ADMINISTRATOR}\"\n\
         password = {{ file = \"forge.password\" }}\nknown_hosts = \"{}\"\n",
        gitea.address(),
        gitea.known_hosts().display()
    ))
}
