//! Free loopback ports. They lie below the range from which the kernel takes the ports of outgoing connections, else a
//! client of one server may sit on the port that the next one was promised.

use std::net::TcpListener;

use anyhow::{Context as _, Result};

const FIRST: u16 = 15_000;
const LAST: u16 = 32_000;

/// A port that was free a moment ago. Somebody may take it before the server does: start again then.
///
/// # Errors
/// When a thousand ports in a row are taken, or there is no randomness.
pub fn free() -> Result<u16> {
    run_of(1)
}

/// The first of `length` free ports in a row: some servers take the next one too, unasked.
///
/// # Errors
/// As [`free`].
pub fn run_of(length: u16) -> Result<u16> {
    for _ in 0..1000 {
        let random = getrandom::u32().context("a random port")?;
        let port = FIRST + u16::try_from(random % u32::from(LAST - FIRST - length)).context("a port")?;
        if (port..port + length).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(port);
        }
    }
    anyhow::bail!("no free port on 127.0.0.1 between {FIRST} and {LAST}")
}
