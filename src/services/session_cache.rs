//! Sessions that were looked up a moment ago.
//!
//! Nothing stays for more than [`LIFETIME`]. A session that ends is forgotten at once: by the
//! instance that ended it when its transaction has committed, by the others when PostgreSQL's NOTIFY
//! reaches them. An instance that doesn't hear notifications keeps nothing (it fails closed).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    domain::id::{SessionId, UserId},
    repository::sessions::LiveSession,
};

/// How long a looked-up session counts.
pub const LIFETIME: Duration = Duration::from_secs(1);
/// How many are kept at most.
const CAPACITY: usize = 100_000;

/// Sessions that were looked up a moment ago.
///
/// # Concurrency
///
/// Shared by all requests. A lookup that began before a session ended can't bring it back: see
/// [`SessionCache::begin`].
#[derive(Debug, Default)]
pub struct SessionCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<SessionId, (LiveSession, Instant)>,
    /// How often something was forgotten.
    epoch: u64,
    /// Whether notifications arrive.
    listening: bool,
}

/// When a lookup began, and the state of the cache then.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    epoch: u64,
    at: Instant,
}

impl SessionCache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session that was looked up within [`LIFETIME`].
    pub fn get(&self, id: SessionId) -> Option<LiveSession> {
        let state = self.state();
        let (session, looked_up) = state.sessions.get(&id)?;
        (state.listening && looked_up.elapsed() < LIFETIME).then_some(*session)
    }

    /// Call before reading a session from the database, and hand the answer to [`Self::keep`].
    pub fn begin(&self) -> Lookup {
        Lookup {
            epoch: self.state().epoch,
            at: Instant::now(),
        }
    }

    /// Keeps what the database had, unless something was forgotten since the reading began.
    pub fn keep(&self, begun: Lookup, id: SessionId, session: LiveSession) {
        let mut state = self.state();
        if !state.listening || state.epoch != begun.epoch {
            return;
        }
        if state.sessions.len() >= CAPACITY {
            state
                .sessions
                .retain(|_, (_, looked_up)| looked_up.elapsed() < LIFETIME);
            if state.sessions.len() >= CAPACITY {
                state.sessions.clear();
            }
        }
        // What was read may be as old as the beginning of the lookup.
        state.sessions.insert(id, (session, begun.at));
    }

    /// Forgets the sessions of a user.
    pub fn forget(&self, user_id: UserId) {
        let mut state = self.state();
        state.epoch += 1;
        state
            .sessions
            .retain(|_, (session, _)| session.user_id != user_id);
    }

    /// Notes whether notifications arrive. Whatever was missed meanwhile is forgotten.
    pub fn set_listening(&self, listening: bool) {
        let mut state = self.state();
        state.epoch += 1;
        state.sessions.clear();
        state.listening = listening;
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::domain::role::Role;

    const ID: SessionId = SessionId(Uuid::from_u128(1));
    const USER: UserId = UserId(Uuid::from_u128(2));

    fn session() -> LiveSession {
        LiveSession {
            user_id: USER,
            role: Role::Admin,
            expires_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_cache_that_hears_no_notifications_keeps_nothing() {
        let cache = SessionCache::default();
        cache.keep(cache.begin(), ID, session());
        assert_eq!(cache.get(ID), None);
        cache.set_listening(true);
        cache.keep(cache.begin(), ID, session());
        assert_eq!(cache.get(ID), Some(session()));
        cache.set_listening(false);
        assert_eq!(cache.get(ID), None);
        cache.set_listening(true);
        assert_eq!(cache.get(ID), None);
    }

    #[test]
    fn a_lookup_that_began_before_the_session_ended_is_not_kept() {
        let cache = SessionCache::default();
        cache.set_listening(true);
        let begun = cache.begin();
        cache.forget(USER);
        cache.keep(begun, ID, session());
        assert_eq!(cache.get(ID), None);
    }

    #[test]
    fn only_the_sessions_of_that_user_are_forgotten() {
        let cache = SessionCache::default();
        cache.set_listening(true);
        cache.keep(cache.begin(), ID, session());
        cache.forget(UserId(Uuid::from_u128(3)));
        assert_eq!(cache.get(ID), Some(session()));
        cache.forget(USER);
        assert_eq!(cache.get(ID), None);
    }
}
