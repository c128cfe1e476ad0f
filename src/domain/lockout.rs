//! Lockout after failed logins: how many tries there are, and how long one waits then.
//!
//! Each attempt is charged before its password is hashed, and refunded when it succeeds. From the
//! [limit](LockoutPolicy::max_attempts) on, each further attempt is preceded by a wait, which doubles from 30 seconds
//! to 15 minutes (OWASP Authentication Cheat Sheet, "Account lockout"). One charge decays every 15
//! minutes.

use chrono::TimeDelta;

/// The first wait.
pub const FIRST_WAIT: TimeDelta = TimeDelta::seconds(30);
/// The longest wait.
pub const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(15);
/// How long it takes until one charge is forgiven.
pub const DECAY: TimeDelta = TimeDelta::minutes(15);

/// How many failed logins an account takes.
#[derive(Debug, Clone, Copy)]
pub struct LockoutPolicy {
    /// Attempts that are admitted before the first wait, at least 1.
    pub max_attempts: u16,
}

/// What became of an attempt to log in, before its password was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// It was charged and may go on.
    Admitted {
        /// Whether this attempt, should it fail, is the one that locks the account.
        reached_limit: bool,
    },
    /// It is refused.
    Refused {
        /// Until the next attempt is admitted.
        retry_after: TimeDelta,
    },
}
