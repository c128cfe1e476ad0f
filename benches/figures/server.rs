//! The server that is measured: the release binary as users run it in development, with its own
//! embedded PostgreSQL, in a directory that is thrown away.

use std::{
    fs::{self, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use tokio::time::sleep;

use crate::{
    client::{Connection, get},
    process::Process,
};

/// The administrator's address.
pub const ADMIN: &str = "admin@example.com";
/// The administrator's password.
pub const ADMIN_PASSWORD: &str = "only-for-the-benchmark";

/// Nobody listens on it: the system chooses.
pub const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

const READY_LIMIT: Duration = Duration::from_secs(60);
const READY_PAUSE: Duration = Duration::from_millis(5);
const STOP_LIMIT: Duration = Duration::from_secs(45);
const STOP_PAUSE: Duration = Duration::from_millis(10);

const PROGRAM: &str = env!("CARGO_BIN_EXE_user-management");

/// The program, on the data in `directory`.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        // No setting of whoever runs this, neither by the environment nor by an `.env` file.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .current_dir(directory)
        .env("NO_COLOR", "1")
        .env("ENVIRONMENT", "development")
        .env("DATA_DIR", directory.join("data"));
    command
}

/// A running server. Dropped, it is stopped.
pub struct Server {
    child: Child,
    log: PathBuf,
    /// Where the API is served.
    pub address: SocketAddr,
    /// From the start of the program until it said that it is ready.
    pub started_in: Duration,
}

impl Server {
    /// Starts the server on the data in `directory`, if there is any, and waits until it is ready.
    pub async fn start(directory: &Path, address: SocketAddr) -> Result<Self> {
        let log = directory.join("server.log");
        let output = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&log)?;
        let mut command = command(directory);
        command
            .arg("serve")
            .env("BIND_ADDRESS", address.to_string())
            .env("OPERATIONS_ADDRESS", ANY_PORT.to_string())
            .env("RATE_LIMITS", "off")
            .env("ADMIN_USER", ADMIN)
            .env("ADMIN_PASSWORD", ADMIN_PASSWORD)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let started = Instant::now();
        let child = command.spawn().with_context(|| PROGRAM)?;
        let mut server = Self {
            child,
            log,
            address,
            started_in: Duration::ZERO,
        };
        while !server.is_ready().await {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended ({status}); it said:\n{}", server.log());
            }
            let log = || server.log();
            ensure!(
                started.elapsed() < READY_LIMIT,
                "not ready; the server said:\n{}",
                log()
            );
            sleep(READY_PAUSE).await;
        }
        server.started_in = started.elapsed();
        Ok(server)
    }

    /// The process.
    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Stops the server and waits for its end.
    ///
    /// # Errors
    ///
    /// When it does not end, or ends with a failure.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.end()?;
        ensure!(
            status.success(),
            "the server ended with {status}; it said:\n{}",
            self.log()
        );
        Ok(())
    }

    /// Whether it says that it is ready. An error means that it is not there yet.
    async fn is_ready(&mut self) -> bool {
        if self.address.port() == 0 {
            match announced_address(&self.log()) {
                Some(address) => self.address = address,
                None => return false,
            }
        }
        let request = get("/health/ready", None);
        match Connection::open(self.address).await {
            Ok(mut connection) => connection
                .exchange(&request)
                .await
                .is_ok_and(|answer| answer.status == 200),
            Err(_) => false,
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string())
    }

    fn end(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(STOP_PAUSE);
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("cannot stop the server: {error:#}");
        }
    }
}

/// The address that the server tells in its log.
fn announced_address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':')))?;
    rest[..end].parse().ok()
}

/// How to reach the server's embedded database, found by its socket.
pub fn database(directory: &Path) -> Result<PgConnectOptions> {
    let socket = directory.join("data/postgres/socket");
    ensure!(
        socket.exists(),
        "the embedded database has no socket in {}",
        socket.display()
    );
    Ok(PgConnectOptions::new_without_pgpass()
        .socket(socket)
        .port(5432)
        .username("user_management")
        .database("user_management"))
}
