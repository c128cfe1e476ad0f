//! Managing users: read, edit, delete, lock and unlock; `named.rs` beside finds one by whatever he is called.
//! Adding is in [`super::registration`], browsing in [`super::user_search`].

mod named;

use std::sync::Arc;

use sqlx::PgConnection;
use tracing::instrument;

use super::{
    Ctx,
    audit::Act,
    login::Login,
    mail::{Mails, UserMail},
    platform::Platform,
    roles::Roles,
    session_cache::SessionCache,
};
use crate::{
    domain::{
        actor::Actor,
        audit::{Action, Change, gone},
        email::Email,
        id::UserId,
        nickname::Nickname,
        patch::Patch,
        permission::Permission,
        phone::PhoneNumber,
        profile::ProfilePatch,
        role::Role,
        role_change::Reason,
        token::{OneTimeToken, Purpose, VERIFICATION_LIFETIME},
        user::User,
    },
    error::{Error, ErrorCode, FieldError, Result, Rule},
    repository::{email_changes, one_time_tokens, sessions, users},
};

/// A change of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserPatch {
    /// The new nickname.
    pub nickname: Option<Nickname>,
    /// The new address, to be verified.
    pub email: Option<Email>,
    /// The new phone number; it can be taken away from an account with an address only.
    pub phone_number: Patch<PhoneNumber>,
    /// The new role.
    pub role: Option<Role>,
    /// Changes of the profile.
    pub profile: ProfilePatch,
}

/// Manages users.
pub struct Users {
    platform: Platform,
    cache: Arc<SessionCache>,
    login: Arc<Login>,
    mails: Arc<Mails>,
    roles: Arc<Roles>,
}

impl Users {
    /// The service on this database.
    pub fn new(
        platform: Platform,
        cache: Arc<SessionCache>,
        login: Arc<Login>,
        mails: Arc<Mails>,
        roles: Arc<Roles>,
    ) -> Self {
        Self {
            platform,
            cache,
            login,
            mails,
            roles,
        }
    }

    /// A user.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`], [`ErrorCode::UserNotFound`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn read(&self, ctx: &Ctx, id: UserId) -> Result<User> {
        ctx.require_on(Permission::ReadUser, id)?;
        let mut connection = self.platform.pool.acquire().await?;
        users::find(&mut connection, id)
            .await?
            .ok_or(Error::NotFound(ErrorCode::UserNotFound))
    }

    /// Changes a user. A new address must be verified again, but for the last administrator's, who
    /// could lock everybody out by a slip; a new role ends his sessions.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] by the rules of rank, or [`ErrorCode::LastAdministrator`];
    /// [`ErrorCode::UserNotFound`]; [`ErrorCode::EmailTaken`], [`ErrorCode::PhoneNumberAlreadyExists`],
    /// [`ErrorCode::NicknameAlreadyExists`]; [`Error::Invalid`] where he would lose his only name.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn edit(&self, ctx: &Ctx, id: UserId, patch: UserPatch) -> Result<User> {
        ctx.require_on(Permission::EditUser, id)?;
        let mut transaction = self.platform.pool.begin().await?;
        let mut subject = subject(&mut transaction, ctx, id, Permission::EditUser).await?;
        let before = subject.user.clone();
        if let Some(role) = patch.role {
            self.roles
                .change(&mut transaction, ctx, &mut subject, role, None)
                .await?;
        }
        let Subject { mut user, .. } = subject;
        if let Some(nickname) = patch.nickname {
            user.nickname = nickname;
        }
        patch.profile.apply(&mut user.profile);
        let address_of = |email: &Option<Email>| email.as_ref().map(Email::normalized);
        let new_address =
            patch.email.is_some() && address_of(&patch.email) != address_of(&user.email);
        if patch.email.is_some() {
            user.email = patch.email;
        }
        patch.phone_number.apply(&mut user.phone_number);
        if user.login_names().is_empty() {
            let rule = Rule::new(
                "required",
                "can't be taken away from an account without an e-mail address",
            );
            return Err(Error::invalid(FieldError::body("phone_number", rule)));
        }
        if new_address {
            // The last administrator must still be able to log in, should the address be mistyped, or
            // be his first.
            let is_first = before.email.is_none().then_some(ctx.now);
            user.email_verified_at = match is_last_admin(&mut transaction, &before).await? {
                true => before.email_verified_at.or(is_first),
                false => None,
            };
        }
        if user == before {
            return Ok(user);
        }
        user.updated_at = ctx.now;
        users::update(&mut transaction, &mut user)
            .await
            .map_err(Error::of_new_address)?;
        if new_address {
            let token = OneTimeToken::new(self.platform.random.bytes());
            // What went to the old address is void.
            let void = [
                Purpose::AccountUnlock,
                Purpose::PasswordReset,
                Purpose::OpenPasswordReset,
                Purpose::AccountRestore,
            ];
            one_time_tokens::discard(&mut transaction, id, &void).await?;
            email_changes::discard_all(&mut transaction, id).await?;
            one_time_tokens::replace(
                &mut transaction,
                id,
                Purpose::EmailVerification,
                &token,
                ctx.now,
                ctx.now + VERIFICATION_LIFETIME,
            )
            .await?;
            self.mails
                .enqueue(
                    &mut transaction,
                    id,
                    UserMail::EmailVerification(&token),
                    ctx.now,
                )
                .await?;
        }
        self.tell_of_edit(&mut transaction, ctx, &before, &user)
            .await?;
        transaction.commit().await?;
        self.cache.forget(id);
        self.platform.queue.wake();
        tracing::info!(user_id = %id, role = %user.role, actor = ?ctx.actor, "user changed");
        Ok(user)
    }

    /// Records a change but for that of the role, which has an entry of its own.
    async fn tell_of_edit(
        &self,
        connection: &mut PgConnection,
        ctx: &Ctx,
        before: &User,
        after: &User,
    ) -> Result<()> {
        let audit = &self.platform.audit;
        let mut change = Change::between(before, after);
        // Recorded where it was changed.
        drop(change.split_off("role"));
        if !change.is_empty() {
            let act = Act::new(Action::UserChanged).on(after.id).change(change);
            audit.record(connection, ctx, act).await?;
        }
        Ok(())
    }

    /// Deletes a user and all that belongs to him.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] by the rules of rank, or [`ErrorCode::LastAdministrator`];
    /// [`ErrorCode::UserNotFound`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn delete(&self, ctx: &Ctx, id: UserId) -> Result<()> {
        ctx.require_on(Permission::DeleteUser, id)?;
        let mut transaction = self.platform.pool.begin().await?;
        let Subject { user, .. } =
            subject(&mut transaction, ctx, id, Permission::DeleteUser).await?;
        keep_an_admin_against(&mut transaction, ctx, &user, Permission::DeleteUser).await?;
        sessions::end_all(&mut transaction, id).await?;
        users::delete(&mut transaction, id).await?;
        let act = Act::new(Action::UserDeleted).on(id).before(gone(&user));
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.cache.forget(id);
        tracing::info!(user_id = %id, actor = ?ctx.actor, "user deleted");
        Ok(())
    }

    /// Locks a user out until somebody unlocks him, and ends his sessions. The reason, if there is one, is
    /// for the audit log.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] by the rules of rank, or [`ErrorCode::LastAdministrator`];
    /// [`ErrorCode::UserNotFound`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn lock(&self, ctx: &Ctx, id: UserId, reason: Option<Reason>) -> Result<User> {
        ctx.require_on(Permission::LockUser, id)?;
        let mut transaction = self.platform.pool.begin().await?;
        let Subject { mut user, .. } =
            subject(&mut transaction, ctx, id, Permission::LockUser).await?;
        if user.locked_at.is_some() {
            return Ok(user);
        }
        keep_an_admin_against(&mut transaction, ctx, &user, Permission::LockUser).await?;
        let before = user.clone();
        user.locked_at = Some(ctx.now);
        user.updated_at = ctx.now;
        users::update(&mut transaction, &mut user).await?;
        sessions::end_all(&mut transaction, id).await?;
        email_changes::discard_unconfirmed(&mut transaction, id).await?;
        if user.email.is_some() {
            let mail = UserMail::LockedByAdministrator;
            self.mails
                .enqueue(&mut transaction, id, mail, ctx.now)
                .await?;
        }
        let mut change = Change::between(&before, &user);
        if let Some(reason) = reason {
            let text = reason.as_str().into();
            change.after.insert("reason".to_owned(), text);
        }
        let act = Act::new(Action::UserLocked).on(id).change(change);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.cache.forget(id);
        self.platform.queue.wake();
        tracing::info!(user_id = %id, actor = ?ctx.actor, "user locked");
        Ok(user)
    }

    /// Ends the lock of a user, and a lockout after failed logins too.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] by the rules of rank; [`ErrorCode::UserNotFound`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn unlock(&self, ctx: &Ctx, id: UserId) -> Result<User> {
        ctx.require_on(Permission::UnlockUser, id)?;
        let mut transaction = self.platform.pool.begin().await?;
        let Subject { mut user, .. } =
            subject(&mut transaction, ctx, id, Permission::UnlockUser).await?;
        let before = user.clone();
        let was_locked_out = self.login.end_lockout(&mut transaction, &user).await?;
        let was_locked = user.locked_at.take().is_some();
        if was_locked {
            user.updated_at = ctx.now;
            users::update(&mut transaction, &mut user).await?;
        }
        if user.email.is_some() && (was_locked || was_locked_out) {
            self.mails
                .enqueue(&mut transaction, id, UserMail::Unlocked, ctx.now)
                .await?;
        }
        let change = Change::between(&before, &user);
        let act = Act::new(Action::UserUnlocked).on(id).change(change);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.platform.queue.wake();
        tracing::info!(user_id = %id, actor = ?ctx.actor, "user unlocked");
        Ok(user)
    }
}

/// Whom something is done to, and the rank of who does it.
pub(super) struct Subject {
    pub(super) user: User,
    pub(super) actor_role: Role,
}

/// Locks the user, and makes sure that the actor may do this to him, by the roles that both have now.
///
/// # Concurrency
///
/// Both rows are locked until the transaction ends, in the order of their ids, so that two who act on
/// each other don't wait for each other.
pub(super) async fn subject(
    connection: &mut PgConnection,
    ctx: &Ctx,
    id: UserId,
    permission: Permission,
) -> Result<Subject> {
    let not_found = || Error::NotFound(ErrorCode::UserNotFound);
    let actor = match ctx.actor {
        Actor::User { id: actor, .. } => actor,
        Actor::Nobody => return Err(Error::Unauthenticated(ErrorCode::NotAuthenticated)),
        Actor::Service => {
            return Err(ctx.refuse(permission, Some(id), ErrorCode::OperationNotPermitted));
        }
        Actor::System | Actor::Operator => {
            let user = users::find_for_update(connection, id).await?;
            return Ok(Subject {
                user: user.ok_or_else(not_found)?,
                actor_role: Role::Admin,
            });
        }
    };
    let (user, actor_role) = if actor < id {
        let role = users::find_role_for_share(connection, actor).await?;
        (users::find_for_update(connection, id).await?, role)
    } else {
        let user = users::find_for_update(connection, id).await?;
        (user, users::find_role_for_share(connection, actor).await?)
    };
    let actor_role = actor_role.ok_or(Error::Unauthenticated(ErrorCode::NotAuthenticated))?;
    let user = user.ok_or_else(not_found)?;
    if actor_role.grants(permission) && actor_role.outranks(user.role) {
        ctx.still_logged_in(connection).await?;
        Ok(Subject { user, actor_role })
    } else {
        Err(ctx.refuse(permission, Some(id), ErrorCode::OperationNotPermitted))
    }
}

/// [Makes sure](keep_an_admin) that an administrator is left when somebody uses this permission against
/// this user.
pub(super) async fn keep_an_admin_against(
    connection: &mut PgConnection,
    ctx: &Ctx,
    user: &User,
    permission: Permission,
) -> Result<()> {
    match is_last_admin(connection, user).await? {
        true => Err(ctx.refuse(permission, Some(user.id), ErrorCode::LastAdministrator)),
        false => Ok(()),
    }
}

/// Makes sure that, without this user's power, an administrator who can log in is left.
pub(super) async fn keep_an_admin(connection: &mut PgConnection, user: &User) -> Result<()> {
    if is_last_admin(connection, user).await? {
        return Err(Error::Forbidden(ErrorCode::LastAdministrator));
    }
    Ok(())
}

async fn is_last_admin(connection: &mut PgConnection, user: &User) -> Result<bool> {
    Ok(user.role == Role::Admin && !users::has_other_admin(connection, user.id).await?)
}
