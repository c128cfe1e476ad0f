//! The works that are measured, each beside its limit.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::{time::sleep, try_join};

use crate::{
    bench::Bench,
    client::{Clients, Load, get, post},
    limits::{self, WARM_UP},
    report::{Figure, Measured, mebibytes, millis},
    seed, server,
};

const READ_CONNECTIONS: usize = 32;
const HASH_CONNECTIONS: usize = 16;

/// A backend of PostgreSQL that falls idle tells its last counts up to 10 s later.
pub const STATISTICS_LATE: Duration = Duration::from_secs(11);

const JSON: &str = "application/json";

/// With less of the cores free for the bare hash, others use the machine, and a throughput tells
/// nothing.
const LEAST_FREE: f64 = 0.9;

/// The first pages of the list, of ten users each, from which one is drawn.
const PAGES: usize = 100;

impl Bench<'_> {
    /// Stops the server and starts it on its data, several times.
    pub async fn ready(&mut self) -> Result<()> {
        let mut took = Vec::new();
        for _ in 0..self.times.starts {
            took.push(self.restart().await?);
        }
        took.sort_unstable();
        let median = took[took.len() / 2];
        self.report.add(
            "start on existing data until ready",
            None,
            &[Figure::at_most(millis(median), 500.0, "ms")],
        );
        Ok(())
    }

    /// Leaves the server alone and looks what it needs and does.
    pub async fn idle(&mut self) -> Result<()> {
        sleep(STATISTICS_LATE).await;
        // Seen from another database, our own statements don't count.
        let other = server::database(self.directory)?.database("postgres");
        let mut connection = PgConnection::connect_with(&other).await?;
        let process = self.server.process();
        let cpu = process.cpu()?;
        let before = transactions(&mut connection).await?;
        sleep(self.times.idle).await;
        let queries = transactions(&mut connection).await? - before;
        let cpu = process.cpu()?.saturating_sub(cpu);
        connection.close().await?;
        let memory = process.memory()?;
        let seconds = self.times.idle.as_secs_f64();
        self.report.add(
            "idle",
            None,
            &[
                Figure::at_most(mebibytes(memory.resident), 30.0, "MiB RSS"),
                Figure::information(mebibytes(memory.anonymous), "MiB of it not of files"),
                Figure::at_most(queries as f64 / seconds, 1.0, "queries/s"),
                Figure::information(millis(cpu) / seconds, "ms CPU/s"),
            ],
        );
        Ok(())
    }

    /// `GET /users/{id}` between two runs of the empty route, then the row alone.
    pub async fn read(&mut self) -> Result<()> {
        self.log_in().await?;
        let (helper, address) = limits::empty_route().await?;
        let route = helper.process()?;
        let empty = Load {
            connections: READ_CONNECTIONS,
            request: &|| get("/", None),
            expected: &[200],
        };
        let before = self.measure_other(route, address, &empty).await?;
        let load = Load {
            connections: READ_CONNECTIONS,
            request: &|| self.read_request(),
            expected: &[200],
        };
        let read = self.measure(&load).await?;
        let after = self.measure_other(route, address, &empty).await?;
        drop(helper);
        self.settle().await?;
        let row = limits::rows(self.directory, READ_CONNECTIONS, self.times.measurement).await?;
        let route = Measured::mean(&[before, after]);
        self.report
            .add("limit: an empty axum route", Some(&route), &[]);
        self.report
            .add("limit: the row by sqlx, without HTTP", Some(&row), &[]);
        self.report.add(
            "GET /users/{id}",
            Some(&read),
            &[
                Figure::at_most(read.cpu.context("CPU time")?, 0.25, "ms CPU"),
                Figure::ratio(&read, &route, "of the empty route's req/s").aim(50.0),
            ],
        );
        Ok(())
    }

    /// `GET /users/?limit=10`.
    pub async fn list(&mut self) -> Result<()> {
        self.log_in().await?;
        let request = || {
            let skip = 10 * rand::random_range(0..PAGES);
            get(&format!("/users/?skip={skip}&limit=10"), Some(&self.token))
        };
        let page = self.once(&request(), 200).await?;
        ensure!(
            page["items"]
                .as_array()
                .is_some_and(|items| items.len() == 10),
            "not a page of ten users: {page}"
        );
        let load = Load {
            connections: READ_CONNECTIONS,
            request: &request,
            expected: &[200],
        };
        let list = self.measure(&load).await?;
        self.report.add(
            "GET /users/?limit=10",
            Some(&list),
            &[Figure::at_most(
                list.cpu.context("CPU time")?,
                0.3,
                "ms CPU",
            )],
        );
        Ok(())
    }

    /// `POST /login/` in turns with the bare hash.
    pub async fn login(&mut self) -> Result<()> {
        let load = Load {
            connections: HASH_CONNECTIONS,
            request: &|| self.login_request(),
            expected: &[200],
        };
        let (login, hash) = self.measure_in_turns(&load).await?;
        self.add_beside_hash("POST /login/", &login, &hash, 90.0)
    }

    /// `POST /register/` in turns with the bare hash.
    pub async fn register(&mut self) -> Result<()> {
        let request = || {
            let email = format!("new-{}@example.com", self.next_number());
            let body = json!({"email": email, "password": seed::PASSWORD});
            post("/register/", JSON, &body.to_string())
        };
        let load = Load {
            connections: HASH_CONNECTIONS,
            request: &request,
            expected: &[200],
        };
        let (register, hash) = self.measure_in_turns(&load).await?;
        self.add_beside_hash("POST /register/", &register, &hash, 80.0)
    }

    /// Adds a work and the bare hash, of whose throughput it shall have `percent`.
    fn add_beside_hash(
        &mut self,
        work: &str,
        measured: &Measured,
        hash: &Measured,
        percent: f64,
    ) -> Result<()> {
        let hash_cpu = hash.cpu.context("CPU time")?;
        // The loop runs on every core, and takes whatever others leave of them.
        let free = hash_cpu * hash.per_second / 1000.0 / hash.connections as f64;
        let ratio = Figure::ratio(measured, hash, "of the bare loop");
        let ratio = if free < LEAST_FREE {
            ratio.at_least(percent).not_judged("the machine is busy")
        } else {
            ratio.at_least(percent)
        };
        // Unlike the throughput this tells the same when others use the machine.
        let spent =
            measured.cpu.context("CPU time")? + measured.postgres_cpu.context("CPU time")?;
        let share = 100.0 * hash_cpu / spent;
        self.report.add(
            "limit: the hash in a bare loop",
            Some(hash),
            &[Figure::information(
                100.0 * free,
                "% of the cores were free",
            )],
        );
        self.report.add(
            work,
            Some(measured),
            &[
                ratio,
                Figure::information(share, "% of CPU time is the hash"),
            ],
        );
        Ok(())
    }

    /// `GET /users/{id}` while logins want all the CPU that there is.
    pub async fn read_beside_logins(&mut self) -> Result<()> {
        self.log_in().await?;
        self.settle().await?;
        let storm = Load {
            connections: HASH_CONNECTIONS,
            request: &|| self.login_request(),
            // The server may refuse what it cannot serve.
            expected: &[200, 503],
        };
        let load = Load {
            connections: READ_CONNECTIONS,
            request: &|| self.read_request(),
            expected: &[200],
        };
        let mut clients = Clients::connect(self.server.address, HASH_CONNECTIONS).await?;
        let mut readers = Clients::connect(self.server.address, READ_CONNECTIONS).await?;
        let measurement = self.times.measurement;
        let (logins, reads) = try_join!(
            clients.drive(&storm, WARM_UP + measurement + WARM_UP),
            async {
                sleep(WARM_UP).await;
                readers.drive(&load, measurement).await
            }
        )?;
        let logins = Measured::new(HASH_CONNECTIONS, logins);
        let reads = Measured::new(READ_CONNECTIONS, reads);
        self.report.add(
            "GET /users/{id} beside logins",
            Some(&reads),
            &[Figure::at_most(reads.p99, 100.0, "ms p99")],
        );
        self.report.add("the logins beside it", Some(&logins), &[]);
        Ok(())
    }

    /// The memory some time after the last request.
    pub async fn after_load(&mut self) -> Result<()> {
        sleep(self.times.after_load).await;
        let memory = self.server.process().memory()?;
        self.report.add(
            &format!("{} s after the load", self.times.after_load.as_secs()),
            None,
            &[
                Figure::information(mebibytes(memory.resident), "MiB RSS"),
                Figure::information(mebibytes(memory.anonymous), "MiB of it not of files"),
            ],
        );
        Ok(())
    }
}

/// How many transactions ended in the server's database, ever.
pub async fn transactions(connection: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar(
        "select xact_commit + xact_rollback from pg_stat_database where datname = 'user_management'",
    );
    Ok(count.fetch_one(connection).await?)
}
