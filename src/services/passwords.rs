//! A user's own password: proving that he knows it, and changing it.

use std::sync::Arc;

use sqlx::PgConnection;
use tracing::instrument;

use super::{
    Ctx,
    audit::Act,
    mail::{Mails, UserMail},
    platform::Platform,
    rate_limits::{Limited, RateLimits},
    session_cache::SessionCache,
};
use crate::{
    domain::{
        actor::Actor,
        audit::Action,
        id::{SessionId, UserId},
        lockout::{Charge, LockoutPolicy},
        login_name::LoginName,
        password::{Password, PasswordHash, TypedPassword},
        token::Purpose,
        user::User,
    },
    error::{Error, ErrorCode, FieldError, Result, Rule},
    infra::{
        keys::PurposeKey,
        password_hasher::{PasswordHasher, Verdict},
    },
    repository::{
        email_changes,
        login_throttle::{self, Bucket},
        notices::{self, Notice},
        one_time_tokens, sessions, users,
    },
};

/// Checks and changes passwords of users who are logged in.
pub struct Passwords {
    platform: Platform,
    hasher: Arc<PasswordHasher>,
    cache: Arc<SessionCache>,
    mails: Arc<Mails>,
    limits: Arc<RateLimits>,
    lockout: LockoutPolicy,
    throttle_key: PurposeKey,
}

/// A caller who has proved that he knows his password.
#[derive(Debug)]
pub struct Proven {
    /// Who he is, as he was when he proved it.
    pub user: User,
    /// The session that he uses.
    pub session: SessionId,
    /// What his password was compared with.
    hash: PasswordHash,
    field: &'static str,
}

impl Passwords {
    /// The service on this database; `throttle_key` hashes ids of accounts in `login_throttle`.
    pub fn new(
        platform: Platform,
        hasher: Arc<PasswordHasher>,
        cache: Arc<SessionCache>,
        mails: Arc<Mails>,
        limits: Arc<RateLimits>,
        lockout: LockoutPolicy,
        throttle_key: PurposeKey,
    ) -> Self {
        Self {
            platform,
            hasher,
            cache,
            mails,
            limits,
            lockout,
            throttle_key,
        }
    }

    /// Makes sure that the caller knows his own password, which stood in this field of the request.
    ///
    /// Guesses are counted for each session by itself: one that was stolen finds no password out, and
    /// locks nobody out of his account.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] naming the field when it is another password: whoever asks is logged in, so
    /// his token is not at fault. [`Error::Locked`] after too many guesses; [`Error::RateLimited`];
    /// [`Error::Unauthenticated`], [`Error::Unavailable`].
    ///
    /// # Concurrency
    ///
    /// Of any number of guesses at once no more are looked at than the lockout allows. What is done
    /// by the proof must make sure, in its transaction, that it [still holds](Self::still_holds).
    pub async fn prove(
        &self,
        ctx: &Ctx,
        typed: &TypedPassword,
        field: &'static str,
    ) -> Result<Proven> {
        // It costs as much as a login.
        self.limits.check(ctx, Limited::Login)?;
        let gone = || Error::Unauthenticated(ErrorCode::NotAuthenticated);
        let Actor::User { id, session, .. } = ctx.actor else {
            return Err(gone());
        };
        let key = self.throttle_key.tag(&[id.0.as_bytes()]);
        let bucket = Bucket {
            key: &key,
            device: session.0.as_bytes(),
        };
        let mut connection = self.platform.pool.acquire().await?;
        // No account has the empty name: what is counted here is of no login.
        let now = self.platform.clock.database_override();
        let nobody = LoginName::Email(String::new());
        let charged = login_throttle::charge(&mut connection, bucket, &nobody, self.lockout, now);
        if let (Charge::Refused { retry_after }, _) = charged.await? {
            return Err(Error::Locked {
                retry_after: Some(retry_after.to_std().unwrap_or_default()),
            });
        }
        let user = users::find(&mut connection, id).await?.ok_or_else(gone)?;
        let hash = users::find_password_hash(&mut connection, id).await?;
        let hash = hash.ok_or_else(gone)?;
        drop(connection);
        match self.hasher.verify(typed, Some(&hash)).await {
            Ok(Verdict::Right { .. }) => {
                let mut connection = self.platform.pool.acquire().await?;
                login_throttle::clear(&mut connection, bucket).await?;
                Ok(Proven {
                    user,
                    session,
                    hash,
                    field,
                })
            }
            Ok(Verdict::Wrong) => {
                let act = Act::new(Action::PasswordProofFailed).on(id).failed();
                let mut connection = self.platform.pool.acquire().await?;
                let audit = &self.platform.audit;
                audit.record(&mut connection, ctx, act).await?;
                Err(wrong(field))
            }
            Err(busy) => {
                // Nobody has looked at the password.
                let mut connection = self.platform.pool.acquire().await?;
                login_throttle::refund(&mut connection, bucket).await?;
                Err(busy.into())
            }
        }
    }

    /// Locks the user who proved something, in the caller's transaction, and makes sure that his
    /// password is still the one that he proved to know.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] as of [`Self::prove`] when somebody has changed it meanwhile;
    /// [`Error::Unauthenticated`] when the account takes no logins any more.
    pub async fn still_holds(
        &self,
        connection: &mut PgConnection,
        proven: &Proven,
    ) -> Result<User> {
        let id = proven.user.id;
        let user = users::find_for_update(connection, id).await?;
        let user = user
            .filter(|user| user.locked_at.is_none() && user.deletion_due_at.is_none())
            .ok_or(Error::Unauthenticated(ErrorCode::NotAuthenticated))?;
        let hash = users::find_password_hash(connection, id).await?;
        if hash.is_some_and(|hash| hash.expose() == proven.hash.expose()) {
            Ok(user)
        } else {
            Err(wrong(proven.field))
        }
    }

    /// Changes the caller's password. His other sessions end; links that were mailed for another
    /// password, and a wish for another address that nobody has confirmed, are void.
    ///
    /// # Errors
    ///
    /// As of [`Self::prove`]; [`Error::Invalid`] for a password that the account may not have.
    ///
    /// # Concurrency
    ///
    /// Of two changes at once, both by the old password, one succeeds.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn change(
        &self,
        ctx: &Ctx,
        current: &TypedPassword,
        password: &Password,
    ) -> Result<()> {
        let proven = self.prove(ctx, current, "current_password").await?;
        let hash = self.hash(&proven.user, password, "new_password").await?;
        let mut transaction = self.platform.pool.begin().await?;
        let user = self.still_holds(&mut transaction, &proven).await?;
        self.set(&mut transaction, ctx, &user, proven.session, &hash)
            .await?;
        transaction.commit().await?;
        self.cache.forget(user.id);
        self.changed(user.id);
        Ok(())
    }

    /// Hashes a password that stood in this field of the request, if the account may have it, for a
    /// caller who hasn't proved anything.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] naming the field; [`Error::RateLimited`], [`Error::Unavailable`].
    pub(super) async fn hash_unproven(
        &self,
        ctx: &Ctx,
        user: &User,
        password: &Password,
        field: &'static str,
    ) -> Result<PasswordHash> {
        // It costs as much as a login.
        self.limits.check(ctx, Limited::Login)?;
        self.hash(user, password, field).await
    }

    async fn hash(
        &self,
        user: &User,
        password: &Password,
        field: &'static str,
    ) -> Result<PasswordHash> {
        password
            .check_owner(
                user.email.as_ref(),
                Some(&user.nickname),
                user.phone_number.as_ref(),
            )
            .map_err(|rule| Error::invalid(FieldError::body(field, rule)))?;
        Ok(self.hasher.hash(password).await?)
    }

    /// Sets a password in the caller's transaction, and ends what the former one had led to, but for
    /// the session that is used. Tell [`Self::changed`] when it is committed.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub(super) async fn set(
        &self,
        connection: &mut PgConnection,
        ctx: &Ctx,
        user: &User,
        session: SessionId,
        hash: &PasswordHash,
    ) -> Result<()> {
        let id = user.id;
        users::set_password_hash(connection, id, hash).await?;
        sessions::end_others(connection, id, session).await?;
        let void = [Purpose::PasswordReset, Purpose::OpenPasswordReset];
        one_time_tokens::discard(connection, id, &void).await?;
        email_changes::discard_unconfirmed(connection, id).await?;
        // The links are void: whoever reads the mailbox must not wait for another.
        notices::forget(connection, id, Notice::PasswordReset).await?;
        // Nobody has said that he wants mail at an address that isn't verified.
        if user.email_verified_at.is_some() {
            let mail = UserMail::PasswordChanged;
            self.mails.enqueue(connection, id, mail, ctx.now).await?;
        }
        let act = Act::new(Action::PasswordChanged).on(id);
        self.platform.audit.record(connection, ctx, act).await
    }

    /// A password that was [set](Self::set) is committed.
    pub(super) fn changed(&self, id: UserId) {
        self.platform.queue.wake();
        metrics::counter!("passwords_changed_total", "how" => "owner").increment(1);
        tracing::info!(user_id = %id, "password changed");
    }
}

fn wrong(field: &'static str) -> Error {
    let rule = Rule::new("wrong_password", "is not your password");
    Error::invalid(FieldError::body(field, rule))
}
