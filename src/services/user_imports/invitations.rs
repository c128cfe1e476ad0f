//! Telling of the accounts that an import made: audit entries, and invitations.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::step::{Candidate, Step};
use crate::{
    domain::{
        audit::{Action, made},
        token::{INVITATION_LIFETIME, OneTimeToken, Purpose},
    },
    error::Result,
    repository::{jobs::NewJob, one_time_tokens},
    services::{audit::Act, mail::UserMail},
};

/// Invitations that go out at once, and how far apart those after them are.
const AT_ONCE: i32 = 100;
const PAUSE: TimeDelta = TimeDelta::milliseconds(50);

/// When invitations are due: those of a large import at a pace at which other mails go out between.
pub(super) struct Pace {
    next: Mutex<DateTime<Utc>>,
}

impl Pace {
    /// Of an import that begins, or goes on, now.
    pub(super) fn from(now: DateTime<Utc>) -> Self {
        Self {
            next: Mutex::new(now - PAUSE * (AT_ONCE - 1)),
        }
    }

    /// When the next one is due, not before now.
    fn take(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let due = (*next).max(now);
        *next += PAUSE;
        due
    }
}

impl Step<'_> {
    /// Audits new accounts, and invites those who have a mailbox and no password.
    pub(super) async fn tell(
        &mut self,
        connection: &mut PgConnection,
        new: &[Candidate],
    ) -> Result<()> {
        let (platform, now) = (&self.imports.platform, self.ctx.now);
        let is_invited = |candidate: &Candidate| {
            let user = &candidate.user;
            let is_open = user.locked_at.is_none() && user.deletion_due_at.is_none();
            self.import.options.invite
                && candidate.hash.is_none()
                && user.email.is_some()
                && is_open
        };
        let acts = new.iter().map(|candidate| {
            let mut members = made(&candidate.user);
            if is_invited(candidate) {
                members.insert("invited".to_owned(), true.into());
            }
            Act::new(Action::UserAdded)
                .on(candidate.user.id)
                .after(members)
        });
        platform
            .audit
            .record_all(connection, &self.ctx, acts)
            .await?;
        let invited = new.iter().filter(|candidate| is_invited(candidate));
        let invited: Vec<_> = invited
            .map(|candidate| {
                let token = OneTimeToken::new(platform.random.bytes());
                (candidate.user.id, token, self.pace.take(now))
            })
            .collect();
        let Some((_, _, last)) = invited.last() else {
            return Ok(());
        };
        let expires_at = *last + INVITATION_LIFETIME;
        let mails = invited.iter().map(|(id, token, due)| {
            let mail = UserMail::Invitation(token);
            let job = self.imports.mails.job(*id, mail, *due)?;
            Ok(NewJob {
                run_at: Some(*due),
                ..job
            })
        });
        let mails = mails.collect::<Result<Vec<_>>>()?;
        let tokens = invited.into_iter().map(|(id, token, _)| (id, token));
        let tokens: Vec<_> = tokens.collect();
        let purpose = Purpose::PasswordReset;
        one_time_tokens::insert_all(connection, &tokens, purpose, now, expires_at).await?;
        platform.queue.enqueue_all(connection, &mails).await
    }
}
