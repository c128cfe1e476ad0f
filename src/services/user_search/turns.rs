//! Who may search now.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::{
    domain::{actor::Actor, id::UserId},
    error::{Error, Result},
};

/// Searches at a time, of an instance. Each costs the database milliseconds of work: more of them at once take
/// turns on its cores, so that all take as long as the longest, and everything else waits with them.
const SEARCHES: usize = 4;
/// Of these so many by the public: it keeps nobody else from searching.
const PUBLIC_SEARCHES: usize = 2;

/// Lets so many search at a time: of those who wait, whoever has the fewest searches under way, and of these
/// who came first. So whoever searches much uses what nobody else needs, and keeps nobody from searching.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Whose searches are under way.
    under_way: Vec<Who>,
    waiting: VecDeque<(Who, oneshot::Sender<Turn>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Account(UserId),
    /// Anybody who asks the public directory.
    Public,
    /// Operators, and other services.
    Operator,
}

/// A turn, until it is dropped.
pub(super) struct Turn {
    turns: Turns,
    who: Who,
}

impl Turns {
    /// Waits for a turn, for as long as the caller does.
    ///
    /// # Concurrency
    ///
    /// The future can be dropped at any time.
    pub(super) async fn take(&self, actor: &Actor, is_public: bool) -> Result<Turn> {
        let who = match actor {
            _ if is_public => Who::Public,
            Actor::User { id, .. } => Who::Account(*id),
            _ => Who::Operator,
        };
        let (sender, turn) = oneshot::channel();
        self.state().waiting.push_back((who, sender));
        self.go_on();
        turn.await.map_err(|error| Error::Internal(error.into()))
    }

    /// Gives turns to those who wait, as long as there are any.
    fn go_on(&self) {
        // Not in the guard: a turn that nobody takes any more is given back.
        while let Some((turn, sender)) = self.next() {
            drop(sender.send(turn));
        }
    }

    fn next(&self) -> Option<(Turn, oneshot::Sender<Turn>)> {
        let mut state = self.state();
        state.waiting.retain(|(_, sender)| !sender.is_closed());
        let at = state.next()?;
        let (who, sender) = state.waiting.remove(at)?;
        state.under_way.push(who);
        let turns = self.clone();
        Some((Turn { turns, who }, sender))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whose turn is next: his place among those who wait.
    fn next(&self) -> Option<usize> {
        if self.under_way.len() >= SEARCHES {
            return None;
        }
        let searches = |who: &Who| self.under_way.iter().filter(|other| *other == who).count();
        let waiting = self.waiting.iter().enumerate();
        let waiting = waiting.map(|(at, (who, _))| (searches(who), at, *who));
        let may = |(searches, _, who): &(usize, usize, Who)| {
            *who != Who::Public || *searches < PUBLIC_SEARCHES
        };
        let first = waiting
            .filter(may)
            .min_by_key(|(searches, at, _)| (*searches, *at));
        first.map(|(_, at, _)| at)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        if let Some(at) = state.under_way.iter().position(|who| *who == self.who) {
            state.under_way.swap_remove(at);
        }
        drop(state);
        self.turns.go_on();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

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

    type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Turn>> + 'a>>;

    /// Asks for a turn: one that has it, or waits for it.
    fn take<'a>(
        turns: &'a Turns,
        actor: &'a Actor,
        is_public: bool,
    ) -> (Option<Turn>, Waiting<'a>) {
        let mut waiting: Waiting<'a> = Box::pin(turns.take(actor, is_public));
        (now(&mut waiting), waiting)
    }

    fn now(waiting: &mut Waiting<'_>) -> Option<Turn> {
        waiting.as_mut().now_or_never().map(Result::unwrap)
    }

    #[test]
    fn one_account_uses_what_nobody_else_needs_and_others_go_before_its_next_one() {
        let (turns, ada, bob) = (Turns::default(), account(1), account(2));
        let mut adas: Vec<_> = (0..4)
            .map(|_| take(&turns, &ada, false).0.unwrap())
            .collect();
        let (none, mut fifth) = take(&turns, &ada, false);
        let (also_none, mut bobs) = take(&turns, &bob, false);
        let (still_none, mut second) = take(&turns, &bob, false);
        assert!(none.is_none() && also_none.is_none() && still_none.is_none());
        adas.pop();
        assert!(now(&mut fifth).is_none());
        let first_of_bob = now(&mut bobs).unwrap();
        adas.pop();
        let second_of_bob = now(&mut second).unwrap();
        assert!(now(&mut fifth).is_none());
        drop(first_of_bob);
        assert!(now(&mut fifth).is_some());
        drop((adas, second_of_bob));
        assert!(turns.state().under_way.is_empty());
    }

    #[test]
    fn the_public_leaves_room_for_others() {
        let (turns, ada) = (Turns::default(), account(1));
        let mut held: Vec<_> = (0..2)
            .map(|_| take(&turns, &ada, true).0.unwrap())
            .collect();
        let (none, mut third) = take(&turns, &ada, true);
        assert!(none.is_none());
        held.extend((0..2).map(|_| take(&turns, &Actor::Operator, false).0.unwrap()));
        assert!(take(&turns, &Actor::Operator, false).0.is_none());
        held.pop();
        assert!(now(&mut third).is_none());
        held.remove(0);
        assert!(now(&mut third).is_some());
    }

    #[test]
    fn who_stops_waiting_leaves_nothing_behind() {
        let (turns, ada) = (Turns::default(), account(1));
        let mut held: Vec<_> = (0..4)
            .map(|_| take(&turns, &ada, false).0.unwrap())
            .collect();
        let (_, gone) = take(&turns, &ada, false);
        let (_, late) = take(&turns, &ada, false);
        let (_, mut last) = take(&turns, &ada, false);
        drop(gone);
        held.pop();
        // He had his turn, and never took it.
        drop(late);
        assert!(now(&mut last).is_some());
        held.clear();
        let state = turns.state();
        assert!(state.under_way.is_empty() && state.waiting.is_empty());
    }
}
