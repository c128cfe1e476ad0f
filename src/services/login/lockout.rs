//! What follows when an account name is locked after failed logins: the notice, and its link.

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tracing::instrument;
use uuid::Uuid;

use super::{Attempt, DeviceToken, Login, Owner};
use crate::{
    domain::{
        audit::Action,
        id::{RequestId, UserId},
        permission::Permission,
        token::{OneTimeToken, Purpose, UNLOCK_LIFETIME},
        user::User,
    },
    error::{Error, ErrorCode, Result},
    repository::{
        jobs::{JobKind, NewJob},
        login_throttle,
        notices::{self, Notice},
        one_time_tokens, users,
    },
    services::{Ctx, audit::Act, mail::UserMail},
};

/// The job that tells the owner of an account, if there is one, that it is locked.
pub const NOTIFY_LOCKOUT: JobKind = JobKind {
    name: "notify_lockout",
    max_attempts: 10,
};

/// How often an owner is told at most.
const NOTICE_WAIT: TimeDelta = TimeDelta::hours(1);

#[derive(Debug, Serialize, Deserialize)]
struct Lockout {
    /// None where the name has no account: nobody shall read here who was tried.
    user_id: Option<Uuid>,
}

impl Login {
    pub(super) async fn locked_out(&self, ctx: &Ctx, attempt: Attempt) -> Result<()> {
        metrics::counter!("lockouts_total").increment(1);
        tracing::warn!("too many failed logins: an account name is locked for a while");
        // The same for names without an account, so that the time doesn't tell.
        let act = attempt.act(Action::LockedOut).failed();
        let mut transaction = self.platform.pool.begin().await?;
        self.platform
            .audit
            .record(&mut transaction, ctx, act)
            .await?;
        // The owner on his own device knows.
        if attempt.device.is_none() {
            let user_id = attempt.user_id.map(|id| id.0);
            let payload = serde_json::to_value(Lockout { user_id }).context("can't write a job")?;
            self.platform
                .queue
                .enqueue(&mut transaction, &NewJob::new(NOTIFY_LOCKOUT, payload))
                .await?;
        }
        transaction.commit().await?;
        self.platform.queue.wake();
        Ok(())
    }

    /// Does the job [`NOTIFY_LOCKOUT`]: mails the account's owner a link that unlocks, once an hour at most.
    ///
    /// # Errors
    ///
    /// If the database fails, or the job is not one of ours.
    pub async fn notify_lockout(
        &self,
        payload: &serde_json::Value,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let Lockout { user_id } = Deserialize::deserialize(payload).context("can't read a job")?;
        let Some(user_id) = user_id.map(UserId) else {
            return Ok(());
        };
        let mut transaction = self.platform.pool.begin().await?;
        // He must not be deleted meanwhile.
        let Some(user) = users::find_for_update(&mut transaction, user_id).await? else {
            return Ok(());
        };
        if user.email_verified_at.is_none()
            || user.deletion_due_at.is_some()
            || !notices::claim(
                &mut transaction,
                user.id,
                Notice::AccountLocked,
                now,
                NOTICE_WAIT,
            )
            .await?
        {
            return Ok(());
        }
        let token = OneTimeToken::new(self.platform.random.bytes());
        one_time_tokens::replace(
            &mut transaction,
            user.id,
            Purpose::AccountUnlock,
            &token,
            now,
            now + UNLOCK_LIFETIME,
        )
        .await?;
        let mail = UserMail::LockedAfterFailedLogins(&token);
        self.mails
            .enqueue(&mut transaction, user.id, mail, now)
            .await?;
        let ctx = Ctx::system(RequestId(self.platform.random.uuid_v7(now)), now);
        let act = Act::new(Action::UnlockMailed).on(user.id);
        self.platform
            .audit
            .record(&mut transaction, &ctx, act)
            .await?;
        transaction.commit().await?;
        self.platform.queue.wake();
        Ok(())
    }

    /// Uses the token of a lock notice: the account takes logins again, and the device that it was
    /// used on counts as the owner's.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidUnlockToken`] when it is unknown, used, replaced or expired.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn unlock(
        &self,
        ctx: &Ctx,
        user_id: UserId,
        token: &OneTimeToken,
    ) -> Result<DeviceToken> {
        let refused = || Error::InvalidToken(ErrorCode::InvalidUnlockToken);
        let mut transaction = self.platform.pool.begin().await?;
        let user = users::find_for_update(&mut transaction, user_id)
            .await?
            .ok_or_else(refused)?;
        let good = one_time_tokens::consume(
            &mut transaction,
            user_id,
            Purpose::AccountUnlock,
            token,
            ctx.now,
        )
        .await?;
        if !good {
            return Err(refused());
        }
        let hash = users::find_password_hash(&mut transaction, user_id)
            .await?
            .ok_or_else(refused)?;
        for name in user.login_names() {
            login_throttle::clear_all(&mut transaction, &self.key(&name), None).await?;
        }
        // Should it be locked again at once, the owner gets another link.
        notices::forget(&mut transaction, user_id, Notice::AccountLocked).await?;
        let act = Act::new(Action::LockoutEnded).by_owner(user_id);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        tracing::info!(%user_id, "lockout ended by the owner");
        Ok(self.device_token(None, &Owner::of(user_id, &hash), ctx.now))
    }

    /// The keys by which the failed logins of a user are counted.
    pub(in crate::services) fn throttle_keys(&self, user: &User) -> Vec<[u8; 32]> {
        let names = user.login_names();
        names.iter().map(|name| self.key(name)).collect()
    }

    /// Until when the account takes no logins after failed ones, by whatever name and from whatever client; none:
    /// nobody has to wait.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`]; if the database fails.
    pub async fn find_lockout(&self, ctx: &Ctx, user: &User) -> Result<Option<DateTime<Utc>>> {
        ctx.require_on(Permission::ReadUser, user.id)?;
        let now = self.platform.clock.database_override();
        let mut connection = self.platform.pool.acquire().await?;
        let mut until = None;
        for key in self.throttle_keys(user) {
            until =
                until.max(login_throttle::find_blocked_until(&mut connection, &key, now).await?);
        }
        Ok(until)
    }

    /// Ends the lockout of an account in the caller's transaction; answers whether there was one.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn end_lockout(&self, connection: &mut PgConnection, user: &User) -> Result<bool> {
        let now = self.platform.clock.database_override();
        let mut was_locked_out = false;
        for name in user.login_names() {
            was_locked_out |= login_throttle::clear_all(connection, &self.key(&name), now).await?;
        }
        Ok(was_locked_out)
    }
}
