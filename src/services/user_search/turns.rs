//! Who may search now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::{
    domain::{actor::Actor, id::UserId},
    error::{Error, Result},
};

/// Searches at a time, of an instance. Each costs the database milliseconds of work: more of them at once take
/// turns on its cores, so that all take as long as the longest, and everything else waits with them.
const SEARCHES: usize = 4;
/// Of these so many by the public.
const PUBLIC_SEARCHES: usize = 2;
/// And so many of one account: whoever searches much keeps nobody else from it.
const SEARCHES_OF_ONE: usize = 2;

/// Lets so many search at a time.
pub(super) struct Turns {
    /// Whoever searches holds one; others wait in the order in which they came.
    slots: Semaphore,
    /// The public needs one of these before: it keeps nobody else from searching.
    public_slots: Semaphore,
    /// Those of accounts, each while it searches or waits for it: no more than requests are under way.
    accounts: Mutex<HashMap<UserId, Own>>,
}

/// The slots of one account, of which a search needs one before all others.
struct Own {
    slots: Arc<Semaphore>,
    /// How many of its searches are under way.
    searches: usize,
}

/// A turn, until it is dropped.
pub(super) struct Turn<'a> {
    _slot: SemaphorePermit<'a>,
    _public_slot: Option<SemaphorePermit<'a>>,
    _own_slot: Option<OwnedSemaphorePermit>,
    _under_way: Option<UnderWay<'a>>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            slots: Semaphore::new(SEARCHES),
            public_slots: Semaphore::new(PUBLIC_SEARCHES),
            accounts: Mutex::default(),
        }
    }

    /// Waits for a turn, for as long as the caller does.
    ///
    /// # Concurrency
    ///
    /// The future can be dropped at any time.
    pub(super) async fn take(&self, actor: &Actor, is_public: bool) -> Result<Turn<'_>> {
        let closed = |error: AcquireError| Error::Unavailable(error.into());
        let (own_slot, under_way) = match actor {
            Actor::User { id, .. } => {
                let (slots, under_way) = self.enter(*id);
                let slot = slots.acquire_owned().await.map_err(closed)?;
                (Some(slot), Some(under_way))
            }
            _ => (None, None),
        };
        let public_slot = match is_public {
            true => Some(self.public_slots.acquire().await.map_err(closed)?),
            false => None,
        };
        Ok(Turn {
            _slot: self.slots.acquire().await.map_err(closed)?,
            _public_slot: public_slot,
            _own_slot: own_slot,
            _under_way: under_way,
        })
    }

    fn enter(&self, id: UserId) -> (Arc<Semaphore>, UnderWay<'_>) {
        let mut accounts = self.accounts();
        let own = accounts.entry(id).or_insert_with(|| Own {
            slots: Arc::new(Semaphore::new(SEARCHES_OF_ONE)),
            searches: 0,
        });
        own.searches += 1;
        (Arc::clone(&own.slots), UnderWay { turns: self, id })
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<UserId, Own>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A search of an account, which is forgotten with its last one.
struct UnderWay<'a> {
    turns: &'a Turns,
    id: UserId,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut accounts = self.turns.accounts();
        if let Some(own) = accounts.get_mut(&self.id) {
            own.searches -= 1;
            if own.searches == 0 {
                accounts.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{id::SessionId, role::Role};

    fn account(number: u128) -> Actor {
        Actor::User {
            id: UserId(Uuid::from_u128(number)),
            role: Role::Manager,
            session: SessionId(Uuid::nil()),
        }
    }

    #[test]
    fn of_one_account_few_search_at_a_time_and_others_go_before_its_next_one() {
        let (turns, ada, bob) = (Turns::new(), account(1), account(2));
        let take = |actor| turns.take(actor, false).now_or_never();
        let (first, second) = (take(&ada).unwrap(), take(&ada).unwrap());
        let mut third = Box::pin(turns.take(&ada, false));
        assert!(third.as_mut().now_or_never().is_none());
        let bobs = take(&bob).unwrap();
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        let third = third.now_or_never().unwrap();
        let fourth = take(&bob).unwrap();
        assert!(take(&Actor::Operator).is_none(), "four search");
        drop((second, third, fourth, bobs));
        assert!(turns.accounts().is_empty());
    }

    #[test]
    fn who_stops_waiting_leaves_nothing_behind() {
        let (turns, ada) = (Turns::new(), account(1));
        let held = [(); SEARCHES].map(|()| turns.take(&Actor::Operator, false).now_or_never());
        let mut waiting = Box::pin(turns.take(&ada, true));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(turns.accounts().len(), 1);
        drop(waiting);
        assert!(turns.accounts().is_empty());
        drop(held);
        assert!(turns.take(&ada, true).now_or_never().is_some());
    }
}
