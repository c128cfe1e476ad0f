//! Connections that are kept for the next mail.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::connection::Connection;

/// How long a connection is kept unused. Servers close one after 5 minutes at the earliest
/// (RFC 5321, section 4.5.3.2.7), though many do sooner.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// How many connections are kept at most.
const SIZE_LIMIT: usize = 8;

/// The connections that are free.
///
/// # Concurrency
///
/// A connection is in the pool or in use, never both. One that is in use when its mail is given
/// up is dropped and thereby closed.
#[derive(Default)]
pub(super) struct Pool(Mutex<State>);

#[derive(Default)]
struct State {
    idle: Vec<(Instant, Connection)>,
    /// Whether a task is there that closes what is kept too long.
    is_swept: bool,
}

impl Pool {
    /// The connection that was used last, if one is there that the server has not closed.
    pub(super) async fn take(&self, deadline: Instant) -> Option<Connection> {
        loop {
            let (_, mut connection) = self.state().idle.pop()?;
            if connection.is_alive(deadline).await {
                return Some(connection);
            }
        }
    }

    /// Keeps `connection` for the next mail.
    pub(super) fn park(self: &Arc<Self>, connection: Connection) {
        let mut state = self.state();
        if state.idle.len() >= SIZE_LIMIT {
            drop(state);
            tokio::spawn(connection.quit());
            return;
        }
        state.idle.push((Instant::now(), connection));
        if !std::mem::replace(&mut state.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that are kept too long, until none is left.
async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(IDLE_LIMIT).await;
        let Some(pool) = pool.upgrade() else {
            return;
        };
        let (stale, done) = {
            let mut state = pool.state();
            // The oldest come first.
            let fresh = state
                .idle
                .iter()
                .position(|(since, _)| since.elapsed() < IDLE_LIMIT)
                .unwrap_or(state.idle.len());
            let stale: Vec<_> = state.idle.drain(..fresh).collect();
            state.is_swept = !state.idle.is_empty();
            (stale, state.idle.is_empty())
        };
        for (_, connection) in stale {
            connection.quit().await;
        }
        if done {
            return;
        }
    }
}
