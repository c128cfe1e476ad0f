//! Accounts that operators make.

use anyhow::anyhow;
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use sqlx::PgConnection;
use tracing::instrument;

use super::{NewAccount, Registration};
use crate::{
    domain::{
        audit::Action,
        email::Email,
        id::RequestId,
        nickname::Nickname,
        password::{Password, TypedPassword},
        permission::Permission,
        phone::PhoneNumber,
        profile::Profile,
        role::Role,
        token::{INVITATION_LIFETIME, OneTimeToken, Purpose},
        user::User,
    },
    error::{Error, FieldError, Result, Rule},
    repository::one_time_tokens,
    services::{Ctx, audit::Act, mail::UserMail},
};

/// An account that an operator makes: with an address, a phone number or both.
#[derive(Debug, Clone)]
pub struct Creation {
    /// Its address.
    pub email: Option<Email>,
    /// Its phone number.
    pub phone_number: Option<PhoneNumber>,
    /// Its nickname; none: one is generated.
    pub nickname: Option<Nickname>,
    /// What is said of the user.
    pub profile: Profile,
    /// Its password; none: an invitation is mailed, with a link to set one.
    pub password: Option<Password>,
    /// What it may do; none: what follows from the verification of its address.
    pub role: Option<Role>,
    /// Whether its address counts as verified, as an administrator's always does.
    pub is_verified: bool,
}

impl Creation {
    /// What it may do.
    fn role(&self) -> Result<Role> {
        match (self.role, self.is_verified) {
            (None, true) => Ok(Role::Authenticated),
            (None, false) => Ok(Role::Anonymous),
            (Some(Role::Anonymous), true) => {
                let rule = Rule::new(
                    "verified",
                    "can't be ANONYMOUS where the address is verified",
                );
                Err(Error::invalid(FieldError::body("role", rule)))
            }
            (Some(role), _) => Ok(role),
        }
    }
}

impl Registration {
    /// An operator makes an account. A mail asks to verify its address unless it counts as verified, or
    /// invites to set a password where none is given, which verifies it too; the link is good for
    /// [`INVITATION_LIFETIME`]. Nobody becomes administrator any more by being the first to register.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for anybody else; [`Error::Invalid`] without the address that something of it
    /// needs; [`ErrorCode::EmailAlreadyExists`], [`ErrorCode::PhoneNumberAlreadyExists`],
    /// [`ErrorCode::NicknameAlreadyExists`], the first of them that applies.
    ///
    /// [`ErrorCode::EmailAlreadyExists`]: crate::error::ErrorCode::EmailAlreadyExists
    /// [`ErrorCode::PhoneNumberAlreadyExists`]: crate::error::ErrorCode::PhoneNumberAlreadyExists
    /// [`ErrorCode::NicknameAlreadyExists`]: crate::error::ErrorCode::NicknameAlreadyExists
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn create(&self, ctx: &Ctx, creation: Creation) -> Result<User> {
        ctx.require(Permission::VouchForAddress)?;
        let role = creation.role()?;
        let is_invited = creation.password.is_none();
        let is_verified = creation.is_verified;
        let account = NewAccount {
            email: creation.email,
            phone_number: creation.phone_number,
            legacy_name: None,
            password: match creation.password {
                Some(password) => password,
                None => self.nobodys_password()?,
            },
            nickname: creation.nickname,
            profile: creation.profile,
        };
        if !is_invited {
            // A password that is drawn may have a short nickname in it by chance.
            account.check()?;
        }
        if is_invited || is_verified || role == Role::Admin {
            account.address()?;
        }
        let hash = self.hasher.hash(&account.password).await?;
        let mut transaction = self.platform.pool.begin().await?;
        let user = if role == Role::Admin {
            self.insert_admin(&mut transaction, ctx, account, &hash)
                .await?
        } else {
            self.claim_first(&mut transaction, ctx).await?;
            let mut user = self.user(ctx, account, role);
            user.0.email_verified_at = is_verified.then_some(ctx.now);
            let action = Action::UserAdded;
            if is_invited || is_verified {
                self.insert(&mut transaction, ctx, action, user, &hash, None)
                    .await?
            } else {
                self.insert_unverified(&mut transaction, ctx, action, user, &hash)
                    .await?
            }
        };
        if is_invited {
            self.invite(&mut transaction, ctx, &user).await?;
        }
        transaction.commit().await?;
        self.made(&user);
        Ok(user)
    }

    /// Mails a link to set the first password.
    async fn invite(&self, connection: &mut PgConnection, ctx: &Ctx, user: &User) -> Result<()> {
        let (platform, now) = (&self.platform, ctx.now);
        let token = OneTimeToken::new(platform.random.bytes());
        let (purpose, expires_at) = (Purpose::PasswordReset, now + INVITATION_LIFETIME);
        one_time_tokens::replace(connection, user.id, purpose, &token, now, expires_at).await?;
        let mail = UserMail::Invitation(&token);
        self.mails.enqueue(connection, user.id, mail, now).await?;
        let ctx = Ctx::system(RequestId(platform.random.uuid_v7(now)), now);
        let act = Act::new(Action::PasswordResetMailed).on(user.id);
        platform.audit.record(connection, &ctx, act).await
    }

    /// A password that nobody knows.
    fn nobodys_password(&self) -> Result<Password> {
        let text = BASE64_STANDARD_NO_PAD.encode(self.platform.random.bytes::<32>());
        Password::parse(&TypedPassword::new(text))
            .map_err(|rule| anyhow!("a generated password is refused: {rule}").into())
    }
}
