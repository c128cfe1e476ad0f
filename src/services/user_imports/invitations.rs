//! Telling of the accounts that an import made: audit entries, and invitations.

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

/// Lines whose accounts are invited at once, and how far apart the mails of the others are.
const INVITED_AT_ONCE: u64 = 100;
const INVITATION_PAUSE: TimeDelta = TimeDelta::milliseconds(50);

impl Step<'_> {
    /// Audits new accounts, and invites those who have a mailbox and no password.
    pub(super) async fn tell(
        &self,
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
        let tokens: Vec<_> = invited
            .map(|candidate| {
                let token = OneTimeToken::new(platform.random.bytes());
                (candidate.line, candidate.user.id, token)
            })
            .collect();
        if tokens.is_empty() {
            return Ok(());
        }
        let mails = tokens.iter().map(|(line, id, token)| {
            let mail = UserMail::Invitation(token);
            let job = self.imports.mails.job(*id, mail, now)?;
            Ok(NewJob {
                run_at: Some(self.invited_at(*line)),
                ..job
            })
        });
        let mails = mails.collect::<Result<Vec<_>>>()?;
        let tokens: Vec<_> = tokens
            .into_iter()
            .map(|(_, id, token)| (id, token))
            .collect();
        let (purpose, expires_at) = (Purpose::PasswordReset, now + INVITATION_LIFETIME);
        one_time_tokens::insert_all(connection, &tokens, purpose, now, expires_at).await?;
        platform.queue.enqueue_all(connection, &mails).await
    }

    /// When the mail of a row is due: a large import invites at a pace at which other mails go out between.
    fn invited_at(&self, line: u64) -> DateTime<Utc> {
        let at_once = self.import.place.line + INVITED_AT_ONCE;
        let pauses = i32::try_from(line.saturating_sub(at_once)).unwrap_or(i32::MAX);
        (self.began_at + INVITATION_PAUSE * pauses).max(self.ctx.now)
    }
}
