//! Sessions that were looked up a moment ago, with their users.
//!
//! Nothing counts for more than [`LIFETIME`]. What changes is forgotten at once: by the instance that
//! changed it when its transaction has committed, by the others when PostgreSQL's NOTIFY reaches
//! them. An instance that doesn't hear notifications keeps nothing (it fails closed).

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    domain::id::{SessionId, UserId},
    repository::sessions::LiveSession,
};

/// How long a looked-up session counts.
pub const LIFETIME: Duration = Duration::from_secs(1);
/// How many are kept at most in each of two generations.
const CAPACITY: usize = 20_000;

/// Sessions that were looked up a moment ago, with their users.
///
/// # Concurrency
///
/// Shared by all requests. A lookup that began before a change can't bring back what was there
/// before it: see [`SessionCache::begin`].
#[derive(Debug, Default)]
pub struct SessionCache(Mutex<State>);

#[derive(Debug)]
struct State {
    sessions: Generations<SessionId, (Arc<LiveSession>, Instant)>,
    /// When users changed: what was looked up until then doesn't count.
    changed: Generations<UserId, Instant>,
    /// When the generations were last turned.
    turned: Instant,
    /// When all was forgotten.
    cleared: Instant,
    /// Whether notifications arrive.
    listening: bool,
}

/// What came lately, and what came before: turning drops the latter. Memory is bounded by that
/// without a look at each entry.
#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Generations<K, V> {
    fn default() -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }
}

impl<K: Eq + std::hash::Hash, V> Generations<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn turn(&mut self) {
        self.old = mem::take(&mut self.young);
    }
}

impl Default for State {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            sessions: Generations::default(),
            changed: Generations::default(),
            turned: now,
            cleared: now,
            listening: false,
        }
    }
}

impl State {
    /// Whether what was read from `read` on is still so.
    fn counts(&self, user_id: UserId, read: Instant) -> bool {
        self.listening
            && read > self.cleared
            && self
                .changed
                .get(&user_id)
                .is_none_or(|changed| read > *changed)
    }

    /// Drops what is too old to count, from time to time.
    fn tidy(&mut self) {
        // Whoever reads for longer than a generation lasts has read too long ago to count.
        if self.turned.elapsed() >= LIFETIME || self.sessions.young.len() >= CAPACITY {
            self.sessions.turn();
        }
        if self.turned.elapsed() >= LIFETIME {
            self.changed.turn();
            self.turned = Instant::now();
        }
    }
}

/// When a lookup began.
#[derive(Debug, Clone, Copy)]
pub struct Lookup(Instant);

impl SessionCache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session that was looked up within [`LIFETIME`].
    pub fn get(&self, id: SessionId) -> Option<Arc<LiveSession>> {
        let state = self.state();
        let (session, read) = state.sessions.get(&id)?;
        let counts = read.elapsed() < LIFETIME && state.counts(session.user.id, *read);
        counts.then(|| Arc::clone(session))
    }

    /// Call before reading a session from the database, and hand the answer to [`Self::keep`].
    #[must_use]
    pub fn begin(&self) -> Lookup {
        Lookup(Instant::now())
    }

    /// Keeps what the database had, unless it changed since the reading began.
    pub fn keep(&self, begun: Lookup, session: &Arc<LiveSession>) {
        let mut state = self.state();
        if !state.counts(session.user.id, begun.0) {
            return;
        }
        state.tidy();
        // What was read may be as old as the beginning of the lookup.
        let entry = (Arc::clone(session), begun.0);
        state.sessions.young.insert(session.id, entry);
    }

    /// Forgets a user and his sessions: they have changed.
    pub fn forget(&self, user_id: UserId) {
        let mut state = self.state();
        state.tidy();
        state.changed.young.insert(user_id, Instant::now());
    }

    /// Notes whether notifications arrive. Whatever was missed meanwhile is forgotten.
    pub fn set_listening(&self, listening: bool) {
        let mut state = self.state();
        *state = State {
            listening,
            ..State::default()
        };
    }
}

#[cfg(test)]
mod tests;
