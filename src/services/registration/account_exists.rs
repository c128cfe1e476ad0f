//! Where nobody may learn who has an account: a registration with an address or a phone number that has
//! one is answered like any other, and a mail tells the owner.

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize as _;
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};

use super::Registration;
use crate::{
    domain::{email::Email, login_name::LoginName},
    error::Result,
    repository::{
        idempotency_keys::Claim,
        jobs::{JobKind, NewJob},
        notices::{self, Notice},
        users,
    },
    services::{address_job, mail::UserMail, verification::RESEND_VERIFICATION},
};

/// The job that tells the owner of an account that somebody tried to register with his address or
/// his phone number.
pub const NOTIFY_ACCOUNT_EXISTS: JobKind = JobKind {
    name: "notify_account_exists",
    max_attempts: 10,
};

/// How often an owner is told at most.
const NOTICE_WAIT: TimeDelta = TimeDelta::hours(1);

/// The job [`NOTIFY_ACCOUNT_EXISTS`] for this name.
///
/// # Errors
///
/// Never by what it is given.
pub fn account_exists_job(name: &LoginName) -> Result<NewJob> {
    let digest = Sha256::digest(name.as_str().as_bytes());
    let key = u128::from_be_bytes(*digest.first_chunk().context("a digest has 32 bytes")?);
    let payload = serde_json::to_value(name).context("can't write a job")?;
    Ok(NewJob {
        dedupe_key: Some(format!("{}:{key:032x}", NOTIFY_ACCOUNT_EXISTS.name)),
        ..NewJob::new(NOTIFY_ACCOUNT_EXISTS, payload)
    })
}

impl Registration {
    /// About as little work as an account that is made: the time that an answer takes must not tell.
    pub(super) async fn tell_owner(
        &self,
        connection: &mut PgConnection,
        name: LoginName,
        claim: Option<&Claim>,
    ) -> Result<()> {
        let job = account_exists_job(&name)?;
        match claim {
            None => self.platform.queue.enqueue(connection, &job).await?,
            Some(claim) => {
                let mut transaction = connection.begin().await?;
                self.platform.queue.enqueue(&mut transaction, &job).await?;
                self.idempotency
                    .store(&mut transaction, claim, None)
                    .await?;
                transaction.commit().await?;
            }
        }
        self.platform.queue.wake();
        Ok(())
    }

    /// Does the job [`NOTIFY_ACCOUNT_EXISTS`]: mails the account's owner, if the account has an address,
    /// once an hour at most. Whose address isn't verified yet needs another link: he can't log in.
    ///
    /// # Errors
    ///
    /// If the database fails, or the job is not one of ours.
    pub async fn notify_account_exists(
        &self,
        payload: &serde_json::Value,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let name = LoginName::deserialize(payload).context("can't read a job")?;
        let mut transaction = self.platform.pool.begin().await?;
        let found = match &name {
            LoginName::Email(email) => users::find_by_email(&mut transaction, email).await?,
            LoginName::PhoneNumber(number) => {
                users::find_by_phone_number(&mut transaction, number).await?
            }
            // Who has it in place of an address gets no mail.
            LoginName::Legacy(_) => None,
        };
        let Some(user) = found else {
            return Ok(());
        };
        // He must not be deleted meanwhile.
        let Some(user) = users::find_for_update(&mut transaction, user.id).await? else {
            return Ok(());
        };
        let Some(email) = user.email.as_ref().map(Email::normalized) else {
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
