//! Is the database there at all? A server that hangs answers nothing, not even with an error, so whoever waits for it would wait for ever.
//!
//! A time limit on each call would not tell a hung server from one that has much to do. So a call that is silent for long has the server asked over a
//! connection of its own: one that answers there is left to its work, one that does not counts as not available, and the call is given up.

use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{Error, Result};

/// How long a call may be silent before the server is asked.
const SILENCE: Duration = Duration::from_secs(1);
/// How long that answer may take. With the silence before it: what hangs is known after less than five seconds.
pub(crate) const ANSWER: Duration = Duration::from_millis(2500);

/// For so long nobody asks again after there was no answer: who comes meanwhile is told so at once.
const GONE: Duration = Duration::from_secs(2);

/// How a server is asked.
pub(crate) struct Pulse {
    options: PgConnectOptions,
    /// When the newest question ended, and whether there was an answer. Those who wait for the lock take that one.
    newest: Mutex<Option<(Instant, bool)>>,
}

impl Pulse {
    pub(crate) fn new(options: PgConnectOptions) -> Self {
        Self { options, newest: Mutex::new(None) }
    }

    /// How the server is connected to.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// The result of `call`, or [`Error::Unavailable`] if the server does not answer any more. Whether what was given up has happened is not known.
    pub(crate) async fn watch<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        if self.is_gone() {
            return Err(silent());
        }
        let mut call = std::pin::pin!(call);
        loop {
            if let Ok(result) = timeout(SILENCE, &mut call).await {
                return result;
            }
            tokio::select! {
                biased;
                result = &mut call => return result,
                there = self.beats() => if !there {
                    return Err(silent());
                }
            }
        }
    }

    /// Did it give no answer a moment ago? Not asked of those who are asking.
    fn is_gone(&self) -> bool {
        match self.newest.try_lock() {
            Ok(newest) => newest.is_some_and(|(at, there)| !there && at.elapsed() < GONE),
            Err(_) => false,
        }
    }

    async fn beats(&self) -> bool {
        let asked = Instant::now();
        let mut newest = self.newest.lock().await;
        if let Some((at, there)) = *newest
            && at >= asked
        {
            return there;
        }
        let there = match timeout(ANSWER, self.ask()).await {
            Ok(Ok(())) => true,
            // A refusal is an answer: it has too many connections, or is about to stop.
            Ok(Err(error)) => matches!(error, sqlx::Error::Database(_)),
            Err(_) => false,
        };
        *newest = Some((Instant::now(), there));
        there
    }

    async fn ask(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.options.connect().await?;
        connection.ping().await?;
        connection.close().await
    }
}

fn silent() -> Error {
    Error::Unavailable("it does not answer".to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn nobody() -> (TcpListener, Pulse) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        (listener, Pulse::new(PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port)))
    }

    #[tokio::test]
    async fn a_call_to_a_server_that_says_nothing_is_given_up_within_five_seconds() {
        // Who connects is taken by the kernel, and never hears anything.
        let (_listener, pulse) = nobody().await;
        let begun = Instant::now();
        let call = || pulse.watch(std::future::pending::<Result<()>>());
        let (one, two, three) = tokio::join!(call(), call(), call());
        for result in [one, two, three] {
            assert!(matches!(result, Err(Error::Unavailable(_))));
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        // Whoever comes next does not wait for as long again.
        let next = Instant::now();
        assert!(call().await.is_err() && next.elapsed() < Duration::from_millis(500), "{:?}", next.elapsed());
    }

    #[tokio::test]
    async fn a_call_that_ends_meanwhile_has_its_result() {
        let (_listener, pulse) = nobody().await;
        let late = async {
            tokio::time::sleep(SILENCE + Duration::from_millis(500)).await;
            Ok(7)
        };
        assert_eq!(pulse.watch(late).await.expect("its result"), 7);
    }
}
