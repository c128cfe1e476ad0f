//! Lockout and rate limits.

use std::{num::NonZeroU32, str::FromStr, time::Duration};

use super::{Environment, Reader};

/// Lockout and rate limits.
#[derive(Debug, Clone)]
pub struct LoginConfig {
    /// Failed logins that an account takes before the first wait.
    pub max_attempts: u16,
    /// Limits per client address; none: off.
    pub rate_limits: Option<RateLimitsConfig>,
}

/// Limits per client address.
#[derive(Debug, Clone, Copy)]
pub struct RateLimitsConfig {
    /// On logins.
    pub login: Rate,
    /// On registrations.
    pub register: Rate,
    /// On requests for another verification mail.
    pub resend: Rate,
    /// On requests for a link to a new password.
    pub reset: Rate,
}

/// How often something may be done: `30/m` is 30 times at once, and 30 times a minute for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many times.
    pub times: NonZeroU32,
    /// In how long.
    pub period: Duration,
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const INVALID: &str = "must be a number, a slash and s, m or h, such as 30/m";
        let (times, unit) = text.split_once('/').ok_or(INVALID)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(INVALID),
        };
        Ok(Self {
            times: times.parse().map_err(|_| INVALID)?,
            period: Duration::from_secs(seconds),
        })
    }
}

impl LoginConfig {
    pub(super) fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        reader.section("Login");
        let max_attempts = reader.with_default(
            "MAX_LOGIN_ATTEMPTS",
            "5",
            "Failed logins that an account takes before it makes everybody but its owner's own devices wait: 30 seconds, then twice as long each time, up to 15 minutes.",
        );
        if !(1..=100).contains(&max_attempts) {
            reader.problem("MAX_LOGIN_ATTEMPTS", "must be from 1 to 100");
        }
        let on = reader
            .switch(
                "RATE_LIMITS",
                "",
                "`on` or `off`: the limits per client address below. Default: `off` in development, `on` in production. Lockout is always on.",
            )
            .unwrap_or(environment == Environment::Production);
        reader.show("RATE_LIMITS", if on { "on" } else { "off" });
        let limits = RateLimitsConfig {
            login: reader.with_default(
                "RATE_LIMIT_LOGIN",
                "30/m",
                "Logins, and other checks of a password, from one address.",
            ),
            register: reader.with_default(
                "RATE_LIMIT_REGISTER",
                "10/m",
                "Registrations from one address.",
            ),
            resend: reader.with_default(
                "RATE_LIMIT_RESEND",
                "5/m",
                "Requests for another verification mail from one address.",
            ),
            reset: reader.with_default(
                "RATE_LIMIT_RESET",
                "5/m",
                "Requests for a link to a new password from one address.",
            ),
        };
        Self {
            max_attempts,
            rate_limits: on.then_some(limits),
        }
    }
}
