//! One-time tokens: secrets that a mail carries and that work once.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// What a token is good for; it is good for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Proves that its owner reads the account's address.
    EmailVerification,
    /// Ends a lockout after failed logins.
    AccountUnlock,
    /// Sets a new password.
    PasswordReset,
    /// The same, given to whoever asked an older API for it: it proves nothing about an address.
    OpenPasswordReset,
    /// Takes the deletion of an account back.
    AccountRestore,
}

/// How long the link of a verification mail works.
pub const VERIFICATION_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// How long the link of a lock notice works.
pub const UNLOCK_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// How long the link to a new password works.
pub const RESET_LIFETIME: TimeDelta = TimeDelta::minutes(30);
/// How long the link to a first password works, which somebody gets who didn't ask for it.
pub const INVITATION_LIFETIME: TimeDelta = TimeDelta::days(7);
/// How long a new address can be confirmed.
pub const EMAIL_CHANGE_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// How long the old address can undo its change.
pub const EMAIL_UNDO_LIFETIME: TimeDelta = TimeDelta::hours(72);

impl Purpose {
    /// The name in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmailVerification => "email_verification",
            Self::AccountUnlock => "account_unlock",
            Self::PasswordReset => "password_reset",
            Self::OpenPasswordReset => "open_password_reset",
            Self::AccountRestore => "account_restore",
        }
    }
}

/// A token of 256 random bits in URL-safe Base64. `Debug` hides it.
#[derive(Clone)]
pub struct OneTimeToken(SecretString);

impl OneTimeToken {
    /// A new token of bytes that are random.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(random).into())
    }

    /// A token that somebody presents: anything, it will be looked up by its digest.
    #[must_use]
    pub fn presented(text: String) -> Self {
        Self(text.into())
    }

    /// The token, for the one link that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored of it: SHA-256. A token has 256 random bits, so no slow hash is needed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.expose().as_bytes()).into()
    }
}

impl fmt::Debug for OneTimeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeToken(…)")
    }
}
