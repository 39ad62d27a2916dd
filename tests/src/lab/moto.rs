//! moto, a wide emulator of AWS, with authentication off unless [`Options::authenticate_after`] says otherwise. Wide, and
//! wrong in places: an inactive key goes on working, so nothing about revocation is proven here. See `tests/README.md`.

use anyhow::Result;
use reqwest::Method;
use tokio::sync::OnceCell;

use super::daemon::{Daemon, Directory, bare_command, persistently};
use super::reaper::Ending;
use super::{assets, http, ports};

/// What a server may be asked for beyond the ordinary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// After this many calls, keys and policies are checked (deleted keys and wrong secrets refused). `None`: never.
    pub authenticate_after: Option<u32>,
}

/// A running moto. Dropping it ends it, and what it held is gone.
pub struct Moto {
    daemon: Daemon,
    endpoint: String,
    directory: Directory,
}

impl Moto {
    /// Starts one: a second or two.
    ///
    /// # Errors
    /// [`assets::NotInstalled`]; or a process that does not come up, with the path of its log.
    pub async fn start() -> Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// Starts one with options.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(options: Options) -> Result<Self> {
        persistently(|| Self::attempt(options)).await
    }

    /// The server that all tests of this binary share.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Moto> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn attempt(options: Options) -> Result<Self> {
        let python = assets::path("python")?;
        let directory = Directory::new("moto")?;
        let home = directory.path().to_path_buf();
        let port = ports::free()?;
        let mut command = bare_command(python, &home);
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        if let Some(calls) = options.authenticate_after {
            command.env("INITIAL_NO_AUTH_ACTION_COUNT", calls.to_string());
        }
        let mut daemon = Daemon::spawn("moto", command, home.join("moto.log"), Ending::Kill)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let client = http::client(None)?;
        let page = format!("{endpoint}/moto-api/");
        let ready = || async {
            matches!(http::send(&client, Method::GET, &page, &[], None).await, Ok(answer) if answer.status == 200)
        };
        daemon.wait_until("its page", ready).await?;
        Ok(Self { daemon, endpoint, directory })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its directory; files may be added.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }
}
