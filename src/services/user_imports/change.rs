//! Changing an account as a row of a file says.

use sqlx::{Connection as _, PgConnection};

use super::step::{Candidate, Step};
use crate::{
    domain::{
        actor::Actor,
        audit::{Action, Change},
        email::Email,
        id::UserId,
        password::PasswordHash,
        role::Role,
        token::Purpose,
        user::User,
        user_record::Column,
    },
    error::{Error, ErrorCode, Result},
    repository::{email_changes, one_time_tokens, sessions, users},
    services::{
        audit::Act,
        deletion::WAYS_BACK,
        mail::UserMail,
        users::{Subject, keep_an_admin},
    },
};

/// What became of a wish to change an account.
pub(super) enum Changed {
    /// It was changed.
    Done,
    /// It has all that the row gives.
    IsSoAlready,
    /// A rule forbids it.
    Refused(Option<Column>, String),
    /// There is no such account any more.
    Gone,
}

fn refused(column: Column, reason: &str) -> Changed {
    Changed::Refused(Some(column), reason.to_owned())
}

impl Step<'_> {
    /// Gives an account what a row has, in a savepoint: what breaks a rule leaves nothing behind, and the
    /// transaction usable.
    pub(super) async fn change(
        &self,
        connection: &mut PgConnection,
        id: UserId,
        candidate: &Candidate,
    ) -> Result<Changed> {
        let mut savepoint = connection.begin().await?;
        let changed = match self.change_in(&mut savepoint, id, candidate).await {
            Err(Error::Conflict(code)) => {
                let column = match code {
                    ErrorCode::PhoneNumberAlreadyExists => Column::PhoneNumber,
                    ErrorCode::NicknameAlreadyExists => Column::Nickname,
                    _ => Column::Email,
                };
                refused(column, "another account has it already")
            }
            Err(Error::Forbidden(ErrorCode::LastAdministrator)) => {
                refused(Column::Role, "the account is the last administrator's")
            }
            changed => changed?,
        };
        match changed {
            Changed::Done => savepoint.commit().await?,
            Changed::IsSoAlready | Changed::Refused(..) | Changed::Gone => {
                savepoint.rollback().await?;
            }
        }
        Ok(changed)
    }

    async fn change_in(
        &self,
        connection: &mut PgConnection,
        id: UserId,
        candidate: &Candidate,
    ) -> Result<Changed> {
        let Some(before) = users::find_for_update(connection, id).await? else {
            return Ok(Changed::Gone);
        };
        if candidate.given.id.is_some_and(|given| given != id) {
            return Ok(refused(Column::Id, "is another one than the account's"));
        }
        if !self.actor_role.outranks(before.role) {
            return Ok(refused(Column::Role, "of the account is above your own"));
        }
        let hash = self.new_hash(connection, id, candidate).await?;
        if let Some(column) = self.not_his_to_change(&before, candidate, hash.is_some()) {
            let reason = "of an account that is there only operators change";
            return Ok(refused(column, reason));
        }
        let mut user = self.wanted(&before, candidate, hash.is_some());
        let role = user.role;
        if user == before && hash.is_none() {
            return Ok(Changed::IsSoAlready);
        }
        let is_locked = before.locked_at.is_none() && user.locked_at.is_some();
        let is_deleted = before.deletion_due_at.is_none() && user.deletion_due_at.is_some();
        let is_unverified = user.email.is_some() && user.email_verified_at.is_none();
        let is_weaker = is_locked || is_deleted || is_unverified || role < Role::Admin;
        if before.role == Role::Admin && is_weaker {
            keep_an_admin(connection, &before).await?;
        }
        // That a verified address makes somebody AUTHENTICATED nobody has decided.
        if role != before.role && candidate.given.role.is_some() {
            user.role = before.role;
            let mut subject = Subject {
                user,
                actor_role: self.actor_role,
            };
            let (roles, ctx) = (&self.imports.roles, &self.ctx);
            roles
                .change(connection, ctx, &mut subject, role, None)
                .await?;
            user = subject.user;
        }
        users::replace(connection, &mut user).await?;
        if let Some(hash) = &hash {
            users::set_password_hash(connection, id, hash).await?;
            match candidate.given.password_reset_openly_at {
                Some(at) => users::put_open_reset(connection, id, at).await?,
                None => {
                    users::take_open_reset(connection, id).await?;
                }
            }
        }
        if is_locked || is_deleted || hash.is_some() {
            sessions::end_all(connection, id).await?;
        }
        self.void_mails(connection, &before, &user, hash.is_some())
            .await?;
        // A password that the row gives is its writer's.
        if becomes_verified(&before, &user) && hash.is_none() {
            let (resets, now) = (&self.imports.resets, self.ctx.now);
            resets.void_open(connection, &user, now).await?;
        }
        let mails = [
            hash.is_some().then_some(UserMail::PasswordChanged),
            is_locked.then_some(UserMail::LockedByAdministrator),
        ];
        if user.email.is_some() {
            for mail in mails.into_iter().flatten() {
                let (all, now) = (&self.imports.mails, self.ctx.now);
                all.enqueue(connection, id, mail, now).await?;
            }
        }
        let is_role_told = candidate.given.role.is_some();
        self.tell_of_change(connection, &before, &user, is_role_told, hash.is_some())
            .await?;
        Ok(Changed::Done)
    }

    /// The column by which the row would set a password or vouch for an address, where the actor is none
    /// who may: of accounts that are there only operators do either, by whatever way.
    fn not_his_to_change(
        &self,
        before: &User,
        candidate: &Candidate,
        has_new_password: bool,
    ) -> Option<Column> {
        if matches!(self.ctx.actor, Actor::Operator | Actor::System) {
            return None;
        }
        let given = &candidate.given;
        let email = given.email.as_ref();
        let is_vouched_for = given.email_verified_at.is_some_and(|at| {
            before.email_verified_at != Some(at) || !is_same_address(before.email.as_ref(), email)
        });
        // When a password was set openly is stored beside a new password only.
        let password = candidate.hash.as_ref().map(|(column, _)| *column);
        password
            .filter(|_| has_new_password)
            .or_else(|| is_vouched_for.then_some(Column::EmailVerifiedAt))
    }

    /// The account as the row wants it.
    fn wanted(&self, before: &User, candidate: &Candidate, has_new_password: bool) -> User {
        let given = &candidate.given;
        let mut user = before.clone();
        if let Some(nickname) = &given.nickname {
            user.nickname = nickname.clone();
        }
        if let Some(email) = &given.email {
            let is_same = is_same_address(user.email.as_ref(), Some(email));
            let proven = given.email_verified_at;
            // Of another address nobody has proved yet that he reads it, unless the row says so.
            user.email_verified_at = match is_same {
                true => proven.or(user.email_verified_at),
                false => proven,
            };
            user.email = Some(email.clone());
        }
        let number = given.phone_number.clone();
        user.phone_number = number.or(user.phone_number);
        let name = given.legacy_name.clone();
        user.legacy_name = name.or(user.legacy_name);
        given.profile.clone().apply(&mut user.profile);
        user.role = match (given.role, before.role) {
            (Some(role), _) => role,
            // As by the link of a mail.
            (None, Role::Anonymous) if becomes_verified(before, &user) => Role::Authenticated,
            (None, role) => role,
        };
        if let Some(is_professional) = given.is_professional {
            if is_professional != user.is_professional {
                user.professional_status_updated_at = Some(self.ctx.now);
            }
            user.is_professional = is_professional;
        }
        let status = given.professional_status_updated_at;
        user.professional_status_updated_at = status.or(user.professional_status_updated_at);
        user.locked_at = given.locked_at.or(user.locked_at);
        user.deletion_due_at = given.deletion_due_at.or(user.deletion_due_at);
        user.last_login_at = given.last_login_at.or(user.last_login_at);
        user.created_at = given.created_at.unwrap_or(user.created_at);
        let is_another = user != *before || has_new_password;
        user.updated_at = match given.updated_at {
            Some(at) => at,
            None if is_another => self.ctx.now,
            None => user.updated_at,
        };
        user
    }

    /// The row's hash, if the account has another one.
    async fn new_hash(
        &self,
        connection: &mut PgConnection,
        id: UserId,
        candidate: &Candidate,
    ) -> Result<Option<PasswordHash>> {
        let Some((_, hash)) = &candidate.hash else {
            return Ok(None);
        };
        let known = users::find_password_hash(connection, id).await?;
        let is_another = known.is_none_or(|known| known.expose() != hash.expose());
        Ok(is_another.then(|| hash.clone()))
    }

    /// What was mailed to an address that the account had, or for a password that it had, or that leads back into
    /// an account that is closed, is void.
    async fn void_mails(
        &self,
        connection: &mut PgConnection,
        before: &User,
        after: &User,
        has_new_password: bool,
    ) -> Result<()> {
        let id = after.id;
        if !is_same_address(before.email.as_ref(), after.email.as_ref()) {
            let void = [
                Purpose::EmailVerification,
                Purpose::AccountUnlock,
                Purpose::PasswordReset,
                Purpose::OpenPasswordReset,
                Purpose::AccountRestore,
            ];
            one_time_tokens::discard(connection, id, &void).await?;
            email_changes::discard_all(connection, id).await?;
            return Ok(());
        }
        let is_locked = before.locked_at.is_none() && after.locked_at.is_some();
        let is_deleted = before.deletion_due_at.is_none() && after.deletion_due_at.is_some();
        if is_deleted {
            one_time_tokens::discard(connection, id, &WAYS_BACK).await?;
        }
        if is_locked || is_deleted {
            email_changes::discard_unconfirmed(connection, id).await?;
        }
        if becomes_verified(before, after) {
            let void = [Purpose::EmailVerification];
            one_time_tokens::discard(connection, id, &void).await?;
        }
        if has_new_password {
            let void = [Purpose::PasswordReset, Purpose::OpenPasswordReset];
            one_time_tokens::discard(connection, id, &void).await?;
            email_changes::discard_unconfirmed(connection, id).await?;
        }
        Ok(())
    }

    /// Audits a change, but for that of the role where that has an entry of its own.
    async fn tell_of_change(
        &self,
        connection: &mut PgConnection,
        before: &User,
        after: &User,
        is_role_told: bool,
        has_new_password: bool,
    ) -> Result<()> {
        let mut change = Change::between(before, after);
        if is_role_told {
            drop(change.split_off("role"));
        }
        let changed = Act::new(Action::UserChanged).on(after.id).change(change);
        let password = Act::new(Action::PasswordChanged).on(after.id);
        let acts = [Some(changed), has_new_password.then_some(password)];
        let audit = &self.imports.platform.audit;
        let acts = acts.into_iter().flatten();
        audit.record_all(connection, &self.ctx, acts).await
    }
}

fn becomes_verified(before: &User, after: &User) -> bool {
    before.email_verified_at.is_none() && after.email_verified_at.is_some()
}

fn is_same_address(one: Option<&Email>, other: Option<&Email>) -> bool {
    one.map(Email::normalized) == other.map(Email::normalized)
}
