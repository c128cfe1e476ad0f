//! Where nobody may learn who has an account: a registration with an address that has one is answered
//! like any other, and a mail tells the owner.

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use super::Registration;
use crate::{
    error::Result,
    repository::{
        jobs::{JobKind, NewJob},
        notices::{self, Notice},
        users,
    },
    services::{address_job, mail::UserMail, verification::RESEND_VERIFICATION},
};

/// The job that tells the owner of an account that somebody tried to register with his address.
pub const NOTIFY_ACCOUNT_EXISTS: JobKind = JobKind {
    name: "notify_account_exists",
    max_attempts: 10,
};

/// How often an owner is told at most that somebody tried to register with his address.
const NOTICE_WAIT: TimeDelta = TimeDelta::hours(1);

/// The job [`NOTIFY_ACCOUNT_EXISTS`] for this address in lower case.
///
/// # Errors
///
/// Never by what it is given.
pub fn account_exists_job(email: String) -> Result<NewJob> {
    let digest = Sha256::digest(email.as_bytes());
    let key = u128::from_be_bytes(*digest.first_chunk().context("a digest has 32 bytes")?);
    Ok(NewJob {
        dedupe_key: Some(format!("{}:{key:032x}", NOTIFY_ACCOUNT_EXISTS.name)),
        ..address_job::new(NOTIFY_ACCOUNT_EXISTS, email)?
    })
}

impl Registration {
    /// About as little work as an account that is made: the time that an answer takes must not tell.
    pub(super) async fn tell_owner(
        &self,
        connection: &mut PgConnection,
        email: String,
    ) -> Result<()> {
        let job = account_exists_job(email)?;
        self.platform.queue.enqueue(connection, &job).await?;
        self.platform.queue.wake();
        Ok(())
    }

    /// Does the job [`NOTIFY_ACCOUNT_EXISTS`]: mails the account's owner, once an hour at most. Whose
    /// address isn't verified yet needs another link: he can't log in.
    ///
    /// # Errors
    ///
    /// If the database fails, or the job is not one of ours.
    pub async fn notify_account_exists(
        &self,
        payload: &serde_json::Value,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let email = address_job::read(payload)?;
        let mut transaction = self.platform.pool.begin().await?;
        let Some(user) = users::find_by_email(&mut transaction, &email).await? else {
            return Ok(());
        };
        // He must not be deleted meanwhile.
        let Some(user) = users::find_for_update(&mut transaction, user.id).await? else {
            return Ok(());
        };
        let notice = Notice::AccountExists;
        if user.email_verified_at.is_none() {
            let job = address_job::new(RESEND_VERIFICATION, email)?;
            self.platform.queue.enqueue(&mut transaction, &job).await?;
        } else if notices::claim(&mut transaction, user.id, notice, now, NOTICE_WAIT).await? {
            self.mails
                .enqueue(&mut transaction, user.id, UserMail::AccountExists, now)
                .await?;
        }
        transaction.commit().await?;
        self.platform.queue.wake();
        Ok(())
    }
}
