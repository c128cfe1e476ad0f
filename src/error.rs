//! What can go wrong, by meaning: it knows nothing of HTTP or of SQL.
//!
//! [`Error`] says what a caller can do about it, [`ErrorCode`] names the case for programs, and
//! [`FieldError`] names the field of an input. `http/error.rs` turns them into answers.

use std::{borrow::Cow, time::Duration};

/// The result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a use case was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for isn't there, or isn't to be known.
    #[error("{}", .0.message())]
    NotFound(ErrorCode),
    /// It would break a rule about what exists already.
    #[error("{}", .0.message())]
    Conflict(ErrorCode),
    /// Fields of the input are not as they must be; never empty.
    #[error("invalid input: {}", fields(.0))]
    Invalid(Vec<FieldError>),
    /// The caller didn't prove who he is.
    #[error("{}", .0.message())]
    Unauthenticated(ErrorCode),
    /// The caller is known and may not do it.
    #[error("{}", .0.message())]
    Forbidden(ErrorCode),
    /// What is to be changed has changed since the caller read it.
    #[error("{}", ErrorCode::PreconditionFailed.message())]
    Stale,
    /// A one-time token is unknown, used or expired.
    #[error("{}", .0.message())]
    InvalidToken(ErrorCode),
    /// The account takes no logins: for `retry_after` where known, else until somebody lifts it.
    #[error("account locked")]
    Locked {
        /// How long the lockout still lasts; none for an administrator's lock.
        retry_after: Option<Duration>,
    },
    /// Too many requests.
    #[error("too many requests")]
    RateLimited {
        /// When the next one will be taken.
        retry_after: Duration,
    },
    /// The service or one of its backing services can't do it now. Nothing was done, but where the
    /// connection was lost while a statement ran: that one was done wholly or not at all.
    #[error("unavailable: {0}")]
    Unavailable(#[source] anyhow::Error),
    /// A fault of ours.
    #[error("internal error: {0:#}")]
    Internal(#[source] anyhow::Error),
}

impl Error {
    /// One invalid field.
    #[must_use]
    pub fn invalid(field: FieldError) -> Self {
        Self::Invalid(vec![field])
    }

    /// The same where an address was to be changed: that somebody has it is told in other words at a
    /// registration.
    #[must_use]
    pub fn of_new_address(self) -> Self {
        match self {
            Self::Conflict(ErrorCode::EmailAlreadyExists) => Self::Conflict(ErrorCode::EmailTaken),
            error => error,
        }
    }

    /// The code that programs branch on.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound(code)
            | Self::Conflict(code)
            | Self::Unauthenticated(code)
            | Self::Forbidden(code)
            | Self::InvalidToken(code) => *code,
            Self::Invalid(_) => ErrorCode::InvalidInput,
            Self::Stale => ErrorCode::PreconditionFailed,
            Self::Locked { .. } => ErrorCode::AccountLocked,
            Self::RateLimited { .. } => ErrorCode::RateLimited,
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Internal(_) => ErrorCode::Internal,
        }
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

fn fields(fields: &[FieldError]) -> String {
    let described: Vec<_> = fields
        .iter()
        .map(|field| {
            // People know it by its name, wherever in a request it would stand.
            let path = field.path();
            let name = path.split_once('.').map_or(&*path, |(_, name)| name);
            format!("{name}: {}", field.message)
        })
        .collect();
    described.join("; ")
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $message:literal;)+) => {
        /// Names a case for programs: stable, never reworded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[doc = $doc])+ $variant,)+ }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code as it stands in an answer, in snake case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The code that stands so in an answer.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// The text for people; clients of the older service compare some of them.
            #[must_use]
            pub fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)+ }
            }
        }
    };
}

error_codes! {
    /// Somebody has this address: the answer to a registration.
    EmailAlreadyExists = "email_already_exists", "Email already exists";
    /// Somebody else has this address: the answer to a change of it.
    EmailTaken = "email_taken", "Email already exists";
    /// Somebody has this phone number.
    PhoneNumberAlreadyExists = "phone_number_already_exists", "Phone number already exists";
    /// Somebody has this nickname.
    NicknameAlreadyExists = "nickname_already_exists", "Nickname already exists";
    /// No such user.
    UserNotFound = "user_not_found", "User not found";
    /// No such page or endpoint.
    NotFound = "not_found", "Not Found";
    /// The endpoint has no such method.
    MethodNotAllowed = "method_not_allowed", "Method Not Allowed";
    /// There is no token, or none of ours that is still good.
    NotAuthenticated = "not_authenticated", "Could not validate credentials";
    /// Unknown user or wrong password.
    InvalidCredentials = "invalid_credentials", "Incorrect email or password.";
    /// Right password, address not verified yet.
    EmailNotVerified = "email_not_verified", "Email not verified.";
    /// Locked by failed logins or by an administrator.
    AccountLocked = "account_locked", "Account locked due to too many failed login attempts.";
    /// The caller's role doesn't allow it.
    OperationNotPermitted = "operation_not_permitted", "Operation not permitted";
    /// It would leave the service without an administrator who can log in.
    LastAdministrator = "last_administrator", "Operation not permitted: this is the last administrator";
    /// The link in a verification mail was used, replaced or is older than its life.
    InvalidVerificationToken = "invalid_verification_token", "Invalid or expired verification token";
    /// The link in a lock notice was used, replaced or is older than its life.
    InvalidUnlockToken = "invalid_unlock_token", "Invalid or expired unlock token";
    /// A refresh token that is unknown, used or replaced, or whose session has ended.
    InvalidRefreshToken = "invalid_refresh_token", "Invalid or expired refresh token";
    /// No such import of users.
    ImportNotFound = "import_not_found", "Import not found";
    /// An import of the same file by the same options hasn't ended.
    ImportRunning = "import_running", "An import of this file hasn't ended yet";
    /// No live session of the caller's has this id.
    SessionNotFound = "session_not_found", "Session not found";
    /// A registered service didn't prove who it is.
    InvalidClient = "invalid_client", "Could not validate client credentials";
    /// A change by cookie that another site may have asked for.
    CrossSiteRequest = "cross_site_request", "Requests by cookie must come from the service's own pages";
    /// What was to be changed isn't any more as the caller last saw it.
    PreconditionFailed = "precondition_failed", "It has changed since you last read it; read it again";
    /// The link to a new password was used, replaced or is older than its life.
    InvalidPasswordResetToken = "invalid_password_reset_token", "Invalid or expired password reset token";
    /// The link that confirms a new address was used, replaced or is older than its life.
    InvalidEmailChangeToken = "invalid_email_change_token", "Invalid or expired e-mail change token";
    /// The link that undoes a change of address was used, overtaken or is older than its life.
    InvalidEmailUndoToken = "invalid_email_undo_token", "Invalid or expired undo token";
    /// The link that restores an account was used, overtaken or is older than its life.
    InvalidRestoreToken = "invalid_restore_token", "Invalid or expired restore token";
    /// The request of this idempotency key is still running.
    IdempotencyKeyInUse = "idempotency_key_in_use", "The first request with this idempotency key is still running; try again later";
    /// The idempotency key was used for another request.
    IdempotencyKeyReused = "idempotency_key_reused", "This idempotency key was used with another request body";
    /// Fields are wrong; `errors` says which.
    InvalidInput = "invalid_input", "The request has invalid fields";
    /// The body can't be read as what it says it is.
    MalformedBody = "malformed_body", "The request body is malformed";
    /// The body is larger than the limit.
    BodyTooLarge = "body_too_large", "The request body is too large";
    /// The body's media type isn't the endpoint's.
    UnsupportedMediaType = "unsupported_media_type", "Unsupported media type";
    /// Too many requests from one address or for one account.
    RateLimited = "rate_limited", "Too many requests; try again later";
    /// The service is overloaded, stopping, or its database is away.
    Unavailable = "unavailable", "The service is temporarily unavailable; try again later";
    /// A fault of the service.
    Internal = "internal_error", "Internal server error";
}

/// One invalid field of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where it stands: `["body", "email"]`, `["query", "limit"]`.
    pub location: Vec<Cow<'static, str>>,
    /// What is wrong, without the rejected value, which may be a secret.
    pub message: Cow<'static, str>,
    /// What is wrong, for programs, in snake case.
    pub kind: &'static str,
}

impl FieldError {
    /// A field of a request's body.
    #[must_use]
    pub fn body(field: &'static str, rule: Rule) -> Self {
        Self {
            location: vec!["body".into(), field.into()],
            message: rule.message,
            kind: rule.kind,
        }
    }

    /// A parameter of a request's query.
    #[must_use]
    pub fn query(parameter: &'static str, rule: Rule) -> Self {
        Self {
            location: vec!["query".into(), parameter.into()],
            message: rule.message,
            kind: rule.kind,
        }
    }

    /// A change that changes nothing.
    #[must_use]
    pub fn empty_change() -> Self {
        Self {
            location: vec!["body".into()],
            message: "must change at least one field".into(),
            kind: "empty_change",
        }
    }

    /// The location as one text: `body.email`.
    #[must_use]
    pub fn path(&self) -> String {
        self.location.join(".")
    }
}

/// A rule that a value breaks: what a domain type's `parse` answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rule {
    /// The rule for programs, in snake case.
    pub kind: &'static str,
    /// The rule for people, without the value.
    pub message: Cow<'static, str>,
}

impl Rule {
    /// A rule with a fixed text.
    #[must_use]
    pub const fn new(kind: &'static str, message: &'static str) -> Self {
        Self {
            kind,
            message: Cow::Borrowed(message),
        }
    }

    /// What is told of a value that is none of those that there are.
    #[must_use]
    pub fn one_of(known: &[&str]) -> Self {
        Self {
            kind: "unknown_value",
            message: format!("must be one of: {}", known.join(", ")).into(),
        }
    }
}

/// Collects what is wrong with the fields of one input, so that one answer names them all.
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// The parsed value, or none and a note about the field.
    pub fn take<T>(&mut self, field: &'static str, parsed: Result<T, Rule>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(rule) => {
                self.add(field, rule);
                None
            }
        }
    }

    /// Notes what is wrong with a field.
    pub fn add(&mut self, field: &'static str, rule: Rule) {
        self.0.push(FieldError::body(field, rule));
    }

    /// `value`, if nothing was wrong.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with all fields noted; also when `value` is none, which stands for a
    /// field that was noted.
    pub fn finish<T>(self, value: Option<T>) -> Result<T> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Error::Invalid(self.0)),
        }
    }
}
