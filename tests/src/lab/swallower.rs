//! A proxy that falls silent: it takes connections and bytes, and gives nothing back. What was silent once stays so, as after a change of routes; connections
//! that are made later work again once it is told to.
//!
//! It knows no protocol, so it stands before any server.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

const NEVER: u64 = u64::MAX;

struct State {
    /// Pieces that came from clients.
    pieces: AtomicU64,
    /// It falls silent when so many have come.
    limit: AtomicU64,
    silent: AtomicBool,
    since: watch::Sender<Option<Instant>>,
}

impl State {
    fn fall_silent(&self) {
        if !self.silent.swap(true, Ordering::SeqCst) {
            self.since.send_replace(Some(Instant::now()));
        }
    }
}

/// A running proxy in front of one server.
pub struct Swallower {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Swallower {
    /// Starts one in front of `upstream` (`127.0.0.1:PORT`). It lets everything through.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(upstream: &str) -> Result<Self> {
        let upstream: SocketAddr = upstream.parse().context("an address")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            pieces: AtomicU64::new(0),
            limit: AtomicU64::new(NEVER),
            silent: AtomicBool::new(false),
            since: watch::Sender::new(None),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(upstream).await {
                        let _ = relay(client, server, &state).await;
                    }
                });
            }
        });
        Ok(Self { address, state, task })
    }

    /// Its port, to be used instead of the server's own.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Falls silent now.
    pub fn fall_silent(&self) {
        self.state.fall_silent();
    }

    /// Falls silent when so many pieces have come from clients, counted from now.
    pub fn fall_silent_after(&self, pieces: u64) {
        self.state.pieces.store(0, Ordering::SeqCst);
        self.state.limit.store(pieces, Ordering::SeqCst);
    }

    /// Pieces that came from clients since the count began.
    pub fn pieces(&self) -> u64 {
        self.state.pieces.load(Ordering::SeqCst)
    }

    /// Since when it has been silent.
    pub fn since(&self) -> Option<Instant> {
        *self.state.since.borrow()
    }

    /// Lets new connections through. Those that were open say nothing for ever.
    pub fn recover(&self) {
        self.state.limit.store(NEVER, Ordering::SeqCst);
        self.state.silent.store(false, Ordering::SeqCst);
        self.state.since.send_replace(None);
    }
}

impl Drop for Swallower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, state: &State) -> Result<()> {
    let (mut request, mut answer) = (vec![0_u8; 64 << 10], vec![0_u8; 64 << 10]);
    let (mut dead, mut silent) = (state.silent.load(Ordering::SeqCst), state.since.subscribe());
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                if !dead && state.pieces.fetch_add(1, Ordering::SeqCst) >= state.limit.load(Ordering::SeqCst) {
                    state.fall_silent();
                }
                dead |= state.silent.load(Ordering::SeqCst);
                if !dead {
                    server.write_all(&request[..read]).await?;
                }
            }
            read = server.read(&mut answer), if !dead => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                dead |= state.silent.load(Ordering::SeqCst);
                if !dead {
                    client.write_all(&answer[..read]).await?;
                }
            }
            changed = silent.changed() => {
                changed?;
                dead |= silent.borrow_and_update().is_some();
            }
        }
    }
}
