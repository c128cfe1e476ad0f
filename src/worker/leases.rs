//! Keeps the leases of running jobs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use crate::{
    infra::clock::Clock,
    repository::jobs::{self, Lease},
};

/// The time between two tries when the database does not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a heartbeat may take.
const STATEMENT: Duration = Duration::from_secs(5);

/// The leases that a worker holds, each with the time when it ends for sure unless it is renewed.
///
/// # Concurrency
///
/// The lock is held for a moment, never over an `await`.
#[derive(Default)]
pub struct Leases(Mutex<HashMap<Lease, Entry>>);

struct Entry {
    ends: watch::Sender<Instant>,
    /// A handler that blocks its thread cannot be cancelled: so that its job does not stay with it,
    /// the lease is not renewed any more from then on.
    renewed_until: Instant,
}

/// A lease that is renewed as long as this lives.
pub struct Held {
    leases: Arc<Leases>,
    lease: Lease,
    ends: watch::Receiver<Instant>,
}

impl Leases {
    /// Takes charge of a lease that ends at `ends`, and renews it until `renewed_until`.
    pub fn hold(self: &Arc<Self>, lease: Lease, ends: Instant, renewed_until: Instant) -> Held {
        let (sender, receiver) = watch::channel(ends);
        self.lock().insert(
            lease,
            Entry {
                ends: sender,
                renewed_until,
            },
        );
        Held {
            leases: Arc::clone(self),
            lease,
            ends: receiver,
        }
    }

    fn to_renew(&self, now: Instant) -> Vec<Lease> {
        self.lock()
            .iter()
            .filter(|(_, entry)| entry.renewed_until > now)
            .map(|(lease, _)| *lease)
            .collect()
    }

    /// Of the `asked` leases those of the jobs `held` end at `ends`, and the others have ended.
    fn renewed(&self, asked: &[Lease], held: &[i64], ends: Instant, now: Instant) {
        let leases = self.lock();
        for lease in asked {
            if let Some(entry) = leases.get(lease) {
                entry
                    .ends
                    .send_replace(if held.contains(&lease.id) { ends } else { now });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lease, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Waits until the lease has ended: somebody else has the job, or may have it, because the
    /// database was out of reach for too long.
    pub async fn ended(&mut self) {
        loop {
            let ends = *self.ends.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(ends) => return,
                changed = self.ends.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Whether the lease has ended.
    pub fn has_ended(&self) -> bool {
        *self.ends.borrow() <= Instant::now()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.lease);
    }
}

/// Renews all leases by `duration` in one statement, each third of it, until `stop`: on a connection
/// of its own, so that handlers that use up the pool do not cost them their leases. It is opened when
/// first needed; without running jobs there is no query.
pub async fn keep(
    leases: &Leases,
    pool: &PgPool,
    clock: &dyn Clock,
    duration: Duration,
    stop: &CancellationToken,
) {
    let mut outage = Outage::new("keeping the leases of jobs");
    let mut connection = None;
    let mut pause = duration / 3;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
        pause = duration / 3;
        // Counted from before the statement: the database counts from a later time.
        let begun = Instant::now();
        let asked = leases.to_renew(begun);
        if asked.is_empty() {
            continue;
        }
        let beat = beat(&mut connection, pool, &asked, duration, clock);
        let result = tokio::time::timeout(STATEMENT, beat)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut));
        match result {
            Ok(held) => {
                outage.over();
                leases.renewed(&asked, &held, begun + duration, Instant::now());
            }
            Err(error) => {
                outage.failed(&error);
                // It may be broken in the middle of a message.
                connection = None;
                pause = PAUSE.min(duration / 3);
            }
        }
    }
    if let Some(connection) = connection {
        let close = tokio::time::timeout(PAUSE, connection.close()).await;
        if let Ok(Err(error)) = close {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the connection for heartbeats did not close well"
            );
        }
    }
}

async fn beat(
    connection: &mut Option<PgConnection>,
    pool: &PgPool,
    asked: &[Lease],
    duration: Duration,
    clock: &dyn Clock,
) -> sqlx::Result<Vec<i64>> {
    let conn = match connection {
        Some(conn) => conn,
        None => connection.insert(PgConnection::connect_with(&pool.connect_options()).await?),
    };
    jobs::heartbeat(conn, asked, duration, clock.database_override()).await
}
