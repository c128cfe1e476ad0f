//! What the machine gives at best: the hash in a bare loop, an axum route that does nothing, and
//! the same row read by one statement.
//!
//! The route and the row are measured in a process of their own, as the server is: this program,
//! started again. Such a process ends when its standard input does, so it cannot outlive us.

use std::{
    hint::black_box,
    io::{self, Read as _},
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use axum::{Router, routing, serve::ListenerExt as _};
use chrono::{DateTime, Utc};
use rustix::process::nice;
use sqlx::PgPool;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::{Child, ChildStdin, ChildStdout, Command},
    task::{JoinSet, spawn_blocking},
};
use user_management::{infra::password_hasher::HashCost, repository::pool};
use uuid::Uuid;

use crate::{
    client::Samples,
    process::{self, Process, Usage},
    report::Measured,
    server,
};

/// What runs before a measurement and does not count: caches fill, connections are made.
pub const WARM_UP: Duration = Duration::from_secs(1);

/// The server's hash.
fn argon2() -> Result<Argon2<'static>> {
    let HashCost {
        memory,
        iterations,
        parallelism,
    } = HashCost::RECOMMENDED;
    let params = Params::new(memory, iterations, parallelism, None);
    let params = params.map_err(|error| anyhow!("{error}"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Hashes on as many threads as there are cores, for `duration`.
pub fn hash_loop(duration: Duration) -> Result<Measured> {
    let threads = thread::available_parallelism()?.get();
    let started = Instant::now();
    let usage = Usage::begin(Process::own(), None)?;
    let latencies: Result<Vec<_>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| hash_until(started + duration)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow!("a hashing thread panicked"))?
            })
            .collect()
    });
    let elapsed = started.elapsed();
    let latencies = latencies?.concat();
    usage.end(threads, Samples { latencies, elapsed })
}

fn hash_until(end: Instant) -> Result<Vec<Duration>> {
    // As low as the server's, so that other work on the machine slows both alike.
    nice(5)?;
    let argon2 = argon2()?;
    let mut memory = vec![Block::default(); argon2.params().block_count()];
    let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let started = Instant::now();
        argon2
            .hash_password_into_with_memory(
                b"a password",
                b"sixteen bytes xx",
                &mut out,
                &mut memory,
            )
            .map_err(|error| anyhow!("{error}"))?;
        latencies.push(started.elapsed());
    }
    Ok(latencies)
}

/// This program as another process. Dropped, it is stopped.
pub struct Helper {
    child: Child,
    output: BufReader<ChildStdout>,
    _lifeline: ChildStdin,
}

impl Helper {
    /// Starts this program as what `arguments` say.
    fn start<const N: usize>(arguments: [&str; N]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("standard output")?;
        let lifeline = child.stdin.take().context("standard input")?;
        Ok(Self {
            child,
            output: BufReader::new(output),
            _lifeline: lifeline,
        })
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).await?;
        ensure!(!line.is_empty(), "a process of the benchmark failed");
        Ok(line)
    }

    /// The process.
    pub fn process(&self) -> Result<Process> {
        self.child.id().map(Process).context("it has ended")
    }
}

/// Starts [`serve_empty_route`] in a process of its own.
pub async fn empty_route() -> Result<(Helper, SocketAddr)> {
    let mut helper = Helper::start(["empty-route"])?;
    let address = helper.line().await?.trim().parse()?;
    Ok((helper, address))
}

/// Runs [`read_rows`] in a process of its own.
pub async fn rows(directory: &Path, connections: usize, duration: Duration) -> Result<Measured> {
    let directory = directory
        .to_str()
        .context("the directory's name is not text")?;
    let seconds = duration.as_secs().to_string();
    let mut helper = Helper::start(["rows", directory, &connections.to_string(), &seconds])?;
    Ok(serde_json::from_str(&helper.line().await?)?)
}

/// Serves `GET /` with an empty answer until standard input ends. Prints the address.
pub async fn serve_empty_route() -> Result<()> {
    let listener = TcpListener::bind(server::ANY_PORT).await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("cannot set TCP_NODELAY: {error}");
        }
    });
    let router = Router::new().route("/", routing::get(async || {}));
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served?,
        ended = spawn_blocking(|| io::stdin().read(&mut [0])) => drop(ended??),
    }
    Ok(())
}

/// The row as the server needs it for `GET /users/{id}`.
#[derive(sqlx::FromRow)]
#[expect(dead_code, reason = "what counts is that it is read and decoded")]
struct Row {
    id: Uuid,
    nickname: String,
    email: String,
    email_verified_at: Option<DateTime<Utc>>,
    first_name: Option<String>,
    last_name: Option<String>,
    bio: Option<String>,
    profile_picture_url: Option<String>,
    linkedin_profile_url: Option<String>,
    github_profile_url: Option<String>,
    role: String,
    is_professional: bool,
    professional_status_updated_at: Option<DateTime<Utc>>,
    locked_at: Option<DateTime<Utc>>,
    last_login_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Reads random rows in `tasks` closed loops through a pool like the server's. Prints what was
/// measured as JSON.
pub async fn read_rows(directory: &Path, tasks: usize, duration: Duration) -> Result<()> {
    let options = server::database(directory)?;
    let postgres = process::postgres(&options).await?;
    let pool = pool::connect(options, 16);
    let ids: Vec<Uuid> = sqlx::query_scalar("select id from users")
        .fetch_all(&pool)
        .await?;
    let ids: Arc<[Uuid]> = ids.into();
    read_for(&pool, &ids, tasks, WARM_UP).await?;
    let usage = Usage::begin(Process::own(), Some(postgres))?;
    let samples = read_for(&pool, &ids, tasks, duration).await?;
    let measured = usage.end(tasks, samples)?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

async fn read_for(
    pool: &PgPool,
    ids: &Arc<[Uuid]>,
    tasks: usize,
    duration: Duration,
) -> Result<Samples> {
    let started = Instant::now();
    let end = started + duration;
    let tasks: JoinSet<_> = (0..tasks)
        .map(|_| read_until(pool.clone(), Arc::clone(ids), end))
        .collect();
    let latencies: Result<Vec<_>, _> = tasks.join_all().await.into_iter().collect();
    Ok(Samples {
        latencies: latencies?.concat(),
        elapsed: started.elapsed(),
    })
}

async fn read_until(
    pool: PgPool,
    ids: Arc<[Uuid]>,
    end: Instant,
) -> Result<Vec<Duration>, sqlx::Error> {
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let id = ids[rand::random_range(..ids.len())];
        let started = Instant::now();
        let row: Row = sqlx::query_as(
            "select id, nickname, email, email_verified_at, first_name, last_name, bio,
                 profile_picture_url, linkedin_profile_url, github_profile_url, role,
                 is_professional, professional_status_updated_at, locked_at, last_login_at,
                 created_at, updated_at
             from users where id = $1",
        )
        .bind(id)
        .fetch_one(&pool)
        .await?;
        black_box(row);
        latencies.push(started.elapsed());
    }
    Ok(latencies)
}
