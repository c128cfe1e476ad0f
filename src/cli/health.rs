//! `user-management health`: what a container's HEALTHCHECK calls.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use super::{exit::Away, output::Format};
use crate::config::Config;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_millis(2500);

/// How to tell it.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Options {
    #[command(flatten)]
    format: Format,
}

/// What the server answered, as programs read it.
#[derive(Serialize)]
struct Health {
    address: SocketAddr,
    is_ready: bool,
    /// Why it isn't.
    problem: Option<String>,
}

pub(super) fn run(options: Options, config: &Config) -> anyhow::Result<()> {
    let address = address(config);
    let asked = ask(address);
    let health = Health {
        address,
        is_ready: asked.is_ok(),
        problem: asked.err().map(|error| format!("{error:#}")),
    };
    if health.is_ready || options.format.is_json() {
        options
            .format
            .print(&health, |_| format!("the server at {address} is ready\n"))?;
    }
    match health.problem {
        None => Ok(()),
        Some(problem) => Err(Away(problem).into()),
    }
}

/// Where the server listens, as it is reached from this machine.
fn address(config: &Config) -> SocketAddr {
    let mut address: SocketAddr = config.server.bind_address;
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            address.set_ip(Ipv4Addr::LOCALHOST.into())
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(Ipv6Addr::LOCALHOST.into())
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => {}
    }
    address
}

/// Asks the server whether it is ready.
fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("nobody listens on {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // Written at once: whoever answers early may have closed before a second piece.
    let request =
        format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut status = [0; "HTTP/1.1 200".len()];
    stream
        .read_exact(&mut status)
        .context("the server gives no answer")?;
    match status.strip_prefix(b"HTTP/1.1 ") {
        Some(b"200") => Ok(()),
        Some(status) => bail!(
            "not ready: the server answers {}",
            String::from_utf8_lossy(status)
        ),
        None => bail!("not an HTTP server: {address}"),
    }
}
