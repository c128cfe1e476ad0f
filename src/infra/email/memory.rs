//! A mailer for tests.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::{BoxFuture, FutureExt as _, ready};

use super::{Mailer, SendError};
use crate::domain::message::Message;

/// Keeps what it is given, and fails when told to.
///
/// # Concurrency
///
/// Clones share what they keep and what they were told.
#[derive(Debug, Clone, Default)]
pub struct MemoryMailer(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    sent: Vec<Message>,
    attempts: usize,
    failures: VecDeque<SendError>,
}

impl MemoryMailer {
    /// A mailer that has sent nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was sent, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<Message> {
        self.state().sent.clone()
    }

    /// What was sent to `address`, in order.
    #[must_use]
    pub fn sent_to(&self, address: &str) -> Vec<Message> {
        let mut sent = self.sent();
        sent.retain(|message| message.to.address == address);
        sent
    }

    /// What was sent since the last call, which is forgotten.
    #[must_use]
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.state().sent)
    }

    /// How many attempts there were, those that failed included.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.state().attempts
    }

    /// Lets the next `times` attempts fail with `error`, after those that fail already.
    pub fn fail_next(&self, times: usize, error: &SendError) {
        self.state()
            .failures
            .extend(std::iter::repeat_n(error.clone(), times));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailer for MemoryMailer {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>> {
        let mut state = self.state();
        state.attempts += 1;
        let result = state.failures.pop_front().map_or(Ok(()), Err);
        if result.is_ok() {
            state.sent.push(message.clone());
        }
        ready(result).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{Mailbox, MessageId};

    #[tokio::test]
    async fn it_keeps_what_it_sends_and_fails_as_often_as_told() {
        let mailer = MemoryMailer::new();
        let clone = mailer.clone();
        let mailbox = Mailbox {
            name: None,
            address: "anna@example.com".into(),
        };
        let message = Message {
            message_id: MessageId::parse("a@b").unwrap(),
            from: mailbox.clone(),
            to: mailbox,
            subject: String::new(),
            text: String::new(),
            html: String::new(),
        };
        clone.fail_next(1, &SendError::Transient("later".into()));
        clone.fail_next(1, &SendError::Permanent("never".into()));
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            outcomes.push(mailer.send(&message).await);
        }
        assert_eq!(
            outcomes,
            [
                Err(SendError::Transient("later".into())),
                Err(SendError::Permanent("never".into())),
                Ok(())
            ]
        );
        assert_eq!((clone.sent().len(), clone.attempts()), (1, 3));
        assert_eq!(clone.sent_to("anna@example.com").len(), 1);
        assert_eq!(clone.sent_to("otto@example.com").len(), 0);
        assert_eq!(clone.take().len(), 1);
        assert_eq!(mailer.sent().len(), 0);
    }
}
