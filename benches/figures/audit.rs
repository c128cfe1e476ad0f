//! What the audit log costs: a row in a transaction, and a verification of a million rows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chrono::Utc;
use futures::future::try_join_all;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio_util::task::TaskTracker;
use user_management::{
    domain::{
        audit::{Action, ActorKind, Change, NewEntry, Outcome, Subject},
        id::{RequestId, UserId},
        profile::Bio,
        user::User,
    },
    infra::{
        clock::{Clock, SystemClock},
        random::{Random, SystemRandom},
        wake_up::WakeUp,
    },
    repository::{audit_log, pool, users},
    services::{
        Ctx,
        audit::{Audit, AuditLog},
        cursors::Cursors,
        platform::Platform,
        queue::Queue,
    },
};
use uuid::Uuid;

use crate::{
    bench::Bench,
    client::Samples,
    report::{Figure, Measured},
    server,
};

/// As many transactions at a time.
const CONNECTIONS: u32 = 16;
/// How many rows are verified, in steps that show how it grows.
const ROWS: [i64; 3] = [10_000, 100_000, 1_000_000];
/// Rows that one statement makes.
const BATCH: i64 = 50_000;

impl Bench<'_> {
    /// The same transaction with and without a row, in turns, and verifications.
    pub async fn audit(&mut self) -> Result<()> {
        let database = server::database(self.directory)?;
        let pool = pool::connect(database.clone(), CONNECTIONS);
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..self.times.turns {
            without.push(self.transactions(&pool, false).await?);
            with.push(self.transactions(&pool, true).await?);
        }
        let (without, with) = (Measured::mean(&without), Measured::mean(&with));
        // What all of the machine spends on one, since it does nothing else.
        let cost = |measured: &Measured| 1000.0 / measured.per_second;
        self.report
            .add("a change of a user, as a transaction", Some(&without), &[]);
        self.report.add(
            "the same with its row in the audit log",
            Some(&with),
            &[
                Figure::at_most(cost(&with) - cost(&without), 0.3, "ms more a transaction"),
                Figure::information(with.p50 - without.p50, "ms more latency (median)"),
            ],
        );
        let log = log(pool.clone());
        let mut connection = PgConnection::connect_with(&database).await?;
        for rows in ROWS {
            fill(&mut connection, rows).await?;
            while !log.extend_chain().await.context("the chain doesn't grow")? {}
            let begun = Instant::now();
            let ctx = Ctx::operator(RequestId(Uuid::nil()), Utc::now());
            let verified = log.verify(&ctx, None).await?;
            let took = begun.elapsed().as_secs_f64();
            ensure!(verified.is_good(), "{:?}", verified.finding);
            let bytes: i64 = sqlx::query_scalar(
                "select (pg_indexes_size('audit_log') + pg_total_relation_size('audit_chain'))::bigint",
            )
            .fetch_one(&mut connection)
            .await?;
            let figure = match rows == ROWS[ROWS.len() - 1] {
                true => Figure::at_most(took, 15.0, "s"),
                false => Figure::information(took, "s"),
            };
            self.report.add(
                &format!("audit verify of {} rows", verified.entries),
                None,
                &[
                    figure,
                    Figure::information(bytes as f64 / 1_048_576.0, "MiB of indexes and chain"),
                ],
            );
        }
        connection.close().await?;
        pool.close().await;
        Ok(())
    }

    /// Changes of users, one after the other on each connection.
    async fn transactions(&self, pool: &PgPool, audited: bool) -> Result<Measured> {
        self.settle().await?;
        let begun = Instant::now();
        let end = begun + self.times.turn;
        let tasks = (0..CONNECTIONS).map(|task| {
            let mine = self.ids.iter().skip(task as usize);
            let mine = mine.step_by(CONNECTIONS as usize).copied();
            changes(pool, mine.collect(), audited, end)
        });
        let latencies: Vec<Vec<Duration>> = try_join_all(tasks).await?;
        let samples = Samples {
            latencies: latencies.concat(),
            elapsed: begun.elapsed(),
        };
        Ok(Measured::new(CONNECTIONS as usize, samples))
    }
}

async fn changes(
    pool: &PgPool,
    ids: Vec<Uuid>,
    audited: bool,
    end: Instant,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    for id in ids.into_iter().cycle() {
        let begun = Instant::now();
        if begun >= end {
            break;
        }
        change(pool, UserId(id), audited).await?;
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}

/// What `PATCH /me` does.
async fn change(pool: &PgPool, id: UserId, audited: bool) -> Result<()> {
    let mut transaction = pool.begin().await?;
    let found = users::find_for_update(&mut transaction, id).await?;
    let mut user = found.context("a user is gone")?;
    let before = user.clone();
    let bio = format!("number {}", user.revision);
    user.profile.bio = Some(Bio::parse(&bio).map_err(|rule| anyhow::anyhow!("{rule}"))?);
    users::update(&mut transaction, &mut user).await?;
    if audited {
        audit_log::insert(&mut transaction, &entry(&before, &user)).await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn entry(before: &User, after: &User) -> NewEntry {
    let change = Change::between(before, after);
    let (now, random): (_, &dyn Random) = (SystemClock.now(), &SystemRandom);
    NewEntry {
        at: now,
        actor_kind: ActorKind::User,
        actor_id: Some(after.id),
        actor_name: None,
        action: Action::UserChanged,
        subject: Some(Subject::User(after.id)),
        request_id: RequestId(random.uuid_v7(now)),
        client_address: Some([203, 0, 113, 7].into()),
        device: Some("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101".to_owned()),
        before: Some(change.before),
        after: Some(change.after),
        outcome: Outcome::Success,
    }
}

/// The audit log of the server's database, as a command has it.
fn log(pool: PgPool) -> AuditLog {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let platform = Platform {
        pool,
        clock: Arc::clone(&clock),
        random: Arc::new(SystemRandom),
        queue: Queue::new(clock, WakeUp::new()),
        audit: Audit::default(),
        detached: TaskTracker::new(),
    };
    let secret = "a key of no use".to_owned().into();
    AuditLog::new(platform, Arc::new(Cursors::new(&secret)), None)
}

/// Makes rows until there are so many.
async fn fill(connection: &mut PgConnection, rows: i64) -> Result<()> {
    let there: i64 = sqlx::query_scalar("select count(*) from audit_log")
        .fetch_one(&mut *connection)
        .await?;
    let mut missing = rows - there;
    while missing > 0 {
        let batch = missing.min(BATCH);
        sqlx::query(
            "with entry as ( \
               insert into audit_log (at, actor_kind, actor_id, action, subject_kind, subject_id, request_id, \
                 client_address, device, before, after, outcome) \
               select clock_timestamp(), 'user', id, 'user_changed', 'user', id::text, gen_random_uuid(), \
                 '203.0.113.' || n % 250, 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101', \
                 jsonb_build_object('bio', 'number ' || n), jsonb_build_object('bio', 'number ' || n + 1), 'success' \
               from (select n, gen_random_uuid() as id from generate_series(1, $1) n) made returning id \
             ) \
             insert into audit_pending (entry_id) select id from entry",
        )
        .bind(batch)
        .execute(&mut *connection)
        .await?;
        missing -= batch;
    }
    sqlx::query("analyze audit_log").execute(connection).await?;
    Ok(())
}
