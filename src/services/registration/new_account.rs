//! What an account needs to be made, and what is told where somebody has it.

use sqlx::PgConnection;

use crate::{
    domain::{
        email::Email, legacy_name::LegacyName, login_name::LoginName, nickname::Nickname,
        password::Password, phone::PhoneNumber, profile::Profile, user::User,
    },
    error::{Error, ErrorCode, FieldError, Result, Rule},
    repository::users,
};

/// What is told of the address of an account that nobody could log in to.
pub const NAMELESS: Rule = Rule::new("missing", "an e-mail address or a phone number is required");

/// An account to be made: with an address, a phone number or both; by an older API with a legacy name.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its address.
    pub email: Option<Email>,
    /// Its phone number.
    pub phone_number: Option<PhoneNumber>,
    /// What it has in place of an address, by an older API.
    pub legacy_name: Option<LegacyName>,
    /// Its password.
    pub password: Password,
    /// The nickname that was chosen, if one was.
    pub nickname: Option<Nickname>,
    /// What the user says of himself.
    pub profile: Profile,
}

impl NewAccount {
    /// What it is known by: its address, or else its phone number, or else its legacy name.
    pub(super) fn login_name(&self) -> Result<LoginName> {
        let email = self.email.as_ref().map(LoginName::from);
        email
            .or_else(|| self.phone_number.as_ref().map(LoginName::from))
            .or_else(|| self.legacy_name.as_ref().map(LoginName::from))
            .ok_or_else(|| Error::invalid(FieldError::body("email", NAMELESS)))
    }

    /// Its address, where it must have one.
    pub(super) fn address(&self) -> Result<&Email> {
        let missing = || FieldError::body("email", Rule::new("missing", "is required"));
        self.email.as_ref().ok_or_else(|| Error::invalid(missing()))
    }

    /// Checks that somebody can log in to it, and its password against its names.
    pub(super) fn check(&self) -> Result<()> {
        self.login_name()?;
        self.password
            .check_owner(
                self.email.as_ref(),
                self.nickname.as_ref(),
                self.phone_number.as_ref(),
            )
            .map_err(|rule| Error::invalid(FieldError::body("password", rule)))
    }
}

/// What is told of a user whose nickname is taken: who registers twice is to hear of his address or
/// his phone number.
pub(super) async fn also_taken(connection: &mut PgConnection, user: &User) -> Result<ErrorCode> {
    if let Some(email) = &user.email {
        let known = users::find_by_email(connection, &email.normalized()).await?;
        if known.is_some() {
            return Ok(ErrorCode::EmailAlreadyExists);
        }
    }
    if let Some(number) = &user.phone_number {
        let known = users::find_by_phone_number(connection, number.as_str()).await?;
        if known.is_some() {
            return Ok(ErrorCode::PhoneNumberAlreadyExists);
        }
    }
    Ok(ErrorCode::NicknameAlreadyExists)
}
