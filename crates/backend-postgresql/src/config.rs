//! Where the server is and who we are there.

use std::{net::IpAddr, path::PathBuf, str::FromStr as _};

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::secret::SecretValue;
use tokio_postgres::config::Host;

use crate::tls::TlsMode;

/// How to reach one PostgreSQL server.
pub struct PostgresqlConfig {
    /// `postgres://user@host:port/database?sslmode=…`, one host (`hostaddr` may say where it is), no password. `sslmode` is `disable`, `prefer`, `require`, `verify-ca` or
    /// `verify-full`; left out it is `prefer`, and `verify-full` as soon as `ca` is given.
    pub url: String,
    /// Password of the URL's user. `None` where the server asks for none.
    pub password: Option<SecretValue>,
    /// PEM file with the authorities that may sign the server's certificate. `None`: those of the operating system.
    pub ca: Option<PathBuf>,
    /// How many verifiers one [`identify`](claviger_backend::Issuer::identify) may recompute; each costs about half a millisecond of CPU.
    pub identify_budget: usize,
}

impl PostgresqlConfig {
    /// The budget for those who have no opinion: about five seconds of CPU.
    pub const DEFAULT_IDENTIFY_BUDGET: usize = 10_000;

    /// A configuration with the default budget.
    pub fn new(url: impl Into<String>, password: Option<SecretValue>) -> Self {
        Self { url: url.into(), password, ca: None, identify_budget: Self::DEFAULT_IDENTIFY_BUDGET }
    }
}

/// One place to connect to: a TCP host or the directory of a Unix socket.
#[derive(Clone)]
pub(crate) enum Place {
    /// A name, and the address to use instead of looking it up (`hostaddr`).
    Tcp(String, Option<IpAddr>),
    Unix(PathBuf),
}

/// The URL, taken apart.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) place: Place,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) database: Option<String>,
    pub(crate) tls: TlsMode,
    /// What else the URL said (options, channel binding); without user, password and database.
    pub(crate) rest: tokio_postgres::Config,
}

impl Target {
    /// Takes a URL apart. Messages never repeat it: somebody may have put a password into it.
    pub(crate) fn parse(name: &str, url: &str, has_ca: bool) -> Result<Self> {
        let refuse = |what: &str, hint: &str| {
            Error::new(ErrorKind::Config, "connect", format!("backends.{name}.url {what}")).with_hint(hint)
        };
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(refuse(
                "does not begin with postgres://",
                "write postgres://user@host:5432/database",
            ));
        }
        let (plain, mode) = split_sslmode(url);
        let tls = match mode {
            Some(word) => TlsMode::from_word(&word).ok_or_else(|| {
                refuse("has an unknown sslmode", "use disable, prefer, require, verify-ca or verify-full")
            })?,
            None if has_ca => TlsMode::VerifyFull,
            None => TlsMode::Prefer,
        };
        let parsed = tokio_postgres::Config::from_str(&plain).map_err(|_| {
            refuse(
                "is not a PostgreSQL connection URL",
                "write postgres://user@host:5432/database; special characters in it must be percent-encoded",
            )
        })?;
        if parsed.get_password().is_some() {
            return Err(refuse(
                "holds a password",
                "take it out and set `password = { env = \"…\" }` or `{ file = \"…\" }`; a password that stood in a file should be changed",
            ));
        }
        let user = parsed.get_user().filter(|user| !user.is_empty()).map(str::to_owned).ok_or_else(|| {
            refuse(
                "names no user",
                "write postgres://user@host:5432/database: the role that claviger logs in as",
            )
        })?;
        let place = match (parsed.get_hosts(), parsed.get_hostaddrs()) {
            ([Host::Tcp(host)], []) if !host.is_empty() => Place::Tcp(host.clone(), None),
            ([Host::Tcp(host)], [address]) if !host.is_empty() => Place::Tcp(host.clone(), Some(*address)),
            ([], [address]) => Place::Tcp(address.to_string(), Some(*address)),
            ([Host::Unix(path)], []) => Place::Unix(path.clone()),
            ([] | [Host::Tcp(_)], _) if parsed.get_hostaddrs().len() < 2 => {
                return Err(refuse("names no host", "write postgres://user@host:5432/database"));
            }
            _ => {
                return Err(refuse(
                    "names more than one host",
                    "name the primary's address: evidence must say which server answered",
                ));
            }
        };
        let port = parsed.get_ports().first().copied().unwrap_or(5432);
        let database = parsed.get_dbname().filter(|database| !database.is_empty()).map(str::to_owned);
        let mut rest = tokio_postgres::Config::new();
        rest.application_name(parsed.get_application_name().unwrap_or("claviger"));
        rest.ssl_mode(tls.negotiation()).channel_binding(parsed.get_channel_binding());
        if let Some(options) = parsed.get_options() {
            rest.options(options);
        }
        Ok(Self { place, port, user, database, tls, rest })
    }

    /// Host and port (or socket) as a person would write them.
    pub(crate) fn address(&self) -> String {
        match &self.place {
            Place::Tcp(host, _) if host.contains(':') => format!("[{host}]:{}", self.port),
            Place::Tcp(host, _) => format!("{host}:{}", self.port),
            Place::Unix(path) => format!("{}/.s.PGSQL.{}", path.display(), self.port),
        }
    }

    /// The address with scheme and database, without the user.
    pub(crate) fn endpoint(&self) -> String {
        format!("postgres://{}/{}", self.address(), self.database.as_deref().unwrap_or_default())
    }
}

/// Takes `sslmode` out of the query: tokio-postgres knows no `verify-…`, and refuses the URL.
fn split_sslmode(url: &str) -> (String, Option<String>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let mut mode = None;
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match pair.strip_prefix("sslmode=") {
            Some(word) => mode = Some(word.to_owned()),
            None => kept.push(pair),
        }
    }
    let plain = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    (plain, mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> Error {
        Target::parse("db", url, false).err().expect("refused")
    }

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse(
            "db",
            "postgres://claviger@db.internal:6432/app?sslmode=verify-full&application_name=x",
            false,
        )
        .expect("a target");
        assert_eq!(target.endpoint(), "postgres://db.internal:6432/app");
        assert_eq!((target.user.as_str(), target.tls), ("claviger", TlsMode::VerifyFull));
        assert_eq!(target.rest.get_application_name(), Some("x"));
    }

    #[test]
    fn without_sslmode_a_ca_means_full_verification() {
        let tls = |has_ca| Target::parse("db", "postgres://u@h/d", has_ca).expect("a target").tls;
        assert_eq!((tls(true), tls(false)), (TlsMode::VerifyFull, TlsMode::Prefer));
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        for url in ["postgres://u:hunter2@h/d", "postgres://u@h/d?password=hunter2"] {
            let error = refused(url);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains("password"), "{error}");
            assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hunter2"));
        }
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (url, expected) in [
            ("mysql://u@h/d", "postgres://"),
            ("postgres://h/d", "no user"),
            ("postgres://u@/d", "no host"),
            ("postgres://u@a,b/d", "more than one host"),
            ("postgres://u@h/d?sslmode=maybe", "sslmode"),
            ("postgres://u@h/d?colour=blue", "not a PostgreSQL connection URL"),
            ("postgres://u@h:port/d", "not a PostgreSQL connection URL"),
        ] {
            let error = refused(url);
            assert!(error.message().contains(expected), "{url}: {error}");
            assert!(error.hint().is_some(), "{url}");
        }
    }
}
