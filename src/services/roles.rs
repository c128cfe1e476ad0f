//! Changing roles, and what became of them.
//!
//! Whoever changes a role, by whatever request, does it by `Roles::change`: it leaves a row in
//! `role_changes`, a mail to the user and a message in the outbox. That a verified address makes an
//! ANONYMOUS user AUTHENTICATED is none of these changes: nobody has decided it.

use std::sync::Arc;

use sqlx::PgConnection;
use tracing::instrument;

use super::{
    Ctx,
    audit::Act,
    mail::{Mails, UserMail},
    platform::Platform,
    session_cache::SessionCache,
    users::{Subject, keep_an_admin_against, subject},
};
use crate::{
    domain::{
        actor::Actor,
        audit::{Action, Change},
        id::UserId,
        outbox::OutboxMessage,
        page::{Listed, Page},
        permission::Permission,
        role::Role,
        role_change::{NewRoleChange, Reason, RoleChange},
        user::User,
    },
    error::{Error, ErrorCode, Result},
    repository::{outbox, role_changes, sessions, users},
};

/// Changes roles, and tells what became of them.
pub struct Roles {
    platform: Platform,
    cache: Arc<SessionCache>,
    mails: Arc<Mails>,
}

impl Roles {
    /// The service on this database.
    pub fn new(platform: Platform, cache: Arc<SessionCache>, mails: Arc<Mails>) -> Self {
        Self {
            platform,
            cache,
            mails,
        }
    }

    /// Gives a user another role; it ends his sessions. Where he has it already, nothing is done.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] by the rules of rank, or [`ErrorCode::LastAdministrator`];
    /// [`ErrorCode::UserNotFound`].
    ///
    /// # Concurrency
    ///
    /// Works at once on every instance. Of several changes at once each sees what the former one made.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn set(
        &self,
        ctx: &Ctx,
        id: UserId,
        role: Role,
        reason: Option<Reason>,
    ) -> Result<User> {
        ctx.require_on(Permission::ChangeRole, id)?;
        let mut transaction = self.platform.pool.begin().await?;
        let mut subject = subject(&mut transaction, ctx, id, Permission::ChangeRole).await?;
        let is_another = self
            .change(&mut transaction, ctx, &mut subject, role, reason)
            .await?;
        let Subject { mut user, .. } = subject;
        if !is_another {
            return Ok(user);
        }
        user.updated_at = ctx.now;
        users::update(&mut transaction, &mut user).await?;
        transaction.commit().await?;
        self.cache.forget(id);
        self.platform.queue.wake();
        tracing::info!(user_id = %id, role = %user.role, actor = ?ctx.actor, "role changed");
        Ok(user)
    }

    /// What became of a user's role, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`], [`ErrorCode::UserNotFound`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn history(&self, ctx: &Ctx, id: UserId, page: Page) -> Result<Listed<RoleChange>> {
        ctx.require_on(Permission::ReadUser, id)?;
        let mut connection = self.platform.pool.acquire().await?;
        if users::find(&mut connection, id).await?.is_none() {
            return Err(Error::NotFound(ErrorCode::UserNotFound));
        }
        role_changes::list(&mut connection, id, page).await
    }

    /// Gives a user whom the caller holds locked another role, if it is another one, in the caller's
    /// transaction, and answers whether it is. The caller stores the user; after the commit he makes the
    /// cache forget him, and wakes the worker.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] where the actor may not grant the role, or
    /// [`ErrorCode::LastAdministrator`].
    pub(super) async fn change(
        &self,
        connection: &mut PgConnection,
        ctx: &Ctx,
        subject: &mut Subject,
        role: Role,
        reason: Option<Reason>,
    ) -> Result<bool> {
        let Subject { user, actor_role } = subject;
        if role == user.role {
            return Ok(false);
        }
        if !actor_role.may_grant(role) {
            let code = ErrorCode::OperationNotPermitted;
            return Err(ctx.refuse(Permission::ChangeRole, Some(user.id), code));
        }
        keep_an_admin_against(connection, ctx, user, Permission::ChangeRole).await?;
        sessions::end_all(connection, user.id).await?;
        let change = NewRoleChange {
            user_id: user.id,
            from: user.role,
            to: role,
            reason,
            changed_by: match ctx.actor {
                Actor::User { id, .. } => Some(id),
                Actor::Nobody | Actor::Service | Actor::System | Actor::Operator => None,
            },
            changed_at: ctx.now,
        };
        let id = role_changes::insert(connection, &change).await?;
        let message_id = self.platform.random.uuid_v7(ctx.now);
        let message = OutboxMessage::role_changed(message_id, id, &change);
        outbox::insert(connection, &message).await?;
        if user.email.is_some() {
            let mail = UserMail::RoleChanged(id);
            self.mails
                .enqueue(connection, user.id, mail, ctx.now)
                .await?;
        }
        let before = user.clone();
        user.role = role;
        let act = Act::new(Action::RoleChanged)
            .on(user.id)
            .change(Change::between(&before, user));
        self.platform.audit.record(connection, ctx, act).await?;
        Ok(true)
    }
}
