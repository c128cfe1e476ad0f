//! Making accounts: by registration, by a manager, at start and at the command line.
//! `new_account.rs` beside has what an account needs to be made, `account_exists.rs` what happens where
//! there is one already and nobody may learn it, `repeated.rs` what is different where a request may be
//! sent again, `administrators.rs` and `creation.rs` accounts that nobody registers, `compat.rs` registration
//! by the older APIs.

mod account_exists;
mod administrators;
mod compat;
mod creation;
mod new_account;
mod repeated;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::anyhow;
use sqlx::{Connection as _, PgConnection};
use tracing::instrument;

use super::{
    Ctx,
    audit::Act,
    idempotency::Idempotency,
    mail::{Mails, UserMail},
    nicknames::Nicknames,
    platform::Platform,
    rate_limits::{Limited, RateLimits},
};
use crate::{
    domain::{
        actor::Actor,
        audit::{Action, made},
        id::UserId,
        password::PasswordHash,
        permission::Permission,
        role::Role,
        token::OneTimeToken,
        user::User,
    },
    error::{Error, ErrorCode, Result},
    infra::password_hasher::PasswordHasher,
    repository::{idempotency_keys::Claim, jobs::NewJob, users},
};

pub use account_exists::{NOTIFY_ACCOUNT_EXISTS, account_exists_job};
pub use administrators::EnsuredAdmin;
pub use creation::Creation;
use new_account::also_taken;
pub use new_account::{NAMELESS, NewAccount};

/// How many generated nicknames are tried before something must be wrong.
const NICKNAME_TRIES: usize = 20;

/// The answer to a registration.
#[derive(Debug)]
pub enum Registered {
    /// The account was made.
    User(Box<User>),
    /// The service doesn't tell: see `HIDE_ACCOUNT_EXISTENCE`.
    Undisclosed,
}

/// The policy for new accounts.
#[derive(Debug, Clone, Copy)]
pub struct RegistrationPolicy {
    /// Whether the first account becomes administrator.
    pub first_user_is_admin: bool,
    /// Whether a registration is answered alike for known and unknown addresses.
    pub hide_account_existence: bool,
}

/// Makes accounts.
pub struct Registration {
    platform: Platform,
    hasher: Arc<PasswordHasher>,
    nicknames: Nicknames,
    mails: Arc<Mails>,
    limits: Arc<RateLimits>,
    idempotency: Arc<Idempotency>,
    policy: RegistrationPolicy,
    /// Whether the place of the first user is known to be taken, for good.
    first_user_exists: AtomicBool,
}

impl Registration {
    /// The service on this database.
    pub fn new(
        platform: Platform,
        hasher: Arc<PasswordHasher>,
        mails: Arc<Mails>,
        limits: Arc<RateLimits>,
        idempotency: Arc<Idempotency>,
        policy: RegistrationPolicy,
    ) -> Self {
        Self {
            nicknames: Nicknames::new(Arc::clone(&platform.random)),
            platform,
            hasher,
            mails,
            limits,
            idempotency,
            policy,
            first_user_exists: AtomicBool::new(false),
        }
    }

    /// Anybody makes an account for himself; a mail asks him to verify the address, if he gave one.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::EmailAlreadyExists`], [`ErrorCode::PhoneNumberAlreadyExists`],
    /// [`ErrorCode::NicknameAlreadyExists`], the first of them that applies, and none where the existence of accounts is hidden; [`Error::Invalid`], [`Error::RateLimited`],
    /// [`Error::Unavailable`].
    ///
    /// # Concurrency
    ///
    /// Of any number of registrations at once, on any number of instances, exactly one makes the
    /// first user.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn register(&self, ctx: &Ctx, account: NewAccount) -> Result<Registered> {
        self.check_registration(ctx, &account)?;
        self.register_checked(ctx, account, None).await
    }

    fn check_registration(&self, ctx: &Ctx, account: &NewAccount) -> Result<()> {
        self.limits.check(ctx, Limited::Register)?;
        account.check()
    }

    async fn register_checked(
        &self,
        ctx: &Ctx,
        account: NewAccount,
        claim: Option<&Claim>,
    ) -> Result<Registered> {
        let hash = self.hasher.hash(&account.password).await?;
        let name = account.login_name()?;
        let mut account = account;
        if self.policy.hide_account_existence {
            // Whether a chosen nickname was taken would tell whether an earlier registration, which
            // chose it too, made an account.
            account.nickname = None;
            // The same is true of a number beside an address.
            if account.email.is_some() {
                account.phone_number = None;
            }
        }
        let mut connection = self.platform.pool.acquire().await?;
        let first_role = match self.policy.first_user_is_admin {
            true => Role::Admin,
            false => Role::Anonymous,
        };
        let made = self
            .insert_registered(&mut connection, ctx, account, &hash, first_role, claim)
            .await;
        let user = match made {
            Err(Error::Conflict(
                ErrorCode::EmailAlreadyExists | ErrorCode::PhoneNumberAlreadyExists,
            )) if self.policy.hide_account_existence => {
                // On the same connection: to wait for another one would tell.
                self.tell_owner(&mut connection, name, claim).await?;
                return Ok(Registered::Undisclosed);
            }
            made => made?,
        };
        self.made(&user);
        if self.policy.hide_account_existence {
            Ok(Registered::Undisclosed)
        } else {
            Ok(Registered::User(Box::new(user)))
        }
    }

    /// A manager or an administrator makes an account for somebody; a mail asks him to verify the
    /// address, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] when `role` is beyond the actor's rights;
    /// [`ErrorCode::EmailAlreadyExists`], [`ErrorCode::PhoneNumberAlreadyExists`],
    /// [`ErrorCode::NicknameAlreadyExists`], the first of them that applies.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn add(&self, ctx: &Ctx, account: NewAccount, role: Option<Role>) -> Result<User> {
        ctx.require(Permission::AddUser)?;
        self.add_permitted(ctx, account, role, None).await
    }

    async fn add_permitted(
        &self,
        ctx: &Ctx,
        account: NewAccount,
        role: Option<Role>,
        claim: Option<&Claim>,
    ) -> Result<User> {
        let role = role.unwrap_or(Role::Anonymous);
        check_grant(ctx, role)?;
        account.check()?;
        let hash = self.hasher.hash(&account.password).await?;
        let mut transaction = self.platform.pool.begin().await?;
        if let Actor::User { id, .. } = ctx.actor {
            // His role may have changed since the request began.
            match users::find_role_for_share(&mut transaction, id).await? {
                Some(now) if now.grants(Permission::AddUser) && now.may_grant(role) => {}
                _ => {
                    let code = ErrorCode::OperationNotPermitted;
                    return Err(ctx.refuse(Permission::AddUser, None, code));
                }
            }
            ctx.still_logged_in(&mut transaction).await?;
        }
        let user = self
            .insert_unverified(
                &mut transaction,
                ctx,
                Action::UserAdded,
                self.user(ctx, account, role),
                &hash,
            )
            .await?;
        if let Some(claim) = claim {
            let idempotency = &self.idempotency;
            idempotency
                .store(&mut transaction, claim, Some(&user))
                .await?;
        }
        transaction.commit().await?;
        self.made(&user);
        Ok(user)
    }

    /// Stores an account of role ANONYMOUS, or of `first_role` if it is the first of all.
    async fn insert_registered(
        &self,
        connection: &mut PgConnection,
        ctx: &Ctx,
        account: NewAccount,
        hash: &PasswordHash,
        first_role: Role,
        claim: Option<&Claim>,
    ) -> Result<User> {
        let first_user_exists = self.first_user_exists.load(Ordering::Relaxed);
        if first_user_exists && claim.is_none() {
            let user = self.user(ctx, account, Role::Anonymous);
            let action = Action::UserRegistered;
            return self
                .insert_unverified(connection, ctx, action, user, hash)
                .await;
        }
        let mut transaction = connection.begin().await?;
        let is_first = !first_user_exists && self.claim_first(&mut transaction, ctx).await?;
        let role = match is_first {
            true => first_role,
            false => Role::Anonymous,
        };
        let user = self.user(ctx, account, role);
        let user = self
            .insert_unverified(&mut transaction, ctx, Action::UserRegistered, user, hash)
            .await?;
        if let Some(claim) = claim {
            // Stored like what is stored where the account was there before.
            let told = (!self.policy.hide_account_existence).then_some(&user);
            self.idempotency
                .store(&mut transaction, claim, told)
                .await?;
        }
        transaction.commit().await?;
        Ok(user)
    }

    async fn insert_unverified(
        &self,
        connection: &mut PgConnection,
        ctx: &Ctx,
        action: Action,
        user: (User, bool),
        hash: &PasswordHash,
    ) -> Result<User> {
        if user.0.email.is_none() {
            // There is nothing to verify.
            return self.insert(connection, ctx, action, user, hash, None).await;
        }
        let token = OneTimeToken::new(self.platform.random.bytes());
        let mail = UserMail::EmailVerification(&token);
        let mail = self.mails.job(user.0.id, mail, ctx.now)?;
        let verification = Some((&token, &mail));
        self.insert(connection, ctx, action, user, hash, verification)
            .await
    }

    /// The user, and whether he chose his nickname.
    fn user(&self, ctx: &Ctx, account: NewAccount, role: Role) -> (User, bool) {
        let chosen = account.nickname.is_some();
        let user = User {
            id: UserId(self.platform.random.uuid_v7(ctx.now)),
            nickname: account
                .nickname
                .unwrap_or_else(|| self.nicknames.generate()),
            email: account.email,
            email_verified_at: None,
            phone_number: account.phone_number,
            legacy_name: account.legacy_name,
            profile: account.profile,
            role,
            is_professional: false,
            professional_status_updated_at: None,
            locked_at: None,
            deletion_due_at: None,
            last_login_at: None,
            created_at: ctx.now,
            updated_at: ctx.now,
            revision: 1,
        };
        (user, chosen)
    }

    /// Stores a user, with another nickname until one is free, and how his address is verified.
    async fn insert(
        &self,
        connection: &mut PgConnection,
        ctx: &Ctx,
        action: Action,
        (mut user, chosen): (User, bool),
        hash: &PasswordHash,
        verification: Option<(&OneTimeToken, &NewJob)>,
    ) -> Result<User> {
        let now = self.platform.clock.database_override();
        for _ in 0..NICKNAME_TRIES {
            let act = Act::new(action).on(user.id).after(made(&user));
            let entry = self.platform.audit.entry(ctx, act);
            let inserted = match verification {
                Some((token, mail)) => {
                    users::insert_unverified(connection, &user, hash, token, mail, &entry, now)
                        .await?
                }
                None => users::insert(connection, &user, hash, &entry).await?,
            };
            if inserted {
                return Ok(user);
            }
            if chosen {
                return Err(Error::Conflict(also_taken(connection, &user).await?));
            }
            user.nickname = self.nicknames.generate();
        }
        Err(Error::Internal(anyhow!(
            "{NICKNAME_TRIES} generated nicknames were all taken"
        )))
    }

    async fn claim_first(&self, connection: &mut PgConnection, ctx: &Ctx) -> Result<bool> {
        let claimed = users::claim_first(connection, ctx.now).await?;
        if !claimed {
            // Somebody else's claim is visible, so it is committed.
            self.first_user_exists.store(true, Ordering::Relaxed);
        }
        Ok(claimed)
    }

    fn made(&self, user: &User) {
        self.platform.queue.wake();
        metrics::counter!("users_created_total").increment(1);
        tracing::info!(user_id = %user.id, role = %user.role, "account made");
    }
}

fn check_grant(ctx: &Ctx, role: Role) -> Result<()> {
    match ctx.actor {
        Actor::System | Actor::Operator => Ok(()),
        Actor::User { role: own, .. } if own.may_grant(role) => Ok(()),
        Actor::User { .. } | Actor::Service | Actor::Nobody => {
            let code = ErrorCode::OperationNotPermitted;
            Err(ctx.refuse(Permission::AddUser, None, code))
        }
    }
}
