//! `lab up`: the lab's servers in the foreground, for people. Ctrl-C ends them all.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};
use claviger_tests::estate::values::random_seed;
use claviger_tests::estate::{self, Servers};
use claviger_tests::lab::gitea::{ADMINISTRATOR, Gitea};
use claviger_tests::lab::kubernetes::Kubernetes;
use claviger_tests::lab::ministack::{Ministack, REGION};
use claviger_tests::lab::moto::Moto;
use claviger_tests::lab::openbao::OpenBao;
use claviger_tests::lab::postgres::Postgres;
use claviger_tests::lab::private::write_private;
use claviger_tests::lab::{assets, require};

/// Real servers on loopback ports, to try claviger on.
#[derive(Parser)]
#[command(name = "lab")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start servers, plant the estate, write DIR/claviger.toml, and wait for Ctrl-C.
    Up(Up),
}

#[derive(clap::Args)]
struct Up {
    /// Where to write claviger.toml, kubeconfigs, tokens and passwords.
    #[arg(long, default_value = "lab")]
    dir: PathBuf,
    /// Only these.
    #[arg(long, value_delimiter = ',', default_value = "kubernetes,openbao,ministack,postgres")]
    servers: Vec<Server>,
    /// Plant nothing.
    #[arg(long)]
    empty: bool,
    /// Plant the same values as another time (servers choose theirs anew).
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    Kubernetes,
    Gitea,
    Openbao,
    Ministack,
    Moto,
    Postgres,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Up(up) => up.run().await,
    }
}

impl Up {
    async fn run(self) -> Result<()> {
        assets::install()?;
        std::fs::create_dir_all(&self.dir).with_context(|| format!("make {}", self.dir.display()))?;
        let dir = self.dir.canonicalize()?;
        let wanted = |server| self.servers.contains(&server);
        let mut exports = Vec::new();

        let kubernetes = if wanted(Server::Kubernetes) { require(Kubernetes::start().await) } else { None };
        if let Some(server) = &kubernetes {
            let path = dir.join("administrator.kubeconfig");
            std::fs::copy(server.kubeconfig(), &path)?;
            exports.push(format!("export KUBECONFIG={}", path.display()));
        }
        let openbao = if wanted(Server::Openbao) { require(OpenBao::start().await) } else { None };
        if let Some(server) = &openbao {
            exports.push(format!("export VAULT_ADDR={}", server.address()));
            exports.push(secret(&dir, "VAULT_TOKEN", "openbao.root-token", server.token())?);
        }
        let postgres = if wanted(Server::Postgres) { require(Postgres::start().await) } else { None };
        if let Some(server) = &postgres {
            exports.push(format!(
                "export PGHOST=127.0.0.1 PGPORT={} PGUSER={}",
                server.port(),
                server.user()
            ));
            exports.push(secret(&dir, "PGPASSWORD", "postgres.password", server.password())?);
        }
        let ministack = if wanted(Server::Ministack) { require(Ministack::start().await) } else { None };
        let moto = if wanted(Server::Moto) { require(Moto::start().await) } else { None };
        let endpoint = ministack.as_ref().map(Ministack::endpoint).or(moto.as_ref().map(Moto::endpoint));
        if let Some(endpoint) = endpoint {
            exports.push(format!(
                "export AWS_ENDPOINT_URL={endpoint} AWS_REGION={REGION} AWS_ACCESS_KEY_ID=test"
            ));
            exports.push(secret(&dir, "AWS_SECRET_ACCESS_KEY", "aws.root-secret-key", "test")?);
        }

        let gitea = if wanted(Server::Gitea) { require(Gitea::start().await) } else { None };
        if let Some(server) = &gitea {
            exports.push(format!("export GITEA_URL={} GITEA_USER={ADMINISTRATOR}", server.address()));
            exports.push(format!("export GITEA_KNOWN_HOSTS={}", server.known_hosts().display()));
            exports.push(secret(&dir, "GITEA_TOKEN", "gitea.token", server.token())?);
            exports.push(secret(&dir, "GITEA_PASSWORD", "gitea.password", server.password())?);
        }

        if !self.empty {
            let servers = Servers {
                kubernetes: kubernetes.as_ref(),
                openbao: openbao.as_ref(),
                ministack: ministack.as_ref(),
                postgres: postgres.as_ref(),
            };
            let seed = self.seed.map_or_else(random_seed, Ok)?;
            let planted = estate::plant(&servers, &dir, seed).await?;
            let path = dir.join("planted.json");
            std::fs::write(&path, serde_json::to_vec_pretty(&planted.to_json())?)?;
            exports.push(format!("export CLAVIGER_CONFIG={}", dir.join("claviger.toml").display()));
        }

        let environment = exports.join("\n") + "\n";
        write_private(&dir.join("lab.env"), &environment)?;
        let mut out = std::io::stdout();
        writeln!(
            out,
            "{environment}\nup; `. {}` in another shell; Ctrl-C ends it",
            dir.join("lab.env").display()
        )?;
        stopped().await
    }
}

/// Writes a secret into a file of its own; the line that puts it into the environment.
fn secret(dir: &Path, variable: &str, file: &str, value: &str) -> Result<String> {
    let path = dir.join(file);
    write_private(&path, value)?;
    Ok(format!("export {variable}=\"$(cat {})\"", path.display()))
}

/// Ctrl-C, or a polite request to end.
async fn stopped() -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
