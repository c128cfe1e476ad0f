//! The figures of the service, measured: `make bench`.
//!
//! It starts the release server on its own embedded PostgreSQL with 100,000 users in a throw-away
//! directory, drives it over loopback, and prints one table: what each work costs, the limits of
//! the machine in the same run, and which figures are promised. It is no test: a figure that is
//! missed is printed as MISSED, and only a failed request or server fails the run.
//!
//! ```text
//! cargo bench                      # everything, some ten minutes
//! cargo bench -- --quick           # the same, shorter and noisier
//! cargo bench -- read list         # only these works
//! ```
//!
//! # Where to look
//!
//! `work`, `sessions`, `search`, `export`, `import` and `audit` have the works, `bench` what they share, `limits` what they are
//! compared with, `client`
//! makes the load, `server` and `seed` make what is measured, `process` reads CPU time and memory, `report` is the table.
//!
//! It needs Linux, for `/proc`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the command line: the table is its output, and progress goes beside it"
)]

mod audit;
mod bench;
mod client;
mod export;
mod import;
mod limits;
mod population;
mod process;
mod report;
mod search;
mod seed;
mod server;
mod sessions;
mod work;

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand, ValueEnum, builder::PossibleValue};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use self::{
    bench::{Bench, Times},
    server::Server,
};

/// Below the table.
const EXPLANATION: &str = "\
CPU ms/req: CPU time of the measured process (all threads, user and system) for each request.
PG ms/req: the same of PostgreSQL. peak: its largest resident memory during the row.
Client, server and PostgreSQL share the cores, so requests/s and latencies are what they leave each
other; the CPU times are what a request costs. Each connection is a closed loop. The limits run in
turns with what they are compared with; theirs is the CPU time of their own process.
PostgreSQL is as the server starts it, with fsync.";

/// Measures the service.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Shorter measurements: for development.
    #[arg(long)]
    quick: bool,
    /// Only these works.
    works: Vec<Work>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program is when it starts itself.
#[derive(Subcommand)]
enum Role {
    /// Serves an empty route.
    #[command(hide = true)]
    EmptyRoute,
    /// Reads rows from the server's database.
    #[command(hide = true)]
    Rows {
        directory: PathBuf,
        tasks: usize,
        seconds: u64,
    },
}

/// What can be measured, in this order.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Work {
    /// Start on existing data.
    Ready,
    /// No requests.
    Idle,
    /// `GET /users/{id}`.
    Read,
    /// `GET /users/`.
    List,
    /// `GET /me`.
    Me,
    /// Refresh tokens.
    Refresh,
    /// `GET /users/{id}` while logins saturate the machine.
    Mixed,
    /// `POST /login/`.
    Login,
    /// `POST /register/`.
    Register,
    /// `GET /me` by many sessions.
    Sessions,
    /// Rows of the audit log, and its verification.
    Audit,
    /// Memory some time after the load.
    AfterLoad,
    /// Searches of a million users, their export, and an import.
    Search,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let Some(role) = arguments.role else {
        // The client needs little, and one thread wakes nobody up.
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        return runtime.block_on(unless_interrupted(run(&arguments.works, arguments.quick)));
    };
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match role {
            Role::EmptyRoute => limits::serve_empty_route().await,
            Role::Rows {
                directory,
                tasks,
                seconds,
            } => limits::read_rows(&directory, tasks, Duration::from_secs(seconds)).await,
        }
    })
}

/// Drops `work` on ^C and SIGTERM, which stops the server and removes its directory.
async fn unless_interrupted(work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = work => done,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn run(works: &[Work], quick: bool) -> Result<()> {
    let times = Times::new(quick);
    let machine = process::machine()?;
    // PostgreSQL's own user has to pass through; and not in /tmp, which may be in memory only.
    let directory = tempfile::Builder::new()
        .prefix("user-management-figures-")
        .permissions(Permissions::from_mode(0o711))
        .tempdir_in("/var/tmp")?;

    println!("{machine}\n");
    let is_wanted = |work: &Work| works.is_empty() || works.contains(work);
    let (search, others): (Vec<Work>, Vec<Work>) = Work::value_variants()
        .iter()
        .filter(|work| is_wanted(work))
        .partition(|work| **work == Work::Search);
    if !others.is_empty() {
        run_others(&subdirectory(directory.path(), "others")?, times, &others).await?;
    }
    if !search.is_empty() {
        eprintln!("measuring search");
        let report = search::run(&subdirectory(directory.path(), "search")?, times).await?;
        println!("{report}");
    }
    println!("{EXPLANATION}");
    directory
        .close()
        .context("cannot remove the benchmark's directory")
}

/// A directory that PostgreSQL's own user passes through.
fn subdirectory(directory: &Path, name: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    std::fs::create_dir(&path)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o711))?;
    Ok(path)
}

async fn run_others(directory: &Path, times: Times, works: &[Work]) -> Result<()> {
    eprintln!("starting the server and making {} users", seed::USERS);
    let server = Server::start(directory, server::ANY_PORT).await?;
    let database = server::database(directory)?;
    let ids = seed::seed(&database).await?;
    let mut connection = PgConnection::connect_with(&database).await?;
    let version: String = sqlx::query_scalar("show server_version")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;

    let mut bench = Bench::new(directory, times, server, ids).await?;
    let measured = measure(&mut bench, works).await;
    println!("PostgreSQL {version}, {} users\n", seed::USERS);
    // What was measured before something failed is worth seeing too.
    println!("{}", bench.report);
    measured?;
    bench.server.stop()
}

async fn measure(bench: &mut Bench<'_>, works: &[Work]) -> Result<()> {
    for work in works {
        let value = work.to_possible_value();
        let name = value.as_ref().map_or("", PossibleValue::get_name);
        eprintln!("measuring {name}");
        match work {
            Work::Ready => bench.ready().await,
            Work::Idle => bench.idle().await,
            Work::Read => bench.read().await,
            Work::List => bench.list().await,
            Work::Me => bench.me().await,
            Work::Refresh => bench.refresh().await,
            Work::Mixed => bench.read_beside_logins().await,
            Work::Login => bench.login().await,
            Work::Register => bench.register().await,
            Work::Sessions => bench.sessions().await,
            Work::Audit => bench.audit().await,
            Work::AfterLoad => bench.after_load().await,
            // On a server of its own.
            Work::Search => Ok(()),
        }
        .with_context(|| format!("cannot measure {name}"))?;
    }
    Ok(())
}
