//! A proxy that cuts the n-th answer: the request arrives and takes effect, and nobody is told.
//!
//! It knows no protocol, so it stands before any server, TLS and PostgreSQL's own protocol included. An *exchange* begins when a client that was
//! answered before (or is new) sends bytes. When the server answers the exchange that is to be cut, the answer is dropped and both ends
//! are closed.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const NEVER: u64 = u64::MAX;

struct State {
    exchanges: AtomicU64,
    cut: AtomicU64,
    fired: AtomicBool,
}

/// A running proxy in front of one server.
pub struct Cutter {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Cutter {
    /// Starts one in front of `upstream` (`127.0.0.1:PORT`).
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(upstream: &str) -> Result<Self> {
        let upstream: SocketAddr = upstream.parse().context("an address")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            exchanges: AtomicU64::new(0),
            cut: AtomicU64::new(NEVER),
            fired: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(upstream).await {
                        // Whatever ends a connection, both of its ends are closed by dropping them.
                        let _ = relay(client, server, &state).await;
                    }
                });
            }
        });
        Ok(Self { address, state, task })
    }

    /// `127.0.0.1:PORT`, to be used instead of the server's own.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Counts from 0 again and cuts the answer of this exchange; `None` cuts none.
    pub fn cut(&self, exchange: Option<u64>) {
        self.state.exchanges.store(0, Ordering::SeqCst);
        self.state.fired.store(false, Ordering::SeqCst);
        self.state.cut.store(exchange.unwrap_or(NEVER), Ordering::SeqCst);
    }

    /// Exchanges since [`Cutter::cut`].
    pub fn exchanges(&self) -> u64 {
        self.state.exchanges.load(Ordering::SeqCst)
    }

    /// Was an answer cut?
    pub fn fired(&self) -> bool {
        self.state.fired.load(Ordering::SeqCst)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, state: &State) -> Result<()> {
    let (mut request, mut answer) = (vec![0_u8; 64 << 10], vec![0_u8; 64 << 10]);
    let mut exchange = None;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                exchange.get_or_insert_with(|| state.exchanges.fetch_add(1, Ordering::SeqCst));
                server.write_all(&request[..read]).await?;
            }
            read = server.read(&mut answer) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                // What the server says of itself belongs to the exchange before.
                if exchange.take().is_some_and(|index| index == state.cut.load(Ordering::SeqCst)) {
                    state.fired.store(true, Ordering::SeqCst);
                    return Ok(());
                }
                client.write_all(&answer[..read]).await?;
            }
        }
    }
}
