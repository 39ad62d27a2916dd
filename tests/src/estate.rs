//! A small and nasty estate, planted in the lab's servers, and the truth about it.
//!
//! [`plant`] writes into the servers and returns a [`Planted`]: each credential with its issuer, copies, consumers and
//! values, so that a test can hold a scan against it. Every value is random, drawn from a seed; values get into the
//! servers through pipes and request bodies, and into no file but those whose purpose it is.
//!
//! The backends are named as in the configuration that is written beside it: `prod` (Kubernetes), `vault`, `aws`, `db`,
//! `repo` (manifests).

pub mod aws;
pub mod configuration;
pub mod fleet;
pub mod kubernetes;
pub mod manifests;
pub mod openbao;
pub mod planted;
pub mod postgres;
pub mod values;

use std::path::Path;

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::lab::daemon::Directory;
use crate::lab::kubernetes::Kubernetes;
use crate::lab::ministack::Ministack;
use crate::lab::openbao::OpenBao;
use crate::lab::postgres::Postgres;
pub use planted::Planted;
use values::Values;

/// The servers to plant in; what is not there is left out, of the truth too.
#[derive(Clone, Copy, Default)]
pub struct Servers<'a> {
    /// Kubernetes.
    pub kubernetes: Option<&'a Kubernetes>,
    /// OpenBao.
    pub openbao: Option<&'a OpenBao>,
    /// AWS.
    pub ministack: Option<&'a Ministack>,
    /// PostgreSQL.
    pub postgres: Option<&'a Postgres>,
}

/// Plants the estate of `seed` in fresh servers and writes `claviger.toml`, what it refers to, and `manifests/` into
/// `directory` (absolute, existing). Once per server: objects that exist already are an error.
///
/// # Errors
/// When a server refuses something.
pub async fn plant(servers: &Servers<'_>, directory: &Path, seed: u64) -> Result<Planted> {
    let values = Values::generate(seed);
    let mut planted = Planted::new(seed);
    if let Some(server) = servers.postgres {
        postgres::plant(server, &values, &mut planted, directory).await?;
    }
    let mut keys = None;
    if let Some(server) = servers.ministack {
        keys = Some(aws::plant(server, &values, &mut planted, directory)?);
    }
    let mut held = None;
    if let Some(server) = servers.openbao {
        held = Some(
            openbao::plant(server, servers.postgres, keys.as_ref(), &values, &mut planted, directory).await?,
        );
    }
    let port = servers.postgres.map_or(5432, Postgres::port);
    let context = Context { values: &values, aws: keys.as_ref(), vault: held.as_ref(), port };
    let mut deployer = None;
    if let Some(server) = servers.kubernetes {
        deployer = Some(kubernetes::plant(server, &context, &mut planted, directory).await?);
    }
    manifests::plant(&context, deployer.as_deref(), &mut planted, directory)?;
    configuration::write(servers, directory)?;
    Ok(planted)
}

/// What one server's planting gives to the next.
pub struct Context<'a> {
    /// The random values.
    pub values: &'a Values,
    /// Access keys, where AWS is.
    pub aws: Option<&'a aws::Keys>,
    /// What OpenBao handed out, where it is.
    pub vault: Option<&'a openbao::Held>,
    /// PostgreSQL's port.
    pub port: u16,
}

impl Context<'_> {
    /// The connection URL of role `app`: its password holds characters that a URL must escape.
    pub fn database_url(&self) -> String {
        let password = percent_encode(self.values.app.expose());
        format!("postgres://app:{password}@127.0.0.1:{}/payments", self.port)
    }
}

/// Escapes all but RFC 3986's unreserved characters.
pub fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// All four servers with the estate planted in them.
pub struct Estate {
    /// Kubernetes.
    pub kubernetes: Kubernetes,
    /// OpenBao.
    pub openbao: OpenBao,
    /// AWS.
    pub ministack: Ministack,
    /// PostgreSQL.
    pub postgres: Postgres,
    /// The truth.
    pub planted: Planted,
    directory: Directory,
}

impl Estate {
    /// Starts fresh servers and plants: ten seconds or so.
    ///
    /// # Errors
    /// [`crate::lab::assets::NotInstalled`] when one of the servers is; else what went wrong.
    pub async fn start() -> Result<Self> {
        let postgres = Postgres::start().await?;
        let openbao = OpenBao::start().await?;
        let ministack = Ministack::start().await?;
        let kubernetes = Kubernetes::start().await?;
        let directory = Directory::new("estate")?;
        let servers = Servers {
            kubernetes: Some(&kubernetes),
            openbao: Some(&openbao),
            ministack: Some(&ministack),
            postgres: Some(&postgres),
        };
        let planted = plant(&servers, directory.path(), values::random_seed()?).await?;
        Ok(Self { kubernetes, openbao, ministack, postgres, planted, directory })
    }

    /// The estate that all tests of this binary share.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Estate> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Where `claviger.toml`, the kubeconfigs and the manifests are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}
