//! Connections: one that is ours and kept, and one per probe.

use std::{io, sync::Arc, time::Duration};

use claviger_backend::{Effect, Error, Result};
use claviger_core::secret::SecretValue;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::Mutex,
};
use tokio_postgres::{
    Client, Row,
    tls::MakeTlsConnect,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    config::{Place, Target},
    failure::Failure,
};

/// For one TCP connection attempt.
const CONNECT: Duration = Duration::from_secs(5);
/// For everything from the first byte to ReadyForQuery, and for each statement.
pub(crate) const REQUEST: Duration = Duration::from_secs(30);
/// What the server is told, so that it gives up before we do: an answer "cancelled" is better than no answer.
const SETTINGS: &str = "SET statement_timeout = '25s'; SET lock_timeout = '10s'; SET search_path = pg_catalog; SET client_min_messages = error";

/// Who logs in, and to which database.
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    /// `None`: fails with [`Failure::PasswordWanted`] when the server asks for one.
    pub(crate) password: Option<&'a [u8]>,
    pub(crate) database: Option<&'a str>,
}

/// Logs in and waits for ReadyForQuery: an AuthenticationOk alone comes also for roles that may not log in.
pub(crate) async fn open(
    target: &Target,
    tls: &MakeRustlsConnect,
    login: &Login<'_>,
) -> Result<Client, Failure> {
    // The driver keeps its copy of the password in an ordinary buffer; it lives as long as this call.
    let mut config = target.rest.clone();
    config.user(login.user);
    if let Some(password) = login.password {
        config.password(password);
    }
    if let Some(database) = login.database {
        config.dbname(database);
    }
    match &target.place {
        Place::Unix(directory) => {
            let path = directory.join(format!(".s.PGSQL.{}", target.port));
            let stream = within(CONNECT, UnixStream::connect(&path)).await?.map_err(Failure::Connect)?;
            start(stream, tls, "", &config).await
        }
        Place::Tcp(host, address) => {
            let stream = match address {
                Some(address) => dial(&address.to_string(), target.port).await?,
                None => dial(host, target.port).await?,
            };
            // Small questions, small answers: waiting to fill a packet only adds latency. A failure to say so is no failure.
            let _ = stream.set_nodelay(true);
            start(stream, tls, host, &config).await
        }
    }
}

/// The first address that takes the connection. Later failures are that server's answer: no other address is asked then.
async fn dial(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let addresses =
        within(CONNECT, tokio::net::lookup_host((host, port))).await?.map_err(Failure::Resolve)?;
    let mut last = None;
    for address in addresses {
        match within(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some(Failure::Connect(error)),
            Err(timeout) => last = Some(timeout),
        }
    }
    Err(last.unwrap_or_else(|| Failure::Resolve(io::Error::other("the name has no address"))))
}

async fn start<S>(
    stream: S,
    tls: &MakeRustlsConnect,
    host: &str,
    config: &tokio_postgres::Config,
) -> Result<Client, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut maker = tls.clone();
    let connect =
        MakeTlsConnect::<S>::make_tls_connect(&mut maker, host).unwrap_or_else(|never| match never {});
    let (client, connection) =
        within(REQUEST, config.connect_raw(stream, connect)).await?.map_err(Failure::from)?;
    tokio::spawn(async move {
        // A broken connection is told to whoever waits for an answer on it.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a PostgreSQL connection ended");
        }
    });
    Ok(client)
}

async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(limit, future).await.map_err(|_| Failure::Timeout(limit))
}

/// Our own connection: opened at the first need, opened anew when it broke.
pub(crate) struct Session {
    pub(crate) target: Target,
    pub(crate) tls: MakeRustlsConnect,
    password: Option<SecretValue>,
    client: Mutex<Option<Arc<Client>>>,
}

impl Session {
    pub(crate) fn new(target: Target, tls: MakeRustlsConnect, password: Option<SecretValue>) -> Self {
        Self { target, tls, password, client: Mutex::new(None) }
    }

    /// A connection that answered a moment ago. Nothing that changes the server was sent yet.
    ///
    /// # Errors
    /// `Unavailable`, `Unauthenticated`, `Config`, each with [`Effect::NotApplied`].
    pub(crate) async fn client(&self, operation: &'static str) -> Result<Arc<Client>> {
        let mut slot = self.client.lock().await;
        if let Some(client) = slot.as_ref().filter(|client| !client.is_closed()) {
            // The server may have gone without our noticing: ask before anything depends on it.
            if within(REQUEST, client.simple_query("")).await.is_ok_and(|answer| answer.is_ok()) {
                return Ok(Arc::clone(client));
            }
        }
        *slot = None;
        let login = Login {
            user: &self.target.user,
            password: self.password.as_ref().map(SecretValue::expose),
            database: self.target.database.as_deref(),
        };
        let fail =
            |failure: Failure| failure.into_error(operation, &self.target).with_effect(Effect::NotApplied);
        let client = open(&self.target, &self.tls, &login).await.map_err(fail)?;
        within(REQUEST, client.batch_execute(SETTINGS))
            .await
            .map_err(fail)?
            .map_err(|error| fail(error.into()))?;
        let client = Arc::new(client);
        *slot = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Forgets the connection: something is still going on in it, or it broke.
    pub(crate) async fn drop_client(&self) {
        *self.client.lock().await = None;
    }

    /// Asks a question that changes nothing. Unnamed statements only: poolers cannot keep named ones.
    ///
    /// # Errors
    /// As [`Failure::into_error`], with [`Effect::NotApplied`].
    pub(crate) async fn query(
        &self,
        client: &Client,
        operation: &'static str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>> {
        let fail = |failure: Failure| -> Error {
            failure.into_error(operation, &self.target).with_effect(Effect::NotApplied)
        };
        within(REQUEST, client.query_typed(sql, parameters))
            .await
            .map_err(fail)?
            .map_err(|error| fail(error.into()))
    }

    /// Carries out one statement that changes the server, in one message, committed when it answers.
    ///
    /// # Errors
    /// As [`Failure::into_error`]; the effect is `NotApplied` only where the server said that the statement failed.
    pub(crate) async fn change(
        &self,
        client: &Client,
        operation: &'static str,
        sql: &str,
        deadline: Duration,
    ) -> Result<()> {
        let failure = match within(deadline.min(REQUEST), client.batch_execute(sql)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Failure::from(error),
            Err(timeout) => timeout,
        };
        let effect = failure.effect_of_statement();
        if effect == Effect::Unknown {
            self.drop_client().await;
        }
        Err(failure.into_error(operation, &self.target).with_effect(effect))
    }
}
