//! The server under load, and how a load on it is measured.

use std::{
    cell::Cell,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::{task::spawn_blocking, time::sleep};
use uuid::Uuid;

use crate::{
    client::{Answer, Clients, Connection, Load, get, post},
    limits::{self, WARM_UP},
    process::{self, Process, Usage},
    report::{Measured, Report},
    seed,
    server::{self, Server},
};

const FORM: &str = "application/x-www-form-urlencoded";

/// How long things are watched.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// One measurement.
    pub measurement: Duration,
    /// One of the short measurements that take turns with those of a limit.
    pub turn: Duration,
    /// How many turns.
    pub turns: usize,
    /// The server without requests.
    pub idle: Duration,
    /// From the last load to the reading of memory.
    pub after_load: Duration,
    /// How many starts.
    pub starts: usize,
}

impl Times {
    /// Enough for figures, or only enough to see that all works.
    pub fn new(quick: bool) -> Self {
        let seconds = |full, quick_one| Duration::from_secs(if quick { quick_one } else { full });
        Self {
            measurement: seconds(10, 2),
            turn: seconds(2, 2),
            turns: if quick { 1 } else { 10 },
            idle: seconds(20, 10),
            after_load: seconds(60, 5),
            starts: if quick { 3 } else { 5 },
        }
    }
}

/// The server under load, and what the load needs to know.
pub struct Bench<'a> {
    /// Of the server's data.
    pub directory: &'a Path,
    /// How long to measure.
    pub times: Times,
    /// The server.
    pub server: Server,
    /// What was found.
    pub report: Report,
    /// The administrator's access token.
    pub token: String,
    postgres: Process,
    /// The users.
    pub ids: Vec<Uuid>,
    next: Cell<usize>,
}

impl<'a> Bench<'a> {
    /// Takes the server, with its users seeded, and starts it anew.
    pub async fn new(
        directory: &'a Path,
        times: Times,
        server: Server,
        ids: Vec<Uuid>,
    ) -> Result<Self> {
        let mut bench = Self {
            directory,
            times,
            postgres: server.process(),
            server,
            ids,
            token: String::new(),
            next: Cell::new(0),
            report: Report::default(),
        };
        bench.restart().await?;
        Ok(bench)
    }

    /// Stops the server and starts it on its data; how long the start took.
    pub async fn restart(&mut self) -> Result<Duration> {
        let address = self.server.address;
        self.server.stop()?;
        self.server = Server::start(self.directory, address).await?;
        self.postgres = process::postgres(&server::database(self.directory)?).await?;
        Ok(self.server.started_in)
    }

    /// Logs the administrator in.
    pub async fn log_in(&mut self) -> Result<()> {
        let answer = self
            .once(&login_request(server::ADMIN, server::ADMIN_PASSWORD), 200)
            .await?;
        let token = answer["access_token"].as_str().context("no access token")?;
        self.token = token.to_owned();
        // What is measured later is what we think it is.
        let id = self.ids[0].to_string();
        let user = self
            .once(&get(&format!("/users/{id}"), Some(&self.token)), 200)
            .await?;
        ensure!(user["id"] == id, "not the user {id}: {user}");
        Ok(())
    }

    /// Sends one request and reads its answer as JSON.
    pub async fn once(&self, request: &[u8], expected: u16) -> Result<Value> {
        let mut connection = Connection::open(self.server.address).await?;
        let Answer { status, body } = connection.exchange(request).await?;
        let text = String::from_utf8_lossy(body);
        ensure!(
            status == expected,
            "a request was answered with {status}: {text}"
        );
        serde_json::from_slice(body).with_context(|| format!("not JSON: {text}"))
    }

    /// Runs `load` on another server, of one process, when ours has nothing to do.
    pub async fn measure_other(
        &self,
        process: Process,
        address: SocketAddr,
        load: &Load<'_>,
    ) -> Result<Measured> {
        self.settle().await?;
        self.drive(process, None, address, load, self.times.measurement)
            .await
    }

    /// Runs `load` on the server when it has nothing else to do.
    pub async fn measure(&self, load: &Load<'_>) -> Result<Measured> {
        self.measure_for(load, self.times.measurement).await
    }

    /// Runs `load` until what it reads is in memory, or most of it.
    pub async fn warm_up(&self, load: &Load<'_>) -> Result<()> {
        const DURATION: Duration = Duration::from_secs(3);
        self.measure_for(load, DURATION).await?;
        Ok(())
    }

    async fn measure_for(&self, load: &Load<'_>, duration: Duration) -> Result<Measured> {
        self.settle().await?;
        let (process, address) = (self.server.process(), self.server.address);
        self.drive(process, Some(self.postgres), address, load, duration)
            .await
    }

    async fn drive(
        &self,
        process: Process,
        postgres: Option<Process>,
        address: SocketAddr,
        load: &Load<'_>,
        duration: Duration,
    ) -> Result<Measured> {
        let mut clients = Clients::connect(address, load.connections).await?;
        clients.drive(load, WARM_UP).await?;
        let usage = Usage::begin(process, postgres)?;
        let samples = clients.drive(load, duration).await?;
        usage.end(load.connections, samples)
    }

    /// Runs `load` and the bare hash in turns, since the speed of a machine changes from moment to
    /// moment; the second answer is the hash.
    pub async fn measure_in_turns(&self, load: &Load<'_>) -> Result<(Measured, Measured)> {
        let mut works = Vec::new();
        let mut hashes = vec![self.hash().await?];
        for _ in 0..self.times.turns {
            works.push(self.measure_for(load, self.times.turn).await?);
            hashes.push(self.hash().await?);
        }
        Ok((Measured::mean(&works), Measured::mean(&hashes)))
    }

    async fn hash(&self) -> Result<Measured> {
        self.settle().await?;
        let duration = self.times.turn;
        spawn_blocking(move || limits::hash_loop(duration)).await?
    }

    /// Waits until the server and its database have done what earlier loads left for them, such as
    /// mail and vacuum.
    pub async fn settle(&self) -> Result<()> {
        const LIMIT: Duration = Duration::from_secs(60);
        const WINDOW: Duration = Duration::from_millis(250);
        let spent = || -> Result<Duration> {
            Ok(self.server.process().cpu()? + self.postgres.cpu_with_children()?)
        };
        let began = Instant::now();
        while began.elapsed() < LIMIT {
            let before = spent()?;
            sleep(WINDOW).await;
            if spent()?.saturating_sub(before) <= WINDOW / 10 {
                return Ok(());
            }
        }
        bail!("the server or its database is still busy a minute after a load")
    }

    /// A read of any of the users, by the administrator.
    pub fn read_request(&self) -> Vec<u8> {
        let id = self.ids[rand::random_range(..self.ids.len())];
        get(&format!("/users/{id}"), Some(&self.token))
    }

    /// A login of the next user.
    pub fn login_request(&self) -> Vec<u8> {
        login_request(
            &seed::email(self.next_number() % seed::USERS),
            seed::PASSWORD,
        )
    }

    /// A number that was not there before.
    pub fn next_number(&self) -> usize {
        self.next.replace(self.next.get() + 1)
    }
}

fn login_request(email: &str, password: &str) -> Vec<u8> {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("username", email)
        .append_pair("password", password)
        .finish();
    post("/login/", FORM, &form)
}
